#!/usr/bin/env bats
# Jobs go where their data is: contrib's job_submit.lua on a real slurmctld, with what nodes hold written here.
# Nodes have 64 processors; a job that is to fill one says --exclusive.
# What stands in single quotes is for the shell of the job (SC2016); files share one shell (SC2154).
# shellcheck disable=SC2016,SC2154

load ../lib/cluster

setup_file()
{
	cluster_up --nodes 3 --capacity 400M --placement
	local name
	for name in a b; do dataset "$name" 3 10000 --access public; done
}

teardown_file() { cluster_down; }

setup() { hold_nothing; }

teardown()
{
	show_logs_on_failure
	squeue -h -o %A | xargs -r scancel
	poll 20 no_jobs_at_all
}

digest() { sed -n '/^digest /{s/^digest //p;q}' "$LARDER_CATALOG/$1/v1.manifest"; }

# What larder-sched would write: features LINE…; a dataset is held by as many nodes as it is said to be.
features()
{
	{
		printf '# larder-sched features 1\nwritten %s\n' "${WRITTEN-$(date +%s)}"
		[[ $# -eq 0 ]] || printf '%s\n' "$@"
		echo end
	} >"$DIR/sched/features"
}

# node_has NODE FEATURES: the admin's own feature of every node, and these.
node_has() { scontrol update "NodeName=$1" "AvailableFeatures=all,$1${2:+,$2}" "ActiveFeatures=all,$1${2:+,$2}"; }

hold_nothing()
{
	local n
	for n in n1 n2 n3; do node_has "$n" ''; done
	features
}

# holds_a NODE: a:v1 is there and nowhere else.
holds_a()
{
	node_has "$1" ds:a:v1
	features "a v1 ds:a:v1 1 $(digest a)" 'alias a latest v1'
}

# where OPTION…: the nodes on which a job with these options runs, at once or after `WAIT` seconds at most.
where()
{
	local id
	id=$(submit "$@" <<<$'#!/bin/sh\n:') || return 1
	equal "$(finish "$id" "${WAIT-15}")" COMPLETED || return 1
	scontrol show job "$id" | sed -n 's/^ *NodeList=//p'
}

field() { scontrol show job "$1" | sed -n "s/^ *$2=//p" | sed 's/ *$//;q'; }

# fill NODE: it is busy until the job whose id is printed is cancelled.
fill()
{
	local id
	id=$(sbatch --parsable -o /dev/null -w "$1" --exclusive --wrap 'sleep 600')
	poll 15 job_is "$id" RUNNING
	echo "$id"
}

@test "a second job lands on the node that holds its dataset while others are idle" {
	local n
	for n in n3 n2; do
		hold_nothing
		holds_a "$n"
		equal "$(where --dataset=a:v1)" "$n"
		equal "$(where --dataset=a)" "$n"
	done
}

@test "srun and salloc go there too" {
	holds_a n3
	equal "$(srun -Q --dataset=a bash -c 'echo $SLURMD_NODENAME' 2>/dev/null)" n3
	equal "$(salloc -Q --dataset=a bash -c 'echo $SLURM_JOB_NODELIST' 2>/dev/null)" n3
}

@test "when that node is busy the job starts elsewhere within a scheduling cycle" {
	holds_a n3
	fill n3
	[[ $(WAIT=8 where --dataset=a) =~ ^n[12]$ ]]
}

@test "a user's constraint holds, with affinity where both can be" {
	node_has n2 ds:a:v1
	node_has n3 ds:a:v1
	features "a v1 ds:a:v1 2 $(digest a)"
	equal "$(where --dataset=a:v1 -C n3)" n3
	equal "$(where --dataset=a:v1 -C 'all&n2')" n2
	equal "$(where --dataset=a:v1 -C n1)" n1
	equal "$(where --dataset=a:v1 -C 'n1|n1')" n1
}

@test "a user's own --prefer is left alone" {
	holds_a n3
	equal "$(where --dataset=a:v1 --prefer=n2)" n2
}

@test "array tasks go there" {
	local id
	holds_a n3
	id=$(sbatch --parsable --array=1-3 -o "$DIR/out/array-%a" --dataset=a --wrap 'echo $SLURMD_NODENAME')
	poll 30 no_jobs_at_all
	equal "$(grep -hx 'n[0-9]' "$DIR"/out/array-[123] | sort | uniq -c)" '      3 n3'
}

# Slurm 22.05 places components without a look at any --prefer, a user's own included; at constraints it looks.
@test "a heterogeneous job runs, and with require each component goes where its own dataset is" {
	node_has n2 ds:a:v1
	node_has n3 ds:b:v1
	features "a v1 ds:a:v1 1 $(digest a)" "b v1 ds:b:v1 1 $(digest b)"
	run srun -Q --dataset=b:v1 echo one : --dataset=a:v1 echo two
	contains "$output" one
	contains "$output" two
	run srun -Q --dataset=b:v1 --dataset-placement=require bash -c 'echo b $SLURMD_NODENAME' : \
		--dataset=a:v1 --dataset-placement=require bash -c 'echo a $SLURMD_NODENAME'
	contains "$output" 'a n2'
	contains "$output" 'b n3'
}

@test "two datasets: the node that holds both, when the file says who holds what" {
	node_has n1 ds:a:v1
	node_has n2 ds:b:v1
	node_has n3 ds:a:v1,ds:b:v1
	features "a v1 ds:a:v1 2 $(digest a) 0,2" "b v1 ds:b:v1 2 $(digest b) 1-2"
	equal "$(where --dataset=a:v1,b:v1)" n3
	features "a v1 ds:a:v1 1 $(digest a) 0" "b v1 ds:b:v1 1 $(digest b) 1"
	node_has n3 ''
	[[ $(where --dataset=a:v1,b:v1) =~ ^n[12]$ ]]
}

@test "more nodes than hold it: the job runs as if there were no affinity" {
	holds_a n3
	equal "$(where -N 2 --dataset=a:v1)" 'n[1-2]'
	node_has n2 ds:a:v1
	features "a v1 ds:a:v1 2 $(digest a)"
	equal "$(where -N 2 --dataset=a:v1)" 'n[2-3]'
}

@test "require waits for the node; off does not look" {
	local busy id
	holds_a n3
	busy=$(fill n3)
	equal "$(where --dataset=a:v1 --dataset-placement=off)" n1
	id=$(submit --dataset=a:v1 --dataset-placement=require <<<$'#!/bin/sh\n:')
	holds 4 job_is "$id" PENDING
	let_go "$busy"
	equal "$(finish "$id")" COMPLETED
	equal "$(field "$id" NodeList)" n3
}

@test "require falls back to none when no node, or not enough nodes, hold it" {
	equal "$(where --dataset=a:v1 --dataset-placement=require)" n1
	holds_a n3
	equal "$(where -N 2 --dataset=a:v1 --dataset-placement=require)" 'n[1-2]'
}

@test "an unknown feature never rejects a job, nor does what the file claims wrongly" {
	features "a v1 ds:a:v1 1 $(digest a)" # no node has it
	equal "$(where --dataset=a:v1)" n1
	equal "$(where --dataset=a:v1 -C n2)" n2
	WRITTEN=1 features "a v1 ds:a:v1 1 $(digest a)"
	node_has n3 ds:a:v1
	equal "$(where --dataset=a:v1)" n1
}

@test "a features file that is missing, stale or garbage: jobs run as if there were no affinity" {
	holds_a n3
	rm "$DIR/sched/features"
	equal "$(where --dataset=a)" n1
	WRITTEN=$(($(date +%s) - 700)) features "a v1 ds:a:v1 1 $(digest a)"
	equal "$(where --dataset=a:v1)" n1
	head -c 100000 /dev/urandom >"$DIR/sched/features"
	equal "$(where --dataset=a)" n1
	rm "$DIR/sched/features"
	mkdir "$DIR/sched/features"
	equal "$(where --dataset=a)" n1
	rmdir "$DIR/sched/features"
	holds_a n3
	equal "$(where --dataset=a)" n3
}

@test "after scontrol reconfigure, which loses the features, jobs run; when they are back they count" {
	holds_a n3
	equal "$(where --dataset=a:v1)" n3
	scontrol reconfigure
	equal "$(where --dataset=a:v1)" n1
	node_has n3 ds:a:v1
	equal "$(where --dataset=a:v1)" n3
}

@test "admin_comment has the datasets with their digests, and keeps what is there" {
	local id
	id=$(submit -H --dataset=a,mine="$DIR/origin/b" <<<$'#!/bin/sh\n:')
	equal "$(field "$id" AdminComment)" "larder=a:v1@$(digest a),mine=$DIR/origin/b;"
	scontrol update "JobId=$id" AdminComment='ticket 7'
	equal "$(field "$id" AdminComment)" "ticket 7 larder=a:v1@$(digest a),mine=$DIR/origin/b;"
}

@test "a constraint that is changed later holds" {
	local id
	holds_a n3
	id=$(submit -H --dataset=a -C n3 <<<$'#!/bin/sh\n:')
	scontrol update "JobId=$id" Features=n2
	scontrol release "$id"
	equal "$(finish "$id")" COMPLETED
	equal "$(field "$id" NodeList)" n2
	id=$(submit -H --dataset=a -C n3 <<<$'#!/bin/sh\n:')
	scontrol update "JobId=$id" Features='n1|n2'
	scontrol release "$id"
	equal "$(finish "$id")" COMPLETED
	[[ $(field "$id" NodeList) =~ ^n[12]$ ]]
}

@test "no node was drained and no job held" {
	assert_nothing_drained_or_held
}
