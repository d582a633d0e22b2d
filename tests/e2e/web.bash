# shellcheck shell=bash
# shellcheck disable=SC2034 # used by the suites
# Web servers of a test: nginx, and faultweb.py for what nginx cannot do wrong. On loopback, below $T; ended by web_teardown.
# Loaded after lib. A suite with more to set up or to end has its own setup or teardown.

setup()
{
	place_setup
	web_setup
}

teardown()
{
	web_teardown
	place_teardown
}

# moved_some BYTES: have transfers under way written that much?
moved_some() { [[ $(larder status --json 2>/dev/null | jq '[.transfers[]?.done | tonumber] | add // 0') -ge $1 ]]; }

web_setup()
{
	mkdir "$T/web" "$T/ngx"
	unset http_proxy https_proxy HTTP_PROXY HTTPS_PROXY all_proxy ALL_PROXY
}

web_teardown()
{
	nginx_stop
	[[ -z ${WEB_PID-} ]] || kill "$WEB_PID" 2>/dev/null || true
}

free_port()
{
	python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# nginx_start [LINE…]: serves $T/web at $NGX (plain) and $NGXS (TLS, a certificate of the test's own CA).
nginx_start()
{
	command -v nginx >/dev/null || skip 'no nginx'
	if [[ ! -e $T/ngx/port ]]; then
		free_port >"$T/ngx/port"
		free_port >"$T/ngx/tls"
		make_ca
	fi
	NGX=http://127.0.0.1:$(<"$T/ngx/port") NGXS=https://127.0.0.1:$(<"$T/ngx/tls")
	cat >"$T/ngx/conf" <<-END
		daemon off; pid $T/ngx/pid; error_log $T/ngx/error.log; user root; worker_processes 1;
		events { worker_connections 512; }
		http {
			access_log $T/ngx/access.log combined; default_type application/octet-stream;
			client_body_temp_path $T/ngx/a; proxy_temp_path $T/ngx/b; fastcgi_temp_path $T/ngx/c;
			uwsgi_temp_path $T/ngx/d; scgi_temp_path $T/ngx/e;
			server {
				listen 127.0.0.1:$(<"$T/ngx/port") backlog=512;
				listen 127.0.0.1:$(<"$T/ngx/tls") ssl http2;
				ssl_certificate $T/ngx/cert.pem; ssl_certificate_key $T/ngx/key.pem;
				root $T/web;
				$(printf '%s\n' "$@")
			}
		}
	END
	nginx -e "$T/ngx/error.log" -c "$T/ngx/conf" </dev/null >"$T/ngx/out" 2>&1 3>&- &
	NGX_PID=$!
	poll 5 curl -s -o "$T/ngx/probe" "$NGX/" || fail_with "nginx: $(cat "$T/ngx/out" "$T/ngx/error.log")"
}

# nginx_again SED-SCRIPT…: changes the configuration and starts anew.
nginx_again()
{
	nginx_stop
	sed -i "$@" "$T/ngx/conf"
	nginx -e "$T/ngx/error.log" -c "$T/ngx/conf" </dev/null >"$T/ngx/out" 2>&1 3>&- &
	NGX_PID=$!
	poll 5 curl -s -k -o "$T/ngx/probe" "$NGX/"
	: >"$T/ngx/access.log"
}

nginx_stop()
{
	[[ -n ${NGX_PID-} ]] || return 0
	kill -TERM "$NGX_PID" 2>/dev/null || true
	wait "$NGX_PID" 2>/dev/null || true
	NGX_PID=
}

make_ca()
{
	(
		cd "$T/ngx" || exit
		openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=test-ca -keyout ca.key -out ca.pem
		openssl req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout key.pem -out cert.csr
		printf 'subjectAltName=IP:127.0.0.1\n' >ext
		openssl x509 -req -in cert.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile ext -out cert.pem
	) >"$T/ngx/openssl.log" 2>&1
}

web_start()
{
	python3 "$BATS_TEST_DIRNAME/faultweb.py" "$T/web" "$T/web.port" "$T/web.log" </dev/null >"$T/web.out" 2>&1 3>&- &
	WEB_PID=$!
	poll 10 test -s "$T/web.port" || fail_with "faultweb.py: $(<"$T/web.out")"
	WEB=http://127.0.0.1:$(<"$T/web.port")
}

# fault KIND [ARGUMENT] [COUNT]: from now on, for COUNT requests.
fault()
{
	rm -f "$T/web/.count"
	[[ -z ${3-} ]] || printf '%s' "$3" >"$T/web/.count"
	printf '%s %s\n' "$1" "${2-}" >"$T/web/.fault"
}

requests() { grep -c "^GET.*$1" "$T/web.log" || true; }

# --- datasets

# web_dataset NAME:VERSION COUNT BYTES BASE-URL [OPTION…]: files at $T/web/NAME, published from there.
web_dataset()
{
	make_files "$T/web/${1%%:*}" "$2" "$3"
	web_publish "$1" "$4" "${@:5}"
}

web_publish()
{
	local dir=$T/web/${1%%:*}
	(cd "$dir" && find . -type f -printf '%P\n') >"$T/paths"
	larder publish -q "$1" --from "$2/${1%%:*}" --paths "$T/paths" --access public "${@:3}"
}

# The bytes and names; times are whole seconds at a web server, modes are not told.
same_bytes() { diff -r --no-dereference "$T/web/$1" "$(tree_data "$1:v1")"; }

# fails SPEC PART…: the job fails with these words, and nothing of it is ready.
fails()
{
	local spec=$1 part
	shift
	JOB=$((${JOB-100} + 1))
	code 1 acquire $JOB "$spec"
	for part in "$@"; do contains "$output" "$part"; done
	[[ $(tree_state "$spec") != ready ]]
	leases_are 0
	daemon_alive
}
