#!/usr/bin/env bats
# Limits of remote origins: connections, bytes and requests a second, over all transfers of the daemon together.

load lib
load web

limits() { printf 'origin "%s" { %s }' "$1" "$2"; }

@test 'connections: never more of them at once, also with two transfers' {
	nginx_start
	for d in a b; do
		make_files "$T/web/$d" 30 20000
		web_publish $d:v1 "$NGX"
	done
	nginx_again -e 's|^http {|&\nlimit_conn_zone all zone=z:1m;|' \
		-e 's|root .*;|& limit_conn z 3; limit_conn_status 500; limit_rate 200k;|'
	daemon_start "$(limits "${NGX#http://}" 'connections = 3')"
	larder stage a:v1
	larder stage b:v1
	larder stage -q --wait a:v1
	larder stage -q --wait b:v1
	same_bytes a
	same_bytes b
	# The server refuses a fourth one with 500.
	equal "$(grep -c '" 500 ' "$T/ngx/access.log" || true)" 0
	equal "$(grep -c '" 200 ' "$T/ngx/access.log")" 60
}

@test 'bandwidth: two transfers together keep to it; a reload gives more at once' {
	nginx_start
	for d in a b; do
		make_files "$T/web/$d" 1 8000000
		web_publish $d:v1 "$NGX"
	done
	daemon_start "$(limits 127.0.0.1 'bandwidth = "4M"')"
	began=$(now_ms)
	larder stage a:v1
	larder stage -q --wait b:v1
	larder stage -q --wait a:v1
	between $(($(now_ms) - began)) 3300 60000 # 16 MB at 4 MiB a second
	same_bytes a
	daemon_stop
	make_files "$T/web/c" 1 60000000
	web_publish c:v1 "$NGX"
	daemon_conf "$(limits "$NGX/c" 'bandwidth = "500K"')"
	daemon_start
	began=$(now_ms)
	larder stage c:v1
	poll 20 moved_some 1048576
	between $(($(now_ms) - began)) 1500 60000 # also the first bytes, which the server has ready
	began=$(now_ms)
	daemon_conf "$(limits "$NGX/c" 'bandwidth = "200M"')"
	larder reload
	larder stage -q --wait c:v1
	between $(($(now_ms) - began)) 0 60000 # 500 KiB a second needs 120 s
}

@test 'bandwidth of many small shards that share a connection (HTTP/2) and of a large one, over TLS' {
	nginx_start
	make_files "$T/web/many" 40 100000
	make_files "$T/web/large" 1 6000000
	for d in many large; do web_publish $d:v1 "$NGXS" --ca-file "$T/ngx/ca.pem"; done
	daemon_start "http_ca_file = \"$T/ngx/ca.pem\"
		$(limits 127.0.0.1 'bandwidth = "2M"')"
	began=$(now_ms)
	larder stage -q --wait many:v1
	between $(($(now_ms) - began)) 1600 60000 # 4 MB at 2 MiB a second
	same_bytes many
	began=$(now_ms)
	larder stage -q --wait large:v1
	between $(($(now_ms) - began)) 2500 60000
	same_bytes large
}

@test 'requests a second: a server that refuses more than so many is never asked for more' {
	nginx_start
	web_dataset d:v1 60 1000 "$NGX"
	nginx_again -e 's|^http {|&\nlimit_req_zone all zone=z:1m rate=40r/s;|' \
		-e 's|root .*;|& limit_req zone=z burst=8 nodelay; limit_req_status 503;|'
	daemon_start "$(limits "$NGX" 'requests_per_s = 30')"
	began=$(now_ms)
	equal "$(acquire 1 d:v1)" ready
	between $(($(now_ms) - began)) 1500 60000
	same_bytes d
	equal "$(grep -c '" 503 ' "$T/ngx/access.log" || true)" 0
	equal "$(grep -c '" 200 ' "$T/ngx/access.log")" 60
}

@test 'the longest match counts; a wrong one is said with its line' {
	daemon_conf "$(limits 'a/b' 'connections = 3')"
	code 1 "$LARDERD" -c "$T/larder.conf" --check-config
	contains "$output" 'origin "a/b"'
	daemon_conf "$(limits 'h' 'bandwith = 3')"
	code 1 "$LARDERD" -c "$T/larder.conf" --check-config
	contains "$output" 'did you mean bandwidth?'
	nginx_start
	web_dataset d:v1 1 8000000 "$NGX"
	daemon_conf "$(limits '127.0.0.1' 'bandwidth = "100K"')" "$(limits "$NGX/d" 'bandwidth = 0')"
	daemon_start
	began=$(now_ms)
	equal "$(acquire 1 d:v1)" ready
	between $(($(now_ms) - began)) 0 40000 # 100 KiB a second needs 78 s
}
