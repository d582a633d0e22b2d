#!/usr/bin/env bats
# What a daemon that serves every user must survive: garbage, floods, clients that stop, and people who ask for more
# than is theirs.

load lib

setup() { place_setup; }
teardown() { place_teardown; }

# head TYPE LENGTH [VERSION] [MAGIC]: a frame's head as hex, little endian.
head_hex()
{
	le() { local i v=$2; for ((i = 0; i < $1; i++)); do printf '%02x' $((v >> (8 * i) & 255)); done; }
	printf '%s' "${4:-4c524431}"
	le 2 "${3:-1}"
	le 2 "$1"
	le 4 "$2"
	le 4 7
}

@test 'a ping is answered' {
	daemon_start
	joblet ping
}

@test 'garbage closes the connection, and nobody else notices' {
	daemon_start
	run joblet raw "$(printf 'GET / HTTP/1.1\r\n\r\n' | xxd -p | tr -d '\n')"
	contains "$output" closed
	daemon_alive
}

@test 'a whole megabyte of noise does no harm' {
	daemon_start
	head -c 1000000 /dev/urandom | socat -t 1 - "UNIX-CONNECT:$LARDER_SOCKET" >/dev/null 2>&1 || true
	daemon_alive
}

@test 'a length over the cap is refused before anything is read' {
	daemon_start
	run joblet raw "$(head_hex 16 $((300 * 1024)))"
	contains "$output" closed
	run joblet raw "$(head_hex 16 4294967295)"
	contains "$output" closed
	daemon_alive
}

@test 'another protocol version is refused with a sentence that says which side is older' {
	daemon_start
	run joblet raw "$(head_hex 16 0 9)"
	contains "$output" 'ERROR'
	contains "$output" 'older'
	contains "$output" closed
}

@test 'an unknown type is refused' {
	daemon_start
	run joblet raw "$(head_hex 4711 0)"
	contains "$output" closed
	daemon_alive
}

@test 'a row is no request' {
	daemon_start
	# DONE, with an empty note
	run joblet raw "$(head_hex 64 4)00000000"
	contains "$output" 'ERROR EBADMSG'
	daemon_alive
}

@test 'a body that is too short, too long, or has a string beyond its end is refused' {
	daemon_start
	run joblet raw "$(head_hex 17 2)0000" # LIST wants a string
	contains "$output" ERROR
	run joblet raw "$(head_hex 17 6)000000000000"
	contains "$output" ERROR
	run joblet raw "$(head_hex 17 8)ffffff0061616161"
	contains "$output" ERROR
	daemon_alive
}

@test 'a string with a NUL inside is refused' {
	daemon_start
	run joblet raw "$(head_hex 17 7)03000000610062"
	contains "$output" ERROR
	daemon_alive
}

@test 'half a head, half a body: the client is dropped after session_timeout' {
	daemon_start 'session_timeout = "1s"'
	run joblet raw 4c524431
	[[ $output == open || $output == closed ]]
	equal "$(joblet idle 5000)" closed
	daemon_alive
}

@test 'a client that asks and never reads is dropped, and others are served meanwhile' {
	daemon_start 'session_timeout = "1s"'
	joblet hang 15000 >"$T/hang" 3>&- &
	for _ in 1 2 3 4 5 6 7 8 9 10; do joblet ping; done
	wait $!
	equal "$(<"$T/hang")" closed
	daemon_alive
}

@test 'more sessions than max_sessions are turned away, the plugin still gets through, and places become free again' {
	daemon_start 'max_sessions = 20'
	cp "$BUILD/tests/joblet" "$T/joblet"
	between "$(as $USER_A "$T/joblet" crowd 40)" 1 20
	between "$(joblet crowd 40)" 40 40
	poll 5 as $USER_A "$T/joblet" ping
}

@test 'one ordinary user cannot take all sessions' {
	daemon_start 'max_sessions_per_user = 5'
	cp "$BUILD/tests/joblet" "$T/joblet"
	between "$(as $USER_A "$T/joblet" crowd 20)" 1 5
	joblet ping
}

@test 'the plugin'\''s requests are root'\''s alone' {
	dataset d:v1 2 1000
	daemon_start
	cp "$BUILD/tests/joblet" "$T/joblet"
	for request in "acquire 7 0 $USER_A d:v1" 'await 7 0' 'attach 7 0' 'release 7 0'; do
		# shellcheck disable=SC2086
		run as $USER_A "$T/joblet" $request
		[[ $status -eq 1 ]]
		contains "$output" EPERM
	done
	leases_are 0
}

@test 'what admins do is refused to others, with exit code 5' {
	dataset d:v1 2 1000 --access public
	daemon_start
	acquire 1 d:v1
	cp "$BUILD/larder" "$T/larder"
	for verb in 'evict d:v1' 'evict --bytes 1M' 'verify d:v1' 'repair d:v1' gc 'drain no' resume reload; do
		# shellcheck disable=SC2086
		code 5 as $USER_A "$T/larder" $verb
	done
	tree_is d:v1 ready
}

@test 'ten thousand requests on one connection, and memory stays where it is' {
	daemon_start
	before=$(awk '/VmRSS/ { print $2 }' "/proc/$DAEMON/status")
	for _ in {1..20}; do joblet crowd 500 >/dev/null; done
	after=$(awk '/VmRSS/ { print $2 }' "/proc/$DAEMON/status")
	between $((after - before)) -100000 20000
	daemon_alive
}

@test 'a hung daemon costs the CLI seconds, and its exit code is 4' {
	daemon_start
	kill -STOP "$DAEMON"
	start=$(now_ms)
	code 4 larder ls
	between $(($(now_ms) - start)) 0 8000
	kill -CONT "$DAEMON"
	code 0 larder ls
}

@test 'no daemon: exit code 4 and a sentence' {
	code 4 larder ls
	contains "$output" 'larderd is not running'
}

@test 'a socket that belongs to somebody else is not talked to' {
	cp "$BUILD/larder" "$T/larder"
	install -d -o $USER_B "$T/b"
	# not by as(): its subshell would be what ends, and socat stay
	setpriv --reuid $USER_B --regid $USER_B --clear-groups -- \
		socat "UNIX-LISTEN:$T/b/sock,mode=0666,fork" 'SYSTEM:cat >/dev/null' 3>&- &
	local pid=$!
	poll 5 test -S "$T/b/sock"
	code 4 larder --socket "$T/b/sock" ls
	kill "$pid"
	contains "$output" "user $USER_B"
}
