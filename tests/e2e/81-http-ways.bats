#!/usr/bin/env bats
# How bytes come from web servers: parts of large shards at once, many small ones, proxies, client certificates,
# HTTP/2, limits of time.

load lib
load web

client_cert()
{
	(
		cd "$T/ngx" || exit
		openssl req -newkey rsa:2048 -nodes -subj /CN=node -keyout client.key -out client.csr
		openssl x509 -req -in client.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -out client.pem
	) >"$T/ngx/openssl.log" 2>&1
}

proxy_start()
{
	command -v tinyproxy >/dev/null || skip 'no tinyproxy'
	free_port >"$T/proxy.port"
	PROXY=http://127.0.0.1:$(<"$T/proxy.port")
	printf '%s\n' "Port ${PROXY##*:}" 'Listen 127.0.0.1' 'Allow 127.0.0.1' 'MaxClients 50' 'LogLevel Connect' \
		"LogFile \"$T/proxy.log\"" "PidFile \"$T/proxy.pid\"" >"$T/proxy.conf"
	tinyproxy -d -c "$T/proxy.conf" </dev/null >"$T/proxy.out" 2>&1 3>&- &
	PROXY_PID=$!
	poll 5 curl -s -x "$PROXY" -o "$T/ngx/probe" "$NGX/"
	: >"$T/proxy.log"
}

teardown()
{
	[[ -z ${PROXY_PID-} ]] || { kill "$PROXY_PID"; wait "$PROXY_PID" || true; } 2>/dev/null
	web_teardown
	place_teardown
}

one_large()
{
	mkdir "$T/web/d"
	head -c 40000003 /dev/urandom >"$T/web/d/large"
	web_publish d:v1 "$1" "${@:2}"
}

# --- parts of large shards

@test 'a large shard comes over several connections where each of them is slow, and every byte once' {
	nginx_start
	one_large "$NGX"
	nginx_again -e "s|^http {|&\nlog_format r '\$connection \$status'; access_log $T/ngx/parts r;|" \
		-e 's|root .*;|& limit_rate 1m;|' -e '/access.log combined/d'
	: >"$T/ngx/parts"
	daemon_start
	equal "$(acquire 1 d:v1)" ready
	same_bytes d
	between "$(sort -u "$T/ngx/parts" | wc -l)" 2 4
	equal "$(grep -vc ' 206$' "$T/ngx/parts" || true)" 0
	equal "$(counter origin_bytes)" 40000003
}

@test 'http_ranges = 1: one connection, whatever it brings' {
	nginx_start
	one_large "$NGX"
	nginx_again -e "s|^http {|&\nlog_format r '\$connection'; access_log $T/ngx/ranges r;|" \
		-e 's|root .*;|& limit_rate 20m;|' -e '/access.log combined/d'
	daemon_start 'http_ranges = 1'
	: >"$T/ngx/ranges"
	equal "$(acquire 1 d:v1)" ready
	same_bytes d
	equal "$(sort -u "$T/ngx/ranges" | wc -l)" 1
}

@test 'a server that sends no parts: the large shard comes whole, in one answer' {
	nginx_start
	one_large "$NGX"
	nginx_again 's|root .*;|& max_ranges 0; limit_rate 20m;|'
	daemon_start
	equal "$(acquire 1 d:v1)" ready
	same_bytes d
	equal "$(wc -l <"$T/ngx/access.log")" 1
	equal "$(counter origin_bytes)" 40000003
}

@test 'parts whose server is restarted in the middle: each goes on from the byte it had' {
	nginx_start
	one_large "$NGX"
	nginx_again 's|root .*;|& limit_rate 3m;|'
	daemon_start
	acquire 1 d:v1 >"$T/said" 2>&1 3>&- & asking=$!
	poll 10 moved_some 6000000
	nginx_again 's|limit_rate 3m|limit_rate 30m|'
	wait $asking
	equal "$(<"$T/said")" ready
	same_bytes d
	equal "$(counter origin_bytes)" 40000003
}

@test 'a file that changes between its parts is no version of it' {
	nginx_start
	one_large "$NGX"
	nginx_again 's|root .*;|& limit_rate 500k;|'
	daemon_start
	head -c 40000003 /dev/urandom >"$T/web/other"
	touch -d '1 hour ago' "$T/web/other" # nginx's ETag is size and time: the same within one second
	acquire 1 d:v1 >"$T/said" 2>&1 3>&- & asking=$!
	poll 30 moved_some 2000000
	mv "$T/web/other" "$T/web/d/large"
	nginx_again 's|limit_rate 500k|limit_rate 30m|' # what is under way breaks off, and is asked for again
	wait $asking && fail_with "it is ready: $(<"$T/said")"
	contains "$(<"$T/said")" 'changed at the origin'
	[[ $(tree_state d:v1) != ready ]]
}

# --- many small ones

@test 'many small shards are under way at once, over few connections, also where each answer is slow' {
	web_start
	web_dataset d:v1 64 2000 "$WEB" --threads 16
	fault delay 0.2
	daemon_start
	began=$(now_ms)
	equal "$(acquire 1 d:v1)" ready
	between $(($(now_ms) - began)) 700 12000 # one after the other they need 12.8 s
	same_bytes d
}

@test 'HTTP/2: many small shards share a connection' {
	nginx_start
	nginx_again -e "s|^http {|&\nlog_format c '\$connection \$server_protocol'; access_log $T/ngx/conns c;|" \
		-e '/access.log combined/d'
	make_files "$T/web/d" 300 5000
	web_publish d:v1 "$NGXS" --ca-file "$T/ngx/ca.pem"
	: >"$T/ngx/conns"
	daemon_start "http_ca_file = \"$T/ngx/ca.pem\""
	equal "$(acquire 1 d:v1)" ready
	same_bytes d
	equal "$(grep -c 'HTTP/2.0' "$T/ngx/conns")" 300
	between "$(sort -u "$T/ngx/conns" | wc -l)" 1 8
}

@test 'one bad shard among many small ones: it is named, the others are kept' {
	nginx_start
	web_dataset d:v1 60 3000 "$NGX"
	rm "$T/web/d/f00017"
	daemon_start
	fails d:v1 f00017 'not there any more'
	between "$(find "$(tree_data d:v1)" -type f | wc -l)" 1 59
}

# --- who asks, and by which way

@test 'a client certificate: refused without, and told how to name one; accepted with' {
	nginx_start
	client_cert
	make_files "$T/web/d" 5 20000
	nginx_again "s|root .*;|& ssl_client_certificate $T/ngx/ca.pem; ssl_verify_client on;|"
	code 5 web_publish d:v1 "$NGXS" --ca-file "$T/ngx/ca.pem"
	contains "$output" --client-cert
	web_publish d:v1 "$NGXS" --ca-file "$T/ngx/ca.pem" --client-cert "$T/ngx/client.pem" --client-key "$T/ngx/client.key"
	daemon_start "http_ca_file = \"$T/ngx/ca.pem\""
	fails d:v1 http_client_cert
	daemon_stop
	daemon_conf "http_ca_file = \"$T/ngx/ca.pem\"" "http_client_cert = \"$T/ngx/client.pem\"" \
		"http_client_key = \"$T/ngx/client.key\""
	daemon_start
	larder stage -q --wait d:v1
	equal "$(acquire 500 d:v1)" ready
	same_bytes d
}

@test 'a proxy that the configuration names, for http and https; http_no_proxy goes round it' {
	nginx_start
	web_dataset d:v1 5 20000 "$NGX"
	proxy_start
	daemon_start "http_proxy = \"$PROXY\"" "http_ca_file = \"$T/ngx/ca.pem\""
	equal "$(acquire 1 d:v1)" ready
	same_bytes d
	grep -q "GET.*f00000" "$T/proxy.log"
	head -c 20000 /dev/urandom >"$T/web/d/new"
	web_publish d:v2 "$NGXS" --ca-file "$T/ngx/ca.pem"
	equal "$(acquire 2 d:v2)" ready
	grep -q "CONNECT 127.0.0.1:${NGXS##*:}" "$T/proxy.log"
	daemon_stop
	head -c 20000 /dev/urandom >"$T/web/d/newer"
	web_publish d:v3 "$NGX"
	daemon_conf "http_proxy = \"$PROXY\"" 'http_no_proxy = { "127.0.0.1" }'
	daemon_start
	: >"$T/proxy.log"
	equal "$(acquire 3 d:v3)" ready
	equal "$(grep -c 'GET\|CONNECT' "$T/proxy.log" || true)" 0
}

@test 'what is wrong with a proxy or a client key is said before any transfer' {
	daemon_conf 'http_proxy = "http://user:secret@127.0.0.1:1"'
	code 1 "$LARDERD" --check-config -c "$T/larder.conf"
	contains "$output" http_proxy
	lacks "$output" secret
	daemon_conf 'http_proxy = "127.0.0.1:3128"'
	code 1 "$LARDERD" --check-config -c "$T/larder.conf"
	contains "$output" 'http://HOST:PORT'
	daemon_conf 'http_client_key = "/etc/key"'
	code 1 "$LARDERD" --check-config -c "$T/larder.conf"
	contains "$output" http_client_cert
}

@test 'http_total_timeout ends a shard that trickles for too long' {
	nginx_start
	web_dataset d:v1 1 2000000 "$NGX"
	nginx_again 's|root .*;|& limit_rate 100k;|'
	daemon_start 'http_total_timeout = "2s"'
	began=$(now_ms)
	fails d:v1 f00000 http_total_timeout
	between $(($(now_ms) - began)) 2000 15000
}
