#!/usr/bin/env bats
# --dataset-placement=require with larder-sched: a job waits for a node that holds its dataset as long as there is one,
# and is never left waiting for a feature that no node has: Slurm would hold such a job for ever.
# What stands in single quotes is for the shell of the job (SC2016); files share one shell (SC2154).
# shellcheck disable=SC2016,SC2154

load ../lib/cluster

setup_file()
{
	cluster_up --nodes 3 --capacity 400M --sched --placement
	local name
	for name in a b; do dataset "$name" 3 10000 --access public; done
}

teardown_file() { cluster_down; }

# n3 has a:v1 ready, no other node has, and job_submit.lua knows it.
setup()
{
	larder -w n1,n2 evict -q a:v1 2>/dev/null || true
	larder -w n3 stage -q --wait a:v1
	poll 20 only_on_n3 a
}
only_on_n3() { has_feature n3 "ds:$1:v1" && grep -qE "^$1 v1 ds:$1:v1 1 .* 2\$" "$DIR/sched/features"; }

teardown()
{
	[[ -n ${BATS_TEST_COMPLETED-} ]] || tail -n 20 "$DIR"/sched/*.log
	show_logs_on_failure
	squeue -h -o %A | xargs -r scancel
	poll 20 no_jobs_at_all
}

features() { scontrol show node "$1" | sed -n "s/^ *ActiveFeatures=//p"; }
has_feature() { [[ ,$(features "$1"), == *,$2,* ]]; }

field() { scontrol show job "$1" | sed -n "s/^ *$2=//p" | sed 's/ *$//;q'; }
bound() { field "$1" Features | cut -d' ' -f1; }
nodes_of() { field "$1" NodeList; }
reason() { squeue -h -j "$1" -o %r; }

# wait_for_n3 [OPTION…]: n3 is busy with job $BUSY, and a job waits there for a:v1; prints its id.
wait_for_n3()
{
	local id
	id=$(submit --dataset=a:v1 --dataset-placement=require "$@" <<<$'#!/bin/sh\n:')
	poll 20 job_waits "$id"
	echo "$id"
}
job_waits() { [[ $(reason "$1") =~ ^(Resources|Priority)$ && $(bound "$1") == *ds:a:v1* ]]; }
fill_n3()
{
	BUSY=$(sbatch --parsable -o /dev/null -w n3 --exclusive --wrap 'sleep 600')
	poll 20 job_is "$BUSY" RUNNING
}

# Slurm's log says when it holds a job because no node can take it.
was_refused() { grep -q "schedule: JobId=$1 non-runnable" "$DIR/ctld/slurmctld.log"; }

@test "while a node holds the dataset the job waits for it, also across a reconfiguration and a restart of slurmctld" {
	fill_n3
	id=$(wait_for_n3)
	scontrol reconfigure
	poll 20 has_feature n3 ds:a:v1
	node stop - slurmctld
	node start - slurmctld
	poll 60 has_feature n3 ds:a:v1
	poll 60 job_waits "$id"
	let_go "$BUSY"
	equal "$(finish "$id" 60)" COMPLETED
	equal "$(nodes_of "$id")" n3
}

@test "when the last copy goes the job is let go, and was never on hold" {
	fill_n3
	id=$(wait_for_n3)
	larder -w n3 evict -q a:v1
	equal "$(finish "$id" 30)" COMPLETED
	[[ $(nodes_of "$id") =~ ^n[12]$ ]]
	lacks "$(bound "$id")" ds:
	not was_refused "$id"
	contains "$(job_output "$id")" 'a:v1 ready'
	poll 20 not has_feature n3 ds:a:v1
}

is_free() { [[ $(bound "$1") != *ds:* ]]; }

@test "what else the user asked for stays, and the job's array tasks go along" {
	scontrol update NodeName=n2 AvailableFeatures=big ActiveFeatures=big
	scontrol update NodeName=n3 AvailableFeatures=big,ds:a:v1 ActiveFeatures=big,ds:a:v1
	fill_n3
	id=$(wait_for_n3 -C big --array=1-2 --open-mode=append) # both write to one file
	equal "$(bound "$id")" 'big&ds:a:v1'
	larder -w n3 evict -q a:v1
	poll 30 no_array "$id"
	equal "$(grep -c 'a:v1 ready' "$DIR/out/$id")" 2
	equal "$(sort -u <<<"$(scontrol show job "$id" | sed -n 's/^ *NodeList=//p')")" n2
	for n in n2 n3; do scontrol update "NodeName=$n" AvailableFeatures= ActiveFeatures=; done
}
no_array() { [[ -z $(squeue -h -j "$1" 2>/dev/null) ]]; }

@test "a new constraint of a job that was let go is not joined with ours again" {
	scontrol update NodeName=n2 AvailableFeatures=big ActiveFeatures=big
	id=$(submit -H --dataset=a:v1 --dataset-placement=require <<<$'#!/bin/sh\n:')
	contains "$(bound "$id")" ds:a:v1
	larder -w n3 evict -q a:v1
	poll 20 is_free "$id"
	job_is "$id" PENDING
	equal "$(reason "$id")" JobHeldUser
	larder -w n3 stage -q --wait a:v1
	poll 20 only_on_n3 a
	scontrol update "JobId=$id" Features=big
	equal "$(bound "$id")" big
	contains "$(field "$id" AdminComment)" 'larder=a:v1'
	scontrol update NodeName=n2 AvailableFeatures= ActiveFeatures=
}

@test "the only node that holds it takes no jobs any more: others are tried" {
	fill_n3
	id=$(wait_for_n3)
	scontrol update NodeName=n3 State=FAIL Reason=test
	equal "$(finish "$id" 30)" COMPLETED
	[[ $(nodes_of "$id") =~ ^n[12]$ ]]
	let_go "$BUSY"
	scontrol update NodeName=n3 State=RESUME
}

@test "the daemon of the only node that holds it dies: others are tried" {
	fill_n3
	id=$(wait_for_n3)
	node kill n3 larderd
	equal "$(finish "$id" 30)" COMPLETED
	[[ $(nodes_of "$id") =~ ^n[12]$ ]]
	not was_refused "$id"
	node start n3 larderd
}

@test "larder-sched is stopped: the job waits on; what was lost meanwhile is mended when it is back" {
	fill_n3
	id=$(wait_for_n3)
	node stop - larder-sched
	has_feature n3 ds:a:v1
	larder -w n3 evict -q a:v1
	scontrol reconfigure # nobody gives the features back
	poll 20 was_refused "$id"
	node start - larder-sched
	equal "$(finish "$id" 60)" COMPLETED
	[[ $(nodes_of "$id") =~ ^n[12]$ ]]
}

@test "a stop that takes the features along leaves nobody waiting for them" {
	fill_n3
	id=$(wait_for_n3)
	node stop - larder-sched
	echo 'remove_on_stop = true' >>"$DIR/sched/larder-sched.conf"
	node start - larder-sched
	node stop - larder-sched
	sed -i /remove_on_stop/d "$DIR/sched/larder-sched.conf"
	equal "$(finish "$id" 30)" COMPLETED
	not was_refused "$id"
	node start - larder-sched
}

@test "the publisher frees what job_submit bound, and nothing else" {
	scontrol update NodeName=n2 AvailableFeatures=big ActiveFeatures=big
	id=$(submit -H --dataset=b:v1 -C big <<<$'#!/bin/sh\n:')
	plain=$(submit -H -C ds:a:v1 <<<$'#!/bin/sh\n:') # typed by its user, who wants no dataset of ours
	run python3 -c '
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
f = s.makefile()
s.sendall(("free\t%s\nfree\t%s\ngo\t9\n" % tuple(sys.argv[2:])).encode())
print(f.readline())
s.sendall(b"free\t7;x\ngo\t9\n")
print(f.readline())' "$DIR/sched/publisher" "$id" "$plain"
	contains "$output" done
	contains "$output" "no job's number"
	equal "$(bound "$id")" big
	lacks "$(field "$id" AdminComment)" keep
	equal "$(bound "$plain")" ds:a:v1
	scontrol update NodeName=n2 AvailableFeatures= ActiveFeatures=
}

@test "no node was drained and no job held" {
	assert_nothing_drained_or_held
}
