# shellcheck shell=bash
# Placement and eviction policy, simulated: the daemon's policy code on a trace of jobs. Nothing is written or timed.

bench_fleet_sim() {
	local sim=$BENCH_BIN/fleet_sim large=1000
	[[ $BENCH_SCALE == tiny ]] || large=10000
	printf '\nfleet-sim (simulated; missed: %% of jobs that had to bring data; not saved: %% of the staging time without a cache)\n'
	echo '64 nodes at half load, 4 TB each, 300 datasets of 7 TB'
	"$sim" --json "$BENCH_SUM" || return 1
	echo 'three times as many jobs, 512 GB each: what is evicted counts'
	"$sim" --json "$BENCH_SUM" --jobs 300 --capacity 512G || return 1
	echo "$large nodes, the same load for each"
	"$sim" --json "$BENCH_SUM" --nodes "$large" --policy gdsf
}
