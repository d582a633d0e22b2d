#!/usr/bin/env bats
# The same promises where plugstack.conf says "optional": Slurm then ignores what the plugin returns.
# What stands in single quotes is for the shell of the job (SC2016).
# shellcheck disable=SC2016

load ../lib/cluster
load ../lib/faults

setup_file() { faults_setup --plugin optional; }
teardown_file() { cluster_down; }

teardown()
{
	show_logs_on_failure
	faults_heal
}

@test "a healthy node serves" {
	run srun -w n1 --dataset=set:v1 sh -c "cat $DIR/datasets/set/v1/* | wc -c"
	equal "$status" 0
	contains "$output" 1000000
}

@test "an unknown name is refused before queueing" {
	run sbatch -o /dev/null --dataset=sett:v1 --wrap true
	[[ $status -ne 0 ]]
	contains "$output" set
	[[ -z $(squeue -h) ]]
}

@test "a dead daemon: a batch job fails in seconds with a sentence" {
	node kill n1 larderd
	batch_fails_politely set:v1
}

@test "a hung daemon: srun fails in seconds with a sentence" {
	node pause n1 larderd
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

@test "no node was drained and no job held" {
	assert_nothing_drained_or_held
}
