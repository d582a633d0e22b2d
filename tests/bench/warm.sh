# shellcheck shell=bash disable=SC2154 # top, here and BUILD come from run
# What a warm job pays: `srun --dataset=NAME true` where the node has it, beside `srun true` on a cluster that has
# no plugin at all. Two clusters side by side on this machine, not one: a plugstack.conf that names the plugin
# costs every job something (it is loaded, its hooks run), and that belongs to the price. The third contender
# shows how much of it: `srun true` on the cluster with the plugin, no dataset.

warm_clusters() {
	local cluster=$top/tests/slurm/cluster
	trap warm_end EXIT
	trap 'exit 130' INT TERM
	LARDER_BUILD=$BUILD "$cluster" up --dir "$WARM/with" --nodes 1 > /dev/null &&
		"$cluster" up --dir "$WARM/without" --nodes 1 --no-larder > /dev/null
}

# shellcheck disable=SC2317 # the trap calls it
warm_end() {
	local each
	for each in with without; do
		[[ ! -e $WARM/$each/cluster.state ]] || "$top/tests/slurm/cluster" down --dir "$WARM/$each" > /dev/null
	done
	rm -rf "$WARM"
}

# warm_on CLUSTER COMMAND…
warm_on() {
	local cluster=$1
	shift
	# shellcheck disable=SC1090,SC1091
	(. "$WARM/$cluster/env" && "$@")
}

# One that ends in this cluster may still be in its epilog, which must not be the next one's to pay.
warm_idle() {
	until [[ -z $(warm_on "$1" squeue -h) ]]; do sleep 0.05; done
	sleep 0.1
}

# warm_run ROUND WHO CLUSTER OPTION…
warm_run() {
	local round=$1 who=$2 cluster=$3 began ended
	shift 3
	warm_idle with
	warm_idle without
	# shellcheck disable=SC1090,SC1091
	(
		. "$WARM/$cluster/env"
		began=${EPOCHREALTIME/[.,]/}
		srun -N1 "$@" true 2>> "$WARM/srun.err" || exit 1
		ended=${EPOCHREALTIME/[.,]/}
		printf '{"work":"warm","who":"%s","round":%s,"us":%s}\n' "$who" "$round" $((ended - began)) >> "$BENCH_OUT"
	) || { say "warm: srun failed: $(tail -n 3 "$WARM/srun.err")"; return 1; }
}

warm_rounds() {
	local round i
	for ((round = 0; round < WARM_ROUNDS; round++)); do
		for ((i = 0; i < 3; i++)); do
			case $(((i + round) % 3)) in
			0) warm_run "$round" 'no plugin' without ;;
			1) warm_run "$round" 'plugin, no dataset' with ;;
			2) warm_run "$round" 'warm dataset' with --dataset=warm:v1 ;;
			esac || return 1
		done
	done
}

warm_all() {
	warm_clusters || return 1
	daemon_files "$WARM/with/datasets/warm" 1000
	warm_on with larder publish -q warm:v1 --from "$WARM/with/datasets/warm" > /dev/null &&
		warm_on with larder -w n1 stage -q --wait warm:v1 > /dev/null || return 1
	say "warm: $WARM_ROUNDS rounds"
	# once each, not counted: the first check of rights, pages of the programs
	warm_on with srun -N1 --dataset=warm:v1 true 2> /dev/null && warm_on without srun -N1 true || return 1
	warm_rounds && python3 "$here/warm.py" "$BENCH_OUT" 'no plugin'
}

bench_warm() {
	local WARM_ROUNDS=${WARM_ROUNDS:-30} WARM
	[[ $BENCH_SCALE != tiny ]] || WARM_ROUNDS=2
	command -v slurmctld > /dev/null || { say 'warm: left out, Slurm is not installed (contrib/bootstrap)'; return 0; }
	WARM=$(mktemp -d /tmp/larder-warm-XXXXXX)
	chmod 755 "$WARM"
	(warm_all)
}
