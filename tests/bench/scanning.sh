# shellcheck shell=bash disable=SC2016 # sh -c scripts take arguments
# Making a manifest, beside one xxh128sum over all files and a bare cat. Cold caches.

# WORK COUNT SIZE
scanning() {
	local work=$1 count=$2 size=$3 source=$BENCH_DIR/$1 round bytes=$(($2 * $3)) i who
	local all=(larder xxh128sum cat)
	say "$work: $count x $size bytes, $BENCH_ROUNDS rounds"
	command -v xxh128sum > /dev/null || all=(larder cat)
	make_files "$count" "$size" "$source"
	for ((round = 0; round < BENCH_ROUNDS; round++)); do
		for ((i = 0; i < ${#all[@]}; i++)); do
			who=${all[(i + round) % ${#all[@]}]}
			case $who in
			larder) timed "$work" larder "$bytes" "$BENCH_DIR" \
				"$BENCH_BIN/stage" scan "$source" "$BENCH_DIR/manifest" ;;
			xxh128sum) timed "$work" xxh128sum "$bytes" "$BENCH_DIR" \
				sh -c 'find "$1" -type f -print0 | xargs -0 xxh128sum 2>/dev/null' sh "$source" ;;
			cat) timed "$work" cat "$bytes" "$BENCH_DIR" \
				sh -c 'find "$1" -type f -print0 | xargs -0 cat' sh "$source" ;;
			esac || return 1
		done
	done
	table "$work" xxh128sum cat
}

bench_scan_large() {
	scanning scan-large "$LARGE_COUNT" "$LARGE_SIZE"
}

bench_scan_small() {
	scanning scan-small "$SMALL_COUNT" 112640
}
