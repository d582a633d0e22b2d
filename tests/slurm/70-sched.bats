#!/usr/bin/env bats
# larder-sched on a real cluster: what nodes hold becomes node features, whatever dies in between; and the datasets of
# jobs that wait are staged where Slurm plans them.
# What stands in single quotes is for the shell of the job (SC2016); files share one shell (SC2154).
# shellcheck disable=SC2016,SC2154

load ../lib/cluster

setup_file()
{
	cluster_up --nodes 3 --capacity 400M --sched --placement --sched-conf 'many_copies = 3'
	local name
	for name in a b ahead other last; do dataset "$name" 3 10000 --access public; done
	set_alias a latest v1
	dataset secret 3 10000 --access users=larder-alice
	# The admin's own: from slurm.conf.
	sed -i '/^NodeName=/s/$/ Feature=all,big/' "$DIR/slurm.conf"
	scontrol reconfigure
	for name in n1 n2 n3; do poll 30 admins_stand "$name"; done
}

teardown_file() { cluster_down; }

teardown()
{
	[[ -n ${BATS_TEST_COMPLETED-} ]] || tail -n 20 "$DIR"/sched/*.log
	show_logs_on_failure
	squeue -h -o %A | xargs -r scancel
}

# features NODE [Available|Active]
features() { scontrol show node "$1" | sed -n "s/^ *${2:-Active}Features=//p"; }
has_feature() { [[ ,$(features "$1"), == *,$2,* && ,$(features "$1" Available), == *,$2,* ]]; }
# The admin's own, which nothing ever removes.
admins_stand() { [[ $(features "$1" Available) =~ ^all,big(,|$) && $(features "$1") =~ ^all,big(,|$) ]]; }

stage_on() { larder -w "$1" stage "$2" --wait >/dev/null; }

# The features file says: NAME VERSION FEATURE NODES.
file_says() { grep -q "^$1 " "$DIR/sched/features"; }

@test "what a node has ready is its feature, beside the admin's" {
	stage_on n1 a:v1
	poll 20 has_feature n1 ds:a:v1
	admins_stand n1
	lacks "$(features n2)" ds:
}

@test "a dataset that is not public is not told by name" {
	stage_on n1 secret:v1
	poll 20 eval '[[ $(features n1) =~ ds:h:[0-9a-f]{16} ]]'
	lacks "$(features n1)" secret
}

@test "the file for job_submit tells what is published, where, and the aliases" {
	stage_on n2 a:v1
	poll 20 file_says 'a v1 ds:a:v1 2'
	grep -qE '^a v1 ds:a:v1 2 [0-9a-f]{32} 0-1$' "$DIR/sched/features"
	grep -qx 'alias a latest v1' "$DIR/sched/features"
	grep -qE '^secret v1 ds:h:[0-9a-f]{16} 1 ' "$DIR/sched/features"
	equal "$(tail -n 1 "$DIR/sched/features")" end
	equal "$(stat -c %a "$DIR/sched/features")" 640
}

@test "a tree that goes takes its feature along" {
	stage_on n3 b:v1
	poll 20 has_feature n3 ds:b:v1
	larder -w n3 evict -y b:v1 >/dev/null
	poll 20 not has_feature n3 ds:b:v1
	admins_stand n3
}

@test "what the admin has available but not active stays so" {
	scontrol update NodeName=n3 AvailableFeatures=all,big,spare ActiveFeatures=all,big
	stage_on n3 b:v1
	poll 20 has_feature n3 ds:b:v1
	[[ ,$(features n3 Available), == *,spare,* && ,$(features n3), != *,spare,* ]]
}

@test "a reconfiguration loses features; ours are back, and the admin's are there" {
	scontrol reconfigure
	poll 20 has_feature n1 ds:a:v1
	poll 20 has_feature n2 ds:a:v1
	for n in n1 n2 n3; do admins_stand "$n"; done
}

@test "kill -9 of slurmctld: the nodes are still polled, and the features are back with it" {
	node kill - slurmctld
	stage_on n3 other:v1
	poll 20 grep -q 'slurm.silent' "$DIR/sched/larder-sched.log"
	node start - slurmctld
	poll 60 has_feature n3 ds:other:v1
	poll 20 has_feature n1 ds:a:v1
	poll 20 has_feature n2 ds:a:v1
}

@test "kill -9 of larder-sched: nothing is lost meanwhile, and nothing is sent again" {
	local before
	node kill - larder-sched
	has_feature n1 ds:a:v1
	before=$(grep -c ' publish nodes=' "$DIR/sched/publisher.log")
	node start - larder-sched
	stage_on n1 b:v1
	poll 20 has_feature n1 ds:b:v1
	# one request for what is new, none for what was there
	equal "$(grep -c ' publish nodes=' "$DIR/sched/publisher.log")" $((before + 1))
	has_feature n2 ds:a:v1
}

@test "kill -9 of the publisher: what changed comes when it is back" {
	node kill - larder-publisher
	stage_on n2 b:v1
	poll 20 grep -q 'publish.failed' "$DIR/sched/larder-sched.log"
	node start - larder-publisher
	poll 20 has_feature n2 ds:b:v1
}

@test "a node's daemon that dies loses its features after a while, and has them again when it answers" {
	node kill n2 larderd
	poll 20 not has_feature n2 ds:a:v1
	admins_stand n2
	has_feature n1 ds:a:v1
	node start n2 larderd
	poll 20 has_feature n2 ds:a:v1
}

# ask MESSAGE FIELD…: larder-sched, as root.
ask()
{
	"${LARDER_BUILD:-$BATS_TEST_DIRNAME/../../build}/tests/asknode" --net "$LARDER_SCHED" --node larder-sched \
		--munge "$LARDER_MUNGE_SOCKET" --to "$(id -u larder-sched)" "$@"
}

fleet_has() { [[ $(ask FLEET_LIST "$1") == *"ready=$2"* ]]; }

@test "slurmctld hangs: nodes are polled and people answered all the same" {
	node pause - slurmctld
	said=$(ask FLEET_STATUS)
	stage_on n1 last:v1
	poll 5 fleet_has last 1
	node resume - slurmctld
	contains "$said" "node=n1"
	poll 60 has_feature n1 ds:last:v1
}

@test "a stop takes the features along where the site wants it, and the next start brings them back" {
	node stop - larder-sched
	has_feature n1 ds:a:v1
	echo 'remove_on_stop = true' >>"$DIR/sched/larder-sched.conf"
	node start - larder-sched
	poll 20 grep -q "node.answers node=n1" "$DIR/sched/larder-sched.log"
	has_feature n1 ds:a:v1
	node stop - larder-sched
	lacks "$(features n1)" ds:
	admins_stand n1
	sed -i /remove_on_stop/d "$DIR/sched/larder-sched.conf"
	node start - larder-sched
	poll 20 has_feature n1 ds:a:v1
}

@test "nobody but larder-sched's user may use the publisher, and features of ours are all it sets" {
	run as alice python3 -c '
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
try:
    s.sendall(b"set\tn3\tds:forged:v1\ngo\t9\n")
    print("answer:", s.makefile().read())
except OSError:
    print("answer:")' "$DIR/sched/publisher"
	lacks "$output" "done"
	run python3 -c '
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
s.sendall(b"set\tn3\tds:a:v1,gpu\ngo\t9\n")
print(s.makefile().readline())' "$DIR/sched/publisher"
	contains "$output" 'no feature of ours'
	lacks "$(features n3)" forged
	lacks "$(features n3)" gpu
}

# --- copies

use() { srun -Q -w "$1" --dataset="$2" true 2>/dev/null; }
goes_first() { [[ $(larder -w "$1" evict -n --bytes 1K --raw -h -o DATASET) == "$2" ]]; }

# Both took about 2 s to stage, and the rare one was used half as often: it is worth half as much, until n1 hears that
# it has the only copy (counts double) and that all three nodes have the other (counts two thirds).
@test "what nodes are told of copies changes what goes first" {
	dataset rare 20 20000 --access public
	dataset common 20 20000 --access public
	node stop - larder-sched
	larder -w n1 evict -y --bytes 400M >/dev/null 2>&1 || true
	printf '%s\n' 'evict_grace = "0"' 'transfer_bandwidth = "200K"' >>"$DIR/n1/larder.conf"
	larder -w n1 reload
	stage_on n1 rare:v1
	stage_on n1 common:v1
	use n1 rare:v1
	for n in n1 n1 n2 n3; do use "$n" common:v1; done
	goes_first n1 rare:v1
	node start - larder-sched
	poll 60 goes_first n1 common:v1
	larder -w n1 evict -y --bytes 400K >/dev/null
	tree_is n1 rare:v1 ready
	not tree_is n1 common:v1 ready
	poll 20 not has_feature n1 ds:common:v1
	sed -i '/^evict_grace\|^transfer_bandwidth/d' "$DIR/n1/larder.conf"
	larder -w n1 reload
}

# --- staging ahead

# block NODE: a job that fills it and ends within minutes, so that others can be planned behind it; prints its id.
block()
{
	local id
	id=$(sbatch --parsable -o /dev/null -w "$1" --exclusive -t 3 --wrap 'sleep 600')
	poll 20 job_is "$id" RUNNING
	echo "$id"
}
log_of() { grep -qE "$2" "$DIR/$1/larderd.log"; }

@test "a pending job's dataset is ready on its planned node before it starts, and its prolog waits for nothing" {
	blocker=$(block n3)
	id=$(submit -w n3 --exclusive -t 5 --dataset=ahead:v1 <<<$'#!/bin/sh\ncat "$DATASET_AHEAD_DIR"/* | wc -c')
	poll 60 tree_is n3 ahead:v1 ready
	job_is "$id" PENDING
	before=$(counter n3 origin_bytes)
	let_go "$blocker"
	equal "$(finish "$id" 60)" COMPLETED
	contains "$(job_output "$id")" 30000
	contains "$(job_output "$id")" '100 % from cache'
	equal "$(counter n3 origin_bytes)" "$before"
	log_of n3 "ahead.end job=$id why=over"
}

@test "arrays and several datasets come ahead, too" {
	blocker=$(block n3)
	id=$(submit -w n3 --exclusive -t 5 --array=0-1 --dataset=last:v1,other:v1 <<<$'#!/bin/sh\n:')
	poll 60 tree_is n3 last:v1 ready
	poll 60 tree_is n3 other:v1 ready
	scancel "$id"
	let_go "$blocker"
}

@test "a plan that changes is forgotten" {
	blocker=$(block n3)
	id=$(submit -w n3 --exclusive -t 5 --dataset=ahead:v1 <<<$'#!/bin/sh\n:')
	poll 60 log_of n3 "ahead.begin job=$id "
	scancel "$id"
	poll 30 log_of n3 "ahead.end job=$id why=over"
	let_go "$blocker"
}

@test "all this drained no node and held no job" {
	assert_nothing_drained_or_held
}
