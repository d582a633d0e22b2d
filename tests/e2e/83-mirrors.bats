#!/usr/bin/env bats
# Several origins of one dataset: one is slow, dies, or has a byte wrong; what is told of where the bytes came from.

load lib
load web

# two_mirrors COUNT BYTES: d:v1 at $WEB first and $NGX second.
two_mirrors()
{
	nginx_start
	web_start
	make_files "$T/web/d" "$1" "$2"
	web_publish d:v1 "$WEB" --from "$NGX/d"
}

# bytes_from URL: of d, as `larder show` tells them.
bytes_from() { larder show --json d | jq "[.sources[] | select(.origin == \"$1/d\") | .size | tonumber] | add // 0"; }

@test 'show tells how many bytes came from each origin' {
	two_mirrors 20 50000
	fault status 404
	daemon_start
	equal "$(acquire 1 d:v1)" ready
	equal "$(bytes_from "$NGX")" 1000000
	equal "$(bytes_from "$WEB")" 0
	contains "$(larder show d)" "$NGX/d"
}

@test 'a slow mirror, although it is preferred: the fast one brings nearly all, and nothing waits for the slow one' {
	nginx_start
	nginx_slow
	make_files "$T/web/d" 40 1500000
	web_publish d:v1 "$SLOW" --from "$NGX/d"
	nginx_again 's|limit_rate 0|limit_rate 200k|'
	daemon_start
	began=$(now_ms)
	equal "$(acquire 1 d:v1)" ready
	between $(($(now_ms) - began)) 0 60000 # the slow one alone: 200 KB/s for each of 4 connections, 75 s
	same_bytes d
	between "$(bytes_from "$NGX")" 40000000 60000000
}

# A second server beside nginx_start's, which can be made slow for each connection: $SLOW.
nginx_slow()
{
	local port
	port=$(free_port)
	SLOW=http://127.0.0.1:$port
	nginx_again "s|^server {|server { listen 127.0.0.1:$port; root $T/web; limit_rate 0; }\n&|"
	poll 5 curl -s -o "$T/ngx/probe" "$SLOW/"
}

@test 'a mirror that dies in the middle: the other one stands in' {
	two_mirrors 200 200000
	fault drip 20000
	daemon_start 'http_retries = 1'
	acquire 1 d:v1 >"$T/said" 2>&1 3>&- & asking=$!
	poll 10 test -s "$T/web.log"
	kill "$WEB_PID"; wait "$WEB_PID" 2>/dev/null || true
	WEB_PID=
	wait $asking
	equal "$(<"$T/said")" ready
	same_bytes d
}

@test 'one mirror has a byte wrong: that shard comes from the other, and the mismatch is counted' {
	two_mirrors 12 3000000
	nginx_again 's|root .*;|& limit_rate 1m;|' # else it may take over before the wrong byte has come
	fault corrupt '' 1
	daemon_start
	equal "$(acquire 1 d:v1)" ready
	same_bytes d
	equal "$(counter digest_mismatches)" 1
	lacks "$(larder explain d:v1)" quarantine
}

@test 'the cost of bringing it again is that of all of it, also when only a rest was fetched' {
	nginx_start
	web_dataset d:v1 10 2000000 "$NGX"
	nginx_again 's|root .*;|& limit_rate 1m;|'
	daemon_start
	larder stage -q 'd:v1/f0000[0-8]'
	poll 60 tree_is_partial
	larder stage -q --wait d:v1
	# The last of ten files took about a second.
	between "$(larder ls --json -o stage-time d | jq '[.. | numbers] | max')" 5000 600000
}

tree_is_partial() { [[ $(tree_state d:v1) == partial ]]; }
