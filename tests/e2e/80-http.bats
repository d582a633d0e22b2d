#!/usr/bin/env bats
# Datasets at web servers: what a good one gives is staged as a directory is, and no wrong answer becomes READY.
# nginx where it can do it, faultweb.py for the rest; both on loopback, started by each test.

load lib
load web

# --- good servers

@test 'from nginx: small and large shards, names that must be encoded, empty files, times' {
	nginx_start
	make_files "$T/web/d" 200 3000
	head -c 30000001 /dev/urandom >"$T/web/d/large"
	head -c 1048576 /dev/urandom >"$T/web/d/one-mib"
	mkdir "$T/web/d/sub dir"
	printf x >"$T/web/d/sub dir/a+b%41 #?é.txt"
	: >"$T/web/d/empty"
	touch -d @1600000000 "$T/web/d/large"
	web_publish d:v1 "$NGX"
	daemon_start
	equal "$(acquire 1 d:v1)" ready
	same_bytes d
	equal "$(stat -c %Y "$(tree_data d:v1)/large")" 1600000000
	equal "$(acquire 2 d:v1)" ready
	equal "$(counter hits)" 1
	between "$(counter origin_bytes)" 31648578 31648578
}

@test 'connections are kept: far fewer of them than shards' {
	nginx_start "location / { add_header X-Connection \$connection; }"
	sed -i "s|access_log .* combined;|log_format c '\$connection'; access_log $T/ngx/access.log c;|" "$T/ngx/conf"
	nginx_stop
	nginx -e "$T/ngx/error.log" -c "$T/ngx/conf" </dev/null >"$T/ngx/out" 2>&1 3>&- &
	NGX_PID=$!
	poll 5 curl -s -o "$T/ngx/probe" "$NGX/"
	web_dataset d:v1 300 2000 "$NGX"
	daemon_start
	: >"$T/ngx/access.log"
	equal "$(acquire 1 d:v1)" ready
	equal "$(wc -l <"$T/ngx/access.log")" 300
	between "$(sort -u "$T/ngx/access.log" | wc -l)" 1 16
}

@test 'https: a CA of our own must be named, and then a certificate is believed' {
	nginx_start
	make_files "$T/web/d" 5 100000
	code 1 web_publish d:v1 "$NGXS"
	contains "$output" 'certificate is not trusted'
	contains "$output" '--ca-file'
	web_publish d:v1 "$NGXS" --ca-file "$T/ngx/ca.pem"
	daemon_start 'http_retries = 0'
	fails d:v1 'certificate is not trusted' http_ca_file f0000
	daemon_stop
	daemon_conf "http_ca_file = \"$T/ngx/ca.pem\""
	daemon_start
	equal "$(acquire 500 d:v1)" ready
	same_bytes d
	grep -q 'GET /d/f00000 HTTP/2.0' "$T/ngx/access.log"
}

@test 'gzip switched on at the server: the plain file is asked for, and comes' {
	nginx_start 'gzip on; gzip_types *; gzip_min_length 1; gzip_proxied any;'
	mkdir "$T/web/d"
	yes larder | head -c 500000 >"$T/web/d/text"
	equal "$(curl -s -H 'Accept-Encoding: gzip' -o /dev/null -w '%header{content-encoding}' "$NGX/d/text")" gzip
	web_publish d:v1 "$NGX"
	daemon_start
	equal "$(acquire 1 d:v1)" ready
	same_bytes d
}

@test 'a server that is restarted in the middle: the transfer goes on from the byte it had' {
	nginx_start 'limit_rate 8m;'
	web_dataset d:v1 2 24000000 "$NGX"
	daemon_start
	acquire 1 d:v1 >"$T/said" 2>&1 3>&- & asking=$!
	poll 10 moved_some 4000000
	nginx_stop
	sleep 0.3
	nginx_start
	wait $asking
	equal "$(<"$T/said")" ready
	same_bytes d
	grep -q '" 206 ' "$T/ngx/access.log"
	between "$(counter origin_bytes)" 48000000 48000000
}

# Bytes of the transfers under way, as the metrics count them while they run.
@test 'too many requests at once for the server (429 with limit_req): patience brings all' {
	nginx_start
	web_dataset d:v1 60 1000 "$NGX"
	nginx_stop
	sed -i -e 's|^http {|&\nlimit_req_zone all zone=z:1m rate=40r/s;|' \
		-e 's|root .*;|& limit_req zone=z burst=5 nodelay; limit_req_status 429;|' "$T/ngx/conf"
	nginx -e "$T/ngx/error.log" -c "$T/ngx/conf" </dev/null >"$T/ngx/out" 2>&1 3>&- &
	NGX_PID=$!
	poll 5 curl -s -o "$T/ngx/probe" "$NGX/"
	daemon_start 'http_retries = 20' 'http_retry_budget = 2000'
	equal "$(acquire 1 d:v1)" ready
	same_bytes d
	grep -q '" 429 ' "$T/ngx/access.log"
}

@test 'a mirror stands in, shard by shard' {
	nginx_start
	web_start
	make_files "$T/web/d" 20 1000
	web_publish d:v1 "$WEB" --from "$NGX/d"
	fault status 403
	daemon_start
	equal "$(acquire 1 d:v1)" ready
	same_bytes d
}

# --- servers that do wrong

@test 'cut in the middle: it goes on with a range, and no byte comes twice' {
	web_start
	web_dataset d:v1 3 2000000 "$WEB"
	: >"$T/web.log"
	fault truncate '' 4
	daemon_start
	equal "$(acquire 1 d:v1)" ready
	same_bytes d
	between "$(requests 'bytes=1000000-')" 1 3
	equal "$(counter origin_bytes)" 6000000
}

@test 'cut in the middle, and the server knows no ranges: what is there is skipped' {
	web_start
	web_dataset d:v1 3 2000000 "$WEB"
	fault norange
	daemon_start
	equal "$(acquire 1 d:v1)" ready
	same_bytes d
	equal "$(counter origin_bytes)" 6000000
}

@test 'a range that is not the one asked for' {
	web_start
	web_dataset d:v1 1 2000000 "$WEB"
	fault wrongrange
	daemon_start
	fails d:v1 f00000 'bytes from 1000001 on' '1000000 on were asked for'
}

@test 'changed while it was read: another ETag after the break' {
	web_start
	web_dataset d:v1 1 2000000 "$WEB"
	fault newetag
	daemon_start
	fails d:v1 'changed at the origin while it was read'
}

@test 'always cut: given up after the tries that are allowed' {
	web_start
	web_dataset d:v1 1 2000000 "$WEB"
	: >"$T/web.log"
	fault truncate
	daemon_start 'http_retries = 2'
	fails d:v1 'given up after 3 tries' 'the answer ended early'
	equal "$(requests f00000)" 3
}

@test 'one byte is wrong: read once more, then said and in quarantine; nothing of it is kept' {
	web_start
	web_dataset d:v1 3 2000000 "$WEB"
	fault corrupt
	daemon_start
	fails d:v1 'do not match'
	between "$(counter digest_mismatches)" 2 6
	[[ -z $(find "$(tree_data d:v1)" -type f) ]]
	# The next job does not ask the server again, and neither does a user; an admin's word has it tried.
	: >"$T/web.log"
	fails d:v1 'in quarantine' f0000 'larder stage d:v1'
	cp "$BUILD/larder" "$T/larder"
	code 1 as $USER_A "$T/larder" stage d:v1
	[[ ! -s $T/web.log ]]
	contains "$(larder explain d:v1)" 'in quarantine'
	larder log --what stage.quarantine | grep -q 'd:v1'
	fault corrupt '' 1
	larder stage -q --wait d:v1
	equal "$(acquire 1 d:v1)" ready
	same_bytes d
	lacks "$(larder explain d:v1)" 'in quarantine'
}

@test 'another length: both numbers, at once; more bytes than a chunked answer should have' {
	web_start
	web_dataset d:v1 1 2000000 "$WEB"
	daemon_start
	: >"$T/web.log"
	fault short
	fails d:v1 'it has 1999990 bytes' '2000000'
	fault long
	fails d:v1 'it has 2000004 bytes' '2000000'
	equal "$(requests f00000)" 2
	fault longchunked
	fails d:v1 'grown beyond the expected 2000000'
	fault chunked
	equal "$(acquire 1 d:v1)" ready
	same_bytes d
}

@test 'gzip although the plain file was asked for is refused' {
	web_start
	web_dataset d:v1 1 1000 "$WEB"
	fault gzip
	daemon_start
	fails d:v1 'Content-Encoding "gzip"'
}

@test '401, 403, 404 and 416 end at once, each with its own sentence' {
	web_start
	web_dataset d:v1 1 1000 "$WEB"
	daemon_start
	for want in '401,no credentials but a client certificate' '403,does not let this node' '404,not there any more' '416,ends before the byte'; do
		: >"$T/web.log"
		fault status "${want%%,*}"
		fails d:v1 "${want#*,}" "${want%%,*}" f00000
		equal "$(requests f00000)" 1
	done
}

@test '500 is tried again; 503 with Retry-After is left alone for as long as it asks' {
	web_start
	web_dataset d:v1 1 1000 "$WEB"
	fault status 500 2
	daemon_start
	equal "$(acquire 1 d:v1)" ready
	larder evict -y d:v1 >/dev/null 2>&1 || { release 1; larder evict -y d:v1; }
	fault status 503,2 1
	began=$(now_ms)
	equal "$(acquire 2 d:v1)" ready
	between $(($(now_ms) - began)) 2000 6000
}

@test 'Retry-After of an hour ends it at once' {
	web_start
	web_dataset d:v1 1 1000 "$WEB"
	fault status 429,3600
	daemon_start
	fails d:v1 'left alone for 3600 s'
}

@test 'a connection that stalls is given up and gone on with' {
	web_start
	web_dataset d:v1 1 2000000 "$WEB"
	fault stall 30 1
	daemon_start 'http_stall_timeout = "1s"'
	began=$(now_ms)
	equal "$(acquire 1 d:v1)" ready
	between $(($(now_ms) - began)) 1000 8000
	same_bytes d
}

@test 'nobody wants it any more: a stalled transfer ends within a second or so' {
	web_start
	web_dataset d:v1 1 2000000 "$WEB"
	fault stall 60
	daemon_start
	acquire 1 d:v1 --timeout 100 >/dev/null 2>&1 3>&- & asking=$!
	poll 10 grep -q stall "$T/web.log"
	began=$(now_ms)
	release 1
	poll 10 no_transfer
	between $(($(now_ms) - began)) 0 2500
	wait $asking || true
	daemon_alive
}

no_transfer() { grep -q 'stage.\(end\|cancel\|fail\)' "$T/larderd.log"; }

@test 'a daemon that is stopped does not wait for a stalled server' {
	web_start
	web_dataset d:v1 1 2000000 "$WEB"
	fault stall 60
	daemon_start
	acquire 1 d:v1 --timeout 100 >/dev/null 2>&1 3>&- & asking=$!
	poll 10 grep -q stall "$T/web.log"
	began=$(now_ms)
	daemon_stop
	between $(($(now_ms) - began)) 0 4000
	wait $asking || true
}

@test 'redirects: followed on the host itself; not to files, other hosts, from https to http, or in circles' {
	nginx_start "location /down/ { return 302 $(printf 'http://127.0.0.1')\$uri; }"
	web_start
	web_dataset d:v1 1 1000 "$WEB"
	daemon_start
	fault redirect file:///etc/shadow
	fails d:v1 'only http and https are followed'
	fault redirect ftp://127.0.0.1/x
	fails d:v1 'only http and https are followed'
	fault redirect "http://localhost:${WEB##*:}/d/f00000"
	fails d:v1 'another host' http_redirect_hosts
	fault redirect http://user:secret@127.0.0.1/x
	fails d:v1 'a URL with a user in it'
	lacks "$output" secret
	fault redirect SELF
	fails d:v1 'more than 5 times'
	fault moved
	equal "$(acquire 1 d:v1)" ready
	same_bytes d
}

@test 'redirects to a host that the configuration names are followed; https never leads to http' {
	web_start
	nginx_start "location /d/ { return 302 $WEB\$uri; }"
	web_dataset d:v1 1 1000 "$WEB"
	fault redirect "http://localhost:${WEB##*:}/d/f00000" 1
	daemon_start 'http_redirect_hosts = {"localhost"}'
	equal "$(acquire 1 d:v1)" ready
	code 1 larder publish -q e:v1 --from "$NGXS/d" --paths "$T/paths" --access public --ca-file "$T/ngx/ca.pem"
	contains "$output" 'from https only https is followed'
}

@test 'no server: tried again, then said' {
	web_start
	web_dataset d:v1 1 1000 "$WEB"
	kill "$WEB_PID"; wait "$WEB_PID" 2>/dev/null || true
	WEB_PID=
	daemon_start 'http_retries = 2'
	fails d:v1 'no connection' 'given up after 3 tries'
}

# --- crashes and limits

staged_some() { [[ $(find "$T/tier/trees" -type f -path '*/data/*' 2>/dev/null | wc -l) -ge $1 ]]; }

@test 'kill -9 in the middle: the next run asks only for what was missing' {
	nginx_start
	web_dataset d:v1 6000 2000 "$NGX" --threads 16
	nginx_stop
	nginx_start 'limit_rate 20k;'
	daemon_start 'transfer_threads = 8'
	acquire 1 d:v1 --timeout 100 >/dev/null 2>&1 3>&- & asking=$!
	poll 30 staged_some 1300
	daemon_kill9
	wait $asking || true
	had=$(find "$T/tier/trees" -type f -path '*/data/*' | wc -l)
	between "$had" 1300 5999
	: >"$T/ngx/access.log"
	daemon_start
	equal "$(acquire 2 d:v1)" ready
	same_bytes d
	# What had its name, but not yet durably, may be asked for again: one batch of the committer.
	between "$(wc -l <"$T/ngx/access.log")" 1 $((6000 - had + 1024))
}

@test '64 transfers under way: the daemon stays below 128 MB' {
	if grep -qa __asan_init "$LARDERD"; then skip 'a sanitizer takes memory of its own'; fi
	nginx_start
	head -c 16000000 /dev/urandom >"$T/big"
	for i in {1..64}; do
		mkdir "$T/web/d$i"
		for k in 1 2 3; do { cat "$T/big"; printf %s "$i$k"; } >"$T/web/d$i/s$k"; done
		larder publish -q "d$i:v1" --from "$NGX/d$i/s{1..3}" --access public
		rm "$T/web/d$i/s3" && { cat "$T/big"; printf %s "${i}3"; } >"$T/web/d$i/s3"
	done
	nginx_stop
	nginx_start 'limit_rate 2m;'
	daemon_start 'max_transfers = 64' 'transfer_threads = 64'
	for i in {1..64}; do
		larder stage "d$i:v1"
	done
	poll 20 all_running
	poll 60 nginx_served 70
	between "$(awk '/^VmHWM/ { print $2 }' "/proc/$DAEMON/status")" 1 131072
}

all_running() { [[ $(grep -c stage.begin "$T/larderd.log") -ge 64 ]]; }
nginx_served() { [[ $(wc -l <"$T/ngx/access.log") -ge $1 ]]; }

# --- publishing

@test 'publish from a URL wants to be told who may use it, and what there is' {
	nginx_start
	make_files "$T/web/d" 3 1000
	code 2 larder publish d:v1 --from "$NGX/d" --paths "$T/none"
	contains "$output" '--access public'
	code 2 larder publish d:v1 --from "$NGX/d" --access public
	contains "$output" '--paths'
	code 2 larder publish d:v1 --from "$NGX/d/f{0000..2}" --access public
	contains "$output" 'as in https://'
	code 3 larder publish d:v1 --from "$T/origin" --paths "$T/none"
	contains "$output" 'open the list'
	code 2 larder publish d:v1 --from "http://u:p@h/d" --access public --paths x
	[[ -z $(ls -A "$T/catalog") ]]
}

@test 'publish by braces, and by a list that is at a URL; the same bytes are the same manifest' {
	nginx_start
	make_files "$T/web/d" 12 1000
	larder publish -q a:v1 --from "$NGX/d/f{00000..00011}" --access public
	(cd "$T/web/d" && printf '%s\r\n' f*) >"$T/web/list.txt"
	larder publish -q b:v1 --from "$NGX/d" --paths "$NGX/list.txt" --access public
	equal "$(grep -c '^f ' "$T/catalog/a/v1.manifest")" 12
	diff <(grep '^f ' "$T/catalog/a/v1.manifest") <(grep '^f ' "$T/catalog/b/v1.manifest")
	equal "$(larder publish a:v1 --from "$NGX/d/f{00000..00011}" --access public | grep -c 'nothing to do')" 1
	daemon_start
	equal "$(acquire 1 b:v1)" ready
	diff -r "$T/web/d" "$(tree_data b:v1)"
}

@test 'publish refuses a list with paths that leave, and names what is missing' {
	nginx_start
	make_files "$T/web/d" 3 1000
	printf 'f00000\n../../etc/passwd\n' >"$T/list"
	code 1 larder publish d:v1 --from "$NGX/d" --paths "$T/list" --access public
	contains "$output" 'line 2'
	printf 'f00000\nf00009\n' >"$T/list"
	code 3 larder publish d:v1 --from "$NGX/d" --paths "$T/list" --access public
	contains "$output" f00009
	contains "$output" 404
	[[ -z $(ls -A "$T/catalog") ]]
}

@test 'publish goes on after a break only where the server proves that the file is the same' {
	web_start
	make_files "$T/web/d" 2 2000000
	fault truncate '' 3
	web_publish d:v1 "$WEB"
	rm -rf "$T/catalog/d"
	fault norange
	code 1 web_publish d:v1 "$WEB"
	contains "$output" 'neither ETag nor Last-Modified'
	fault newetag
	code 1 web_publish d:v1 "$WEB"
	contains "$output" 'changed at the origin while it was read'
}

@test 'a user'\''s own dataset at a URL that names no files is refused, and no request goes out' {
	web_start
	make_files "$T/web/d" 1 1000
	daemon_start
	code 1 acquire 1 "x=$WEB/d"
	contains "$output" 'cannot be listed'
	code 1 joblet acquire 2 0 $USER_A "x=$WEB/d"
	[[ ! -s $T/web.log ]]
	leases_are 0
}
