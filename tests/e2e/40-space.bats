#!/usr/bin/env bats
# Space is reserved before the first byte; what is leased stays; what is not makes room; and a refusal says need, have and held-by.

load lib

setup() { place_setup; }
teardown() { place_teardown; }

# stage SPEC: brought here and let go again.
visit()
{
	acquire "$1" "$2"
	release "$1"
}

@test 'a dataset that can never fit is refused before a byte is copied, with need and have' {
	tier_image ext4 64M
	dataset big:v1 8 12000000
	daemon_start
	code 1 acquire 1 big:v1
	contains "$output" MiB
	equal "$(counter origin_bytes)" 0
	equal "$(counter refused_admissions)" 1
	leases_are 0
}

@test 'room is made: the idle one goes, the new one comes' {
	tier_image ext4 64M
	dataset a:v1 3 10000000
	dataset b:v1 3 10000000
	daemon_start
	visit 1 a:v1
	equal "$(acquire 2 b:v1)" ready
	tree_is b:v1 ready
	[[ $(tree_state a:v1) != ready ]]
	between "$(counter evicted_trees)" 0 1
	same_tree "$(origin_of b:v1)" "$(tree_data b:v1)"
}

@test 'what a job holds is never evicted: the other is refused, and told who holds it' {
	tier_image ext4 64M
	dataset a:v1 3 10000000
	dataset b:v1 3 10000000
	daemon_start
	acquire 41 a:v1
	code 1 acquire 42 b:v1
	contains "$output" '29 MiB'
	lacks "$output" '2 on this node'
	refusal=$output
	run larder explain 42
	contains "$refusal $output" 41
	tree_is a:v1 ready
	same_tree "$(origin_of a:v1)" "$(tree_data a:v1)"
	release 41
	equal "$(acquire 43 b:v1)" ready
}

@test 'a pinned one is not evicted either, and --force is needed to do it by hand' {
	tier_image ext4 64M
	dataset a:v1 3 10000000
	dataset b:v1 3 10000000
	daemon_start
	visit 1 a:v1
	larder pin -q a:v1
	code 1 acquire 2 b:v1
	contains "$output" pin
	code 1 larder evict a:v1
	tree_is a:v1 ready
	larder unpin -q a:v1
	equal "$(acquire 3 b:v1)" ready
}

@test 'an ordinary user is told of others a count and bytes, not who' {
	tier_image ext4 64M
	dataset a:v1 3 10000000 --access public
	dataset b:v1 3 10000000 --access public
	daemon_start
	joblet acquire 4711 0 $USER_A a:v1
	code 1 joblet acquire 42 0 $USER_B b:v1
	lacks "$output" 4711
	lacks "$output" $USER_A
}

@test 'two that fit only one after the other: both asked at once, at least one is ready, nothing breaks' {
	tier_image ext4 64M
	dataset a:v1 3 10000000
	dataset b:v1 3 10000000
	daemon_start
	acquire 1 a:v1 >"$T/one" 3>&- & one=$!
	acquire 2 b:v1 >"$T/two" 3>&- & two=$!
	wait $one || true
	wait $two || true
	contains "$(cat "$T/one" "$T/two")" ready
	between "$(fs_used)" 0 $((64 << 20))
	daemon_alive
}

@test 'the free floor wins over the capacity' {
	tier_image ext4 64M
	dataset a:v1 3 10000000
	daemon_start 'tier: free_floor = "60%"'
	code 1 acquire 1 a:v1
	equal "$(counter origin_bytes)" 0
}

@test 'capacity smaller than the file system' {
	tier_image ext4 64M
	dataset a:v1 3 10000000
	dataset small:v1 3 1000
	daemon_start 'tier: capacity = "20M"'
	code 1 acquire 1 a:v1
	equal "$(acquire 2 small:v1)" ready
}

@test 'inodes run out before bytes do: refused, not half staged' {
	tier_image ext4 64M -N 512
	dataset many:v1 800 10
	dataset few:v1 20 10
	daemon_start
	code 1 acquire 1 many:v1
	contains "$output" inode
	equal "$(counter origin_bytes)" 0
	equal "$(acquire 2 few:v1)" ready
}

@test 'somebody else fills the file system while we stage: no crash, no lie' {
	tier_image ext4 64M
	dataset a:v1 40 1000000
	daemon_start
	acquire 1 a:v1 >"$T/one" 3>&- & one=$!
	fallocate -l 40M "$T/tier/somebody" || true
	wait $one || true
	daemon_alive
	if [[ $(<"$T/one") == ready* ]]; then
		same_tree "$(origin_of a:v1)" "$(tree_data a:v1)"
	else
		[[ $(tree_state a:v1) != ready ]]
	fi
	rm "$T/tier/somebody"
	equal "$(acquire 2 a:v1)" ready
	same_tree "$(origin_of a:v1)" "$(tree_data a:v1)"
}

@test 'a victim larger than the need is trimmed and stays as PARTIAL, its coverage told' {
	tier_image ext4 128M
	dataset large:v1 40 1000000
	dataset small:v1 1 20000000
	daemon_start 'tier: capacity = "50M"'
	visit 1 large:v1
	equal "$(acquire 2 small:v1)" ready
	tree_is large:v1 partial
	between "$(tree_field large:v1 COVERAGE | cut -d. -f1)" 20 99
	# What it says is there is there, and the rest comes back.
	release 2
	larder evict -q small:v1
	poll 10 trash_empty
	before=$(counter origin_bytes)
	equal "$(acquire 3 large:v1)" ready
	between $(($(counter origin_bytes) - before)) 1000000 39000000
	same_tree "$(origin_of large:v1)" "$(tree_data large:v1)"
}

@test 'evict --bytes makes that much room, -n only says so' {
	tier_image ext4 128M
	for name in a b c; do dataset $name:v1 2 10000000; done
	daemon_start
	for name in a b c; do visit 1 $name:v1; done
	before=$(fs_used)
	code 0 larder evict --bytes 15M -n
	contains "$output" :v1
	equal "$(fs_used)" "$before"
	code 0 larder evict --bytes 15M
	poll 10 used_below $((before - (15 << 20)))
}

used_below() { [[ $(fs_used) -le $1 ]]; }

why_first() { larder evict -n --bytes 1 --raw -h | awk '{ print $1, $NF; exit }'; }

@test 'an older version goes before what was used less; without its newer one it does not' {
	dataset d:v1 3 1000
	dataset d:v2 3 1001
	dataset d-more:v1 3 1000
	daemon_start
	visit 1 d-more:v1
	visit 2 d:v1
	visit 3 d:v1
	visit 4 d:v2
	equal "$(why_first)" 'd:v1 superseded'
	larder evict -q -y d:v2
	[[ $(why_first) != *superseded ]]
}

@test 'the trash counts as used until it is empty, and is emptied' {
	dataset a:v1 50 1000
	daemon_start
	visit 1 a:v1
	larder evict -q a:v1
	no_tree a:v1
	poll 10 trash_empty
}

@test 'above evict_above the daemon evicts by itself down to evict_down_to' {
	tier_image ext4 128M
	for name in a b c d; do dataset $name:v1 2 10000000; done
	daemon_start 'tier: capacity = "100M"' 'tier: evict_above = "50%"' 'tier: evict_down_to = "30%"'
	for name in a b c d; do visit 1 $name:v1; done
	poll 12 tier_holds_at_most $((50 << 20))
	between "$(counter evicted_trees)" 1 3
	equal "$(counter enospc_evictions)" 0
}

tier_holds_at_most() { [[ $(larder df --json | jq '.tiers[0].used + .tiers[0].trash') -le $1 ]]; }

@test 'a read-only tier: jobs fail with a sentence, or bypass' {
	tier_image ext4 64M
	dataset a:v1 3 1000
	daemon_start
	visit 1 a:v1
	daemon_stop
	mount -o remount,ro "$T/tier"
	daemon_start || skip 'larderd does not start on a read-only tier'
	code 1 acquire 2 a:v1
	[[ -n $output ]]
	run acquire 3 a:v1 --on-fail bypass
	contains "$output" bypass
	daemon_alive
}

@test 'df and status add up' {
	tier_image ext4 64M
	dataset a:v1 3 1000000
	daemon_start
	acquire 1 a:v1
	run larder df --json
	used=$(jq '.tiers[0].used' <<<"$output")
	leased=$(jq '.tiers[0].leased' <<<"$output")
	capacity=$(jq '.tiers[0].capacity' <<<"$output")
	between "$used" 3000000 5000000
	between "$leased" 3000000 "$used"
	between "$capacity" "$used" $((64 << 20))
}
