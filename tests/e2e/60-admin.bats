#!/usr/bin/env bats
# What people do: pins, eviction, verification, repair, draining, reloading; who may what; exit codes.

load lib

setup()
{
	place_setup
	cp "$BUILD/larder" "$BUILD/tests/joblet" "$T/" 2>/dev/null || true
}
teardown() { place_teardown; }

here()
{
	dataset "$@"
	acquire 1 "$1" >/dev/null
	release 1
}

@test 'evict: gone at once, and the origin brings it back' {
	daemon_start
	here d:v1 5 1000
	code 0 larder evict d:v1
	contains "$output" d:v1
	no_tree d:v1
	code 3 larder evict d:v1
	equal "$(acquire 2 d:v1)" ready
}

@test 'evict refuses what a job holds and says who; --force asks; --force --yes does it' {
	daemon_start
	dataset d:v1 3 100
	acquire 4711 d:v1
	code 1 larder evict d:v1
	contains "$output" 4711
	code 2 larder evict --force d:v1 </dev/null
	tree_is d:v1 ready
	code 0 larder evict --force --yes d:v1
	no_tree d:v1
}

@test 'a pin keeps it, its end lets it go' {
	daemon_start
	here d:v1 3 100
	code 0 larder pin --for 1h --reason 'paper deadline' d:v1
	run larder show d:v1
	contains "$output" 'paper deadline'
	code 1 larder evict d:v1
	contains "$output" pin
	code 0 larder unpin d:v1
	code 0 larder evict d:v1
}

@test 'a pin ends by itself, within a reconcile period' {
	daemon_start 'reconcile_every = "1s"'
	here d:v1 3 100
	larder pin -q --for 5s d:v1
	code 1 larder evict d:v1
	poll 10 evicted_now d:v1
}

evicted_now() { larder evict -q "$1" 2>/dev/null; }

@test 'users pin within their quota, and only let go of their own' {
	daemon_start 'pin_quota = "1M"' 'pin_max = "2h"'
	here small:v1 2 1000 --access public
	here large:v1 2 1000000 --access public
	code 0 as $USER_A "$T/larder" pin --for 1h small:v1
	run as $USER_A "$T/larder" pin --for 1h large:v1
	[[ $status -ne 0 ]]
	run as $USER_A "$T/larder" pin --for 10h small:v1
	run larder show small:v1 --json
	between "$(jq '[.pins[].until] | max' <<<"$output")" 1 $(($(date +%s) + 7300))
	run as $USER_B "$T/larder" unpin small:v1
	[[ $status -ne 0 ]]
	run as $USER_B "$T/larder" unpin --all-users small:v1
	equal "$status" 5
	code 1 larder evict small:v1
	code 0 larder unpin --all-users small:v1
	code 0 larder evict small:v1
}

@test 'verify finds a flipped byte, repair brings it again' {
	daemon_start
	here d:v1 10 5000
	f=$(tree_data d:v1)/f00003
	code 0 larder verify d:v1
	touch -r "$f" "$T/stamp"
	printf x | dd of="$f" bs=1 seek=100 conv=notrunc status=none
	touch -r "$T/stamp" "$f"
	code 1 larder verify d:v1
	contains "$output" f00003
	lacks "$output" f00004
	# What verify found is not claimed any more; repair brings it again.
	code 0 larder repair d:v1
	poll 10 tree_is d:v1 ready
	same_tree "$(origin_of d:v1)" "$(tree_data d:v1)"
	code 0 larder verify d:v1
	between "$(counter scrub_failures)" 1 2
}

@test 'repair alone finds it, too, and brings it again' {
	daemon_start
	here d:v1 10 5000
	printf x | dd of="$(tree_data d:v1)/f00003" bs=1 seek=100 conv=notrunc status=none
	code 0 larder repair d:v1
	contains "$output" f00003
	poll 10 tree_is d:v1 ready
	same_tree "$(origin_of d:v1)" "$(tree_data d:v1)"
}

@test 'verify finds a file that is gone, and one that is too long' {
	daemon_start
	here d:v1 10 5000
	rm -f "$(tree_data d:v1)/f00001"
	printf x >>"$(tree_data d:v1)/f00002"
	code 1 larder verify --all
	contains "$output" f00001
	contains "$output" f00002
	larder repair --all
	poll 10 tree_is d:v1 ready
	same_tree "$(origin_of d:v1)" "$(tree_data d:v1)"
}

@test 'verify --all reads users'\'' own datasets, too: also two that have name and bytes in common' {
	daemon_start
	for user in $USER_A $USER_B; do
		make_files "$T/origin/$user" 0 1
		printf same >"$T/origin/$user/file"
		touch -d @1700000000 "$T/origin/$user/file"
		chown -R "$user" "$T/origin/$user"
		equal "$(joblet acquire "$user" 0 "$user" "mine=$T/origin/$user")" ready
		joblet release "$user" 0
	done
	code 0 larder verify --all
	bad=$(find "$T/tier/trees" -path '*/mine/own@*/data/file' | tail -n 1)
	equal "$(find "$T/tier/trees" -path '*/mine/own@*/data/file' | wc -l)" 2
	printf 'diff' >"$bad"
	touch -d @1700000000 "$bad"
	code 1 larder verify --all
	contains "$output" mine:own
	equal "$(larder ls --json | jq '[.trees[] | select(.state == "partial")] | length')" 1
}

@test 'gc removes what no row knows' {
	daemon_start
	here d:v1 3 100
	mkdir "$T/tier/trash/left-over"
	printf x >"$T/tier/trash/left-over/file"
	code 0 larder gc
	poll 10 trash_empty
	tree_is d:v1 ready
}

@test 'drain: no new requests, those that hold keep what they hold; resume' {
	dataset d:v1 3 100
	dataset e:v1 3 100
	daemon_start
	acquire 1 d:v1
	code 0 larder drain 'disk is being replaced'
	run larder status
	contains "$output" 'disk is being replaced'
	run acquire 2 e:v1
	[[ $status -ne 0 ]]
	contains "$output" 'disk is being replaced'
	joblet attach 1 0 -- true
	daemon_stop
	daemon_start
	run larder status
	contains "$output" 'disk is being replaced'
	code 0 larder resume
	equal "$(acquire 3 e:v1)" ready
}

@test 'reload takes what is new, and refuses what is wrong with file and line' {
	dataset d:v1 3 100
	daemon_start
	sed -i '1i wait_max = "7m"' "$T/larder.conf"
	code 0 larder reload
	sed -i '1i no_such_key = 3' "$T/larder.conf"
	code 1 larder reload
	contains "$output" 'larder.conf:1'
	equal "$(acquire 1 d:v1)" ready
}

@test 'transfer_bandwidth: what is under way keeps to it, and a reload lifts it at once' {
	dataset d:v1 20 1000000
	daemon_start 'transfer_bandwidth = "50K"' # 400 seconds
	code 0 larder stage d:v1
	sed -i '/^transfer_bandwidth/d' "$T/larder.conf"
	code 1 larder wait -q d:v1 --timeout 300ms
	code 0 larder reload
	code 0 larder wait -q d:v1 --timeout 60s
	tree_is d:v1 ready
}

@test 'transfer_cgroup: one that takes no threads is told, and the daemon works' {
	dataset d:v1 1 10
	daemon_start "transfer_cgroup = \"$T/nosuch\""
	equal "$(acquire 1 d:v1)" ready
	contains "$(cat "$T/larderd.log")" 'transfer.cgroup'
	code 0 "$LARDERD" -c "$T/larder.conf" --check-config
	contains "$output" 'warning: transfer_cgroup'
}

@test '--check-config: each kind of error has its line' {
	daemon_conf
	code 0 "$LARDERD" -c "$T/larder.conf" --check-config
	for line in 'no_such_key = 1' 'wait_max = "soon"' 'transfer_threads = "many"' 'policy = "fifo"' 'socket = "relative"' \
		'io_uring = 7' 'tier "x" { capacity = "120%" }' 'pin_quota = "-1"' 'wait_max = "10m'; do
		daemon_conf
		sed -i "3i $line" "$T/larder.conf"
		run "$LARDERD" -c "$T/larder.conf" --check-config
		[[ $status -ne 0 ]] || fail_with "accepted: $line"
		contains "$output" larder.conf
	done
}

@test '--check-config: an origin beneath the view root is refused' {
	dataset d:v1 1 10
	daemon_conf
	code 0 "$LARDERD" -c "$T/larder.conf" --check-config
	sed -i "s|^view_root = .*|view_root = \"$T/origin\"|" "$T/larder.conf"
	mv "$T/origin" "$T/origin.full"
	mkdir "$T/origin"
	code 1 "$LARDERD" -c "$T/larder.conf" --check-config
	contains "$output" "the origin of d:v1 ($T/origin/d-v1) lies beneath view_root"
}

@test 'a daemon that cannot start says why, and exits with 1' {
	daemon_start
	code 1 "$LARDERD" -c "$T/larder.conf"
	contains "$output" 'one larderd, one state_dir'
	equal "$(larder df -h -o TIER)" local
}

@test 'larderd makes the view root' {
	rmdir "$T/view"
	daemon_start
	equal "$(stat -c '%F %a' "$T/view")" 'directory 755'
}

@test 'show has everything of one dataset' {
	dataset d:v1 3 1000
	daemon_start
	acquire 4711 d:v1
	larder pin -q d:v1
	run larder show d:v1 --json
	equal "$(jq -r '.trees[0].name, .trees[0].state, .leases[0].job, (.pins | length)' <<<"$output" | xargs)" 'd ready 4711 1'
	run larder show d
	contains "$output" ready
	contains "$output" 4711
	code 3 larder show nosuch:v1
	code 3 larder show d:v9
}

@test 'jobs shows the leases that they hold, to a user their own' {
	dataset d:v1 3 1000 --access public
	dataset e:v1 2 10 --access public
	daemon_start
	joblet acquire 4711 0 $USER_A d:v1,e:v1
	joblet acquire 4712 0 $USER_B e:v1
	run larder jobs --json
	equal "$(jq -c '[.leases[] | [.job, .dataset]]' <<<"$output")" \
		'[[4711,"d:v1"],[4711,"e:v1"],[4712,"e:v1"]]'
	equal "$(jq '.leases[0].size' <<<"$output")" 3000
	run as $USER_B "$T/larder" jobs --json
	equal "$(jq -c '[.leases[] | [.job, .dataset]]' <<<"$output")" '[[4712,"e:v1"]]'
	run larder jobs
	contains "$output" Leases
	joblet release 4711 0
	equal "$(larder jobs --json | jq '.leases | length')" 1
}

@test 'status -v has every counter with its value; status has none' {
	dataset d:v1 3 1000
	daemon_start
	acquire 1 d:v1
	acquire 2 d:v1
	run larder status -v --json
	equal "$(jq -c '[.counters[] | select(.counter | IN("acquires", "hits", "misses", "hit_bytes")) |
		[.counter, .value]]' <<<"$output")" '[["acquires",2],["hits",1],["misses",1],["hit_bytes",3000]]'
	equal "$(jq '.counters | length' <<<"$output")" "$(grep -c '^LARDER_COUNTER' "$TOP/include/larder/counter.def")"
	run larder status -v
	contains "$output" 'datasets that a job found ready'
	run larder status
	lacks "$output" 'datasets that a job found ready'
}

@test 'jobs and explain' {
	dataset d:v1 3 1000
	daemon_start
	acquire 4711 d:v1
	acquire 4712 nosuch:v1 || true
	run larder jobs --json
	equal "$(jq -r '.jobs[] | select(.job == 4711) | .state' <<<"$output")" ready
	equal "$(jq -r '.jobs[] | select(.job == 4712) | .state' <<<"$output")" failed
	code 0 larder explain 4711
	contains "$output" d:v1
	code 0 larder explain 4712
	contains "$output" nosuch
	code 0 larder explain d:v1
	[[ -n $output ]]
	code 3 larder explain 99999
}

@test 'log --trace: jobs and what they used, as the simulator reads it' {
	dataset traced:v1 3 5000
	daemon_start
	acquire 41 traced:v1
	acquire 42 traced:v1
	release 41
	run larder log --trace
	equal "$status" 0
	contains "${lines[0]}" '# larder trace 1'
	equal "$(grep -c ' traced:v1 ' <<<"$output")" 1
	[[ $output =~ \ 41\.0\ u1\ traced:v1\ 15000\ miss\ [0-9.]+\ [0-9.]+ ]] || fail_with "$output"
	release 42
	contains "$(larder log --trace --names)" ' 42.0 root traced:v1 15000 hit 0.000 '
}

@test 'log: what happened, the newest N, by kind, and going on' {
	daemon_start
	here d:v1 3 100
	larder evict -q d:v1
	run larder log --json
	contains "$output" d:v1
	between "$(larder log --json --limit 1 | jq '.events | length')" 1 1
	equal "$(larder log --json --what evict | jq -r '[.events[].what | startswith("evict")] | all')" true
	timeout 5 larder log -f >"$T/follow" 3>&- &
	poll 4 grep -q evict "$T/follow"
	acquire 9 d:v1
	poll 4 grep -q stage "$T/follow"
	kill %2 2>/dev/null || true
}

@test 'users see what they may see' {
	daemon_start
	dataset open:v1 2 100 --access public
	dataset theirs:v1 2 100 --access "users=$USER_B"
	joblet acquire 1 0 $USER_A open:v1
	joblet acquire 2 0 $USER_B theirs:v1
	run as $USER_A "$T/larder" ls
	contains "$output" open
	lacks "$output" theirs
	run as $USER_A "$T/larder" jobs
	contains "$output" open
	lacks "$output" theirs
	code 3 as $USER_A "$T/larder" show theirs:v1
	# Neither here nor not here: it reads like one that does not exist.
	run as $USER_A "$T/larder" explain theirs:v1
	forbidden=$output
	run as $USER_A "$T/larder" explain nobody:v1
	equal "${forbidden//theirs/X}" "${output//nobody/X}"
	run as $USER_A "$T/larder" metrics
	lacks "$output" theirs
	run as $USER_A "$T/larder" status --json
	lacks "$output" theirs
	run as $USER_A "$T/larder" explain 2
	[[ $status -ne 0 ]]
	lacks "$output" theirs
}

@test 'metrics: every counter of the table, each with its help, and the file for node_exporter' {
	daemon_start "metrics_file = \"$T/metrics.prom\""
	here d:v1 3 100
	run larder metrics
	while read -r name; do
		contains "$output" "# HELP larder_$name"
		contains "$output" "# TYPE larder_$name"
	done < <(sed -n 's/^LARDER_COUNTER(\([a-z_]*\),.*/\1/p' "$TOP/include/larder/counter.def")
	poll 20 test -s "$T/metrics.prom"
}

@test 'several nodes: a NODE column, silent ones are named, exit code 1; all silent, 4' {
	daemon_start
	here d:v1 2 10
	mkdir "$T/e1" && ln -s ../larderd.sock "$T/e1/sock"
	export LARDER_SOCKET=$T/%n/sock
	code 1 larder -w e1,e2 ls
	contains "$output" NODE
	contains "$output" 'e2: larderd is not running'
	contains "$output" d
	code 4 larder -w 'e[2-4]' ls
	equal "$(larder -w e1 ls --raw -h -o NAME)" d
	equal "$(larder -w e1,e1 ls --raw -h -o NAME)" d
	code 2 larder -w 'e[2-' ls
}

begun() { grep -o 'stage.begin dataset=[^ ]*' "$T/larderd.log" | sed 's/.*=//' | xargs; }
runs() { larder status --json | jq -e '.transfers[] | select(.dataset == "big:v1")' >/dev/null; }

@test 'stage --priority: the larger number goes first when a place is free; it is for admins' {
	dataset big:v1 10 4000000
	dataset a:v1 2 1000
	dataset b:v1 2 1000
	daemon_start 'max_transfers = 1' 'transfer_bandwidth = "50K"' # 800 seconds
	larder stage -q big:v1
	poll 10 runs
	larder stage -q a:v1
	larder stage -q --priority 5 b:v1
	sed -i '/^transfer_bandwidth/d' "$T/larder.conf"
	larder reload
	larder wait -q a:v1 b:v1
	equal "$(begun)" 'big:v1 b:v1 a:v1'
	cp "$BUILD/larder" "$T/larder"
	code 5 as $USER_A "$T/larder" stage --priority 1 a:v1
	contains "$output" 'for admins'
}

@test 'larder loads no library of the network, and says what is missing where it cannot hand over' {
	local needed
	needed=$(readelf -d "$BUILD/larder")
	contains "$needed" 'libc.so'
	for library in curl munge sodium crypto jansson microhttpd; do lacks "$needed" "lib$library"; done
	# Alone it does what is this host's.
	daemon_start
	dataset d:v1 2 10
	mkdir "$T/alone"
	cp "$BUILD/larder" "$T/alone/larder"
	code 0 "$T/alone/larder" stage -q --wait d:v1
	contains "$("$T/alone/larder" ls)" d
	[[ ! -e /usr/libexec/larder/larder-whole ]] || skip 'Larder is installed here'
	code 1 "$T/alone/larder" publish e:v1 --from "$(origin_of d:v1)"
	contains "$output" 'cannot start /usr/libexec/larder/larder-whole'
	code 1 "$T/alone/larder" -w 127.0.0.9 ls
	contains "$output" 'install all of Larder'
}

@test 'words reach larder-whole as they were typed' {
	mkdir -p "$T/usr/bin" "$T/usr/libexec/larder"
	cp "$BUILD/larder" "$T/usr/bin/larder"
	printf '#!/bin/sh\nfor word; do printf "<%%s>" "$word"; done; exit 3\n' >"$T/usr/libexec/larder/larder-whole"
	chmod 755 "$T/usr/libexec/larder/larder-whole"
	code 3 "$T/usr/bin/larder" --catalog /c publish -n --from '/a b' e:v1 --alias=x
	equal "$output" '<--catalog></c><publish><-n><--from></a b><e:v1><--alias=x>'
}

@test 'what asks other machines asks and says nothing twice' {
	mkdir -p "$T/usr/bin" "$T/usr/libexec/larder"
	cp "$BUILD/larder" "$T/usr/bin/larder"
	printf '#!/bin/sh\necho handed over\n' >"$T/usr/libexec/larder/larder-whole"
	chmod 755 "$T/usr/libexec/larder/larder-whole"
	for words in '-w 127.0.0.9 evict --force d:v1' 'evict --fleet --force d:v1' '-w 127.0.0.9 log --trace'; do
		# on a terminal, where a question is asked and each line shows at once
		said=$(script -qec "$T/usr/bin/larder $words" /dev/null <<<y)
		contains "$said" 'handed over'
		lacks "$said" '[y/N]'
		lacks "$said" 'larder trace'
	done
}

@test 'larder-whole is sought where it is installed, also when that is said only after the build' {
	local place object=obj/daemon/ctl/whole_elsewhere.o
	for place in /one /two; do
		env -u MAKEFLAGS -u MAKELEVEL make -s -C "$BATS_TEST_DIRNAME/../.." BUILD="$T/build" LIBEXECDIR="$place" "$T/build/$object"
		grep -qaF "$place/larder-whole" "$T/build/$object"
	done
}

@test 'larder-prolog-slurmctld: only a job that wants something staged starts larder-prolog-stage' {
	local job
	mkdir "$T/libexec"
	cp "$BUILD/larder-prolog-slurmctld" "$T/libexec/"
	printf '#!/bin/sh\necho "$*" >%s/staged\n' "$T" >"$T/libexec/larder-prolog-stage"
	chmod 755 "$T/libexec/larder-prolog-stage"
	job=(env SLURM_JOB_ID=1 SLURM_JOB_UID=0 SLURM_JOB_GID=0 SLURM_JOB_NODELIST=n1)
	for option in '' dataset=none dataset=mine=/data; do
		"${job[@]}" ${option:+SPANK__SLURM_SPANK_OPTION_larder_$option} "$T/libexec/larder-prolog-slurmctld" --wait 1s
		[[ ! -e $T/staged ]]
	done
	"${job[@]}" SPANK__SLURM_SPANK_OPTION_larder_dataset=d:v1 "$T/libexec/larder-prolog-slurmctld" --wait 1s
	equal "$(<"$T/staged")" '--wait 1s'
	# Without it the job starts all the same, and where it lacks a library (127) or crashes.
	for end in 'exit 127' 'kill -SEGV $$'; do
		printf '#!/bin/sh\n%s\n' "$end" >"$T/libexec/larder-prolog-stage"
		"${job[@]}" SPANK__SLURM_SPANK_OPTION_larder_dataset=d:v1 "$T/libexec/larder-prolog-slurmctld"
	done
	chmod 644 "$T/libexec/larder-prolog-stage"
	"${job[@]}" SPANK__SLURM_SPANK_OPTION_larder_dataset=d:v1 "$T/libexec/larder-prolog-slurmctld"
	rm "$T/libexec/larder-prolog-stage"
	"${job[@]}" SPANK__SLURM_SPANK_OPTION_larder_dataset=d:v1 "$T/libexec/larder-prolog-slurmctld"
}

@test 'larder-prolog-slurmctld: a signal ends larder-prolog-stage, too' {
	mkdir "$T/libexec"
	cp "$BUILD/larder-prolog-slurmctld" "$T/libexec/"
	mkfifo "$T/began"
	printf '#!/bin/sh\ntrap "echo told >%s/ended; exit 0" TERM\necho $$ >%s/began\nwhile :; do sleep 0.05; done\n' "$T" "$T" >"$T/libexec/larder-prolog-stage"
	chmod 755 "$T/libexec/larder-prolog-stage"
	SLURM_JOB_ID=1 SPANK__SLURM_SPANK_OPTION_larder_dataset=d:v1 "$T/libexec/larder-prolog-slurmctld" 3>&- &
	local program=$! stage
	stage=$(<"$T/began")
	kill "$program"
	wait "$program"
	equal "$(<"$T/ended")" told
	if kill -0 "$stage" 2>/dev/null; then fail_with 'larder-prolog-stage outlived it'; fi
}
