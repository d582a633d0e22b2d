#!/usr/bin/env bats
# A small cache under pressure: what a job uses stays, what nobody uses makes room, and a refusal is explained.
# What stands in single quotes is for the shell of the job (SC2016).
# shellcheck disable=SC2016

load ../lib/cluster

setup_file()
{
	local name
	cluster_up --nodes 1 --capacity 400M --larder-conf $'reconcile_every = "2s"\nreconcile_grace = "1s"\nevict_grace = "0"'
	for name in first second third; do dataset "$name" 18 10000000; done
	dataset small 3 1000
	truncate -s 1G "$DIR/origin/small/huge"
	publish huge:v1 "$DIR/origin/small"
	rm "$DIR/origin/small/huge"
}

teardown_file() { cluster_down; }
teardown() { show_logs_on_failure; }

@test "what a job uses stays; the job that does not fit fails with need, have and who holds it" {
	id=$(hold_dataset n1 first:v1)
	bad=$(submit -w n1 --dataset=second:v1 <<<$'#!/bin/sh\necho the-body-ran')
	equal "$(finish "$bad" 60)" FAILED
	contains "$(job_output "$bad")" larder:
	contains "$(job_output "$bad")" second:v1
	contains "$(job_output "$bad")" 'needs 172 MiB'
	contains "$(job_output "$bad")" 'can be had'
	contains "$(job_output "$bad")" 'held by 1 job'
	contains "$(job_output "$bad")" on-fail=bypass
	lacks "$(job_output "$bad")" the-body-ran
	tree_is n1 first:v1 ready
	let_go "$id"
}

@test "with on-fail=bypass the job that does not fit runs from the origin" {
	id=$(hold_dataset n1 first:v1)
	run srun -w n1 --dataset=second:v1 --dataset-on-fail=bypass \
		sh -c 'echo "state $DATASET_SECOND_STATE"; cat "$DATASET_SECOND_DIR"/* | wc -c'
	equal "$status" 0
	contains "$output" 'state bypass'
	contains "$output" 180000000
	tree_is n1 first:v1 ready
	let_go "$id"
}

@test "explain says why it is not there" {
	run larder explain second:v1
	[[ -n $output ]]
	contains "$output" second:v1
}

@test "a small dataset fits beside what is leased, and nothing goes for it" {
	id=$(hold_dataset n1 first:v1)
	run srun -w n1 --dataset=small:v1 true
	equal "$status" 0
	tree_is n1 first:v1 ready
	let_go "$id"
}

@test "when the job is over its dataset makes room" {
	poll 10 no_leases n1
	before=$(counter n1 freed_bytes)
	run srun -w n1 --dataset=second:v1 sh -c "cat $DIR/datasets/second/v1/* | wc -c"
	equal "$status" 0
	contains "$output" 180000000
	tree_is n1 second:v1 ready
	not tree_is n1 first:v1 ready
	[[ $(counter n1 freed_bytes) -gt $before ]]
}

@test "the cache stays within the file system's floor" {
	# df in percent of what the file system has; the daemon leaves 2 % free at least.
	between "$(df --output=pcent "$DIR/n1/tier" | tail -n 1 | tr -dc 0-9)" 0 98
}

@test "a running job's bytes survive the pressure of others" {
	id=$(submit -w n1 --dataset=second:v1 <<-END
		#!/bin/sh
		echo started
		until [ -e $DIR/out/read-now ]; do sleep 0.1; done
		cd $DIR/origin/second && for f in *; do cmp "\$f" "\$DATASET_SECOND_DIR/\$f" || exit 1; done
	END
	)
	poll 20 output_has "$id" started
	for spec in first:v1 third:v1 first:v1; do
		run srun -Q -w n1 --dataset="$spec" true
		[[ $status -ne 0 ]]
	done
	: >"$DIR/out/read-now"
	equal "$(finish "$id")" COMPLETED
}

@test "an admin cannot evict what a job holds without --force" {
	id=$(hold_dataset n1 second:v1)
	run larder evict -y second:v1
	[[ $status -ne 0 ]]
	contains "$output" leased
	has_lease n1 "$id"
	tree_is n1 second:v1 ready
	let_go "$id"
}

@test "a pinned dataset stays, and the sentence says that it is pinned" {
	poll 10 no_leases n1
	larder pin second:v1
	run srun -w n1 --dataset=first:v1 true
	[[ $status -ne 0 ]]
	contains "$output" pin
	tree_is n1 second:v1 ready
	larder unpin second:v1
	run srun -w n1 --dataset=first:v1 true
	equal "$status" 0
	tree_is n1 first:v1 ready
}

@test "evict -n names what would go and touches nothing; evict does it" {
	poll 10 no_leases n1
	run larder evict -n first:v1
	equal "$status" 0
	contains "$output" first
	tree_is n1 first:v1 ready
	before=$(df --output=avail -B1M "$DIR/n1/tier" | tail -n 1)
	larder evict -y first:v1
	poll 20 eval '[[ -z $(tree_state n1 first:v1) ]]'
	poll 20 eval '[[ $(df --output=avail -B1M "$DIR/n1/tier" | tail -n 1) -ge $((before + 160)) ]]'
}

@test "a dataset that is larger than the cache is refused with need and have, and evicts nothing" {
	srun -Q -w n1 --dataset=small:v1 true
	run srun -w n1 --dataset=huge:v1 true
	[[ $status -ne 0 ]]
	contains "$output" 'needs 1 GiB'
	contains "$output" 'can hold'
	tree_is n1 small:v1 ready
	poll 10 no_leases n1
}

@test "two jobs that together do not fit: both leases cannot be, one is told" {
	srun -Q -w n1 --dataset=first:v1 true &
	srun -Q -w n1 --dataset=second:v1 true &
	wait
	run srun -w n1 --dataset=first:v1,second:v1 true
	[[ $status -ne 0 ]]
	contains "$output" need
}

@test "every lease is gone when the jobs are" {
	poll 10 no_leases n1
}

@test "no node was drained and no job held" {
	assert_nothing_drained_or_held
}
