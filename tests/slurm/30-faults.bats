#!/usr/bin/env bats
# Whatever dies, one job at most pays for it, in seconds, and no lease outlives its job.
# What stands in single quotes is for the shell of the job (SC2016).
# shellcheck disable=SC2016

load ../lib/cluster
load ../lib/faults

setup_file()
{
	faults_setup --plugin required
	dataset slow 20000 500
}

teardown_file() { cluster_down; }

teardown()
{
	show_logs_on_failure
	faults_heal
}

@test "a dead daemon: a batch job fails in seconds with a sentence, a warm dataset or not" {
	node kill n1 larderd
	batch_fails_politely set:v1
	batch_fails_politely warm:v1
}

@test "a dead daemon: srun fails in seconds with a sentence" {
	node kill n1 larderd
	srun_fails_politely set:v1
}

@test "a dead daemon: with on-fail=bypass the job runs from the origin" {
	node kill n1 larderd
	bypass_runs set:v1
}

@test "a dead daemon: jobs without datasets and other nodes do not notice" {
	node kill n1 larderd
	others_are_untouched
}

@test "a hung daemon: a batch job fails in seconds with a sentence" {
	node pause n1 larderd
	batch_fails_politely set:v1
}

@test "a hung daemon: with on-fail=bypass the job runs from the origin" {
	node pause n1 larderd
	bypass_runs set:v1
}

@test "a daemon that was never there: a batch job fails in seconds with a sentence" {
	node kill n1 larderd
	rm -f "$DIR/n1/larderd.sock"
	batch_fails_politely set:v1
}

@test "after each of these the node serves as before" {
	run srun -w n1 --dataset=set:v1 sh -c "cat $DIR/datasets/set/v1/* | wc -c"
	equal "$status" 0
	contains "$output" 1000000
	poll 15 no_leases n1
}

@test "a daemon killed under a running job: the job reads on, and its lease survives the restart" {
	id=$(submit -w n1 --dataset=warm:v1 <<-END
		#!/bin/sh
		echo started
		until [ -e $DIR/out/go-on ]; do sleep 0.1; done
		cat "\$DATASET_WARM_DIR"/* | wc -c
	END
	)
	poll 20 output_has "$id" started
	node kill n1 larderd
	node start n1 larderd
	has_lease n1 "$id"
	holds 5 has_lease n1 "$id"
	: >"$DIR/out/go-on"
	equal "$(finish "$id")" COMPLETED
	contains "$(job_output "$id")" 1000000
	poll 10 no_leases n1 "$id"
}

@test "a daemon killed in the middle of staging: nothing unverified is shown, and the rest is brought later" {
	id=$(submit -w n1 --dataset=slow:v1 <<<$'#!/bin/sh\necho the-body-ran')
	poll 20 eval '[[ -n $(ls -U $(tree_data n1 slow:v1) 2>/dev/null | head -n 1) ]]'
	node kill n1 larderd
	lacks "$(job_output "$id")" the-body-ran
	finish "$id" 40
	node start n1 larderd
	lacks "$(tree_state n1 slow:v1)" ready
	run srun -w n1 --dataset=slow:v1 diff -rq "$DIR/origin/slow" "$DIR/datasets/slow/v1"
	equal "$status" 0
	tree_is n1 slow:v1 ready
	poll 15 no_leases n1
}

@test "an epilog that found no daemon: reconcile releases the lease within its period" {
	id=$(hold_dataset n1 warm:v1)
	node kill n1 larderd
	let_go "$id"
	node start n1 larderd
	poll 12 no_leases n1 "$id"
}

@test "slurmctld is down: the lease of a running job is kept, also across a restart of the daemon" {
	id=$(hold_dataset n1 warm:v1)
	node stop slurmctld
	node kill n1 larderd
	node start n1 larderd
	holds 8 has_lease n1 "$id"
	node start slurmctld
	poll 40 node_usable n1
	has_lease n1 "$id"
	let_go "$id"
	poll 12 no_leases n1 "$id"
}

@test "slurmd is killed while a job runs and started when it is over: the lease goes" {
	id=$(submit -w n1 --dataset=warm:v1 <<-END
		#!/bin/sh
		echo started
		until [ -e $DIR/out/end ]; do sleep 0.1; done
	END
	)
	poll 20 output_has "$id" started
	node kill n1 slurmd
	holds 5 has_lease n1 "$id"
	: >"$DIR/out/end"
	node start n1 slurmd
	poll 30 job_over "$id"
	poll 20 no_leases n1 "$id"
}

@test "the step daemon of a batch job is killed: the lease goes when Slurm knows that the job is over" {
	id=$(hold_dataset n1 warm:v1)
	stepd=$(batch_stepd n1 "$id")
	kill -KILL "$stepd"
	# Slurm does not notice by itself; a restart of slurmd tells it.
	node kill n1 slurmd
	node start n1 slurmd
	scancel "$id"
	poll 40 job_over "$id"
	poll 20 no_leases n1 "$id"
}

@test "a node that boots again starts without leases, and keeps its data" {
	id=$(hold_dataset n1 warm:v1 --no-requeue)
	node reboot n1
	poll 12 no_leases n1
	tree_is n1 warm:v1 ready
	scancel "$id"
	poll 40 job_over "$id"
	before=$(counter n1 origin_bytes)
	run srun -w n1 --dataset=warm:v1 true
	equal "$status" 0
	equal "$(counter n1 origin_bytes)" "$before"
}

@test "an origin that is gone: the job fails with a sentence that names it" {
	dataset gone 5 1000
	mv "$DIR/origin/gone" "$DIR/origin/moved"
	run srun -w n1 --dataset=gone:v1 echo the-body-ran
	[[ $status -ne 0 ]]
	lacks "$output" the-body-ran
	contains "$output" larder
	poll 10 no_leases n1
}

@test "an origin that changed since it was published: the job fails, and no wrong byte is shown" {
	dataset changed 5 1000
	printf x | dd of="$DIR/origin/changed/f00002" bs=1 seek=10 conv=notrunc status=none
	run srun -w n1 --dataset=changed:v1 echo the-body-ran
	[[ $status -ne 0 ]]
	lacks "$output" the-body-ran
	contains "$output" f00002
	lacks "$(tree_state n1 changed:v1)" ready
	poll 10 no_leases n1
}

@test "every lease is gone when the jobs are" {
	poll 15 no_leases n1
	poll 15 no_leases n2
}

@test "no node was drained and no job held" {
	assert_nothing_drained_or_held
}
