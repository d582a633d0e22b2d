#!/usr/bin/env bats
# The life of a job: cold, warm, many at once, steps, arrays, het jobs, requeue, cancel, time limit.
# What stands in single quotes is for the shell of the job (SC2016).
# shellcheck disable=SC2016

load ../lib/cluster

setup_file()
{
	cluster_up --nodes 2 --capacity 1G --larder-conf $'reconcile_every = "2s"\nreconcile_grace = "1s"'
	make_files "$DIR/origin/set/a" 30 100000
	make_files "$DIR/origin/set/b" 10 100000
	publish set:v1 "$DIR/origin/set"
	cp -a "$DIR/origin/set" "$DIR/origin/set2"
	echo changed >"$DIR/origin/set2/a/f00000"
	publish set:v2 "$DIR/origin/set2"
	set_alias set latest v1
	dataset wide 40 1000000
	# Many small files: staging takes seconds, long enough to do something meanwhile.
	dataset slow 20000 500
	start_timed_job
}

teardown_file() { cluster_down; }
teardown() { show_logs_on_failure; }

# slurmctld looks for expired jobs twice a minute: this one is begun here and looked at in the last test.
start_timed_job()
{
	TIMED=$(hold_dataset n2 wide:v1 -t 5)
	export TIMED
	scontrol update jobid="$TIMED" EndTime=now+2
}

@test "the first job brings the bytes from the origin, the second none at all" {
	before=$(counter n1 origin_bytes)
	srun -w n1 --dataset=set:v1 true
	cold=$(($(counter n1 origin_bytes) - before))
	equal "$cold" "$(tree_bytes "$DIR/origin/set")"
	tree_is n1 set:v1 ready
	srun -w n1 --dataset=set:v1 true
	equal "$(counter n1 origin_bytes)" $((before + cold))
	[[ $(counter n1 hits) -ge 1 ]]
}

@test "a warm job does not need the origin's files" {
	mv "$DIR/origin/set/a" "$DIR/origin/set/elsewhere"
	ln -s elsewhere "$DIR/origin/set/a"
	run srun -w n1 --dataset=set:v1 sh -c "cat $DIR/datasets/set/v1/b/* | wc -c"
	rm "$DIR/origin/set/a"
	mv "$DIR/origin/set/elsewhere" "$DIR/origin/set/a"
	[[ $status -eq 0 ]]
	contains "$output" 1000000
}

@test "thirty jobs at once cause one transfer" {
	before=$(counter n1 origin_bytes)
	for i in {1..30}; do
		srun -Q -w n1 --dataset=wide:v1 sh -c "cat $DIR/datasets/wide/v1/* | wc -c" >"$DIR/out/many.$i" 2>&1 &
	done
	wait
	for i in {1..30}; do
		contains "$(<"$DIR/out/many.$i")" 40000000
	done
	equal $(($(counter n1 origin_bytes) - before)) 40000000
	poll 10 no_leases n1
}

@test "an array of twenty tasks, all of them at once" {
	id=$(submit -w n1 --array=1-20 -o "$DIR/out/array-%a" --dataset=set:v1 \
		<<<$'#!/bin/sh\ncat "$DATASET_SET_DIR"/a/* | wc -c')
	poll 60 eval '[[ $(cat "$DIR"/out/array-* 2>/dev/null | grep -c ^3000000) == 20 ]]'
	poll 20 no_leases n1
}

@test "each component of a het job has its own datasets" {
	sbatch -Q --wait -o "$DIR/out/het" -w n1 --dataset=set:v1 \
		--wrap "srun -l --het-group=0,1 ls $DIR/datasets" : -w n2 --dataset=wide:v1
	contains "$(<"$DIR/out/het")" '0: set'
	contains "$(<"$DIR/out/het")" '1: wide'
	lacks "$(<"$DIR/out/het")" '0: wide'
	lacks "$(<"$DIR/out/het")" '1: set'
}

@test "a het component opts out with none" {
	sbatch -Q --wait -o "$DIR/out/het-none" -w n1 --dataset=set:v1 \
		--wrap "srun -l --het-group=0,1 ls $DIR/datasets" : -w n2 --dataset=none
	contains "$(<"$DIR/out/het-none")" '0: set'
	lacks "$(<"$DIR/out/het-none")" '1: set'
}

@test "the steps of a job inherit its view, and steps that overlap with others too" {
	id=$(hold_dataset n1 set:v1 -n4)
	run srun --jobid="$id" --overlap ls "$DIR/datasets/set/v1"
	[[ $status -eq 0 ]]
	contains "$output" a
	run srun --jobid="$id" --overlap -n4 sh -c 'echo "dir=$DATASET_SET_DIR"'
	equal "$(grep -c "dir=$DIR/datasets/set/v1" <<<"$output")" 4
	let_go "$id"
}

@test "a step may name a subset of what the job leased" {
	run salloc -Q -w n1 --dataset=set:v1 srun --dataset=set:v1/b ls "$DIR/datasets/set/v1/b"
	[[ $status -eq 0 ]]
	contains "$output" f00000
}

@test "a step that names anything else is refused with a sentence, and the job goes on" {
	id=$(submit -w n1 --dataset=set:v1 <<-'END'
		#!/bin/sh
		srun --dataset=wide:v1 true && echo 'step ran' || echo 'step refused'
		srun ls "$DATASET_SET_DIR"
	END
	)
	equal "$(finish "$id")" COMPLETED
	contains "$(job_output "$id")" 'step refused'
	contains "$(job_output "$id")" wide
	contains "$(job_output "$id")" a
}

@test "a step that asks for a dataset in a job that has none is refused" {
	run salloc -Q -w n1 srun --dataset=set:v1 true
	[[ $status -ne 0 ]]
	contains "$output" larder
}

@test "sbatch and srun inside a job do not inherit its dataset" {
	id=$(submit -w n1 --dataset=set:v1 <<-END
		#!/bin/sh
		sbatch -Q --wait -w n2 -o $DIR/out/nested --wrap 'env | grep ^DATASET_ || echo clean; ls $DIR/datasets'
		(unset SLURM_JOB_ID SLURM_JOBID; srun -Q -w n2 -n1 ls $DIR/datasets >$DIR/out/nested-srun)
	END
	)
	equal "$(finish "$id")" COMPLETED
	equal "$(<"$DIR/out/nested")" clean
	equal "$(<"$DIR/out/nested-srun")" ''
}

@test "a nested sbatch may name its own" {
	id=$(submit -w n1 --dataset=set:v1 <<-END
		#!/bin/sh
		sbatch -Q --wait -w n1 -o $DIR/out/nested-own --dataset=wide:v1 --wrap 'ls $DIR/datasets'
	END
	)
	equal "$(finish "$id")" COMPLETED
	contains "$(<"$DIR/out/nested-own")" wide
	lacks "$(grep -v '^larder:' "$DIR/out/nested-own")" set
}

@test "a requeued job keeps its digest, and holds no lease while it is queued" {
	id=$(submit -w n1 --dataset=set --open-mode=append <<-'END'
		#!/bin/sh
		echo "run ${SLURM_RESTART_COUNT:-0} $DATASET_SET_VERSION $DATASET_SET_DIGEST"
		exec sleep 600
	END
	)
	poll 30 output_has "$id" 'run 0'
	has_lease n1 "$id"
	set_alias set latest v2
	scontrol requeue "$id"
	poll 10 no_leases n1 "$id"
	poll 60 output_has "$id" 'run 1'
	set_alias set latest v1
	has_lease n1 "$id"
	equal "$(grep '^run' "$DIR/out/$id" | cut -d' ' -f3- | sort -u | wc -l)" 1
	contains "$(job_output "$id")" 'run 1 v1'
	let_go "$id"
	poll 10 no_leases n1 "$id"
}

@test "a job that is cancelled while it waits ends at once, and what is staged stays usable" {
	id=$(submit -w n1 --dataset=slow:v1 <<<$'#!/bin/sh\necho the-body-ran')
	poll 20 has_lease n1 "$id"
	start=$(now_ms)
	scancel "$id"
	poll 15 job_over "$id"
	between $(($(now_ms) - start)) 0 10000
	equal "$(job_state "$id")" CANCELLED
	lacks "$(job_output "$id")" the-body-ran
	poll 10 no_leases n1 "$id"
	before=$(counter n1 origin_bytes)
	run srun -w n1 --dataset=slow:v1 sh -c "ls -U $DIR/datasets/slow/v1 | wc -l"
	[[ $status -eq 0 ]]
	contains "$output" 20000
	tree_is n1 slow:v1 ready
	[[ $(($(counter n1 origin_bytes) - before)) -le 10000000 ]]
}

@test "a job that runs into its time limit gives its lease back" {
	finish "$TIMED" 60
	equal "$(job_state "$TIMED")" TIMEOUT
	poll 10 no_leases n2 "$TIMED"
}

@test "every lease is gone when the jobs are" {
	poll 10 no_leases n1
	poll 10 no_leases n2
}

@test "no node was drained and no job held" {
	assert_nothing_drained_or_held
}
