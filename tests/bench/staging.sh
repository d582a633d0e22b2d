# shellcheck shell=bash disable=SC2016 # sh -c scripts take arguments
# Staging by the daemon's own pool and sink, beside cp -r and four parallel cp. Cold, durable.

# One round of all contenders; the order turns from round to round.
staging_round() {
	local work=$1 source=$2 bytes=$3 each=$4 round=$5 who i
	local all=(larder cp-r xargs-cp)
	[[ $work == large-* ]] && all+=(larder-sync)
	for ((i = 0; i < ${#all[@]}; i++)); do
		who=${all[(i + round) % ${#all[@]}]}
		staging_one "$work" "$who" "$source" "$bytes" "$each" || return 1
	done
}

staging_one() {
	local work=$1 who=$2 source=$3 bytes=$4 each=$5 out
	out=$(fresh)
	case $who in
	larder) timed "$work" "$who" "$bytes" "$out" \
		"$BENCH_BIN/stage" copy "$BENCH_DIR/$work.manifest" "$source" "$out" ;;
	larder-sync) timed "$work" "$who" "$bytes" "$out" \
		"$BENCH_BIN/stage" -s copy "$BENCH_DIR/$work.manifest" "$source" "$out" ;;
	cp-r) timed "$work" "$who" "$bytes" "$out" cp -r "$source" "$out/copy" ;;
	xargs-cp) timed "$work" "$who" "$bytes" "$out" sh -c \
		'cd "$1" && find . -type d -print0 | (cd "$2" && xargs -0 mkdir -p) &&
		find . -type f -print0 | xargs -0 -P4 -n "$3" cp --parents -t "$2"' \
		sh "$source" "$out" "$each" ;;
	esac
}

# WORK SOURCE COUNT SIZE FILES-PER-CP
staging() {
	local work=$1 source=$2 count=$3 size=$4 each=$5 round
	say "$work: $count x $size bytes, $BENCH_ROUNDS rounds"
	make_files "$count" "$size" "$source"
	"$BENCH_BIN/stage" scan "$source" "$BENCH_DIR/$work.manifest" > /dev/null || return 1
	for ((round = 0; round < BENCH_ROUNDS; round++)); do
		staging_round "$work" "$source" $((count * size)) "$each" "$round" || return 1
	done
	table "$work" cp-r xargs-cp
}

bench_large_same() {
	staging large-same "$BENCH_DIR/large" "$LARGE_COUNT" 67108864 1
}

# From memory: the other device that every machine has. fio's direct write is the limit.
bench_large_other() {
	local round out
	BENCH_SHM=$(mktemp -d /dev/shm/larder-bench-XXXXXX)
	staging large-other "$BENCH_SHM/large" "$LARGE_COUNT" 67108864 1 || return 1
	if command -v fio > /dev/null; then
		for ((round = 0; round < BENCH_ROUNDS; round++)); do
			out=$(fresh)
			timed large-other fio-write $((LARGE_COUNT * 67108864)) "$out" fio --name=w \
				--directory="$out" --rw=write --bs=1M --iodepth=16 --direct=1 \
				--ioengine=io_uring --size=$((LARGE_COUNT * 67108864)) --fallocate=posix
		done
		table large-other cp-r xargs-cp fio-write
	fi
	rm -rf "$BENCH_SHM"
}

bench_small() {
	staging small "$BENCH_DIR/small" "$SMALL_COUNT" 112640 100
}
