# shellcheck shell=bash
# Starts, waits for and ends the daemons of a test cluster. Each one is known by the pid recorded under
# $DIR/pids: "munged", "slurmctld", "slurmd.n1", "larderd.n1". Nothing is ever killed by its name.
# Sourced by tests/slurm/cluster.

# Slurm's daemons hand their environment on to step daemons and prologs: they get a clean one.
slurm_env() { printf '%s\n' env -i "SLURM_CONF=$DIR/slurm.conf" PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8; }

# An earlier cluster's socket file says nothing: ask the kernel who listens.
listening() { [[ -n $(ss -Hxl src "$1" 2>/dev/null) ]]; }

listening_or_dead() { not_running "$1" || listening "$2"; }

# await_socket NAME SOCKET LOG: a daemon that died is reported at once, not when the time is over.
await_socket()
{
	poll 20 listening_or_dead "$1" "$2" || true
	running "$1" || die "$1 ended at once; the end of $3 says:"$'\n'"$(tail -n 15 "$3")"
	listening "$2" || die "$1 does not listen on $2 after 20 s; the end of $3 says:"$'\n'"$(tail -n 15 "$3")"
}

start_munged()
{
	local m=$DIR/munge
	if [[ ! -e $m/key ]]; then
		(umask 077 && head -c 128 /dev/urandom >"$m/key")
	fi
	launch munged "$m/munged.log" munged --foreground --socket="$m/socket" --key-file="$m/key" \
		--pid-file="$m/munged.pid" --log-file="$m/munged.log" --seed-file="$m/seed"
	await_socket munged "$m/socket" "$m/munged.log"
}

start_slurmctld()
{
	local -a env
	mapfile -t env < <(slurm_env)
	launch slurmctld "$DIR/ctld/slurmctld.out" "${env[@]}" slurmctld -D
	poll 20 ctld_answers_or_dead || true
	running slurmctld ||
		die "slurmctld ended at once; its log says:"$'\n'"$(tail -n 15 "$DIR/ctld/slurmctld.out")"
}

# scontrol would wait long for a refused connection: first see that somebody listens.
ctld_answers_or_dead()
{
	not_running slurmctld && return 0
	[[ -n $(ss -Htln "sport = :$PORT") ]] && scontrol ping >/dev/null 2>&1
}

start_slurmd()
{
	local -a env
	mapfile -t env < <(slurm_env)
	mkdir -p "$DIR/$1/spool"
	launch "slurmd.$1" "$DIR/$1/slurmd.out" "${env[@]}" "CLUSTER_NODE=$1" slurmd -D -N "$1"
}

node_ready()
{
	local state
	state=$(sinfo -h -n "$1" -o %t 2>/dev/null)
	[[ $state == idle || $state == mix || $state == alloc ]]
}

await_node()
{
	poll 120 node_ready_or_dead "$1" || true
	running "slurmd.$1" || die "slurmd of $1 ended at once; its log says:"$'\n'"$(tail -n 15 "$DIR/$1/slurmd.out")"
	node_ready "$1" || die "node $1 is not ready after 120 s: $(scontrol show node "$1" | grep -E 'State|Reason' || true)"
}

node_ready_or_dead() { not_running "slurmd.$1" || node_ready "$1"; }

# The cluster runs copies: ordinary users can reach them wherever the source tree is, and a rebuild does not
# change a program under a running job. A daemon that is started again gets the newest build.
install_binaries()
{
	local program
	for program in larderd larder larder-whole spank_larder.so larder-slurm-helper larder-sched larder-prolog-slurmctld larder-prolog-stage; do
		[[ -e $BUILD/$program ]] || die "$BUILD/$program is not there: run make first, or use --no-larder"
		cmp -s "$BUILD/$program" "$DIR/bin/$program" || install -m 755 "$BUILD/$program" "$DIR/bin/$program"
	done
}

start_larderd()
{
	install_binaries
	launch "larderd.$1" "$DIR/$1/larderd.log" "$DIR/bin/larderd" -c "$DIR/$1/larder.conf"
	await_socket "larderd.$1" "$DIR/$1/larderd.sock" "$DIR/$1/larderd.log"
}

new_boot_id() { cat /proc/sys/kernel/random/uuid >"$DIR/$1/boot_id"; }

# job_processes [NODE]: pids of the step daemons and tasks of this cluster's jobs. A step daemon has its slurmd's
# environment, which start_slurmd made. A task was given this cluster's SLURM_CONF by the submission and, as no
# process of a submitting person has, the name of its node.
job_processes()
{
	local proc
	for proc in /proc/[0-9]*; do
		if job_process "$proc" "${1:-n[0-9]+}"; then
			printf '%s\n' "${proc##*/}"
		fi
	done
}

job_process()
{
	local comm environment
	# Kernel threads have no environment, and a process may end while it is looked at. ($(<file) is no choice here:
	# bash 5.2 ends the whole script when the file vanishes, whatever stands around it.)
	{ IFS= read -r comm <"$1/comm" && environment=$(tr '\0' '\n' <"$1/environ"); } 2>/dev/null || return 1
	[[ $environment == *"SLURM_CONF=$DIR/slurm.conf"* ]] || return 1
	if [[ $comm == slurmstepd ]]; then
		grep -qE "^CLUSTER_NODE=$2\$" <<<"$environment"
	else
		grep -qE "^SLURMD_NODENAME=$2\$" <<<"$environment"
	fi
}

no_job_processes() { [[ -z $(job_processes "${1-}") ]]; }

# kill_jobs NODE: whatever jobs left running, when the daemons that could end them are gone; NODE '' means all.
kill_jobs()
{
	local pid
	for pid in $(job_processes "$1"); do
		kill -KILL "$pid" 2>/dev/null || true
	done
	poll 5 no_job_processes "$1" || warn 'processes of jobs survive SIGKILL: they hang in the kernel'
}

no_jobs() { [[ -z $(squeue -h -o %i 2>/dev/null) ]]; }

# Jobs that end in good order unmount and release by themselves.
cancel_jobs()
{
	if ! running slurmctld || [[ -z $(ss -Htln "sport = :$PORT") ]] || no_jobs; then
		return 0
	fi
	timeout 5 scancel --partition=all 2>/dev/null || true
	poll 4 no_jobs || true
}

stop_all()
{
	local node
	cancel_jobs
	stop_daemon larder-sched 5
	stop_daemon larder-publisher 5
	for node in $(node_names); do stop_daemon "slurmd.$node" 5; done
	stop_daemon slurmctld 5
	kill_jobs ''
	for node in $(node_names); do stop_daemon "larderd.$node" 5; done
	stop_daemon munged 5
}
