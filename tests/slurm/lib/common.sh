# shellcheck shell=bash
# What every part of the test cluster uses: sentences, bounded polls, and daemons known by pid.
# It must not know Slurm or Larder. Sourced by tests/slurm/cluster.

say() { printf 'cluster: %s\n' "$*"; }

warn() { printf 'cluster: %s\n' "$*" >&2; }

die()
{
	warn "$@"
	exit 1
}

now_ms() { printf '%s' $((${EPOCHREALTIME/[.,]/} / 1000)); }

# poll SECONDS COMMAND...: 0 as soon as the command succeeds, 1 when the time is over.
poll()
{
	local deadline=$(($(now_ms) + $1 * 1000))
	shift
	until "$@"; do
		[[ $(now_ms) -lt $deadline ]] || return 1
		sleep 0.03
	done
}

# A pid alone may belong to a stranger by now; with its start time (clock ticks since boot) it is one process.
# Prints nothing for a process that is gone or a zombie.
process_start()
{
	local stat
	{ IFS= read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 0
	# The command name may hold spaces and brackets: fields count from the last bracket. State is then 1, start time 20.
	# shellcheck disable=SC2086
	set -- ${stat##*) }
	[[ $1 == Z || $1 == X ]] || printf '%s' "${20}"
}

record_pid() { printf '%s %s\n' "$2" "$(process_start "$2")" >"$DIR/pids/$1"; }

# running NAME: sets PID and succeeds if the daemon recorded under NAME still runs.
running()
{
	local start
	PID=
	[[ -r $DIR/pids/$1 ]] && read -r PID start <"$DIR/pids/$1" || return 1
	[[ -n $start && $(process_start "$PID") == "$start" ]]
}

not_running() { ! running "$1"; }

# A daemon that keeps a test runner's pipe open would hang that runner at its end.
close_inherited()
{
	local fd
	for fd in "/proc/$BASHPID/fd"/*; do
		fd=${fd##*/}
		[[ $fd -le 2 ]] || eval "exec $fd>&-"
	done
}

# launch NAME LOG COMMAND...: a daemon in a session of its own, so that Ctrl-C at the terminal does not reach it.
launch()
{
	local name=$1 log=$2
	shift 2
	(
		close_inherited
		exec setsid "$@" </dev/null >>"$log" 2>&1
	) &
	record_pid "$name" $!
}

signal_daemon()
{
	if ! running "$2"; then
		die "$2 is not running in $DIR (see: cluster status --dir $DIR)"
	fi
	kill "-$1" "$PID"
}

# stop_daemon NAME SECONDS: asks, waits, then kills. A stopped process must be continued to hear the question.
stop_daemon()
{
	running "$1" || return 0
	kill -TERM "$PID" 2>/dev/null || return 0
	kill -CONT "$PID" 2>/dev/null || true
	if ! poll "$2" not_running "$1"; then
		warn "$1 (pid $PID) did not end within $2 s of SIGTERM; killing it"
		kill -KILL "$PID" 2>/dev/null || true
		poll 5 not_running "$1" || warn "$1 (pid $PID) survives SIGKILL: it hangs in the kernel"
	fi
}
