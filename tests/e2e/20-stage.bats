#!/usr/bin/env bats
# What is staged is the origin, byte for byte and name for name; once for all who ask; and read-only to a task.

load lib

setup() { place_setup; }
teardown() { place_teardown; }

@test 'cold: a job gets exactly what the origin has' {
	dataset d:v1 30 20000
	daemon_start
	equal "$(acquire 1 d:v1)" ready
	tree_is d:v1 ready
	same_tree "$(origin_of d:v1)" "$(tree_data d:v1)"
	equal "$(counter misses)" 1
	equal "$(counter origin_bytes)" 600000
}

@test 'warm: nothing is read again' {
	dataset d:v1 30 20000
	daemon_start
	acquire 1 d:v1
	release 1
	mv "$(origin_of d:v1)" "$T/elsewhere" && mkdir "$(origin_of d:v1)"
	equal "$(acquire 2 d:v1)" ready
	equal "$(counter hits)" 1
	equal "$(counter origin_bytes)" 600000
}

holds_files() { find "/proc/$DAEMON/fd" -lname "$1" | wc -l; }
holds_no_files() { [[ $(holds_files "$1") -eq 0 ]]; }

# That of a user's own dataset is as long as its list of files, and has no name: what is open takes room.
@test 'a job that runs keeps no manifest open' {
	dataset d:v1 3 100
	daemon_start
	make_files "$T/own" 3 100
	for job in 1 2; do
		equal "$(acquire $job d:v1)" ready
		equal "$(acquire 1$job "mine=$T/own")" ready
	done
	poll 5 holds_no_files "$T/catalog/*"
	poll 5 holds_no_files "$T/state/*(deleted)"
}

@test 'latest: no version means what the alias says' {
	dataset d:v1 3 100
	dataset d:v2 4 100
	daemon_start
	acquire 1 d
	tree_is d:v2 ready
	no_tree d:v1
}

@test 'what submission fixed wins over what latest says now' {
	dataset d:v1 3 100
	digest=$(larder catalog ls d --json -l | jq -r '.catalog[] | select(.version == "v1") | .digest')
	dataset d:v2 4 100
	daemon_start
	acquire 1 d --fixed "d:v1@$digest"
	tree_is d:v1 ready
	no_tree d:v2
}

@test 'a digest that is not the catalog'\''s is refused' {
	dataset d:v1 3 100
	daemon_start
	code 1 acquire 1 d:v1@0123456789abcdef0123456789abcdef
	contains "$output" failed
	no_tree d:v1
}

@test 'join: twenty jobs at once, one transfer' {
	dataset d:v1 40 50000
	daemon_start
	pids=()
	for job in {1..20}; do
		acquire "$job" d:v1 >"$T/job.$job" 3>&- &
		pids+=($!)
	done
	wait "${pids[@]}"
	equal "$(cat "$T"/job.* | sort | uniq -c | xargs)" '20 ready'
	equal "$(counter origin_bytes)" 2000000
	equal "$(counter misses)" 1
	equal "$(($(counter joins) + $(counter hits)))" 19
	leases_are 20
}

@test 'the same job twice: a prolog that asks again changes nothing' {
	dataset d:v1 3 100
	daemon_start
	acquire 1 d:v1
	acquire 1 d:v1
	leases_are 1
	release 1
	leases_are 0
	release 1
}

@test 'v1 to v2: only what changed is fetched, the rest is linked' {
	dataset d:v1 20 10000
	daemon_start
	acquire 1 d:v1
	cp -a "$(origin_of d:v1)" "$T/origin/d-v2"
	head -c 10000 /dev/urandom >"$T/origin/d-v2/f00003"
	printf new >"$T/origin/d-v2/new"
	rm "$T/origin/d-v2/f00004"
	publish d:v2 "$T/origin/d-v2"
	acquire 2 d:v2
	same_tree "$T/origin/d-v2" "$(tree_data d:v2)"
	same_tree "$(origin_of d:v1)" "$(tree_data d:v1)"
	equal "$(counter origin_bytes)" $((200000 + 10000 + 3))
	equal "$(counter reused_bytes)" 180000
	equal "$(stat -c %h "$(tree_data d:v2)/f00000")" 2
	equal "$(stat -c %h "$(tree_data d:v2)/f00003")" 1
}

@test 'versions with different access share no bytes' {
	dataset d:v1 5 10000 --access public
	daemon_start
	acquire 1 d:v1
	publish d:v2 "$(origin_of d:v1)"
	acquire 2 d:v2
	equal "$(stat -c %h "$(tree_data d:v2)/f00000")" 1
}

@test 'strange names: spaces, newlines, UTF-8, 255 bytes, deep paths, names that look like paths' {
	o=$T/origin/names-v1
	mkdir -p "$o/a b/c  d"
	long=$(printf '%0255d' 7)
	deep=$o
	for _ in {1..40}; do deep+=/d; done
	mkdir -p "$deep"
	i=0
	for name in 'two words' $'new\nline' $'tab\there' 'Grüße 日本 🐟' $'latin-\xe9-\xff' "$long" '%41' '%2F' '...' '-rf' \
		'*' '$(touch x)' '"quoted"' "it's" 'a\b' '~' '#x' 'ends ' ' starts'; do
		i=$((i + 1))
		printf 'content %d' "$i" >"$o/$name"
		printf 'below %d' "$i" >"$o/a b/c  d/$name"
	done
	printf x >"$deep/leaf"
	publish names:v1 "$o"
	daemon_start
	equal "$(acquire 1 names:v1)" ready
	same_tree "$o" "$(tree_data names:v1)"
	equal "$(larder ls --json names:v1 | jq '.trees[0].coverage')" 100
}

@test 'empty files, empty directories, no file at all' {
	o=$T/origin/e-v1
	mkdir -p "$o/empty dir/in" "$o/full"
	touch "$o/one" "$o/full/two"
	publish e:v1 "$o"
	mkdir "$T/origin/n-v1"
	publish n:v1 "$T/origin/n-v1"
	daemon_start
	acquire 1 e:v1,n:v1
	same_tree "$o" "$(tree_data e:v1)"
	equal "$(find "$(tree_data n:v1)" | wc -l)" 1
	tree_is n:v1 ready
	# Empty files are made, never linked: ten thousand of them would meet EMLINK.
	publish e:v2 "$o"
	equal "$(stat -c %h "$(tree_data e:v1)/one")" 1
}

@test 'sparse files and files at the edges of block sizes' {
	o=$T/origin/s-v1
	mkdir "$o"
	truncate -s 8M "$o/hole"
	printf x | dd of="$o/hole" bs=1 seek=5000000 conv=notrunc status=none
	for size in 1 511 512 513 4095 4096 4097 65535 65536 65537 1048575 1048576 1048577 3000001; do
		head -c $size /dev/urandom >"$o/f$size"
	done
	publish s:v1 "$o"
	daemon_start
	acquire 1 s:v1
	same_tree "$o" "$(tree_data s:v1)"
}

@test 'symlinks inside the tree come along, those that leave it are refused at publication' {
	o=$T/origin/l-v1
	mkdir -p "$o/a/b"
	printf x >"$o/file"
	ln -s file "$o/rel"
	ln -s ../../file "$o/a/b/up"
	ln -s nowhere "$o/dangling"
	ln -s a/b "$o/dir"
	publish l:v1 "$o"
	daemon_start
	acquire 1 l:v1
	same_tree "$o" "$(tree_data l:v1)"
	ln -s /etc/passwd "$o/out"
	code 1 larder publish -q l:v2 --from "$o"
	contains "$output" out
	rm "$o/out"
	ln -s ../../secret "$o/out"
	code 1 larder publish -q l:v2 --from "$o"
}

@test 'modes: executable bits stay, everything else is read-only and root'\''s, setuid goes' {
	o=$T/origin/m-v1
	mkdir "$o"
	printf x >"$o/plain"; chmod 640 "$o/plain"
	printf x >"$o/tool"; chmod 755 "$o/tool"
	printf x >"$o/suid"; chmod 4755 "$o/suid"
	chown $USER_A "$o/plain"
	publish m:v1 "$o"
	daemon_start
	acquire 1 m:v1
	d=$(tree_data m:v1)
	equal "$(stat -c '%a %u' "$d/plain")" '444 0'
	equal "$(stat -c '%a %u' "$d/tool")" '555 0'
	equal "$(stat -c '%a %u' "$d/suid")" '555 0'
	equal "$(stat -c '%a %u' "$d")" '555 0'
	equal "$(stat -c %Y "$d/plain")" "$(stat -c %Y "$o/plain")"
}

@test 'a task sees its datasets read-only, in its own namespace, with their variables' {
	dataset my-set.x:v1 3 100 --access public
	daemon_start
	acquire 5 my-set.x:v1
	joblet attach 5 0 -- sh -c 'ls "$DATASET_MY_SET_X_DIR" && echo "$DATASET_MY_SET_X_STATE $DATASET_MY_SET_X_VERSION"' >"$T/seen" 2>"$T/line"
	contains "$(<"$T/seen")" f00000
	contains "$(<"$T/seen")" 'ready v1'
	contains "$(<"$T/line")" "my-set.x:v1 ready at $T/view/my-set.x/v1"
	contains "$(<"$T/line")" '0 % from cache'
	acquire 6 my-set.x:v1
	run joblet attach 6 0
	contains "$output" '100 % from cache'
	run joblet attach 5 0 -- touch "$T/view/my-set.x/v1/f00000"
	contains "$output" 'Read-only'
	run joblet attach 5 0 -- rm "$T/view/my-set.x/v1/f00000"
	[[ $status -ne 0 ]]
	# Nothing of it is on the host.
	equal "$(find "$T/view" -mindepth 1)" ''
	lacks "$(</proc/self/mountinfo)" "$T/view"
}

@test 'the mount is nosuid and nodev' {
	dataset d:v1 1 10
	daemon_start
	acquire 5 d:v1
	run joblet attach 5 0 -- awk -v at="$T/view/d/v1" '$5 == at { print $6 }' /proc/self/mountinfo
	contains "$output" ro
	contains "$output" nosuid
	contains "$output" nodev
}

@test 'a step may name a part of what its job leased, nothing else' {
	dataset a:v1 2 10
	dataset b:v1 2 10
	daemon_start
	acquire 5 a:v1
	joblet attach 5 1 --specs a:v1 -- test -e "$T/view/a/v1/f00000"
	code 1 joblet attach 5 1 --specs b:v1
	contains "$output" b
	code 1 joblet attach 5 1 --specs a:v2
	code 1 joblet attach 5 1 --uid $USER_A
	code 1 joblet attach 6 1
}

@test 'subset: a job that asks for a part waits for that part only' {
	o=$T/origin/p-v1
	make_files "$o/train" 10 1000
	make_files "$o/val" 5 1000
	publish p:v1 "$o"
	daemon_start
	equal "$(acquire 1 p:v1/val)" ready
	equal "$(find "$(tree_data p:v1)" -type f | wc -l)" 5
	tree_is p:v1 partial
	equal "$(acquire 2 'p:v1/train/f0000[0-3]')" ready
	equal "$(find "$(tree_data p:v1)" -type f | wc -l)" 9
	equal "$(acquire 3 p:v1)" ready
	tree_is p:v1 ready
	equal "$(counter origin_bytes)" 15000
}

@test 'a subset that matches nothing fails the job with a sentence' {
	dataset d:v1 3 10
	daemon_start
	code 1 acquire 1 d:v1/nothing-here
	contains "$output" nothing-here
	leases_are 0
}

@test 'a user'\''s own dataset: scanned as that user, private to that user, only the difference is fetched again' {
	o=$T/origin/own
	make_files "$o" 5 1000
	chown -R $USER_A "$o"
	chmod 700 "$o"
	daemon_start
	equal "$(joblet acquire 1 0 $USER_A "mine=$o")" ready
	code 1 joblet acquire 2 0 $USER_B "mine=$o"
	joblet release 1 0
	printf more >"$o/more"
	chown $USER_A "$o/more"
	before=$(counter origin_bytes)
	equal "$(joblet acquire 3 0 $USER_A "mine=$o")" ready
	equal "$(($(counter origin_bytes) - before))" 4
	joblet attach 3 0 --uid $USER_A -- test -e "$T/view/mine/own/more"
	cp "$BUILD/larder" "$T/larder"
	lacks "$(as $USER_B "$T/larder" ls 2>&1)" mine
	contains "$(as $USER_A "$T/larder" ls)" mine
}

@test 'access=origin: who cannot read the origin gets nothing, and reads nothing of it' {
	dataset secret:v1 3 10
	chown -R $USER_A "$(origin_of secret:v1)"
	chmod 700 "$(origin_of secret:v1)"
	daemon_start
	equal "$(joblet acquire 1 0 $USER_A secret:v1)" ready
	run joblet acquire 2 0 $USER_B secret:v1
	equal "$status" 1
	# A forbidden one reads like an unknown one.
	forbidden=$output
	run joblet acquire 3 0 $USER_B secrex:v1
	equal "${forbidden//secret/X}" "${output//secrex/X}"
	cp "$BUILD/larder" "$T/larder"
	lacks "$(as $USER_B "$T/larder" ls)" secret
	lacks "$(as $USER_B "$T/larder" jobs --json | jq '.jobs[] | select(.job == 1)')" secret
	contains "$(as $USER_A "$T/larder" ls)" secret
}

@test 'access=users and public: the origin'\''s own permissions do not count' {
	dataset u:v1 2 10 --access "users=$USER_A"
	dataset pub:v1 2 10 --access public
	chmod 700 "$(origin_of u:v1)" "$(origin_of pub:v1)"
	daemon_start
	equal "$(joblet acquire 1 0 $USER_A u:v1)" ready
	code 1 joblet acquire 2 0 $USER_B u:v1
	equal "$(joblet acquire 3 0 $USER_B pub:v1)" ready
}

@test 'a right withdrawn at the origin ends here within access_ttl' {
	dataset d:v1 2 10
	daemon_start 'access_ttl = "1s"'
	equal "$(joblet acquire 1 0 $USER_A d:v1)" ready
	joblet release 1 0
	chmod 700 "$(origin_of d:v1)"
	poll 5 acquire_refused 2 d:v1
}

acquire_refused()
{
	! joblet acquire "$1" 0 $USER_A "$2" 2>/dev/null || { joblet release "$1" 0; return 1; }
}

@test 'mode bypass leaves the cache alone' {
	dataset d:v1 2 10
	daemon_start
	equal "$(acquire 1 d:v1 --mode bypass)" bypass
	no_tree d:v1
	run joblet attach 1 0
	contains "$output" "DATASET_D_DIR=$(origin_of d:v1)"
	contains "$output" 'DATASET_D_STATE=bypass'
}

@test 'wait=none: the job starts at once, the transfer goes on' {
	dataset d:v1 20 500000
	daemon_start
	run acquire 1 d:v1 --wait none
	[[ $output == partial* || $output == ready* ]]
	poll 20 tree_is d:v1 ready
	same_tree "$(origin_of d:v1)" "$(tree_data d:v1)"
}

@test 'a bounded wait that is over: on-fail decides, and the sentence names the bound' {
	dataset d:v1 3000 20000
	daemon_start 'transfer_threads = 1'
	code 1 acquire 1 d:v1 --wait 100
	contains "$output" dataset-wait
	contains "$output" dataset-on-fail
	leases_are 0
	run acquire 2 d:v1 --wait 100 --on-fail bypass
	contains "$output" bypass
}

@test 'stage and wait from the CLI; progress on stderr; a second stage has nothing to do' {
	dataset d:v1 20 100000
	daemon_start
	code 0 larder stage --wait d:v1
	tree_is d:v1 ready
	leases_are 0
	code 0 larder stage d:v1
	contains "$output" ready
	code 0 larder wait d:v1 --timeout 5s
	code 3 larder wait nosuch:v1 --timeout 1s
	code 3 larder stage nosuch:v1
}

engine_shown() { [[ $(larder status --json | jq -r '.transfers[0].engine') == 'same device: '* ]]; }

@test 'status and the log say how a dataset is copied' {
	make_files "$(origin_of d:v1)" 5 1000
	head -c 2500000 /dev/urandom >"$(origin_of d:v1)/big"
	publish d:v1 "$(origin_of d:v1)"
	daemon_start 'transfer_bandwidth = "20K"'
	code 0 larder stage d:v1
	poll 20 engine_shown
	sed -i '/^transfer_bandwidth/d' "$T/larder.conf"
	code 0 larder reload
	code 0 larder wait -q d:v1 --timeout 60s
	contains "$(grep stage.end "$T/larderd.log")" 'engine="same device: '
	contains "$(grep stage.end "$T/larderd.log")" 'small whole"'
}

@test 'a small dataset does not wait behind a huge one' {
	dataset huge:v1 400 50000
	dataset small:v1 10 1000
	daemon_start 'transfer_bandwidth = "500K"' # 40 seconds for the huge one
	code 0 larder stage huge:v1
	poll 20 something_came
	code 0 larder stage -q --wait small:v1
	tree_is small:v1 ready
	tree_is huge:v1 staging
	sed -i '/^transfer_bandwidth/d' "$T/larder.conf"
	code 0 larder reload
	code 0 larder wait -q huge:v1 --timeout 60s
	same_tree "$(origin_of huge:v1)" "$(tree_data huge:v1)"
}

something_came() { (($(counter origin_bytes) > 0)) || [[ $(larder status --json | jq '.transfers[0].done') -gt 0 ]]; }

@test 'stage --wait answers when the stage is over, not at its next look' {
	local i began asked quick=0
	for i in {1..6}; do dataset "d$i:v1" 2 1000 && dataset "e$i:v1" 2 1000; done
	daemon_start
	for i in {1..6}; do
		began=${EPOCHREALTIME/[.,]/}
		larder stage -q "e$i:v1" # what asking alone takes on this machine now
		asked=${EPOCHREALTIME/[.,]/}
		larder stage -q --wait "d$i:v1"
		(((${EPOCHREALTIME/[.,]/} - asked) >= asked - began + 450000)) || quick=$((quick + 1))
	done
	((quick > 1)) # rows come every 500 ms; a slow disk may take that long now and then
}
