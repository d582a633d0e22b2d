#!/usr/bin/env bats
# The test cluster itself, without Larder: when one of these fails, the other suites say nothing.

load ../lib/cluster

setup_file() { cluster_up --nodes 2 --no-larder; }
teardown_file() { cluster_down; }

node_name() { srun -w "$1" printenv SLURMD_NODENAME; }

@test "each simulated node runs jobs, of root and of ordinary users" {
	equal "$(node_name n1)" n1
	equal "$(node_name n2)" n2
	equal "$(as alice srun id -un)" larder-alice
}

@test "a batch job's state and output are told" {
	id=$(submit <<<$'#!/bin/sh\necho hello; exit 3')
	equal "$(finish "$id")" FAILED
	contains "$(job_output "$id")" hello
}

@test "no system path is touched" {
	[[ ! -e /run/munge/munge.socket.2 || /run/munge/munge.socket.2 -ot $DIR/env ]]
	[[ ! -e /etc/slurm/slurm.conf || /etc/slurm/slurm.conf -ot $DIR/env ]]
	[[ ! -e /run/slurmctld.pid ]]
}

@test "a second cluster runs beside it, and ends without a trace" {
	other=$(mktemp -d /tmp/larder-bats-other.XXXXXX)
	"$CLUSTER" up --dir "$other" --nodes 3 --no-larder
	# shellcheck disable=SC1091
	equal "$(. "$other/env" && sinfo -h -o %D)" 3
	equal "$(sinfo -h -o %D)" 2
	pids=$(cut -d' ' -f1 "$other"/pids/*)
	"$CLUSTER" down --dir "$other"
	[[ ! -e $other ]]
	for pid in $pids; do [[ -z $(tr -d '\0' <"/proc/$pid/cmdline") ]] || fail_with "pid $pid is left"; done 2>/dev/null
	equal "$(node_name n1)" n1
}

@test "a cluster that cannot start says why and leaves nothing" {
	other=/tmp/larder-bats-bad.$$
	run "$CLUSTER" up --dir "$other" --no-larder --slurm-conf Nonsense=1
	equal "$status" 1
	contains "$output" Nonsense
	[[ ! -e $other ]]
	run env LARDER_BUILD=/nowhere "$CLUSTER" up --dir "$other"
	equal "$status" 1
	contains "$output" 'run make first'
	[[ ! -e $other ]]
}

@test "a directory that is no cluster is not touched" {
	other=$(mktemp -d /tmp/larder-bats-mine.XXXXXX)
	: >"$other/precious"
	run "$CLUSTER" up --dir "$other" --no-larder
	equal "$status" 1
	run "$CLUSTER" down --dir "$other"
	equal "$status" 1
	[[ -e $other/precious ]]
	rm -r "$other"
}

@test "bad options are told with exit code 2" {
	for options in '--nodes 0' '--nodes x' '--fs ntfs' '--plugin maybe' '--colour red' '--dir'; do
		# shellcheck disable=SC2086
		run "$CLUSTER" up $options
		[[ $status -eq 2 ]] || fail_with "$options: exit code $status, $output"
	done
}

@test "slurmd killed and started: its node serves again" {
	node kill n1 slurmd
	run node kill n1 slurmd
	equal "$status" 1
	node start n1 slurmd
	equal "$(node_name n1)" n1
}

@test "slurmctld stopped and started: running jobs stay" {
	id=$(submit -w n1 <<<$'#!/bin/sh\necho started; exec sleep 600')
	poll 20 output_has "$id" started
	# SIGKILL would lose a job this young: slurmctld writes its state every few seconds only.
	node stop slurmctld
	node start slurmctld
	poll 40 node_usable n1
	equal "$(job_state "$id")" RUNNING
	let_go "$id"
}

@test "munged killed and started: jobs start again" {
	node kill munged
	node start munged
	equal "$(node_name n2)" n2
}

@test "a node that reboots loses its jobs and serves again" {
	id=$(submit -w n1 --no-requeue <<<$'#!/bin/sh\necho started; exec sleep 600')
	poll 20 output_has "$id" started
	before=$(<"$DIR/n1/boot_id")
	node reboot n1
	[[ $(<"$DIR/n1/boot_id") != "$before" ]]
	[[ -z $(node jobpids n1) ]]
	scancel "$id"
	poll 40 job_over "$id"
	equal "$(node_name n1)" n1
}

@test "the step daemon of a job is found by node and job" {
	id=$(submit -w n1 <<<$'#!/bin/sh\necho started; exec sleep 600')
	poll 20 output_has "$id" started
	[[ -n $(batch_stepd n1 "$id") && -z $(batch_stepd n2 "$id") ]]
	let_go "$id"
}

@test "polls are bounded, and see what they wait for" {
	not poll 1 false
	poll 1 true
	not holds 1 false
	holds 1 true
}

@test "no node was drained and no job held" {
	assert_nothing_drained_or_held
}
