#!/usr/bin/env bats
# Any crash is survivable: what was verified stays, what a job holds stays held, and nothing lies.

load lib

setup() { place_setup; }
teardown() { place_teardown; }

staged_some() { [[ $(find "$T/tier/trees" -type f -path '*/data/*' 2>/dev/null | wc -l) -ge $1 ]]; }

# Slow enough to be killed in the middle: many files, one thread.
slow_conf=('transfer_threads = 1' 'transfer_memory = "1M"' 'reconcile_grace = "0"' 'reconcile_every = "1s"')

@test 'kill -9 in the middle: only the rest is fetched, and every byte is right' {
	dataset d:v1 1500 20000
	daemon_start "${slow_conf[@]}" 'transfer_bandwidth = "8M"'
	acquire 1 d:v1 --timeout 100 >/dev/null 2>&1 3>&- & asking=$!
	poll 20 staged_some 300
	daemon_kill9
	find "$T/tier/trees" -type f -path '*/data/*' -printf '%f %i\n' | sort >"$T/inodes"
	wait $asking || true
	had=$(find "$T/tier/trees" -type f -path '*/data/*' | wc -l)
	between "$had" 300 1499
	daemon_start
	[[ $(tree_state d:v1) != ready ]] || equal "$(find "$(tree_data d:v1)" -type f | wc -l)" 1500
	equal "$(acquire 2 d:v1)" ready
	same_tree "$(origin_of d:v1)" "$(tree_data d:v1)"
	# A batch or two may have to be fetched again, what was linked may not: names are there only after their bytes.
	between "$(counter origin_bytes)" 1 $(((1500 - had) * 20000 + 30000000 - 1))
	same_inodes
}

# What was there when the daemon was killed is there still, and was not fetched again: the files are the same ones.
same_inodes()
{
	local lost
	find "$T/tier/trees" -type f -path '*/data/*' -printf '%f %i\n' | sort >"$T/inodes.now"
	lost=$(comm -23 "$T/inodes" "$T/inodes.now" | wc -l)
	between "$lost" 0 0
}

@test 'kill -9 with nothing under way: the cache is as it was' {
	dataset d:v1 20 1000
	daemon_start
	acquire 1 d:v1
	daemon_kill9
	daemon_start
	tree_is d:v1 ready
	leases_are 1
	before=$(counter origin_bytes)
	equal "$(acquire 2 d:v1)" ready
	equal "$(counter origin_bytes)" "$before"
}

@test 'ten kills while staging: at the end everything is right' {
	dataset d:v1 400 20000
	for i in 1 2 3 4 5 6 7 8 9 10; do
		daemon_start "${slow_conf[@]}"
		acquire "$i" d:v1 --ask >/dev/null 2>&1 || true
		sleep "0.0$((RANDOM % 9 + 1))"
		daemon_kill9
	done
	daemon_start
	equal "$(acquire 99 d:v1)" ready
	same_tree "$(origin_of d:v1)" "$(tree_data d:v1)"
	code 0 larder verify d:v1
}

@test 'leases outlive the daemon, and can be attached and released afterwards' {
	dataset d:v1 3 100
	daemon_start
	acquire 7 d:v1
	daemon_stop
	daemon_start
	leases_are 1
	joblet attach 7 0 -- test -e "$T/view/d/v1/f00000"
	code 1 larder evict d:v1
	release 7
	leases_are 0
}

# From here on the daemon's files may not grow: what it answers before it has made the rows, it answers.
log_is_full() { prlimit --pid "$DAEMON" --fsize="$(stat -c %s "$T/state/inventory.db-wal")"; }

# The log has to be longer than the record of what was granted.
acquire_until_log_is_long()
{
	local job
	for ((job = 100; job < 130; job++)); do acquire "$job" d:v1; done >/dev/null
	[[ $(stat -c %s "$T/state/inventory.db-wal") -gt 40000 ]]
}

@test 'a job that was told ready holds its data, though the daemon died before it wrote the rows' {
	dataset d:v1 3 100
	daemon_start
	acquire 1 d:v1
	acquire_until_log_is_long
	log_is_full
	equal "$(acquire 7 d:v1 2>/dev/null)" ready
	wait "$DAEMON" || status=$?
	equal "$status" 153 # SIGXFSZ: the first write of the commit
	daemon_start
	leases_are 32
	equal "$(counter hits)" 31
	joblet attach 7 0 -- test -e "$T/view/d/v1/f00000"
	release 7
	leases_are 31
	daemon_kill9
	daemon_start
	leases_are 31
}

@test 'what a job was told stands, and is not evicted, while the inventory cannot be written' {
	dataset d:v1 3 100
	trap '' XFSZ # the daemon inherits that: its writes fail instead
	daemon_start
	trap - XFSZ
	acquire 1 d:v1
	acquire_until_log_is_long
	for ((job = 100; job < 130; job++)); do release "$job"; done
	release 1
	leases_are 0
	log_is_full
	equal "$(acquire 7 d:v1)" ready
	poll 10 grep -q 'error grant.owed' "$T/larderd.log" # it came to the test
	code 1 larder evict -y d:v1
	code 1 acquire 8 d:v1
	daemon_kill9
	daemon_start
	leases_are 1
	code 1 larder evict -y d:v1
	release 7
	larder evict -y d:v1
}

fill_state() { dd if=/dev/zero of="$T/state/fill" bs=4k 2>/dev/null || true; }

@test 'whoever meets a full disk of the inventory is told which it is, and loses nothing' {
	truncate -s 16M "$T/state.img"
	mkfs.ext4 -q -F -m 0 -b 4096 "$T/state.img"
	mount -o loop "$T/state.img" "$T/state"
	dataset d:v1 3 100
	daemon_start
	acquire 1 d:v1
	fill_state
	told=(1)
	for ((job = 2; job < 100; job++)); do
		run acquire "$job" d:v1
		[[ $status -eq 0 ]] || break
		told+=("$job")
	done
	contains "$output" "$T/state of this node is full and its admin must make room: inventory"
	# Nothing is said of leases that is not so: one of them has no row yet.
	for words in ls jobs status 'show d:v1'; do
		# shellcheck disable=SC2086 # words
		code 1 larder $words
		contains "$output" "$T/state of this node is full and its admin must make room: inventory"
	done
	contains "$(larder df --json | jq -r '.tiers[].problem')" 'must make room'
	lacks "$(larder metrics)" 'larder_leases 0'
	daemon_kill9
	rm "$T/state/fill"
	daemon_start
	leases_are ${#told[@]}
}

@test 'a failed job'\''s sentence outlives the daemon' {
	daemon_start
	code 1 acquire 7 nosuch:v1
	daemon_stop
	daemon_start
	code 1 joblet attach 7 0
	contains "$output" nosuch
}

@test 'a request that was pending when the daemon died goes on when it is back' {
	dataset d:v1 400 20000
	daemon_start "${slow_conf[@]}"
	acquire 7 d:v1 --ask >/dev/null 2>&1 || true
	daemon_kill9
	daemon_start
	run joblet await 7 0 20000
	[[ $output == ready* ]] || equal "$(acquire 7 d:v1)" ready
	same_tree "$(origin_of d:v1)" "$(tree_data d:v1)"
}

@test 'the daemon dies before the tree of a running job'\''s dataset is made: it is staged afterwards' {
	dataset first:v1 1 8000000
	dataset second:v1 3 1000
	daemon_start 'max_transfers = 1' 'transfer_bandwidth = "1M"'
	acquire 1 first:v1 --wait none
	acquire 2 second:v1 --wait none
	poll 10 waits_for_a_turn
	daemon_kill9
	rm -r "$(dirname "$(tree_data second:v1)")" # as if it had died a moment earlier
	daemon_start
	poll 20 tree_is second:v1 ready
	same_tree "$(origin_of second:v1)" "$(tree_data second:v1)"
	poll 20 tree_is first:v1 ready
}

waits_for_a_turn() { [[ $(larder status --json | jq '[.transfers[] | select(.phase | test("wait|queue"))] | length') -ge 1 ]]; }

@test 'another boot: all leases of the last one are gone' {
	dataset d:v1 3 100
	daemon_start
	acquire 7 d:v1
	daemon_kill9
	echo boot-2 >"$T/boot_id"
	daemon_start
	leases_are 0
	tree_is d:v1 ready
}

@test 'a job that is over by slurmctld'\''s word loses its lease within a reconcile period' {
	dataset d:v1 3 100
	slurm_says 7 running
	daemon_start 'reconcile_every = "1s"' 'reconcile_grace = "0"'
	acquire 7 d:v1
	sleep 2.2
	leases_are 1
	slurm_says 7 gone
	poll 6 leases_are 0
	between "$(counter reconciled_leases)" 1 1
}

@test 'no answer of slurmctld keeps the lease' {
	dataset d:v1 3 100
	daemon_start 'reconcile_every = "1s"' 'reconcile_grace = "0"'
	acquire 7 d:v1
	sleep 2.5
	leases_are 1
}

@test 'a cancelled job'\''s transfer is cancelled, what is there stays' {
	dataset d:v1 1500 20000
	slurm_says 7 running
	daemon_start "${slow_conf[@]}"
	acquire 7 d:v1 --ask || true
	poll 20 committed_some # else nothing is there that could stay
	slurm_says 7 gone
	poll 8 no_transfer
	[[ $(tree_state d:v1) == partial || $(tree_state d:v1) == ready ]]
	code 0 larder verify d:v1
}

committed_some() { [[ $(counter staged_shards) -ge 1 ]]; }
no_transfer() { [[ $(larder status --json | jq '.transfers | length') == 0 ]]; }

@test 'RELEASE of run n lets go of every run up to n, and not of a later one' {
	dataset d:v1 3 100
	daemon_start
	joblet acquire 7 0 0 d:v1
	joblet acquire 7 1 0 d:v1
	joblet release 7 0
	leases_are 1
	joblet release 7 2
	leases_are 0
}

@test 'the database is damaged: it is rebuilt from the trees' {
	dataset d:v1 20 1000
	dataset e:v1 20 1000
	daemon_start
	acquire 1 d:v1,e:v1
	release 1
	daemon_stop
	rm -f "$T/state"/inventory.db-wal "$T/state"/inventory.db-shm
	head -c 20000 /dev/urandom | dd of="$T/state/inventory.db" conv=notrunc status=none
	daemon_start
	poll 10 tree_is d:v1 ready
	poll 10 tree_is e:v1 ready
	equal "$(counter origin_bytes)" 0
	equal "$(acquire 2 d:v1)" ready
	equal "$(counter origin_bytes)" 0
}

@test 'the database is gone: it is rebuilt from the trees' {
	dataset d:v1 20 1000
	daemon_start
	acquire 1 d:v1
	release 1
	daemon_stop
	rm -rf "$T/state"/*
	daemon_start
	poll 10 tree_is d:v1 ready
	equal "$(acquire 2 d:v1)" ready
	equal "$(counter origin_bytes)" 0
}

@test 'a tree with gaps is not READY after a rebuild, and its gaps are filled' {
	dataset d:v1 20 1000
	daemon_start
	acquire 1 d:v1
	release 1
	daemon_stop
	chattr -i "$(tree_data d:v1)" 2>/dev/null || true
	rm -f "$(tree_data d:v1)/f00005"
	rm -rf "$T/state"/*
	daemon_start
	equal "$(acquire 2 d:v1)" ready
	same_tree "$(origin_of d:v1)" "$(tree_data d:v1)"
	between "$(counter origin_bytes)" 1000 20000
}

@test 'the tier lost a tree behind our back: the next job has it staged again' {
	dataset d:v1 5 1000
	daemon_start
	acquire 1 d:v1
	release 1
	rm -rf "$T"/tier/trees/*/d
	equal "$(acquire 2 d:v1)" ready
	same_tree "$(origin_of d:v1)" "$(tree_data d:v1)"
}

@test 'another tier at the same path is noticed' {
	dataset d:v1 5 1000
	daemon_start
	acquire 1 d:v1
	release 1
	daemon_stop
	mv "$T/tier" "$T/old-tier" && mkdir "$T/tier"
	daemon_start
	[[ $(tree_state d:v1) != ready ]]
	equal "$(acquire 2 d:v1)" ready
	same_tree "$(origin_of d:v1)" "$(tree_data d:v1)"
}

@test 'trash of a daemon that died is emptied by the next' {
	dataset d:v1 200 1000
	daemon_start 'trash_files_per_s = 20'
	acquire 1 d:v1
	release 1
	larder evict -q d:v1
	daemon_kill9
	if trash_empty; then fail_with "the trash was empty before the daemon died"; fi
	daemon_conf
	daemon_start
	poll 10 trash_empty
}

@test 'a second daemon on the same state does not start' {
	daemon_start
	sed "s#$T/larderd.sock#$T/other.sock#" "$T/larder.conf" >"$T/other.conf"
	run timeout 5 "$LARDERD" -c "$T/other.conf"
	[[ $status -ne 0 && $status -ne 124 ]]
	daemon_alive
}

@test 'SIGTERM ends it in good order while it stages' {
	dataset d:v1 1500 20000
	daemon_start "${slow_conf[@]}"
	acquire 1 d:v1 --ask >/dev/null 2>&1 || true
	poll 20 staged_some 50
	daemon_stop
	daemon_start
	equal "$(acquire 2 d:v1)" ready
	same_tree "$(origin_of d:v1)" "$(tree_data d:v1)"
}
