#!/usr/bin/env bats
# From one version to the next, only the difference comes from the origin; the rest is hard-linked.
# What stands in single quotes is for the shell of the job (SC2016).
# shellcheck disable=SC2016

load ../lib/cluster

setup_file()
{
	cluster_up --nodes 1 --capacity 500M
	make_files "$DIR/origin/v1" 40 1000000
	publish set:v1 "$DIR/origin/v1"
	cp -a "$DIR/origin/v1" "$DIR/origin/v2"
	for i in 0 1 2 3 4; do head -c 1000000 /dev/urandom >"$DIR/origin/v2/f0000$i"; done
	rm "$DIR/origin/v2/f00039"
	echo new >"$DIR/origin/v2/new"
	publish set:v2 "$DIR/origin/v2"
	# The same bytes with other times: nothing can be linked.
	cp -r "$DIR/origin/v1" "$DIR/origin/v3"
	find "$DIR/origin/v3" -exec touch -d '2020-01-01' {} +
	publish set:v3 "$DIR/origin/v3"
	publish other:v1 "$DIR/origin/v1"
}

teardown_file() { cluster_down; }
teardown() { show_logs_on_failure; }

brings()
{
	local before
	before=$(counter n1 origin_bytes)
	srun -Q -w n1 --dataset="$1" true 2>/dev/null
	printf '%s' $(($(counter n1 origin_bytes) - before))
}

@test "the first version comes whole" {
	equal "$(brings set:v1)" 40000000
}

@test "the second version brings the difference only" {
	reused=$(counter n1 reused_bytes)
	equal "$(brings set:v2)" 5000004
	equal $(($(counter n1 reused_bytes) - reused)) 34000000
}

@test "what is common is one file on the disk, what differs is not" {
	one=$(tree_data n1 set:v1)
	two=$(tree_data n1 set:v2)
	equal "$(stat -c %i "$one/f00010")" "$(stat -c %i "$two/f00010")"
	[[ $(stat -c %i "$one/f00000") != "$(stat -c %i "$two/f00000")" ]]
}

@test "each version has its own bytes" {
	run srun -Q -w n1 --dataset=set:v2 diff -r "$DIR/origin/v2" "$DIR/datasets/set/v2"
	equal "$status" 0
	run srun -Q -w n1 --dataset=set:v1 diff -r "$DIR/origin/v1" "$DIR/datasets/set/v1"
	equal "$status" 0
}

@test "other times make other shards: they are brought, so that mtimes are right" {
	equal "$(brings set:v3)" 40000000
	run srun -Q -w n1 --dataset=set:v3 stat -c %Y "$DIR/datasets/set/v3/f00000"
	contains "$output" "$(date -d '2020-01-01' +%s)"
}

@test "another dataset's bytes are not shared, though they are equal" {
	equal "$(brings other:v1)" 40000000
}

@test "when the older version goes, the newer one is whole" {
	poll 10 no_leases n1
	larder evict -y set:v1
	run srun -Q -w n1 --dataset=set:v2 diff -r "$DIR/origin/v2" "$DIR/datasets/set/v2"
	equal "$status" 0
}

@test "no node was drained and no job held" {
	assert_nothing_drained_or_held
}
