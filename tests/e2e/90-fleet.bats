#!/usr/bin/env bats
# What nodes tell the fleet, and to whom: the requests of larder-sched, on the socket and between machines.

load lib

setup()
{
	place_setup
	cp "$BUILD/tests/asknode" "$T/asknode" # where ordinary users can run it
}

teardown()
{
	local pid
	for pid in "${MUNGED[@]}"; do
		# faketime is the parent of what it runs, and removes its shared memory when that ends
		pkill -P "$pid" || kill "$pid" 2>/dev/null || true
		wait "$pid" 2>/dev/null || true
	done
	place_teardown
}

ask() { "$T/asknode" "$@"; }

# munged_start NAME [COMMAND…]: one of this test's realm, at $T/NAME/socket; COMMAND runs it in another world.
MUNGED=()
munged_start()
{
	local dir=$T/$1
	shift
	mkdir "$dir"
	[[ -e $T/munge.key ]] || (umask 077 && head -c 128 /dev/urandom >"$T/munge.key")
	"$@" munged --foreground --force --socket="$dir/socket" --key-file="$T/munge.key" --pid-file="$dir/pid" \
		--log-file="$dir/log" --seed-file="$dir/seed" </dev/null >"$dir/out" 2>&1 3>&- &
	MUNGED+=($!)
	poll 10 munge_answers "$dir/socket" || fail_with "munged does not answer: $(cat "$dir/out" "$dir/log")"
}
munge_answers() { munge --socket="$1" --no-input >/dev/null 2>&1; }

# fleet_start [LINE…]: a munged, and a daemon that others may ask; $ADDRESS is where.
fleet_start()
{
	[[ -S $T/munge/socket ]] || munged_start munge
	daemon_conf 'fleet_listen = "127.0.0.1:0"' "munge_socket = \"$T/munge/socket\"" "$@"
	daemon_start
	ADDRESS=$(listening)
}
listening() { sed -nE 's/.*fleet\.listen address=([0-9.]+):0 port=([0-9]+).*/\1:\2/p' "$T/larderd.log" | tail -n 1; }

# net [OPTION…] MESSAGE FIELD…: over the network, as whoever runs it.
net() { "$T/asknode" --net "$ADDRESS" --node e1 --munge "$T/munge/socket" "$@"; }
net_as() { as "$1" "$T/asknode" --net "$ADDRESS" --node e1 --munge "$T/munge/socket" "${@:2}"; }

# post BODY CREDENTIAL: what anybody can do with curl; prints the HTTP status.
post()
{
	curl -s -o "$T/reply" -w '%{http_code}' --data-binary "@$1" -H "Authorization: MUNGE $(cat "$2")" "http://$ADDRESS/larder/1"
}

@test 'what only the fleet may ask is refused to ordinary users, and fleet_users may' {
	dataset imagenet:v3 2 1000
	daemon_start
	code 1 as $USER_A "$T/asknode" MAY 0 0 imagenet v3
	contains "$output" EPERM
	contains "$output" fleet_users
	ask MAY $USER_A $USER_A imagenet v3
	daemon_stop
	daemon_conf 'fleet_users = { "nobody" }'
	daemon_start
	as "$(id -u nobody)" "$T/asknode" MAY $USER_A $USER_A imagenet v3
	code 1 as $USER_A "$T/asknode" MAY $USER_A $USER_A imagenet v3
}

@test 'MAY tells who may see a dataset, by the right to its origin' {
	dataset secret:v1 2 1000
	chmod 750 "$(origin_of secret:v1)"
	dataset open:v1 2 1000 --access public
	daemon_start
	ask MAY 0 0 secret v1
	code 1 ask MAY $USER_A $USER_A secret v1
	ask MAY $USER_A $USER_A open v1
	code 1 ask MAY $USER_A $USER_A nosuch v1
	code 1 ask MAY $USER_A $USER_A '../x' v1
	contains "$output" EINVAL
}

@test 'what larder-sched answers is refused by a node, with a sentence' {
	daemon_start
	code 1 ask FLEET_STATUS
	contains "$output" "larder-sched's to answer"
	daemon_alive
}

# --- over the network ---

@test 'another machine is answered as the socket answers, each user as themselves' {
	dataset open:v1 2 1000 --access public
	dataset secret:v1 2 1000
	chmod 750 "$(origin_of secret:v1)"
	fleet_start
	net STAGE secret:v1 0
	net STAGE open:v1 0
	poll 10 tree_is secret:v1 ready
	poll 10 tree_is open:v1 ready
	diff <(net LIST '' | grep TREE) <(ask LIST '' | grep TREE)
	equal "$(net LIST '' | grep -c TREE)" 2
	net_as $USER_A LIST '' >"$T/seen"
	contains "$(cat "$T/seen")" name=open
	lacks "$(cat "$T/seen")" secret
	code 1 net_as $USER_A STAGE secret:v1 0
	code 1 net_as $USER_A DRAIN now
	contains "$output" admin_groups
	code 1 net_as $USER_A MAY 0 0 secret v1
	net MAY 0 0 secret v1
}

@test "what is the plugin's is never taken from another machine, not even from its root" {
	dataset imagenet:v3 2 1000
	fleet_start
	code 1 net ACQUIRE 7 0 0 0 imagenet:v3 '' 0 -1 0
	contains "$output" 'never'
	code 1 net AWAIT 7 0 100
	code 1 net ATTACH 7 0 0 ''
	code 1 net RELEASE 7 0
	equal "$(leases)" 0
	acquire 7 imagenet:v3
	code 1 net RELEASE 7 0
	equal "$(leases)" 1
}

@test 'a request that was heard on the wire is refused the second time' {
	fleet_start
	ask --node e1 --munge "$T/munge/socket" --write "$T/body" "$T/cred" PING
	equal "$(post "$T/body" "$T/cred")" 200
	equal "$(post "$T/body" "$T/cred")" 401
	contains "$(cat "$T/reply")" 'used before'
	ask --node e1 --munge "$T/munge/socket" --write "$T/body" "$T/cred" PING
	ask --node e1 --munge "$T/munge/socket" --write "$T/other" "$T/unused" DRAIN now
	equal "$(post "$T/other" "$T/cred")" 401
	contains "$(cat "$T/reply")" 'another request'
	poll 5 grep -q 'fleet.refused address=127.0.0.1' "$T/larderd.log"
}

@test "another node's credential is none here" {
	fleet_start
	ask --node e2 --munge "$T/munge/socket" --write "$T/body" "$T/cred" PING
	equal "$(post "$T/body" "$T/cred")" 401
	contains "$(cat "$T/reply")" 'another node than e1'
	ask --node e1 --to $USER_A --munge "$T/munge/socket" --write "$T/body" "$T/cred" PING
	equal "$(post "$T/body" "$T/cred")" 401 # made for a service that another user runs
	contains "$(cat "$T/reply")" 'another user'
	net PING
}

@test 'a machine whose clock is off is refused, and told so' {
	fleet_start
	munged_start late faketime -f +2h
	ask --node e1 --munge "$T/late/socket" --write "$T/body" "$T/cred" PING
	equal "$(post "$T/body" "$T/cred")" 401
	contains "$(cat "$T/reply")" clocks
}

@test 'a munged of another realm vouches for nobody' {
	fleet_start
	mv "$T/munge.key" "$T/ours.key"
	munged_start foreign
	ask --node e1 --munge "$T/foreign/socket" --write "$T/body" "$T/cred" PING
	equal "$(post "$T/body" "$T/cred")" 401
	kill -STOP "${MUNGED[0]}" # ours hangs: nobody else waits for it
	joblet ping
	kill -CONT "${MUNGED[0]}"
	net PING
}

@test 'too much is cut off, and noise is answered with a refusal' {
	fleet_start
	ask --node e1 --munge "$T/munge/socket" --write "$T/body" "$T/cred" PING
	head -c 2000000 /dev/zero >"$T/much"
	run post "$T/much" "$T/cred"
	lacks "$output" 200
	equal "$(curl -s -o /dev/null -w '%{http_code}' -d x "http://$ADDRESS/larder/1")" 401
	equal "$(curl -s -o /dev/null -w '%{http_code}' "http://$ADDRESS/")" 404
	net PING
	daemon_alive
}

@test 'bytes that are no frames end the request, whoever sends them' {
	fleet_start
	printf 'LRD1' >"$T/short" # what an authentic but broken client sends
	ask --node e1 --munge "$T/munge/socket" --raw "$T/short" --write "$T/body" "$T/cred" PING
	equal "$(post "$T/body" "$T/cred")" 500
	contains "$(cat "$T/reply")" 'cut short'
	net PING
}

# slow_clients COUNT: each begins a request and never ends it. $SLOW ends when all of them were dropped.
slow_clients()
{
	python3 - "${ADDRESS%:*}" "${ADDRESS#*:}" "$1" >"$T/slow" 3>&- <<-'END' &
		import socket, sys
		slow = [socket.create_connection((sys.argv[1], int(sys.argv[2]))) for _ in range(int(sys.argv[3]))]
		for s in slow:
		    s.sendall(b"POST /larder/1 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n")
		print("begun", flush=True)
		for s in slow:
		    while s.recv(4096):
		        pass
		print("dropped", flush=True)
	END
	SLOW=$!
	poll 20 grep -q begun "$T/slow"
}

@test 'too many of one address are refused, until one goes' {
	fleet_start 'session_timeout = "10m"' 'fleet_connections_of_one = 3'
	slow_clients 3
	code 1 net PING
	kill "$SLOW"
	poll 10 net PING
}

@test 'slow clients are dropped' {
	fleet_start 'session_timeout = "1s"'
	slow_clients 3
	poll 20 grep -q dropped "$T/slow"
	net PING
	daemon_alive
}

# What takes a while to answer: a user's own dataset is digested first.
long_question()
{
	mkdir "$T/origin/long"
	truncate -s 400G "$T/origin/long/file"
}
is_digested() { pgrep -P "$DAEMON" -f check-helper; } # another child asks slurmctld

@test 'a stop waits for nobody who waits for an answer' {
	local began
	fleet_start
	long_question
	net STAGE "d=$T/origin/long" 0 3>&- >"$T/staged" 2>&1 &
	poll 10 is_digested
	began=$(now_ms)
	daemon_stop
	between $(($(now_ms) - began)) 0 5000
	wait "$!" || true
	contains "$(cat "$T/staged")" asknode
}

@test 'who goes away frees their place' {
	fleet_start 'max_sessions_per_user = 1'
	long_question
	setpriv --reuid $USER_A --regid $USER_A --clear-groups -- "$T/asknode" --net "$ADDRESS" --node e1 \
		--munge "$T/munge/socket" STAGE "d=$T/origin/long" 0 3>&- &
	poll 10 is_digested
	code 1 net_as $USER_A PING
	contains "$output" 'no more requests'
	kill "$!"
	poll 10 net_as $USER_A PING
}

# --- the inventory, and what changed of it ---

# inventory: asks what changed since the last time, and brings $T/known up to date: a file a tree, its row inside.
INC=0 SEQ=0
inventory()
{
	local row name
	net INVENTORY "$INC" "$SEQ" >"$T/news" || return 1
	if grep -q '^STAND.*full=1' "$T/news"; then rm -rf "$T/known"; fi
	mkdir -p "$T/known"
	while IFS= read -r row; do
		name=$(field id "$row")
		case $row in
		HELD*) printf '%s\n' "$row" >"$T/known/$name" ;;
		GONE*) rm "$T/known/$name" || return 1 ;; # of a tree that was never told: wrong
		esac
	done < <(grep -v '^STAND\|^DONE' "$T/news")
	row=$(grep '^STAND' "$T/news")
	INC=$(field incarnation "$row") SEQ=$(field seq "$row")
}
field() { tr '\t' '\n' <<<"$2" | sed -n "s/^$1=//p"; }
news() { grep -c '^HELD\|^GONE' "$T/news"; }

# What is known, and what the node says when it is asked for everything. Scores and decayed uses are of their moment.
knows_all()
{
	local timeless='s/\t(uses_milli|score_milli)=[0-9]+//g'
	diff <(cat "$T"/known/* 2>/dev/null | sed -E "$timeless" | sort) \
		<(net INVENTORY 0 0 | grep '^HELD' | sed -E "$timeless" | sort)
}

@test 'an inventory: everything first, then what changed, then nothing' {
	dataset a:v1 2 1000
	dataset b:v1 3 1000 --access public
	fleet_start
	inventory
	equal "$(news)" 0
	contains "$(cat "$T/news")" 'full=1'
	net STAGE a:v1 0
	poll 10 tree_is a:v1 ready
	inventory
	equal "$(news)" 1
	contains "$(cat "$T"/known/*)" $'name=a\tversion=v1'
	contains "$(cat "$T/news")" 'full=0'
	inventory
	equal "$(news)" 0
	acquire 5 a:v1
	inventory
	contains "$(cat "$T"/known/*)" 'leases=1'
	release 5
	larder pin -q a:v1
	inventory
	contains "$(cat "$T"/known/*)" $'leases=0\tpins=1'
	contains "$(grep STAND "$T/news")" 'leases=0'
	larder unpin -q a:v1
	larder evict -q a:v1
	poll 10 no_tree a:v1
	inventory
	equal "$(ls "$T/known")" ''
	code 1 net_as $USER_A INVENTORY 0 0
}

@test 'a node that was restarted is another incarnation, and tells everything again' {
	dataset a:v1 2 1000
	fleet_start
	net STAGE a:v1 0
	poll 10 tree_is a:v1 ready
	inventory
	local first=$INC
	daemon_kill9
	daemon_start
	ADDRESS=$(listening)
	inventory
	contains "$(cat "$T/news")" 'full=1'
	[[ $INC != "$first" && $INC != 0 ]]
	equal "$(news)" 1
	INC=4711 SEQ=1 inventory
	contains "$(cat "$T/news")" 'full=1'
	SEQ=99999999 inventory # a number that was never given
	contains "$(cat "$T/news")" 'full=1'
	knows_all
}

@test 'whatever happens, the changes add up to what is there' {
	local n step
	for n in 1 2 3 4 5; do dataset "d$n:v1" 2 2000; done
	fleet_start
	inventory
	RANDOM=4711
	for step in $(seq 40); do
		n=$((RANDOM % 5 + 1))
		case $((RANDOM % 6)) in
		0 | 1) net STAGE "d$n:v1" 0 >/dev/null ;;
		2) larder evict -q "d$n:v1" 2>/dev/null || true ;;
		3) larder pin -q --for 1h "d$n:v1" 2>/dev/null || true ;;
		4) larder unpin -q "d$n:v1" 2>/dev/null || true ;;
		5) joblet acquire "$((100 + n))" 0 0 "d$n:v1" >/dev/null && release "$((100 + n))" >/dev/null ;;
		esac
		[[ $((RANDOM % 3)) -ne 0 ]] || inventory
	done
	poll 10 quiet_node
	inventory
	knows_all
	equal "$(field used "$(grep STAND "$T/news")")" "$(larder df --json -b | jq '.tiers[0].used')"
}
quiet_node() { [[ $(larder status --json -o TRANSFERS | jq -r '.node[0].transfers') == 0 ]] && trash_empty; }

# many_trees COUNT: the one tree of the inventory, so many times under other names. No files: none is asked for.
many_trees()
{
	python3 - "$T/state/inventory.db" "$1" <<-'END'
		import sqlite3, sys
		db = sqlite3.connect(sys.argv[1])
		names = [row[1] for row in db.execute("PRAGMA table_info(tree)")]
		tree = dict(zip(names, db.execute("SELECT * FROM tree").fetchone()))
		for i in range(2, int(sys.argv[2]) + 1):
		    tree.update(id=i, name="d%d" % i, digest="%032x" % i, last_seq=i, admitted_seq=i)
		    db.execute("INSERT INTO tree VALUES (%s)" % ",".join("?" * len(names)), [tree[n] for n in names])
		db.commit()
	END
}

@test 'a thousand trees are told in pieces, and who goes away in the middle costs nothing' {
	dataset a:v1 1 10
	daemon_start
	larder stage -q --wait a:v1
	daemon_stop
	many_trees 1000
	fleet_start
	for _ in 1 2 3 4 5; do timeout -s KILL 0.02 "$T/asknode" INVENTORY 0 0 >/dev/null 2>&1 || true; done
	inventory
	equal "$(news)" 1000
	larder evict -q d7:v1
	inventory
	equal "$(news)" 1
	contains "$(cat "$T/news")" $'GONE\tid=7'
	knows_all
}

# --- for jobs that are to come ---

# ahead JOB SPECS [TTL_MS] [UID]: as larder-sched asks.
ahead() { ask AHEAD "$1" "${4-0}" "${4-0}" "$2" '' 1 0 "${3-60000}"; }
outcome() { field state "$(grep OUTCOME <<<"$1")"; } # 0 pending, 1 ready, 4 failed
ahead_ready() { [[ $(outcome "$(ahead "$@")") == 1 ]]; }

@test 'a dataset is staged ahead, with the rights of who will need it, and the job finds it' {
	dataset a:v1 3 1000
	dataset secret:v1 2 1000
	chmod 750 "$(origin_of secret:v1)"
	daemon_start
	code 1 as $USER_A "$T/asknode" AHEAD 7 0 0 a:v1 '' 1 0 60000
	contains "$output" EPERM
	poll 10 ahead_ready 7 a:v1
	tree_is a:v1 ready
	equal "$(leases)" 0
	contains "$(larder jobs --json)" 'staged ahead'
	contains "$(larder explain 7)" 'staged ahead'
	run ahead 8 secret:v1 60000 $USER_A
	equal "$(outcome "$output")" 4
	no_tree secret:v1
	run ahead 9 'mine=/tmp'
	equal "$(outcome "$output")" 4
	contains "$output" 'not staged ahead'
	acquire 7 a:v1
	equal "$(counter hits)" 1
	equal "$(counter misses)" 0
	equal "$(larder jobs --json | jq '[.jobs[] | select(.job == 7 and (.text // "" | contains("ahead")))] | length')" 0
	code 1 ahead 7 a:v1 # the job is here
}

@test 'what was staged ahead makes way for a job, and never takes the room of what is leased or worth more' {
	dataset used:v1 4 1000000
	dataset coming:v1 4 1000000
	dataset other:v1 4 1000000
	daemon_start 'tier:capacity = "6M"'
	acquire 1 used:v1
	run ahead 7 coming:v1
	poll 10 ahead_failed 7 coming:v1 # leased
	tree_is used:v1 ready
	poll 10 no_row coming:v1 # nothing of it ever came
	poll 10 no_tree coming:v1
	release 1
	for _ in 1 2 3; do acquire 1 used:v1 && release 1; done
	ask FORGET 7
	ahead 7 coming:v1
	poll 10 ahead_failed 7 coming:v1 # it was used four times: worth more than one use to come
	tree_is used:v1 ready
	larder evict -q used:v1
	poll 10 trash_empty
	ask FORGET 7
	poll 10 ahead_ready 7 coming:v1
	poll 10 ahead_failed 8 other:v1 # a plan does not take another plan's
	acquire 2 used:v1 # a job does, whatever it is worth
	tree_is used:v1 ready
	run ahead 7 coming:v1
	equal "$(outcome "$output")" 4
	contains "$output" 'dropped'
}
no_row() { [[ -z $(tree_state "$1") ]]; }
ahead_failed() { [[ $(outcome "$(ahead "$@")") == 4 ]]; }

@test 'a plan that changes or is not renewed lets go, and what it had begun is cancelled' {
	dataset big:v1 20 1000000
	dataset small:v1 2 1000
	dataset other:v1 2 1000
	daemon_start "${SLOWLY[@]}" 'max_transfers = 1'
	ahead 7 big:v1
	poll 20 stage_runs
	ask FORGET 7
	poll 20 nothing_staged
	lacks "$(larder jobs --json)" 'ahead'
	ahead 7 other:v1 1000
	poll 20 plan_expired
	ahead 8 big:v1
	poll 20 stage_runs
	acquire 9 small:v1 # a job in the line: the other begins again behind it
	tree_is small:v1 ready
	grep -q 'stage.way dataset=big:v1' "$T/larderd.log"
	equal "$(outcome "$(ahead 8 big:v1)")" 0
	fast_again
	poll 60 ahead_ready 8 big:v1
	tree_is big:v1 ready
}
# What is staged so takes minutes, and what ends it is fast_again.
SLOWLY=('transfer_threads = 1' 'transfer_bandwidth = "50K"')
fast_again()
{
	sed -i '/^transfer_bandwidth/d' "$T/larder.conf"
	larder reload
}
nothing_staged() { [[ $(larder status --json -o TRANSFERS | jq -r '.node[0].transfers') == 0 ]]; }
plan_expired() { ! larder jobs --json | grep -q ahead; }

@test 'a job that comes while its dataset is staged ahead joins it' {
	dataset big:v1 20 1000000
	daemon_start "${SLOWLY[@]}"
	ahead 7 big:v1
	poll 20 stage_runs
	joblet acquire 7 0 0 big:v1 >"$T/job" 3>&- &
	poll 20 counter_is joins 1
	fast_again
	wait "$!"
	equal "$(<"$T/job")" ready
	equal "$(counter staged_shards)" 20
}
counter_is() { [[ $(counter "$1") == "$2" ]]; }
stage_runs() { larder status --json | jq -e '.transfers | length > 0' >/dev/null; }

@test 'advice about copies is taken for trees that are here, and bad advice is refused' {
	dataset a:v1 2 1000
	daemon_start
	larder stage -q --wait a:v1
	local row
	row=$(ask INVENTORY 0 0 | grep HELD)
	ask ADVISE "$(field id "$row")" "$(field digest "$row")" 1 60000
	code 1 ask ADVISE "$(field id "$row")" 00 1 60000
	code 1 ask ADVISE 999 "$(field digest "$row")" 1 60000
	code 1 as $USER_A "$T/asknode" ADVISE "$(field id "$row")" "$(field digest "$row")" 9 60000
}

# --- larder -w over the network: a node's name is where it is ---

# far WORD…: larder from a host that sees no daemon's socket.
far() { env -u LARDER_NODE LARDER_SOCKET=/nonexistent/socket LARDER_CONF="$T/cli.conf" larder "$@"; }
far_start()
{
	munged_start munge
	daemon_conf 'fleet_listen = "127.0.0.2:0"' "munge_socket = \"$T/munge/socket\"" 'fleet_users = { }'
	sed -i 's/^node_name = .*/node_name = "127.0.0.2"/' "$T/larder.conf"
	daemon_start
	ADDRESS=$(listening)
	printf 'fleet_port = %s # the only\nmunge_socket = "%s"\n' "${ADDRESS#*:}" "$T/munge/socket" >"$T/cli.conf"
	chmod 644 "$T/cli.conf"
}

@test 'larder -w reaches a node over the network, as root and as a user' {
	dataset a:v1 3 1000
	dataset open:v1 2 1000 --access public
	dataset secret:v1 2 1000
	chmod 750 "$(origin_of secret:v1)"
	far_start
	far -w 127.0.0.2 stage --wait a:v1 open:v1 secret:v1
	diff <(far -w 127.0.0.2 ls --json) <(larder ls --json)
	diff <(far -w 127.0.0.2 df --json -o TIER,CAPACITY) <(larder df --json -o TIER,CAPACITY)
	cp "$BUILD/larder" "$BUILD/larder-whole" "$T/"
	run as $USER_A env -u LARDER_NODE LARDER_SOCKET=/nonexistent/socket LARDER_CONF="$T/cli.conf" "$T/larder" -w 127.0.0.2 ls
	contains "$output" open
	lacks "$output" secret
	code 5 as $USER_A env -u LARDER_NODE LARDER_SOCKET=/nonexistent/socket LARDER_CONF="$T/cli.conf" "$T/larder" -w 127.0.0.2 drain
	far -w 127.0.0.2 evict a:v1
	poll 10 no_tree a:v1
	code 3 far -w 127.0.0.2 show a:v1
}

@test 'progress of a stage is followed over the network until it is ready' {
	dataset big:v1 60 4000000
	far_start
	sed -i '1i transfer_threads = 1\ntransfer_memory = "1M"' "$T/larder.conf"
	daemon_stop
	daemon_start
	printf 'fleet_port = %s\nmunge_socket = "%s"\n' "$(listening | cut -d: -f2)" "$T/munge/socket" >"$T/cli.conf"
	far -w 127.0.0.2 stage --wait big:v1
	tree_is big:v1 ready
	code 3 far -w 127.0.0.2 wait --timeout 1s nothing:v1
}

@test 'nodes that do not answer are named, delay nobody, and show in the exit code' {
	dataset a:v1 3 1000
	far_start
	far -w 127.0.0.2 stage -q --wait a:v1
	local began
	began=$(now_ms)
	code 1 far -w '127.0.0.[2-40]' ls
	between $(($(now_ms) - began)) 0 15000
	contains "$output" '127.0.0.2'
	contains "$output" 'a '
	contains "$output" '127.0.0.40: '
	code 4 far -w '127.0.0.[3-9]' ls
	code 4 far -w nowhere.invalid ls
	printf 'fleet_port = %s\nmunge_socket = "%s/nobody"\n' "${ADDRESS#*:}" "$T" >"$T/cli.conf"
	code 4 far -w 127.0.0.2 ls
	contains "$output" munged
}

# --- larder --fleet: what larder-sched knows; here somebody else speaks in its place ---

sched_start()
{
	"$T/asknode" --serve --net 127.0.0.1:0 --node larder-sched --munge "$T/munge/socket" \
		FLEET_TREE a v1 0123456789abcdef0123456789abcdef '' public 3000 2 2 6000 1 '127.0.0.[2-3]' , \
		FLEET_NODE 127.0.0.2 "$ADDRESS" up 1700000000 1 1000000 3000 0 0 5000 0 0 0 0.1.0 '' , \
		SILENT n9 0 'no route to it' , NODE_ADDRESS 127.0.0.2 "$ADDRESS" , \
		TEXT 'a:v1 is on 127.0.0.2' 3>&- >"$T/sched.port" &
	poll 10 test -s "$T/sched.port"
	printf 'sched = "127.0.0.1:%s"\nsched_user = "root"\nfleet_port = 1\nmunge_socket = "%s"\n' \
		"$(<"$T/sched.port")" "$T/munge/socket" >"$T/cli.conf"
}

@test 'larder --fleet shows what larder-sched knows, and names who was silent' {
	dataset a:v1 3 1000
	far_start
	sched_start
	code 1 far ls --fleet # a partial answer
	contains "$output" '127.0.0.[2-3]'
	contains "$output" 'n9 has never answered: no route'
	code 1 far status --fleet --json
	contains "$output" '"fleet_nodes"'
	far -w 127.0.0.2 stage -q --wait a:v1 # at the address that larder-sched gives
	run far explain a:v1
	contains "$output" 'a:v1 is on 127.0.0.2'
	code 1 far evict -y --fleet a:v1 # 127.0.0.3 does not answer
	contains "$output" '127.0.0.3: '
	poll 10 no_tree a:v1
	code 2 far evict --fleet --bytes 1M
	: >"$T/cli.conf"
	code 4 far ls --fleet
	contains "$output" 'no larder-sched is configured'
}
