# shellcheck shell=bash disable=SC2154 # BENCH_*, LARGE_* and here come from run
# What a job that computes loses while a dataset is staged beside it: loops on every processor (cpu), or random
# reads and synced writes of 4 KB on the disk that is staged to (io), with the daemon's defaults; cp beside them.

# neighbour_run WHAT WHO COMMAND…: the neighbour's rate while the command runs, against its rate just before.
neighbour_run() {
	local what=$1 who=$2 busy
	shift 2
	level_ground $((LARGE_COUNT * LARGE_SIZE * 2))
	"$BENCH_BIN/neighbour" "$what" "$P/neighbour" "$NEIGHBOUR_IDLE_MS" -- "$@" > "$P/rates" || return 1
	busy=$(< "$P/rates")
	printf '{"work":"neighbour","what":"%s","who":"%s","gb":%s,%s}\n' "$what" "$who" "$NEIGHBOUR_GB" "$busy" >> "$BENCH_OUT"
}

neighbour_round() {
	local what=$1 round=$2 i from=$BENCH_DIR/neighbour spec
	spec=$what$round:v1
	larder publish -q "$spec" --from "$from" > /dev/null || return 1
	for ((i = 0; i < 3; i++)); do
		case $(((i + round) % 3)) in
		0) neighbour_run "$what" larder larder stage -q --wait "$spec" ;;
		1) neighbour_run "$what" cp-r sh -c 'cp -r "$1" "$2" && sync -f "$2"' sh "$from" "$P/cp-$what$round" ;;
		2) neighbour_run "$what" xargs-cp sh -c \
			'mkdir "$2" && find "$1" -type f -print0 | xargs -0 -P4 -n1 cp -t "$2" && sync -f "$2"' \
			sh "$from" "$P/xargs-$what$round" ;;
		esac || return 1
	done
}

neighbour_all() {
	local NEIGHBOUR_IDLE_MS=2000 NEIGHBOUR_GB round what
	[[ $BENCH_SCALE != tiny ]] || NEIGHBOUR_IDLE_MS=50
	say "neighbour: $((LARGE_COUNT * 2)) x $LARGE_SIZE bytes, $BENCH_ROUNDS rounds"
	NEIGHBOUR_GB=$(awk "BEGIN { print $((LARGE_COUNT * 2 * LARGE_SIZE)) / 1e9 }")
	daemon_place 80G && daemon_start || return 1
	make_files $((LARGE_COUNT * 2)) "$LARGE_SIZE" "$BENCH_DIR/neighbour" && chmod -R a+rX "$BENCH_DIR/neighbour"
	for ((round = 0; round < BENCH_ROUNDS; round++)); do
		for what in cpu io; do
			neighbour_round "$what" "$round" || return 1
		done
	done
	python3 "$here/neighbour.py" "$BENCH_OUT"
}

bench_neighbour() {
	(neighbour_all)
	local status=$?
	rm -rf "$BENCH_DIR/neighbour"
	return $status
}
