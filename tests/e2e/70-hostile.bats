#!/usr/bin/env bats
# What a hostile or unlucky user, publisher or moment does to the daemon: it neither believes nor breaks.

load lib

setup() { place_setup; }
teardown() { place_teardown; }

# Of a copy: while larderd runs nobody else may read its inventory.
rows() {
	cp "$T/state/inventory.db" "$T/copy.db"
	cp "$T/state/inventory.db-wal" "$T/copy.db-wal"
	sqlite3 "$T/copy.db" "SELECT coalesce(group_concat($1), '') FROM $2"
	rm -f "$T"/copy.db*
}
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
	wait "$one" || equal $? 3 # the other was so much faster that it is not here any more
	wait "$two" || equal $? 3
	lacks "$(cat "$T/one" "$T/two")" 'wanted it again'
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

# --- what lies below us

@test 'the tier is moved away under the daemon: nothing is put where nobody looks, and it is said' {
	dataset d:v1 4 20000
	dataset e:v1 4 20000
	daemon_start
	acquire 1 d:v1
	mv "$T/tier" "$T/away"
	code 1 acquire 2 e:v1
	contains "$output" "$T/tier"
	code 1 acquire 3 d:v1
	contains "$output" "$T/tier"
	contains "$(larder df)" 'No such file'
	equal "$(acquire 4 e:v1 --on-fail bypass)" bypass
	release 4
	mkdir "$T/tier"
	code 1 acquire 5 e:v1
	contains "$output" 'something else is mounted'
	[[ -z $(ls -A "$T/tier") ]]
	rmdir "$T/tier"
	mv "$T/away" "$T/tier"
	equal "$(acquire 6 e:v1)" ready
	equal "$(acquire 7 d:v1)" ready
}

@test 'a catalog that hangs, loops, or points elsewhere refuses the job and keeps nobody else waiting' {
	dataset d:v1 4 100
	dataset e:v1 4 100
	daemon_start
	mkfifo "$T/catalog/d/v2.manifest"
	mkdir "$T/catalog/d/v3.manifest"
	truncate -s 10G "$T/catalog/d/v4.manifest"
	ln -s /etc/shadow "$T/catalog/d/v5.manifest"
	ln -s b.manifest "$T/catalog/d/a.manifest"
	ln -s a.manifest "$T/catalog/d/b.manifest"
	for version in v2 v3 v4 v5 a b; do
		code 1 acquire 1 "d:$version"
		contains "$output" failed
		release 1
	done
	equal "$(acquire 2 e:v1)" ready
}

@test 'an origin whose directories turn into links while it is copied gives nothing of what they lead to' {
	mkdir -p "$T/origin/x/sub" "$T/secret"
	for i in {1..200}; do
		printf 'mine %s' "$i" >"$T/origin/x/sub/f$i"
		printf 'root %s' "$i" >"$T/secret/f$i"
	done
	chmod 700 "$T/secret"
	publish x:v1 "$T/origin/x" --access public
	daemon_start
	while :; do
		mv "$T/origin/x/sub" "$T/origin/x/was" && ln -s "$T/secret" "$T/origin/x/sub"
		rm -f "$T/origin/x/sub" && mv "$T/origin/x/was" "$T/origin/x/sub"
	done 3>&- 2>/dev/null &
	swapper=$!
	for i in {1..10}; do
		acquire "$i" x:v1 >/dev/null || true
		release "$i"
		larder evict -y x:v1 >/dev/null || true
	done
	kill "$swapper"
	wait "$swapper" 2>/dev/null || true
	daemon_alive
	code 1 grep -r root "$T/tier/trees"
}

# --- what one user may learn of another

@test 'a user'\''s own dataset, and one whose origin is closed, show to nobody else in any verb' {
	mkdir "$T/secret"
	echo secret >"$T/secret/f"
	chown -R "$USER_A" "$T/secret"
	chmod 700 "$T/secret"
	dataset hush:v1 3 100
	chmod 700 "$(origin_of hush:v1)"
	daemon_start
	joblet acquire 11 0 "$USER_A" "mine=$T/secret"
	acquire 12 hush:v1
	as "$USER_A" larder pin mine --for 1h --reason "$(printf 'a\nb "c" \033[31m')"
	contains "$(as "$USER_A" larder ls)" mine
	for verb in ls 'ls -l' 'ls [hm]*' metrics status df jobs; do
		# shellcheck disable=SC2086
		run as "$USER_B" larder $verb
		lacks "$output" hush
		lacks "$output" mine
		lacks "$output" "$T/secret"
	done
	for verb in 'show mine' 'show hush:v1' 'explain mine' 'explain hush' 'explain 11' 'explain 12' 'wait mine' \
		'wait hush' 'stage hush' "stage mine=$T/secret" 'pin mine --for 1h' 'pin hush --for 1h' 'unpin mine' 'log'; do
		# shellcheck disable=SC2086
		run as "$USER_B" larder $verb
		[[ $status -ne 0 ]] || fail_with "$verb: $output"
		lacks "$output" "$(origin_of hush:v1)"
	done
	code 1 joblet acquire 13 0 "$USER_B" hush:v1
	forbidden=${output/hush/NAME}
	code 1 joblet acquire 14 0 "$USER_B" mush:v1
	equal "${output/mush/NAME}" "$forbidden"
}

@test 'what users write stays on its line of log and listing' {
	dataset d:v1 3 100
	daemon_start
	acquire 1 d:v1
	larder pin d:v1 --for 1h --reason "$(printf 'x\ninfo evict dataset=d:v1\r\033[2J')"
	larder drain "$(printf 'y\ninfo resume')"
	larder resume
	code 1 acquire 2 "$(printf 'd:v1/\n2026 info fake')"
	mkdir "$T/origin/$(printf 'n\nl')"
	code 1 acquire 3 "own=$T/origin/$(printf 'n\nl')"
	lacks "$(larder show d:v1)$(larder log)" $'\e'
	run grep -vcE '^20[0-9T:.-]+Z (info|warning|error) [a-z.]+( |$)' "$T/larderd.log"
	equal "$output" 0
}

# --- what a restart cannot read

@test 'a job whose row is damaged still gives its lease back when it is over' {
	dataset d:v1 3 100
	daemon_start 'reconcile_every = "1s"' 'reconcile_grace = "0"'
	acquire 5 d:v1
	daemon_stop
	sqlite3 "$T/state/inventory.db" "UPDATE job SET specs = '//', outcome = 'pending'"
	daemon_start
	leases_are 1
	slurm_says 5 running
	sleep 1.5
	leases_are 1
	slurm_says 5 gone
	poll 10 leases_are 0
}
