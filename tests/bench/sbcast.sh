# shellcheck shell=bash disable=SC2154 # top, here, BUILD, BENCH_* and LARGE_* come from run
# One large file on two nodes: by Slurm's own sbcast, and staged by Larder. The nodes of the test cluster are
# slurmds on one machine, so both write to one disk, and each node's sbcast has a place of its own to write to.

sbcast_cluster() {
	trap sbcast_end EXIT
	trap 'exit 130' INT TERM
	LARDER_BUILD=$BUILD "$top/tests/slurm/cluster" up --dir "$SB/c" --nodes 2 --capacity 8G > /dev/null
}

# shellcheck disable=SC2317 # the trap calls it
sbcast_end() {
	[[ ! -e $SB/c/cluster.state ]] || "$top/tests/slurm/cluster" down --dir "$SB/c" > /dev/null
	rm -rf "$SB"
}

# Both nodes at once; an allocation each, made before the clock starts.
sbcast_by_slurm() {
	local round=$1 node pids=() status=0
	for node in n1 n2; do
		mkdir -p "$SB/copy/$round/$node"
		sbcast --jobid "$(< "$SB/$node.job")" "$SB/file/big" "$SB/copy/$round/$node/big" &
		pids+=($!)
	done
	for node in "${pids[@]}"; do wait "$node" || status=1; done
	sync -f "$SB/copy" || status=1
	return $status
}

sbcast_by_larder() {
	larder -w n1,n2 stage -q --wait "big$1:v1" > /dev/null
}

# sbcast_run ROUND WHO
sbcast_run() {
	local began ended
	level_ground $((SBCAST_BYTES * 4))
	began=${EPOCHREALTIME/[.,]/}
	"sbcast_by_$2" "$1" || { say "sbcast: $2 failed"; return 1; }
	ended=${EPOCHREALTIME/[.,]/}
	# The processors' time is the daemons': nobody's child here.
	printf '{"work":"sbcast","who":"%s","bytes":%s,"seconds":%s,"durable_s":%s,"cpu_s":0}\n' "${2/slurm/sbcast}" \
		$((SBCAST_BYTES * 2)) "$(seconds_of $((ended - began)))" "$(seconds_of $((ended - began)))" >> "$BENCH_OUT"
}

sbcast_allocate() {
	local node
	for node in n1 n2; do
		salloc -N1 -w "$node" --no-shell 2> "$SB/salloc" || { cat "$SB/salloc" >&2; return 1; }
		sed -n 's/.*Granted job allocation //p' "$SB/salloc" > "$SB/$node.job"
	done
}

sbcast_all() {
	local round order
	sbcast_cluster || return 1
	# shellcheck disable=SC1090,SC1091
	. "$SB/c/env"
	mkdir -p "$SB/file" "$SB/copy" && head -c "$SBCAST_BYTES" /dev/urandom > "$SB/file/big"
	chmod -R a+rX "$SB/file"
	sbcast_allocate || return 1
	say "sbcast: $SBCAST_BYTES bytes to 2 nodes, $BENCH_ROUNDS rounds"
	for ((round = 0; round < BENCH_ROUNDS; round++)); do
		larder publish -q "big$round:v1" --from "$SB/file" > /dev/null || return 1
		order=(slurm larder)
		((round % 2)) && order=(larder slurm)
		sbcast_run "$round" "${order[0]}" && sbcast_run "$round" "${order[1]}" || return 1
	done
	table sbcast sbcast
}

bench_sbcast() {
	local SB SBCAST_BYTES=$((LARGE_COUNT * LARGE_SIZE / 2))
	command -v sbcast > /dev/null || { say 'sbcast: left out, Slurm is not installed (contrib/bootstrap)'; return 0; }
	SB=$(mktemp -d /tmp/larder-sbcast-XXXXXX)
	chmod 755 "$SB"
	(sbcast_all)
}
