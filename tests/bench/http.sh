# shellcheck shell=bash disable=SC2016,SC2154 # sh -c scripts take arguments; BENCH_* and LARGE_* come from run
# Cold staging from a web server, by the daemon's own pool and sink, beside what an admin would use instead. nginx on
# loopback serves from memory (/dev/shm), so that the disk is the writer's alone. Only ours verifies and is durable.

http_contenders() {
	local who all=(larder curl-Z)
	for who in aria2c rclone wget; do
		if command -v $who > /dev/null; then all+=("$who"); fi
	done
	[[ $1 != http-large ]] || ! command -v fio > /dev/null || all+=(fio-write)
	wanted_of "${all[@]}"
}

http_server() {
	HTTP_URL=http://127.0.0.1:$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
	mkdir "$BENCH_SHM/ngx"
	cat > "$BENCH_SHM/ngx/conf" <<- END
		daemon off; pid $BENCH_SHM/ngx/pid; error_log $BENCH_SHM/ngx/error.log; user root; worker_processes auto;
		events { worker_connections 1024; }
		http {
			access_log off; default_type application/octet-stream; sendfile on; sendfile_max_chunk 2m;
			tcp_nopush on; keepalive_requests 1000000; open_file_cache max=20000;
			client_body_temp_path $BENCH_SHM/ngx/a; proxy_temp_path $BENCH_SHM/ngx/b; fastcgi_temp_path $BENCH_SHM/ngx/c;
			uwsgi_temp_path $BENCH_SHM/ngx/d; scgi_temp_path $BENCH_SHM/ngx/e;
			server { listen ${HTTP_URL#http://} backlog=1024; root $BENCH_SHM/data; autoindex on; }
		}
	END
	nginx -e "$BENCH_SHM/ngx/error.log" -c "$BENCH_SHM/ngx/conf" < /dev/null > "$BENCH_SHM/ngx/out" 2>&1 &
	HTTP_PID=$!
	for ((i = 0; i < 100; i++)); do
		if curl -s -o /dev/null "$HTTP_URL/"; then return 0; fi
		read -rt 0.05 < <(:) || :
	done
	cat "$BENCH_SHM/ngx/out" "$BENCH_SHM/ngx/error.log" >&2
	return 1
}

# What each of them reads: URLs, with the name that a file is to have.
http_lists() {
	(cd "$BENCH_SHM/data" && find . -type f -printf '%P\n') > "$BENCH_SHM/paths"
	sed "s|.*|url = \"$HTTP_URL/&\"\noutput = \"copy/&\"|" "$BENCH_SHM/paths" > "$BENCH_SHM/curl.list"
	sed "s|.*|$HTTP_URL/&\n out=copy/&|" "$BENCH_SHM/paths" > "$BENCH_SHM/aria2.list"
	sed "s|.*|$HTTP_URL/&|" "$BENCH_SHM/paths" > "$BENCH_SHM/wget.list"
}

# WORK WHO BYTES PARALLEL OUT
http_one() {
	local work=$1 who=$2 bytes=$3 parallel=$4 out=$5
	local run=(timed "$work" "$who" "$bytes" "$out")
	case $who in
	larder) "${run[@]}" "$BENCH_BIN/stage" copy "$BENCH_DIR/$work.manifest" "$HTTP_URL" "$out" ;;
	curl-Z) "${run[@]}" sh -c 'cd "$1" && exec curl -s -q --fail --create-dirs -Z --parallel-max "$2" -K "$3"' \
		sh "$out" "$parallel" "$BENCH_SHM/curl.list" ;;
	aria2c) "${run[@]}" aria2c -q --no-conf -x16 -s16 "-j$parallel" --file-allocation=none -d "$out" -i "$BENCH_SHM/aria2.list" ;;
	rclone) "${run[@]}" rclone --config /dev/null "--transfers=$parallel" copy ":http:" --http-url "$HTTP_URL/" "$out/copy" ;;
	fio-write) timed_fio_write "$work" "$bytes" "$out" ;;
	wget) "${run[@]}" wget -q --no-config -x -nH -P "$out" -i "$BENCH_SHM/wget.list" ;;
	esac
}

# WORK COUNT SIZE PARALLEL
http_rounds() {
	local work=$1 count=$2 size=$3 parallel=$4 round i all out bases=(curl-Z rclone aria2c)
	mapfile -t all < <(http_contenders "$work")
	for ((round = 0; round < BENCH_ROUNDS; round++)); do
		for ((i = 0; i < ${#all[@]}; i++)); do
			out=$(fresh)
			http_one "$work" "${all[(i + round) % ${#all[@]}]}" $((count * size)) "$parallel" "$out" || return 1
			[[ $work != http-large ]] || rm -rf "$out"
		done
	done
	[[ $work != http-large ]] || bases+=(fio-write)
	table "$work" "${bases[@]}"
}

# WORK COUNT SIZE PARALLEL
http_staging() {
	local work=$1 count=$2 size=$3 status=0 HTTP_URL HTTP_PID=
	command -v nginx > /dev/null || { say "$work: left out, there is no nginx (contrib/bootstrap)"; return 0; }
	say "$work: $count x $size bytes, $BENCH_ROUNDS rounds"
	BENCH_SHM=$(mktemp -d /dev/shm/larder-bench-XXXXXX)
	make_files "$count" "$size" "$BENCH_SHM/data"
	"$BENCH_BIN/stage" scan "$BENCH_SHM/data" "$BENCH_DIR/$work.manifest" > /dev/null &&
		http_server && http_lists && http_rounds "$@" || status=1
	[[ -z $HTTP_PID ]] || { kill "$HTTP_PID"; wait "$HTTP_PID"; }
	rm -rf "$BENCH_SHM"
	return $status
}

# 16 x 256 MB at full scale.
bench_http_large() {
	http_staging http-large $(((LARGE_COUNT + 3) / 4)) $((LARGE_SIZE * 4)) 4
}

bench_http_small() {
	http_staging http-small $((SMALL_COUNT < 10000 ? SMALL_COUNT : 10000)) 100000 16
}
