# shellcheck shell=bash
# shellcheck disable=SC2016,SC2154 # text for the shell of the job; bats sets status and output
# What must be true of a job whose daemon is dead, hung or absent, whichever way plugstack.conf names the plugin.
# Used by 30-faults (required) and 31-faults-optional.

# A job may lose the plugin's timeout (3 s) in the prolog and again in the task, and what Slurm itself takes.
BOUND_MS=12000

faults_setup()
{
	cluster_up --nodes 2 --capacity 1G "$@" --larder-conf $'reconcile_every = "2s"\nreconcile_grace = "1s"'
	make_files "$DIR/origin/set" 20 50000
	publish set:v1 "$DIR/origin/set"
	publish warm:v1 "$DIR/origin/set"
	srun -Q -w n1 --dataset=warm:v1 true
}

# After every test: the node's daemons run again.
faults_heal()
{
	node resume n1 larderd 2>/dev/null || true
	node start n1 larderd 2>/dev/null || true
	node start slurmctld 2>/dev/null || true
	node start n1 slurmd 2>/dev/null || true
}

# batch_fails_politely SPEC: a batch job is FAILED within the bound, with our sentence in its output, its body not run.
batch_fails_politely()
{
	local id start
	start=$(now_ms)
	id=$(submit -w n1 --dataset="$1" <<<$'#!/bin/sh\necho the-body-ran')
	equal "$(finish "$id" 40)" FAILED
	between $(($(now_ms) - start)) 0 "$BOUND_MS"
	contains "$(job_output "$id")" larder:
	contains "$(job_output "$id")" larderd
	lacks "$(job_output "$id")" the-body-ran
	poll 15 node_usable n1
}

# srun_fails_politely SPEC: the same of srun, on its stderr.
srun_fails_politely()
{
	local start
	start=$(now_ms)
	run srun -w n1 --dataset="$1" echo the-body-ran
	between $(($(now_ms) - start)) 0 "$BOUND_MS"
	[[ $status -ne 0 ]]
	contains "$output" larder:
	lacks "$output" the-body-ran
	poll 15 node_usable n1
}

# bypass_runs SPEC: the job chose to run from the origin, is told so, and finds its bytes.
bypass_runs()
{
	local start
	start=$(now_ms)
	run srun -w n1 --dataset="$1" --dataset-on-fail=bypass sh -c \
		'echo "state $DATASET_SET_STATE"; cat "$DATASET_SET_DIR"/* | wc -c'
	between $(($(now_ms) - start)) 0 "$BOUND_MS"
	equal "$status" 0
	contains "$output" 'state bypass'
	contains "$output" 1000000
	contains "$output" larder:
}

others_are_untouched()
{
	run srun -w n1 echo the-body-ran
	equal "$status" 0
	contains "$output" the-body-ran
	run srun -w n2 --dataset=set:v1 echo the-body-ran
	equal "$status" 0
	contains "$output" the-body-ran
}
