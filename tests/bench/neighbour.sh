# shellcheck shell=bash disable=SC2154 # BENCH_*, LARGE_* and here come from run
# What a job that computes loses while a dataset is staged beside it: loops on every processor (cpu), or random
# reads and synced writes of 4 KB on the disk that is staged to (io): with the daemon's defaults, with each of its limits,
# and cp beside them. NEIGHBOUR_WHAT=cpu, or io: only that. BENCH_WHO= chooses among them.

# neighbour_run WHAT WHO COMMAND…: the neighbour's rate while the command runs, against its rate just before.
neighbour_run() {
	local what=$1 who=$2 busy
	shift 2
	level_ground $((LARGE_COUNT * LARGE_SIZE * 2))
	"$BENCH_BIN/neighbour" "$what" "$P/neighbour" "$NEIGHBOUR_IDLE_MS" -- "$@" > "$P/rates" || return 1
	busy=$(< "$P/rates")
	printf '{"work":"neighbour","what":"%s","who":"%s","gb":%s,%s}\n' "$what" "$who" "$NEIGHBOUR_GB" "$busy" >> "$BENCH_OUT"
}

# What larder.conf says beside the defaults, for each of our contenders.
neighbour_keys() {
	case $1 in
	larder) ;;
	larder-200m) echo 'transfer_bandwidth = "200M"' ;;
	larder-idle) printf '%s\n' 'transfer_nice = 19' 'transfer_ioprio = "idle"' ;;
	larder-cgroup) echo "transfer_cgroup = \"$NEIGHBOUR_CGROUP\"" ;;
	esac
}

# A cgroup of our own (NEIGHBOUR_CGROUP), which gives its threads a fifth of one processor; with v1, or with v2 below this shell's.
neighbour_cgroup_make() {
	local own
	own=$(sed -n 's/^0:://p' /proc/self/cgroup)
	if [[ -e /sys/fs/cgroup/cpu/cpu.cfs_quota_us ]]; then
		NEIGHBOUR_CGROUP=/sys/fs/cgroup/cpu/larder-bench-$$
		mkdir "$NEIGHBOUR_CGROUP" && echo 20000 > "$NEIGHBOUR_CGROUP/cpu.cfs_quota_us"
	else
		NEIGHBOUR_CGROUP=/sys/fs/cgroup${own%/}/larder-bench-$$
		mkdir "$NEIGHBOUR_CGROUP" && echo threaded > "$NEIGHBOUR_CGROUP/cgroup.type" &&
			echo +cpu > "${NEIGHBOUR_CGROUP%/*}/cgroup.subtree_control" &&
			echo '20000 100000' > "$NEIGHBOUR_CGROUP/cpu.max"
	fi 2> /dev/null
}

neighbour_cgroup_end() {
	[[ -z ${NEIGHBOUR_CGROUP-} || ! -d $NEIGHBOUR_CGROUP ]] || rmdir "$NEIGHBOUR_CGROUP"
}

# Each under a larderd of its own configuration, and with a dataset of its own: nothing is there to link to.
neighbour_larder() {
	local what=$1 who=$2 spec
	spec=$what$3-$who:v1
	# shellcheck disable=SC2034 # daemon.sh reads it
	DAEMON_KEYS=$(neighbour_keys "$who")
	daemon_stop
	daemon_start || return 1
	larder publish -q "$spec" --from "$BENCH_DIR/neighbour" > /dev/null || return 1
	neighbour_run "$what" "$who" larder stage -q --wait "$spec"
}

neighbour_round() {
	local what=$1 round=$2 who from=$BENCH_DIR/neighbour i
	local -a all
	# shellcheck disable=SC2086 # words
	mapfile -t all < <(wanted_of $NEIGHBOUR_ALL)
	for ((i = 0; i < ${#all[@]}; i++)); do
		who=${all[$(((i + round) % ${#all[@]}))]}
		case $who in
		larder*) neighbour_larder "$what" "$who" "$round" ;;
		cp-r) neighbour_run "$what" cp-r sh -c 'cp -r "$1" "$2" && sync -f "$2"' sh "$from" "$P/cp-$what$round" ;;
		xargs-cp) neighbour_run "$what" xargs-cp sh -c \
			'mkdir "$2" && find "$1" -type f -print0 | xargs -0 -P4 -n1 cp -t "$2" && sync -f "$2"' \
			sh "$from" "$P/xargs-$what$round" ;;
		esac || return 1
	done
}

neighbour_all() {
	local NEIGHBOUR_IDLE_MS=2000 NEIGHBOUR_GB round what
	local NEIGHBOUR_ALL='larder larder-200m larder-idle larder-cgroup cp-r xargs-cp'
	[[ $BENCH_SCALE != tiny ]] || NEIGHBOUR_IDLE_MS=50
	say "neighbour: $((LARGE_COUNT * 2)) x $LARGE_SIZE bytes, $BENCH_ROUNDS rounds"
	NEIGHBOUR_GB=$(awk "BEGIN { print $((LARGE_COUNT * 2 * LARGE_SIZE)) / 1e9 }")
	daemon_place 80G || return 1
	trap 'daemon_end; neighbour_cgroup_end' EXIT
	neighbour_cgroup_make || {
		say 'neighbour: larder-cgroup left out: no cgroup that may be made here limits processors'
		NEIGHBOUR_ALL=${NEIGHBOUR_ALL/larder-cgroup /}
	}
	make_files $((LARGE_COUNT * 2)) "$LARGE_SIZE" "$BENCH_DIR/neighbour" && chmod -R a+rX "$BENCH_DIR/neighbour"
	for ((round = 0; round < BENCH_ROUNDS; round++)); do
		for what in ${NEIGHBOUR_WHAT:-cpu io}; do
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
