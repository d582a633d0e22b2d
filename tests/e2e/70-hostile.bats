#!/usr/bin/env bats
# What a hostile or unlucky user, publisher or moment does to the daemon: it neither believes nor breaks.

load lib

setup() { place_setup; }
teardown() { place_teardown; }

rows() { sqlite3 "$T/state/inventory.db" "SELECT coalesce(group_concat($1), '') FROM $2"; }
head_of() { printf '%s\n' "$T/catalog/${1/://}.manifest"; }

# vanish SECONDS COMMAND…: killed when it takes longer, without a word.
vanish() { { timeout -s KILL "$@" >/dev/null 2>&1; } 2>/dev/null || true; }

# --- requests that end before they are over

@test 'RELEASE of a job that is still pending leaves nothing of it behind' {
	dataset d:v1 400 50000
	daemon_start
	for job in 1 2 3; do
		acquire "$job" d:v1 --ask || true
		release "$job"
	done
	leases_are 0
	code 1 joblet await 1 0
	daemon_stop
	equal "$(rows job_id job)" ''
}

@test 'clients that vanish in the middle of anything' {
	dataset d:v1 300 100000
	daemon_start
	for i in {1..25}; do
		for verb in "acquire $i 0 0 d:v1" "await $i 0" "attach $i 0" "release $i 0"; do
			# shellcheck disable=SC2086
			vanish "0.0$((i % 7 + 1))" joblet $verb
		done
		for verb in 'wait d:v1' 'verify d:v1' 'stage d:v1' 'evict -y d:v1' gc reload 'ls -l' metrics 'explain d'; do
			# shellcheck disable=SC2086
			vanish "0.0$((i % 5 + 1))" larder $verb
		done
	done
	daemon_alive
	for i in {1..25}; do release "$i"; done
	leases_are 0
	equal "$(acquire 99 d:v1)" ready
	same_tree "$(origin_of d:v1)" "$(tree_data d:v1)"
	daemon_stop
	lacks "$(cat "$T/larderd.log")" Sanitizer
}

# --- two things at once on one tree

@test 'a verify that ends while a stage runs takes nothing away that the stage counts on' {
	dataset d:v1 30 8000000
	daemon_start
	acquire 1 d:v1
	release 1
	for i in {08..29}; do rm -f "$(tree_data d:v1)/f000$i"; done
	larder verify d:v1 >/dev/null || true
	tree_is d:v1 partial
	printf y | dd of="$(tree_data d:v1)/f00007" conv=notrunc bs=1 seek=7999999 status=none
	larder verify d:v1 >"$T/verify" 2>&1 3>&- &
	sleep 0.02
	acquire 2 d:v1 || true
	wait $! || true
	poll 20 tree_is d:v1 ready
	same_tree "$(origin_of d:v1)" "$(tree_data d:v1)"
}

@test 'the same tree evicted twice at once: both are told it is gone' {
	dataset d:v1 4 50000
	daemon_start
	acquire 1 d:v1
	release 1
	kill -STOP "$DAEMON"
	larder evict -y d:v1 >"$T/one" 2>&1 3>&- &
	one=$!
	larder evict -y d:v1 >"$T/two" 2>&1 3>&- &
	two=$!
	sleep 0.3
	kill -CONT "$DAEMON"
	wait "$one"
	wait "$two"
	no_tree d:v1
	poll 5 trash_empty
	poll 5 test "$(larder df --json -o TRASH | jq '.tiers[0].trash')" = 0
}

# --- heads that lie

@test 'a head that lies about its shards gets nothing, and the true one after it gets everything' {
	dataset d:v1 3000 10
	cp "$(head_of d:v1)" "$T/true"
	sed -i '1,10s/^shards .*/shards 00000000000000000001/' "$(head_of d:v1)"
	daemon_start
	code 1 acquire 1 d:v1
	contains "$output" 'more shards than the head says'
	cp "$T/true" "$(head_of d:v1)"
	equal "$(acquire 2 d:v1)" ready
	release 2
	# and the other way round: what is here is not given up for a lie
	sed -i '1,10s/^shards .*/shards 00000000000000000001/' "$(head_of d:v1)"
	larder stage d:v1 || true
	equal "$(acquire 3 d:v1)" ready
	same_tree "$(origin_of d:v1)" "$(tree_data d:v1)"
}

@test 'a head with as many shards and bytes as a number can hold' {
	dataset d:v1 3 10
	cp "$(head_of d:v1)" "$T/true"
	daemon_start
	sed -i '1,10s/^bytes .*/bytes 18446744073709551615/' "$(head_of d:v1)"
	code 1 acquire 1 d:v1
	sed -i '1,10s/^shards .*/shards 18446744073709551615/' "$(head_of d:v1)"
	code 1 acquire 2 d:v1
	code 1 larder stage d:v1
	daemon_alive
	cp "$T/true" "$(head_of d:v1)"
	equal "$(acquire 3 d:v1)" ready
}
