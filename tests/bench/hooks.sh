# shellcheck shell=bash disable=SC2154 # top, here and BUILD come from run
# What the plugin itself costs a job on a node that has its dataset, hook by hook, with a larderd and without Slurm.

hooks_all() {
	local spec
	daemon_place 2G && daemon_start || return 1
	daemon_files "$P/origin/warm" 1000
	spec=$(daemon_dataset warm "$P/origin/warm") || return 1
	"$BENCH_BIN/hooks" "$BUILD/spank_larder.so" "$LARDER_SOCKET" "$P/catalog" "$spec" "$HOOKS_ROUNDS" \
		>> "$BENCH_OUT" 2> "$P/hooks.err" &&
		python3 "$here/latency.py" "$BENCH_OUT" hooks
}

bench_hooks() {
	local HOOKS_ROUNDS=200
	[[ $BENCH_SCALE != tiny ]] || HOOKS_ROUNDS=10
	(hooks_all)
}
