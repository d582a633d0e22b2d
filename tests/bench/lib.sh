# shellcheck shell=bash
# What the benches share: places, timed runs that know the traps, medians, the table.
# Sourced by tests/bench/run; BENCH_DIR, BENCH_OUT, BENCH_BIN and BENCH_ROUNDS are set there.

say() { printf '%s\n' "$*" >&2; }

# Files of random bytes: COUNT SIZE DIR, 256 to a directory.
make_files() {
	local count=$1 size=$2 dir=$3 i sub
	mkdir -p "$dir"
	head -c $((size < 1048576 ? 67108864 : size)) /dev/urandom > "$BENCH_DIR/random"
	for ((i = 0; i < count; i++)); do
		sub=$dir/$((i / 256))
		((i % 256)) || mkdir -p "$sub"
		printf '%s %s\n' "$sub/$i" $((i * 4096 % 60000000))
	done | python3 -c '
import sys
data = open(sys.argv[1], "rb").read()
size = int(sys.argv[2])
for i, line in enumerate(sys.stdin):
    path, at = line.rsplit(" ", 1)
    at = int(at) if size < 1 << 20 else 0
    with open(path, "wb") as f:
        f.write(i.to_bytes(8, "little"))          # no two are the same
        f.write(data[at:at + size - 8])
' "$BENCH_DIR/random" "$size"
	rm -f "$BENCH_DIR/random"
}

# Before a timed run: nothing dirty, nothing cached, and memory that the host has given already
# (freed memory goes back to it; the first touch afterwards is dear and would be the run's).
level_ground() {
	sync
	echo 3 > /proc/sys/vm/drop_caches
	"$BENCH_BIN/stage" touch "$1"
}

# timed WORK WHO BYTES DIR COMMAND...: one run, one JSON line. DIR is on the disk that is written.
timed() {
	local work=$1 who=$2 bytes=$3 dir=$4 got wall durable cpu peak
	shift 4
	level_ground $((bytes * 2))
	got=$("$BENCH_BIN/meter" "$dir" "$@") || { say "bench: $who failed: $*"; return 1; }
	read -r wall durable cpu peak <<< "$got"
	printf '{"work":"%s","who":"%s","bytes":%s,"seconds":%s,"durable_s":%s,"cpu_s":%s,"peak_kb":%s}\n' \
		"$work" "$who" "$bytes" "$wall" "$durable" "$cpu" "$peak" >> "$BENCH_OUT"
}

# Those of the contenders whom BENCH_WHO names; without it, all.
wanted_of() {
	local who
	for who in "$@"; do
		[[ -n ${BENCH_WHO-} && ",$BENCH_WHO," != *",$who,"* ]] || printf '%s\n' "$who"
	done
}

# WORK BYTES OUT: fio's direct write of as much, which is what the disk can take. Half a second and more of its wall clock is
# its own start and end, which no disk is to blame for: so the time of its job counts, by its own report, and the syncfs after it.
timed_fio_write() {
	timed "$1" fio-write "$2" "$3" fio --name=w --directory="$3" --rw=write --bs=1M --iodepth=16 --direct=1 \
		--ioengine=io_uring --size="$2" --fallocate=posix --output-format=json --output="$BENCH_DIR/fio.json" || return 1
	python3 - "$BENCH_OUT" "$BENCH_DIR/fio.json" <<- 'END'
		import json, sys
		results, report = sys.argv[1:]
		job = json.load(open(report))["jobs"][0]
		lines = open(results).read().splitlines()
		run = json.loads(lines[-1])
		ran = job["write"]["runtime"] / 1000
		run.update(durable_s=round(run["durable_s"] - run["seconds"] + ran, 4), seconds=ran,
		           cpu_s=round((job["usr_cpu"] + job["sys_cpu"]) / 100 * ran, 4))
		open(results, "w").write("\n".join(lines[:-1] + [json.dumps(run)]) + "\n")
	END
}

# A new directory for each run: ext4 avoids inodes that were freed in the last minutes, so nothing
# is removed before the bench is over.
fresh() {
	mktemp -d "$BENCH_DIR/out/XXXXXX"
}

# table WORK BASE [BASE2]: medians of all rounds; ratios are speeds against each base.
table() {
	python3 "$(dirname "${BASH_SOURCE[0]}")/table.py" "$BENCH_OUT" "$@"
}

# Microseconds as seconds.
seconds_of() { printf '%d.%06d' $(($1 / 1000000)) $(($1 % 1000000)); }
