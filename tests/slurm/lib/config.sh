# shellcheck shell=bash
# Writes the configuration files of a test cluster, all of them under $DIR. It must not start anything.
# Sourced by tests/slurm/cluster.

node_names()
{
	local i
	for ((i = 1; i <= NODES; i++)); do echo "n$i"; done
}

# One block of consecutive free ports: slurmctld's, one for each slurmd, one for each larderd, larder-sched's. It stays below the ephemeral range.
# The caller holds the lock until the daemons listen, so that two clusters that start together do not choose alike.
choose_ports()
{
	local try base port used
	used=" $(ss -Htan | awk '{sub(/.*:/, "", $4); printf "%s ", $4}')"
	for ((try = 0; try < 100; try++)); do
		base=$((20000 + 64 * (RANDOM % 180)))
		for ((port = base; port <= base + 2 * NODES + 1; port++)); do
			[[ $used != *" $port "* ]] || continue 2
		done
		PORT=$base
		return 0
	done
	die "no $((2 * NODES + 2)) consecutive free TCP ports found between 20000 and 31520"
}

# What later calls (down, kill, start) must know. Its presence also says that $DIR is ours to remove.
write_state()
{
	declare -p NODES PORT PLUGIN LARDER FS CAPACITY SCHED >"$DIR/cluster.state"
}

# cred_expire is how long a requeued job waits before it may start again; the default of 120 s is no use in a test.
# config_overrides lets a small machine pretend to have enough processors for dozens of jobs on each node.
write_slurm_conf()
{
	local host
	host=$(hostname -s)
	cat >"$DIR/slurm.conf" <<-END
		ClusterName=larder
		SlurmctldHost=$host(127.0.0.1)
		SlurmctldPort=$PORT
		SlurmUser=root
		SlurmdUser=root
		AuthType=auth/munge
		CredType=cred/munge
		AuthInfo=socket=$DIR/munge/socket,cred_expire=6
		StateSaveLocation=$DIR/ctld/state
		SlurmctldPidFile=$DIR/ctld/slurmctld.pid
		SlurmctldLogFile=$DIR/ctld/slurmctld.log
		SlurmctldDebug=verbose
		SlurmdSpoolDir=$DIR/%n/spool
		SlurmdPidFile=$DIR/%n/slurmd.pid
		SlurmdLogFile=$DIR/%n/slurmd.log
		SlurmdDebug=verbose
		SlurmdParameters=config_overrides
		ProctrackType=proctrack/linuxproc
		TaskPlugin=task/none
		SwitchType=switch/none
		MpiDefault=none
		SelectType=select/cons_tres
		SelectTypeParameters=CR_CPU
		JobAcctGatherType=jobacct_gather/none
		AccountingStorageType=accounting_storage/none
		PlugStackConfig=$DIR/plugstack.conf
		PrologFlags=$PROLOG_FLAGS
		ReturnToService=2
		KillWait=2
		CompleteWait=0
		SchedulerParameters=batch_sched_delay=0,bf_interval=1,sched_interval=2,ignore_prefer_validation
		NodeName=n[1-$NODES] NodeHostname=$host NodeAddr=127.0.0.1 Port=[$((PORT + 1))-$((PORT + NODES))] CPUs=64 RealMemory=1000
		PartitionName=all Nodes=n[1-$NODES] Default=YES MaxTime=INFINITE State=UP
	END
	[[ $PROLOG_SLURMCTLD == off ]] || echo "PrologSlurmctld=$DIR/prolog-slurmctld" >>"$DIR/slurm.conf"
	[[ $PLACEMENT == no ]] || echo JobSubmitPlugins=lua >>"$DIR/slurm.conf"
	printf '%s\n' "$SLURM_EXTRA" >>"$DIR/slurm.conf"
}

write_plugstack()
{
	: >"$DIR/plugstack.conf"
	[[ $LARDER == yes ]] || return 0
	printf '%s %s/bin/spank_larder.so socket=%s/%%n/larderd.sock catalog=%s/catalog timeout=3s\n' \
		"$PLUGIN" "$DIR" "$DIR" "$DIR" >"$DIR/plugstack.conf"
}

# The script as a site has it, with this cluster's places in it.
write_job_submit()
{
	[[ $PLACEMENT == yes ]] || return 0
	mkdir -p "$DIR/sched"
	install -m 644 "$HERE/../../contrib/lua/larder.lua" "$DIR/bin/larder.lua"
	sed -e "s|^package.path = .*|package.path = \"$DIR/bin/?.lua;\" .. package.path|" \
		-e "/require \"larder\"/a larder.features_file = \"$DIR/sched/features\"" \
		"$HERE/../../contrib/lua/job_submit.lua" >"$DIR/job_submit.lua"
}

# A site's own script: here it must tell where this cluster's daemons are, which have all one address.
write_prolog_slurmctld()
{
	local n
	[[ $PROLOG_SLURMCTLD != off ]] || return 0
	for n in $(node_names); do printf '%s 127.0.0.1:%s\n' "$n" "$(fleet_port "$n")"; done >"$DIR/addresses"
	cat >"$DIR/prolog-slurmctld" <<-END
		#!/bin/sh
		export SLURM_CONF='$DIR/slurm.conf'
		date +%s.%N >'$DIR/ctld/prolog.'"\$SLURM_JOB_ID"
		'$DIR/bin/larder-prolog-slurmctld' --addresses '$DIR/addresses' --munge-socket '$DIR/munge/socket' $PROLOG_SLURMCTLD
		echo \$? >>'$DIR/ctld/prolog.'"\$SLURM_JOB_ID"
		exit 0
	END
	chmod 755 "$DIR/prolog-slurmctld"
}

# In the extra lines of --larder-conf, %n stands for the node and %d for the cluster's directory.
write_larder_conf()
{
	local extra=$LARDER_EXTRA line
	extra=${extra//%n/$1}
	extra=${extra//%d/$DIR}
	# larderd takes a key once only: the extra lines come instead of ours.
	while IFS= read -r line; do
		grep -qE "^[[:space:]]*${line%% *}[[:space:]]*=" <<<"$extra" || printf '%s\n' "$line"
	done < <(larder_conf_base "$1") >"$DIR/$1/larder.conf"
	printf '%s\n' "$extra" >>"$DIR/$1/larder.conf"
}

larder_conf_base()
{
	cat <<-END
		node_name = "$1"
		socket = "$DIR/$1/larderd.sock"
		state_dir = "$DIR/$1/state"
		catalog = "$DIR/catalog"
		view_root = "$DIR/datasets"
		helper_dir = "$DIR/bin"
		slurm_conf = "$DIR/slurm.conf"
		slurmd_spool = "$DIR/$1/spool"
		boot_id_file = "$DIR/$1/boot_id"
		metrics_file = "$DIR/$1/metrics.prom"
		admin_groups = { "root" }
		fleet_listen = "127.0.0.1:$(fleet_port "$1")"
		munge_socket = "$DIR/munge/socket"
		reconcile_every = "5s"
	END
	[[ $SCHED == no ]] || printf 'fleet_users = { "%s" }\n' "$SCHED_USER"
	printf 'tier "local" { path = "%s" }\n' "$DIR/$1/tier"
}

# To be sourced by people and tests. %n is left for the larder command to fill in from -w NODE or LARDER_NODE.
write_env()
{
	cat >"$DIR/env" <<-END
		export SLURM_CONF='$DIR/slurm.conf'
		export CLUSTER_DIR='$DIR'
		export LARDER_SOCKET='$DIR/%n/larderd.sock'
		export LARDER_NODE=n1
		export LARDER_CATALOG='$DIR/catalog'
		case ":\$PATH:" in
		*':$DIR/bin:'*) ;;
		*) export PATH='$DIR/bin':"\$PATH" ;;
		esac
	END
	[[ $SCHED == no ]] || write_sched_env >>"$DIR/env"
}
