#!/usr/bin/env bats
# larder-prolog-slurmctld: a job's nodes stage while it is CONFIGURING, and whatever happens it goes on.
# Datasets come slowly here, 1 MB/s, so that there is something to wait for.
# shellcheck disable=SC2154

load ../lib/cluster

setup_file()
{
	local i
	cluster_up --nodes 2 --capacity 400M --sched --prolog-slurmctld '' \
		--larder-conf 'transfer_bandwidth = "1M"'
	for i in 1 2 3 4; do
		make_files "$DIR/origin/slow$i" 8 1000000
		publish "slow$i:v1" "$DIR/origin/slow$i" --access public
	done
	dataset fast 2 1000 --access public
	dataset told 2 1000 --access public
	dataset secret 2 1000
	chmod 700 "$DIR/origin/secret"
}

teardown_file() { cluster_down; }
teardown() { show_logs_on_failure; }

program_over() { [[ $(sed -n 2p "$DIR/ctld/prolog.$1" 2>/dev/null) == 0 ]]; }
end_time() { date -d "$(scontrol show job "$1" | sed -n 's/.* EndTime=\([^ ]*\).*/\1/p')" +%s; }

@test "slow staging happens while the job is CONFIGURING, and its time limit is whole when it starts" {
	local id began left
	id=$(submit -w n1 -t 1 --dataset=slow1:v1 <<<$'#!/bin/sh\ndate +%s\nsleep 20')
	poll 15 job_is "$id" CONFIGURING
	poll 15 tree_is n1 slow1:v1 staging
	job_is "$id" CONFIGURING
	poll 60 output_has "$id" 'ready at'
	began=$(job_output "$id" | grep -E '^[0-9]+$')
	left=$(($(end_time "$id") - began))
	between "$left" 55 75
	contains "$(job_output "$id")" '100 % from cache'
	program_over "$id"
	let_go "$id"
}

@test "both nodes of a job stage at the same time" {
	local id
	id=$(submit -N 2 --dataset=slow2:v1 <<<$'#!/bin/sh\nsrun -n 2 true')
	poll 15 tree_is n1 slow2:v1 staging
	poll 5 tree_is n2 slow2:v1 staging
	equal "$(finish "$id" 60)" COMPLETED
	program_over "$id"
}

@test "what is there, and a job without datasets, is not delayed" {
	local id
	for id in --dataset=slow1:v1 --dataset=none --dataset-mode=auto; do
		id=$(submit -w n1 "$id" <<<$'#!/bin/sh\n:')
		equal "$(finish "$id" 20)" COMPLETED
		program_over "$id"
	done
}

@test "a job that is cancelled while it is CONFIGURING ends, and so does the program" {
	local id
	id=$(submit -w n2 --dataset=slow3:v1 <<<$'#!/bin/sh\n:')
	poll 15 tree_is n2 slow3:v1 staging
	scancel "$id"
	poll 10 job_over "$id"
	equal "$(job_state "$id")" CANCELLED
	poll 8 not pgrep -f "$DIR/bin/larder-prolog-slurmctld" >/dev/null
	poll 10 node_usable n2
}

@test "--dataset-wait is a bound here too" {
	local id
	id=$(submit -w n1 --dataset=slow4:v1 --dataset-wait=none <<<$'#!/bin/sh\n:')
	poll 15 program_over "$id"
	tree_is n1 slow4:v1 staging
	equal "$(finish "$id" 40)" COMPLETED
}

@test "a node whose daemon is dead is not waited for" {
	local id began
	node stop n2 larderd
	id=$(submit -w n2 --dataset=fast:v1 --dataset-on-fail=bypass <<<$'#!/bin/sh\n:')
	poll 15 program_over "$id"
	finish "$id" 40
	node start n2 larderd
}

# by_hand UID: the program, as slurmctld runs it for a job of that user.
by_hand()
{
	env SLURM_JOB_ID=99999 SLURM_JOB_UID="$1" SLURM_JOB_GID="$1" SLURM_JOB_NODELIST=n1 \
		SPANK__SLURM_SPANK_OPTION_larder_dataset=secret:v1 "$DIR/prolog-slurmctld"
}

@test "a dataset that is not the user's is not staged for them" {
	by_hand "$(id -u larder-alice)"
	equal "$(tree_state n1 secret:v1)" ''
	by_hand 0
	equal "$(tree_state n1 secret:v1)" ready
}

# staged_by_hand NODE OPTION…: the program for a job there, at an address that only these options can tell; is it staged?
staged_by_hand()
{
	local n=$1
	shift
	env SLURM_JOB_ID=99998 SLURM_JOB_UID=0 SLURM_JOB_GID=0 "SLURM_JOB_NODELIST=$n" SPANK__SLURM_SPANK_OPTION_larder_dataset=told:v1 \
		"$DIR/bin/larder-prolog-slurmctld" --munge-socket "$DIR/munge/socket" "$@"
	tree_is "$n" told:v1 ready
}

@test "larder-sched tells where nodes listen; when it is down, the file does" {
	poll 20 grep -q 'node.answers node=n2' "$DIR/sched/larder-sched.log"
	not staged_by_hand n2
	staged_by_hand n2 --sched "$LARDER_SCHED" --sched-user larder-sched
	larder -w n2 evict -q told:v1
	not staged_by_hand n2 --sched "$LARDER_SCHED" --sched-user root # whose credentials it cannot read
	node stop - larder-sched
	not staged_by_hand n2 --sched "$LARDER_SCHED" --sched-user larder-sched
	staged_by_hand n2 --sched "$LARDER_SCHED" --sched-user larder-sched --addresses "$DIR/addresses"
	node start - larder-sched
}

@test "no node was drained and no job held" {
	assert_nothing_drained_or_held
}
