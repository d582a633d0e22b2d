# shellcheck shell=bash disable=SC2154 # BENCH_DIR, BENCH_BIN, BUILD and BENCH_SUM come from run
# larder-sched and a fleet of simulated nodes (fleet_nodes.c), all on this machine, with a munged of their own: what the
# first inventory of all takes, and a round in which nothing has changed. Both ends share the processors.

fleet_munged() {
	head -c 128 /dev/urandom > "$P/key"
	chmod 600 "$P/key"
	munged --foreground --force --socket="$P/socket" --key-file="$P/key" --pid-file="$P/pid" --log-file="$P/log" \
		--seed-file="$P/seed" < /dev/null > "$P/munged.out" 2>&1 &
	MUNGED=$!
	until munge --socket="$P/socket" --no-input > /dev/null 2>&1; do
		kill -0 "$MUNGED" || { cat "$P/munged.out" >&2; return 1; }
		sleep 0.1
	done
}

fleet_nodes() {
	"$BENCH_BIN/fleet_nodes" "$NODES" "$TREES" "$P/socket" > "$P/nodes" &
	SIM=$!
	until [[ $(wc -l < "$P/nodes") -eq $NODES ]]; do
		kill -0 "$SIM" || return 1
		sleep 0.1
	done
}

fleet_sched() {
	mkdir "$P/state"
	printf '%s\n' "munge_socket = \"$P/socket\"" "nodes_file = \"$P/nodes\"" "state_dir = \"$P/state\"" 'ask_slurm = false' \
		'poll_every = "2s"' 'node_timeout = "30s"' 'advise = false' > "$P/conf"
	"$BUILD/larder-sched" -d -c "$P/conf" < /dev/null > "$P/sched.log" 2>&1 &
	SCHED=$!
}

rounds() { sed -n 's/.* poll\.round asked=\([0-9]*\) answered=\1 all=1 ms=\([0-9]*\)$/\2/p' "$P/sched.log"; }
# User and system time of a process, in hundredths of a second.
ticks() { awk '{ print $14 + $15 }' "/proc/$1/stat"; }

fleet_await() {
	local count
	for ((count = 0; count < 600; count++)); do
		[[ $(rounds | wc -l) -lt $1 ]] || return 0
		kill -0 "$SCHED" || break
		sleep 0.1
	done
	tail -n 3 "$P/sched.log" >&2
	return 1
}

fleet_end() {
	kill "${SCHED-}" "${SIM-}" "${MUNGED-}" 2> /dev/null
	wait 2> /dev/null
	rm -rf "$P"
}

bench_fleet() (
	NODES=1000 TREES=200 P=$BENCH_DIR/fleet
	[[ $BENCH_SCALE != tiny ]] || NODES=50
	mkdir -p "$P"
	chmod 755 "$BENCH_DIR" "$P"
	trap fleet_end EXIT
	fleet_munged && fleet_nodes || return 1
	fleet_sched
	fleet_await 1 || return 1
	before=("$(ticks "$MUNGED")" "$(ticks "$SCHED")" "$(ticks "$SIM")")
	fleet_await 8 || return 1
	after=("$(ticks "$MUNGED")" "$(ticks "$SCHED")" "$(ticks "$SIM")")
	memory=$(awk '/^VmHWM/ { print $2 }' "/proc/$SCHED/status")
	rounds | python3 -c '
import json, statistics, sys
nodes, trees, memory_kb, munged, sched, sim = (int(arg) for arg in sys.argv[2:])
ms = [int(line) for line in sys.stdin][:8]
row = {"summary": "fleet", "who": "larder-sched", "nodes": nodes, "trees": trees, "full_s": ms[0] / 1000,
       "idle_s": statistics.median(ms[1:]) / 1000, "memory_mb": memory_kb / 1024,
       "munged_share": munged / max(1, munged + sched + sim), "sched_cpu_ms": 10 * sched / 7}
open(sys.argv[1], "a").write(json.dumps(row) + "\n")
print("\nfleet: {nodes} nodes with {trees} trees each, both ends on this machine".format(**row))
print("  first inventory of all {full_s:.2f} s, an idle round {idle_s:.3f} s".format(**row), ms[1:])
print("  larder-sched: at most {memory_mb:.0f} MB, {sched_cpu_ms:.0f} ms of CPU a round;".format(**row),
      "munged: {munged_share:.0%} of the CPU of an idle round (the nodes included)".format(**row))
' "$BENCH_SUM" "$NODES" "$TREES" "$memory" $((after[0] - before[0])) $((after[1] - before[1])) $((after[2] - before[2]))
)
