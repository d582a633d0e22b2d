#!/usr/bin/env bats
# Users' own datasets at URLs: with that user's credentials, for that user alone, and never to where the site forbids.

load lib
load web

setup()
{
	place_setup
	web_setup
	mkdir -p "$T/home/.config/larder"
	chmod 755 "$T/home" "$T/home/.config" "$T/home/.config/larder"
	printf '127.0.0.1 good.test\n169.254.169.254 meta.test\n::1 six.test\n127.0.0.1 local.test\n127.0.0.9 nine.test\n' >"$T/hosts"
	{ cat /etc/passwd; echo "larder-a:x:$USER_A:$USER_A::$T/home:/bin/sh"; } >"$T/passwd"
	write_wrapper
}

teardown()
{
	web_teardown
	[[ -z ${OTHER_PID-} ]] || kill "$OTHER_PID" 2>/dev/null || true
	place_teardown
}

# The daemon sees names and users of its own, without a change of the machine's.
write_wrapper()
{
	cat >"$T/wrapped" <<-END
		#!/bin/bash
		exec unshare -m bash -c 'mount --bind $T/hosts /etc/hosts && mount --bind $T/passwd /etc/passwd &&
			exec "\$0" "\$@"' $LARDERD "\$@"
	END
	chmod 755 "$T/wrapped"
	LARDERD=$T/wrapped
}

own_start() { daemon_start "http_ca_file = \"$T/ngx/ca.pem\"" 'own_hosts_allow = { "127.0.0.1" }' 'http_retries = 1' "$@"; }

# own JOB UID SPEC: as that user's job.
own() { joblet acquire "$1" 0 "$2" "$3" "${@:4}"; }

# A dataset at nginx with lists of it.
web_files()
{
	make_files "$T/web/$1" 6 20000
	(cd "$T/web/$1" && sha256sum f* >SHA256SUMS && xxhsum -H2 f* 2>/dev/null >all.xxh128)
}

own_tree() { printf '%s\n' "$T/tier/trees/u$1/$2/own@"*/data; }

same_files() { (cd "$T/web/$1" && sha256sum f*) | (cd "$(own_tree "$2" "$3")" && sha256sum --quiet -c -); }

refused()
{
	local job=$1 uid=$2 spec=$3 part
	shift 3
	code 1 own "$job" "$uid" "$spec"
	for part in "$@"; do contains "$output" "$part"; done
	no_tree "${spec%%=*}:own"
	daemon_alive
}

@test 'a list, braces, a file: staged for that user, and for nobody else' {
	nginx_start
	web_files d
	cp "$T/web/d/f00000" "$T/web/d/one.bin"
	own_start
	equal "$(own 1 $USER_A "mine=$NGXS/d/SHA256SUMS")" ready
	same_files d $USER_A mine
	equal "$(own 2 $USER_A "mine=$NGXS/d/SHA256SUMS")" ready
	equal "$(counter hits)" 1
	equal "$(own 3 $USER_A "braces=$NGXS/d/f{00000..00005}")" ready
	same_files d $USER_A braces
	equal "$(own 4 $USER_A "file=$NGXS/d/one.bin")" ready
	equal "$(ls "$(own_tree $USER_A file)")" one.bin
	equal "$(own 5 $USER_A "part=$NGXS/d/SHA256SUMS//f00001")" ready
	equal "$(ls "$(own_tree $USER_A part)")" f00001
	# somebody else sees nothing of it, and has a copy of their own
	lacks "$(as $USER_B larder ls)" mine
	contains "$(as $USER_A larder ls)" mine
	equal "$(own 6 $USER_B "mine=$NGXS/d/SHA256SUMS")" ready
	[[ $(stat -c %i "$(own_tree $USER_A mine)/f00000") != $(stat -c %i "$(own_tree $USER_B mine)/f00000") ]]
	contains "$(as $USER_A larder show mine)" "$NGXS/d/SHA256SUMS"
}

@test 'what an earlier scan of the same URL digested is not read again; of another it is' {
	nginx_start
	web_files d
	own_start
	equal "$(own 1 $USER_A "mine=$NGXS/d/f{00000..00005}")" ready
	release 1
	head -c 20000 /dev/urandom >"$T/web/d/f00005"
	touch -d '1 hour ago' "$T/web/d/f00005"
	: >"$T/ngx/access.log"
	equal "$(own 2 $USER_A "mine=$NGXS/d/f{00000..00005}")" ready
	# one that changed: read for its digest, and once more to be staged
	equal "$(grep -c 'GET /d/f' "$T/ngx/access.log")" 2
	release 2
	# the same names, sizes and times elsewhere are other files
	cp -r --preserve=timestamps "$T/web/d" "$T/web/e"
	head -c 20000 /dev/urandom >"$T/web/e/f00001"
	touch -r "$T/web/d/f00001" "$T/web/e/f00001"
	equal "$(own 3 $USER_A "mine=$NGXS/e/f{00000..00005}")" ready
	is_in_a_tree "$T/web/e/f00001"
}
is_in_a_tree()
{
	local staged
	for staged in "$T"/tier/trees/u$USER_A/mine/own@*/data/"${1##*/}"; do cmp -s "$1" "$staged" && return; done
	fail_with "no tree has $1"
}

@test 'addresses that the site forbids: by themselves, by name, by what a name stands for' {
	nginx_start
	web_files d
	port=${NGX##*:}
	daemon_start 'http_retries = 1'
	: >"$T/ngx/access.log"
	refused 1 $USER_A "x=$NGX/d/SHA256SUMS" 'is at 127.0.0.1' own_hosts_allow
	refused 2 $USER_A "x=http://six.test:$port/d/SHA256SUMS" 'six.test is at ::1'
	refused 3 $USER_A "x=http://meta.test/latest/meta-data.json" 'at 169.254.169.254'
	refused 4 $USER_A "x=http://local.test:$port/d/SHA256SUMS" 'local.test is at 127.0.0.1'
	refused 5 $USER_A "x=http://2130706433:$port/d/SHA256SUMS" 'at 127.0.0.1'
	refused 6 $USER_A "x=http://[::ffff:127.0.0.1]:$port/d/SHA256SUMS" 'own datasets may not lead'
	refused 7 $USER_A "x=http://0:$port/d/SHA256SUMS" 'at 0.0.0.0'
	equal "$(wc -l <"$T/ngx/access.log")" 0
	# the site's own datasets are the site's affair
	larder publish -q site:v1 --from "$NGX/d/SHA256SUMS" --access public
	equal "$(acquire 8 site:v1)" ready
	daemon_stop
	daemon_conf 'own_hosts_allow = { "local.test", "127.0.0.0/8" }' 'own_hosts_deny = { "good.test", "127.0.0.9" }' 'http_retries = 1'
	daemon_start
	equal "$(own 11 $USER_A "ok=http://local.test:$port/d/SHA256SUMS")" ready
	refused 12 $USER_A "x=http://good.test:$port/d/SHA256SUMS" own_hosts_deny
	refused 13 $USER_A "x=http://nine.test:$port/d/SHA256SUMS" 'at 127.0.0.9' own_hosts_deny
}

@test 'a redirect to a forbidden address ends there, in the scan and in the transfer' {
	nginx_start
	web_files d
	port=${NGX##*:}
	nginx_stop
	nginx_start "location /all/ { return 302 http://nine.test:$port/d\$uri; }" \
		"location /some/ { alias $T/web/d/; if (\$request_method = GET) { rewrite ^/some/(f.*) http://nine.test:$port/d/\$1 redirect; } }" \
		"location /file/ { return 302 file:///etc/passwd; }"
	own_start 'http_redirect_hosts = { "nine.test" }'
	: >"$T/ngx/access.log"
	refused 1 $USER_A "x=$NGX/all/SHA256SUMS" 'nine.test is at 127.0.0.9'
	refused 2 $USER_A "x=$NGX/file/SHA256SUMS" 'only http and https are followed'
	# the scan takes the list's digests and asks for heads alone: it is the transfer that is led astray
	code 1 own 3 $USER_A "y=$NGX/some/all.xxh128"
	contains "$output" 'nine.test is at 127.0.0.9'
	[[ $(tree_state y:own) != ready ]]
	grep -q 'GET /some/f00000.* 302 ' "$T/ngx/access.log"
	lacks "$(cat "$T/ngx/access.log")" 'GET /d/f'
}

@test 'a proxy of the daemon'\''s environment is not asked for users' {
	nginx_start
	web_files d
	# nobody listens there: whoever asks it gets nothing
	export http_proxy=http://127.0.0.1:1 https_proxy=http://127.0.0.1:1 all_proxy=http://127.0.0.1:1
	own_start
	unset http_proxy https_proxy all_proxy
	equal "$(own 1 $USER_A "mine=$NGX/d/SHA256SUMS")" ready
	same_files d $USER_A mine
}

guarded()
{
	nginx_start "location /d/ { if (\$http_authorization != \"$1\") { return 401; } }" \
		"location /away/ { rewrite ^/away/(.*) https://nine.test:$(<"$T/ngx/tls")/d/\$1 redirect; }" "${@:2}"
}

# my_login SECTION LINE…
my_login()
{
	printf '[%s]\n' "$1" >"$T/home/.config/larder/credentials"
	printf '%s\n' "${@:2}" >>"$T/home/.config/larder/credentials"
	chown -R $USER_A:$USER_A "$T/home"
	chmod 600 "$T/home/.config/larder/credentials"
}

@test 'credentials: read as the user, shown to that server alone, and nowhere else to be found' {
	nginx_start
	web_files d
	nginx_stop
	guarded 'Bearer s3cr3t-t0ken'
	own_start
	refused 1 $USER_A "mine=$NGXS/d/SHA256SUMS" 401
	my_login "127.0.0.1:${NGXS##*:}" 'bearer = s3cr3t-t0ken'
	equal "$(own 2 $USER_A "mine=$NGXS/d/SHA256SUMS")" ready
	same_files d $USER_A mine
	# not for others, not for other servers, not in the clear
	refused 3 $USER_B "mine2=$NGXS/d/SHA256SUMS" 401
	refused 4 $USER_A "clear=$NGX/d/SHA256SUMS" 401
	[[ -z $(grep -rl 's3cr3t-t0ken' "$T/state" "$T/tier" "$T/larderd.log") ]]
	lacks "$(larder log; larder ls -l; larder explain mine)" s3cr3t
	# a file that others may read is none
	chmod 644 "$T/home/.config/larder/credentials"
	refused 5 $USER_A "open=$NGXS/d/SHA256SUMS" 'chmod 600'
	# one line that would become two headers
	my_login "127.0.0.1:${NGXS##*:}" $'bearer = a\x0bb'
	refused 6 $USER_A "ctl=$NGXS/d/SHA256SUMS" 'control characters'
	my_login "127.0.0.1:${NGXS##*:}" 'token = s3cr3t-t0ken'
	refused 7 $USER_A "bad=$NGXS/d/SHA256SUMS" 'line 2'
	lacks "$output" s3cr3t
	rm "$T/home/.config/larder/credentials"
	ln -s "$T/larder.conf" "$T/home/.config/larder/credentials"
	chmod 600 "$T/larder.conf"
	refused 8 $USER_A "link=$NGXS/d/SHA256SUMS" 'Permission denied'
}

@test 'user and password, and a redirect that gets neither' {
	nginx_start
	web_files d
	nginx_stop
	guarded "Basic $(printf 'al:ice pw' | base64)" "location /d2/ { alias $T/web/d/; add_header X-Seen \$http_authorization; }"
	my_login "127.0.0.1:${NGXS##*:}" 'user = al' 'password = ice pw'
	own_start
	equal "$(own 1 $USER_A "mine=$NGXS/d/f{00000..00005}")" ready
	daemon_stop
	daemon_conf "http_ca_file = \"$T/ngx/ca.pem\"" 'own_hosts_allow = { "127.0.0.0/8" }' 'http_redirect_hosts = { "nine.test" }' 'http_retries = 1'
	openssl req -newkey rsa:2048 -nodes -subj /CN=x -keyout "$T/ngx/key.pem" -out "$T/ngx/cert.csr" 2>/dev/null
	printf 'subjectAltName=IP:127.0.0.1,DNS:nine.test\n' >"$T/ngx/ext"
	(cd "$T/ngx" && openssl x509 -req -in cert.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile ext -out cert.pem) 2>/dev/null
	nginx_stop
	sed -i "s|listen 127.0.0.1:$(<"$T/ngx/tls") ssl http2;|& listen 127.0.0.9:$(<"$T/ngx/tls") ssl http2;|; s|access_log .* combined;|log_format a '\$server_addr \$request \$status \"\$http_authorization\"'; access_log $T/ngx/access.log a;|" "$T/ngx/conf"
	: >"$T/ngx/access.log"
	nginx -e "$T/ngx/error.log" -c "$T/ngx/conf" </dev/null >"$T/ngx/out" 2>&1 3>&- &
	NGX_PID=$!
	poll 5 curl -s -o "$T/ngx/probe" "$NGX/"
	daemon_start
	refused 2 $USER_A "away=$NGXS/away/SHA256SUMS" 401
	grep -q '^127.0.0.1 HEAD /away/SHA256SUMS .* 302 "Basic' "$T/ngx/access.log"
	grep -q '^127.0.0.9 HEAD /d/SHA256SUMS .* 401 "-"' "$T/ngx/access.log"
}

@test 'texts of users that would be more than a URL' {
	nginx_start
	web_files d
	own_start
	: >"$T/ngx/access.log"
	refused 1 $USER_A "x=$NGX/d" 'cannot be listed'
	refused 2 $USER_A "x=${NGX/:\/\//:\/\/u:p@}/d/SHA256SUMS" 'credentials are configured'
	refused 3 $USER_A "x=$NGX/d/SHA256SUMS?x=y" '? or #'
	refused 4 $USER_A "x=file:///etc/shadow" 'bad origin'
	refused 5 $USER_A "x=gopher://127.0.0.1:${NGX##*:}/x.tar" 'bad origin'
	refused 6 $USER_A "x=http://127.0.0.1:${NGX##*:}/d/"$'a\r\nX-Evil: 1\r\n.tar' 'printable'
	refused 7 $USER_A "x=http://127.0.0.{1..9}/a.tar" 'braces'
	refused 8 $USER_A "x=$NGX/d/{0..999999999}{0..9}.tar" 'more than'
	equal "$(wc -l <"$T/ngx/access.log")" 0
	{ cat "$T/web/d/SHA256SUMS"; printf '%064d  ../../etc/shadow\n' 7; } >"$T/web/d/evil.sha256"
	refused 9 $USER_A "x=$NGX/d/evil.sha256" 'line 7'
	{ cat "$T/web/d/SHA256SUMS"; printf '\\%064d  a\\nX-Evil: 1\n' 7; } >"$T/web/d/inject.sha256"
	refused 10 $USER_A "x=$NGX/d/inject.sha256" 404
	grep -q '"HEAD /d/a%0AX-Evil:%201 HTTP' "$T/ngx/access.log"
	# a sum that is not the file's
	sed 's/^......../01234567/' "$T/web/d/SHA256SUMS" >"$T/web/d/wrong.sha256"
	refused 11 $USER_A "x=$NGX/d/wrong.sha256" 'does not match the list'
}

@test 'a site that has none of it' {
	nginx_start
	web_files d
	own_start 'own_urls = false'
	: >"$T/ngx/access.log"
	refused 1 $USER_A "x=$NGX/d/SHA256SUMS" own_urls
	code 5 as $USER_A larder stage "x=$NGX/d/SHA256SUMS"
	equal "$(wc -l <"$T/ngx/access.log")" 0
	daemon_stop
	daemon_conf 'own_datasets = false'
	daemon_start
	refused 2 $USER_A "x=/etc/alternatives" own_datasets
	daemon_conf 'own_hosts_deny = { "10.0.0.0/99" }'
	code 1 "$LARDERD" -c "$T/larder.conf" --check-config
	contains "$output" own_hosts_deny
}

@test 'a daemon that is killed while it stages for a running job asks the user'\''s files again' {
	nginx_start
	web_files d
	nginx_stop
	guarded 'Bearer abc' 'limit_rate 20k;'
	my_login "127.0.0.1:${NGXS##*:}" 'bearer = abc'
	own_start
	code 0 own 1 $USER_A "mine=$NGXS/d/all.xxh128" --wait none
	equal "$output" partial
	daemon_kill9
	nginx_stop
	guarded 'Bearer abc'
	slurm_says 1 running
	daemon_start
	poll 20 tree_is mine:own ready
	same_files d $USER_A mine
	# what is damaged later is repaired with them too, but only by who has them
	rm "$(own_tree $USER_A mine)/f00003"
	larder verify mine >/dev/null || true
	poll 10 tree_is mine:own failed
	contains "$(larder explain mine)" "owner's credentials"
	as $USER_A larder stage --wait "mine=$NGXS/d/all.xxh128" >/dev/null
	same_files d $USER_A mine
}

@test 'wrong bytes are put in quarantine, and their owner has them tried again' {
	web_start
	web_files d
	cp "$T/web/d/f00001" "$T/whole"
	tr '\000-\377' '\001-\377\000' <"$T/whole" >"$T/web/d/f00001" # as long as it was
	own_start
	code 1 own 1 $USER_A "mine=$WEB/d/all.xxh128"
	contains "$output" 'do not match'
	code 1 own 2 $USER_A "mine=$WEB/d/all.xxh128"
	contains "$output" 'in quarantine'
	contains "$output" "its owner says: larder stage mine=$WEB/d/all.xxh128"
	cp "$T/whole" "$T/web/d/f00001"
	code 1 own 3 $USER_A "mine=$WEB/d/all.xxh128"
	as $USER_A larder stage -q --wait "mine=$WEB/d/all.xxh128"
	equal "$(own 4 $USER_A "mine=$WEB/d/all.xxh128")" ready
	same_files d $USER_A mine
}
