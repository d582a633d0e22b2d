# shellcheck shell=bash disable=SC2154 # BENCH_* and LARGE_* come from run
# A new version of which 5 % of the shards changed, staged by a larderd beside the one before it; cp -r of all of
# it, and our own staging of it where nothing is there, are what it is compared with. What the daemon read
# from the origin and what the disk was given are counted.

DELTA_SHARE=20 # one file in so many is another one in v4

# The pair v3 and v4 of origins, on the disk of BENCH_DIR: the tier's image is another device, so nothing can be
# cloned. What did not change is one inode in both, as is its mtime.
delta_origins() {
	local dir=$1 count=$2 size=$3 i
	make_files "$count" "$size" "$dir/v3"
	cp -al "$dir/v3" "$dir/v4"
	for ((i = 0; i < count; i += DELTA_SHARE)); do
		rm -f "$dir/v4/$((i / 256))/$i"
		head -c "$size" /dev/urandom > "$dir/v4/$((i / 256))/$i"
	done
	chmod -R a+rX "$dir"
}

daemon_cpu_ticks() { awk '{ sub(/.*\) /, ""); print $12 + $13 }' "/proc/$DAEMON/stat"; }
daemon_written() { awk '/^write_bytes/ { print $2 }' "/proc/$DAEMON/io"; }
daemon_counter() { larder metrics | awk -v name="larder_$1_total" '$1 == name { print $2 }'; }

# delta_stage WHO SPEC BYTES: by the daemon; its processor time and bytes are the daemon's, not the command's.
delta_stage() {
	local who=$1 spec=$2 bytes=$3 cpu written origin began ended
	level_ground $((bytes * 2))
	cpu=$(daemon_cpu_ticks) written=$(daemon_written) origin=$(daemon_counter origin_bytes)
	began=${EPOCHREALTIME/[.,]/}
	larder stage -q --wait "$spec" > /dev/null || return 1
	ended=${EPOCHREALTIME/[.,]/}
	printf '{"work":"delta","who":"%s","bytes":%s,"seconds":%s,"durable_s":%s,"cpu_s":%s,"origin_bytes":%s,"written_bytes":%s}\n' \
		"$who" "$bytes" "$(seconds_of $((ended - began)))" "$(seconds_of $((ended - began)))" \
		"$(seconds_of $((($(daemon_cpu_ticks) - cpu) * 1000000 / $(getconf CLK_TCK))))" \
		$(($(daemon_counter origin_bytes) - origin)) $(($(daemon_written) - written)) >> "$BENCH_OUT"
}

# delta_round ROUND COUNT SIZE
delta_round() {
	local round=$1 bytes=$(($2 * $3)) dir=$BENCH_DIR/delta
	larder publish -q "a$round:v3" --from "$dir/v3" > /dev/null &&
		larder publish -q "a$round:v4" --from "$dir/v4" > /dev/null &&
		larder publish -q "cold$round:v4" --from "$dir/v4" > /dev/null &&
		larder stage -q --wait "a$round:v3" > /dev/null || return 1
	if ((round % 2)); then
		timed delta cp-r "$bytes" "$P" cp -r "$dir/v4" "$P/copy$round" &&
			delta_stage larder "a$round:v4" "$bytes" && delta_stage larder-cold "cold$round:v4" "$bytes"
	else
		delta_stage larder-cold "cold$round:v4" "$bytes" && delta_stage larder "a$round:v4" "$bytes" &&
			timed delta cp-r "$bytes" "$P" cp -r "$dir/v4" "$P/copy$round"
	fi
}

delta_all() {
	local count=$1 size=$2 round
	say "delta: $count x $size bytes, one in $DELTA_SHARE changed, $BENCH_ROUNDS rounds"
	daemon_place 60G && daemon_start && delta_origins "$BENCH_DIR/delta" "$count" "$size" || return 1
	for ((round = 0; round < BENCH_ROUNDS; round++)); do
		delta_round "$round" "$count" "$size" || return 1
	done
	table delta cp-r larder-cold
	python3 "$here/counted.py" "$BENCH_OUT" delta
}

bench_delta() {
	(delta_all $((LARGE_COUNT * 20)) $((LARGE_SIZE / 16)))
	local status=$?
	rm -rf "$BENCH_DIR/delta"
	return $status
}
