# shellcheck shell=bash disable=SC2016,SC2154 # sh -c scripts take arguments; BENCH_* and LARGE_* come from run
# Staging by the daemon's own pool and sink, beside what an admin would use instead. Cold, durable.

# The contenders that this machine has, and that are wanted. fio's direct write of as many bytes is what the disk
# takes when nothing is read.
staging_contenders() {
	local who all=(larder larder-sync cp-r xargs-cp)
	for who in rsync tar rclone; do
		if command -v $who > /dev/null; then all+=("$who"); fi
	done
	! command -v fio > /dev/null || all+=(fio-write)
	wanted_of "${all[@]}"
}

# One round of all contenders; the order turns from round to round.
staging_round() {
	local work=$1 source=$2 bytes=$3 each=$4 round=$5 i all out
	mapfile -t all < <(staging_contenders)
	for ((i = 0; i < ${#all[@]}; i++)); do
		out=$(fresh)
		staging_one "$work" "${all[(i + round) % ${#all[@]}]}" "$source" "$bytes" "$each" "$out" || return 1
		# few inodes: what trap 2 is about does not happen, and the disk need not hold all of it
		[[ $work != large-* ]] || rm -rf "$out"
	done
}

# WORK WHO SOURCE BYTES FILES-PER-CP OUT
staging_one() {
	local work=$1 who=$2 source=$3 bytes=$4 each=$5 out=$6
	local run=(timed "$work" "$who" "$bytes" "$out")
	case $who in
	larder) "${run[@]}" "$BENCH_BIN/stage" copy "$BENCH_DIR/$work.manifest" "$source" "$out" ;;
	larder-sync) "${run[@]}" "$BENCH_BIN/stage" -s copy "$BENCH_DIR/$work.manifest" "$source" "$out" ;;
	cp-r) "${run[@]}" cp -r "$source" "$out/copy" ;;
	xargs-cp) "${run[@]}" sh -c \
		'cd "$1" && find . -type d -print0 | (cd "$2" && xargs -0 mkdir -p) &&
		find . -type f -print0 | xargs -0 -P4 -n "$3" cp --parents -t "$2"' sh "$source" "$out" "$each" ;;
	rsync) "${run[@]}" rsync -a --whole-file "$source/" "$out/copy" ;;
	tar) "${run[@]}" sh -c 'tar -C "$1" -cf - . | tar -C "$2" -xf -' sh "$source" "$out" ;;
	rclone) "${run[@]}" rclone --config /dev/null copy "$source" "$out/copy" ;;
	fio-write) timed_fio_write "$work" "$bytes" "$out" ;;
	esac
}

# WORK SOURCE COUNT SIZE FILES-PER-CP
staging() {
	local work=$1 source=$2 count=$3 size=$4 each=$5 round bases=(cp-r xargs-cp fio-write larder-sync)
	say "$work: $count x $size bytes, $BENCH_ROUNDS rounds"
	make_files "$count" "$size" "$source"
	"$BENCH_BIN/stage" scan "$source" "$BENCH_DIR/$work.manifest" > /dev/null || return 1
	for ((round = 0; round < BENCH_ROUNDS; round++)); do
		staging_round "$work" "$source" $((count * size)) "$each" "$round" || return 1
	done
	table "$work" "${bases[@]}"
	rm -rf "$source"
}

bench_large_same() {
	staging large-same "$BENCH_DIR/large" "$LARGE_COUNT" "$LARGE_SIZE" 1
}

# Another block device: a file system in an image in memory, on a loop device. It reads as fast as memory does, so what is
# measured is us and the disk that is written. The processor time of the loop's own threads is nobody's.
other_device() {
	local bytes=$((LARGE_COUNT * LARGE_SIZE))
	truncate -s $((bytes + bytes / 8 + (64 << 20))) "$BENCH_SHM/image" &&
		mkfs.ext4 -q -F "$BENCH_SHM/image" && mkdir "$BENCH_SHM/mount" &&
		mount -o loop "$BENCH_SHM/image" "$BENCH_SHM/mount"
}

other_device_end() {
	[[ -n ${BENCH_SHM-} ]] || return 0
	! mountpoint -q "$BENCH_SHM/mount" || umount "$BENCH_SHM/mount" || umount -l "$BENCH_SHM/mount"
	rm -rf "$BENCH_SHM"
}

bench_large_other() {
	BENCH_SHM=$(mktemp -d /dev/shm/larder-bench-XXXXXX)
	other_device && staging large-other "$BENCH_SHM/mount/large" "$LARGE_COUNT" "$LARGE_SIZE" 1
	local status=$?
	other_device_end
	return $status
}

# A source without a device: what reads it copies it.
bench_large_memory() {
	BENCH_SHM=$(mktemp -d /dev/shm/larder-bench-XXXXXX)
	staging large-memory "$BENCH_SHM/large" "$LARGE_COUNT" "$LARGE_SIZE" 1
	local status=$?
	other_device_end
	return $status
}

bench_small() {
	staging small "$BENCH_DIR/small" "$SMALL_COUNT" 112640 100
}
