#!/usr/bin/env bats
# Datasets in buckets: published from a listing, staged as a directory is; nobody gets in without keys, and no key gets out.
# OpenStack Swift's S3 interface, started once for this file; fakes3.py for what it cannot do.

load lib
load ../lib/s3

setup_file() { s3_start; }
teardown_file() { s3_stop; }

setup()
{
	place_setup
	unset http_proxy https_proxy HTTP_PROXY HTTPS_PROXY all_proxy ALL_PROXY
	unset "${!AWS_@}"
	export HOME=$T/home
	mkdir -p "$HOME/.aws" "$T/data"
	BUCKET=b$(tr -dc a-z0-9 <<<"${T##*.}" | head -c 20)t$BATS_TEST_NUMBER
	BUCKET=${BUCKET,,}
}

teardown()
{
	[[ -z ${FAKE_PID-} ]] || kill "$FAKE_PID" 2>/dev/null || true
	place_teardown
}

# keys [LINE…]: the right keys, for the publisher and for the daemon.
keys()
{
	(umask 077
	s3_profile default test:tester testing "$@" >"$HOME/.aws/credentials"
	cp "$HOME/.aws/credentials" "$T/s3.credentials")
}

# bucket [PREFIX]: $T/data in a bucket of the test's own.
bucket()
{
	s3_needed
	keys
	s3 bucket "$BUCKET"
	s3 tree "$BUCKET" "${1-}" "$T/data"
}

start() { daemon_start "s3_credentials = \"$T/s3.credentials\"" "$@"; }

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

same_bytes() { diff -r --no-dereference "${2-$T/data}" "$(tree_data "$1:v1")"; }

@test 'a bucket: published from its listing, page by page; staged; a second job hits' {
	make_files "$T/data" 130 3000
	head -c 20000001 /dev/urandom >"$T/data/large"
	: >"$T/data/empty"
	mkdir -p "$T/data/a/b"
	printf x >"$T/data/a/b/c"
	bucket pre/fix/
	larder publish -q d:v1 --from "s3://$BUCKET/pre/fix" --access public
	equal "$(grep -c '^f ' "$T/catalog/d/v1.manifest")" 133
	grep -qx "origin s3://$BUCKET/pre/fix" "$T/catalog/d/v1.manifest"
	start
	equal "$(acquire 1 d:v1)" ready
	same_bytes d
	equal "$(acquire 2 d:v1)" ready
	equal "$(counter hits)" 1
	larder publish d:v1 --from "s3://$BUCKET/pre/fix" --access public | grep -q 'nothing to do'
}

# --- keys

@test 'keys that must be encoded: blanks, plus, percent, UTF-8, and all that URLs know' {
	cd "$T/data"
	mkdir -p 'a b/c+d%41' é
	for name in 'a b/c+d%41/x y' '+plus' 'per%cent' 'é/ü–日本' '&=?#;:@,$' "(q)'!*~" '%2F' 'a%20b' '[b]{c}|^`<>"'; do
		printf %s "$name" >"$name"
	done
	bucket 'my data+%/'
	larder publish -q d:v1 --from "s3://$BUCKET/my%20data+%25" --access public
	start
	equal "$(acquire 1 d:v1)" ready
	same_bytes d
}

@test 'markers of directories are left out; a key that can be no path is named' {
	printf x >"$T/data/f"
	bucket ok/
	for key in ok/ ok/dir/ slash//x dot/./x up/../x end/x/; do
		if [[ $key == end/* ]]; then s3 put "$BUCKET" "$key" "$T/data/f"; else s3 put "$BUCKET" "$key"; fi
	done
	larder publish -q d:v1 --from "s3://$BUCKET/ok" --access public
	equal "$(grep -c '^[fd] ' "$T/catalog/d/v1.manifest")" 1
	for prefix in slash dot up end; do
		code 1 larder publish -q e:v1 --from "s3://$BUCKET/$prefix" --access public
		contains "$output" "key $prefix/"
		contains "$output" "cannot be a file's path"
	done
	[[ ! -e $T/catalog/e ]]
}

@test 'virtual-host style, and two servers by the name of the bucket' {
	printf x >"$T/data/f"
	bucket
	S3=${S3/127.0.0.1/s3.localhost} s3_profile virtual test:tester testing 'addressing_style = virtual' \
		"larder_buckets = other, ${BUCKET%?}*" >>"$T/s3.credentials"
	sed -i 's/testing/wrong/;ta;b;:a;n;ba' "$T/s3.credentials" # the first one, of [default]
	cp "$T/s3.credentials" "$HOME/.aws/credentials"
	code 5 larder publish -q d:v1 --from "s3://$BUCKET" --profile default --access public
	larder publish -q d:v1 --from "s3://$BUCKET" --access public
	start
	equal "$(acquire 1 d:v1)" ready
	same_bytes d
}

# --- who may

# nothing_told SECRET: it is in no file of the test's but the credentials, and in nobody's arguments.
nothing_told()
{
	[[ -z $(grep -rlF -e "$1" "$T" | grep -v credentials) ]]
	[[ -z $(grep -lF -e "$1" /proc/[0-9]*/cmdline 2>/dev/null) ]]
	lacks "$(larder log --json; larder jobs --json; larder ls --json; larder show --json d:v1 || true)" "$1"
}

@test 'a wrong secret: one sentence, no second try, and nobody is told any secret' {
	printf x >"$T/data/f"
	bucket
	larder publish -q d:v1 --from "s3://$BUCKET" --access public
	sed -i 's/^aws_secret_access_key.*/aws_secret_access_key = wr0ngW0rd/' "$T/s3.credentials"
	start
	began=$(now_ms)
	fails d:v1 'refuses the signature' 'S3 profile default' SignatureDoesNotMatch
	lacks "$output" wr0ngW0rd
	nothing_told wr0ngW0rd
	cp "$T/s3.credentials" "$HOME/.aws/credentials"
	code 5 larder publish -q e:v1 --from "s3://$BUCKET" --access public
	contains "$output" 'refuses the signature'
	lacks "$output" wr0ngW0rd
	keys
	equal "$(acquire 500 d:v1)" ready # read again: no reload was needed
	nothing_told wr0ngW0rd
}

@test 'a key that the server does not know, and one that may not read the bucket' {
	printf x >"$T/data/f"
	bucket
	larder publish -q d:v1 --from "s3://$BUCKET" --access public
	start
	sed -i 's/test:tester/test:nobody/' "$T/s3.credentials"
	fails d:v1 'the keys of S3 profile default are not those it has'
	sed -i -e 's/test:nobody/test:reader/' -e 's/= testing/= readonly/' "$T/s3.credentials"
	fails d:v1 'does not let S3 profile default read it' 403
}

@test 'keys of the environment, of publisher and daemon; the children of the daemon do not get them' {
	printf x >"$T/data/f"
	bucket
	rm "$HOME/.aws/credentials" "$T/s3.credentials"
	export AWS_ACCESS_KEY_ID=test:tester AWS_SECRET_ACCESS_KEY=testing AWS_ENDPOINT_URL=$S3
	larder publish -q d:v1 --from "s3://$BUCKET" --access public
	daemon_start
	equal "$(acquire 1 d:v1)" ready
	same_bytes d
	for child in $(pgrep -P "$DAEMON"); do
		if grep -qz AWS_ "/proc/$child/environ"; then false; fi
	done
}

@test 'credentials that others can read, of somebody else, or that are none: said before anything is read' {
	printf x >"$T/data/f"
	bucket
	larder publish -q d:v1 --from "s3://$BUCKET" --access public
	chmod 640 "$T/s3.credentials"
	start
	fails d:v1 'can be read by others' 'chmod 600'
	code 1 "$LARDERD" --check-config -c "$T/larder.conf"
	contains "$output" 'error: s3_credentials: '
	contains "$output" 'can be read by others'
	chmod 600 "$T/s3.credentials"
	chown $USER_A "$T/s3.credentials"
	fails d:v1 "belong to user $USER_A"
	code 1 "$LARDERD" --check-config -c "$T/larder.conf"
	chown 0 "$T/s3.credentials"
	printf '[default]\naws_secret_access_key = h1dden\n' >"$T/s3.credentials"
	code 1 "$LARDERD" --check-config -c "$T/larder.conf"
	contains "$output" 'belong together'
	lacks "$output" h1dden
	rm "$T/s3.credentials"
	fails d:v1 "$T/s3.credentials" 'No such file'
	chmod 644 "$HOME/.aws/credentials"
	code 5 larder publish -q e:v1 --from "s3://$BUCKET" --access public
	contains "$output" 'can be read by others'
}

# The daemon sees a user with a home, without a change of the machine's.
with_user()
{
	mkdir -p "$T/home-a/.aws"
	{ cat /etc/passwd; echo "larder-a:x:$USER_A:$USER_A::$T/home-a:/bin/sh"; } >"$T/passwd"
	printf '#!/bin/bash\nexec unshare -m bash -c %q %q "$@"\n' \
		"mount --bind $T/passwd /etc/passwd && exec \"\$0\" \"\$@\"" "$LARDERD" >"$T/wrapped"
	chmod 755 "$T/wrapped"
	LARDERD=$T/wrapped
}

@test 'a user'\''s own bucket: with the keys of that user'\''s files, and for that user alone' {
	make_files "$T/data" 5 20000
	(cd "$T/data" && sha256sum f* >SHA256SUMS)
	bucket p/
	with_user
	cp "$HOME/.aws/credentials" "$T/home-a/.aws/credentials"
	chown -R $USER_A:$USER_A "$T/home-a"
	chmod 600 "$T/home-a/.aws/credentials"
	daemon_start 'own_hosts_allow = { "127.0.0.1" }' 'http_retries = 1'
	equal "$(joblet acquire 1 0 $USER_A "mine=s3://$BUCKET/p")" ready
	diff -r "$T/data" "$(tree_data mine:own)"
	equal "$(joblet acquire 2 0 $USER_A "listed=s3://$BUCKET/p/SHA256SUMS")" ready
	equal "$(find "$(tree_data listed:own)" -type f | wc -l)" 5
	[[ -z $(grep -rl testing "$T/state" "$T/tier" "$T/larderd.log") ]]
	lacks "$(as $USER_B larder ls)" mine
	code 1 joblet acquire 3 0 $USER_B "other=s3://$BUCKET/p"
	# where the site forbids, the endpoint of a user's file leads nowhere
	daemon_stop
	daemon_conf 'http_retries = 1'
	daemon_start
	code 1 joblet acquire 4 0 $USER_A "again=s3://$BUCKET/p"
	contains "$output" 'own datasets may not lead'
	chmod 644 "$T/home-a/.aws/credentials"
	code 1 joblet acquire 5 0 $USER_A "open=s3://$BUCKET/p"
	contains "$output" 'chmod 600'
}

# --- what is not there

@test 'no such bucket, nothing below a prefix, an object that went away or became another' {
	make_files "$T/data" 3 1000
	bucket p/
	code 3 larder publish -q e:v1 --from "s3://no-such-bucket-at-all" --access public
	contains "$output" 'there is no bucket no-such-bucket-at-all'
	code 3 larder publish -q e:v1 --from "s3://$BUCKET/q" --access public
	contains "$output" 'no object whose key begins with "q/"'
	code 2 larder publish -q e:v1 --from "s3://$BUCKET/p"
	contains "$output" '--access public'
	larder publish -q d:v1 --from "s3://$BUCKET/p" --access public
	start
	s3 delete "$BUCKET" p/f00001
	fails d:v1 f00001 'not there any more'
	printf 'other bytes' >"$T/other"
	s3 put "$BUCKET" p/f00001 "$T/other"
	fails d:v1 f00001 'it has 11 bytes, and 1000 were expected'
	head -c 1000 /dev/zero >"$T/other"
	s3 put "$BUCKET" p/f00001 "$T/other"
	fails d:v1 f00001 'do not match'
	s3 put "$BUCKET" p/f00001 "$T/data/f00001"
	larder stage -q --wait d:v1 # out of quarantine
	equal "$(acquire 500 d:v1)" ready
	same_bytes d
}

@test 'files that are named: a list of paths, or numbers in braces' {
	make_files "$T/data" 12 1000
	bucket p/
	printf 'f00003\nf00001\n' >"$T/paths"
	larder publish -q d:v1 --from "s3://$BUCKET/p" --paths "$T/paths" --access public
	equal "$(grep -c '^f ' "$T/catalog/d/v1.manifest")" 2
	larder publish -q e:v1 --from "s3://$BUCKET/p/f{00000..00011}" --access public
	start
	equal "$(acquire 1 e:v1)" ready
	same_bytes e
}

# --- a server that does what it is told

fake_start()
{
	mkdir -p "$T/fake/b"
	python3 "$S3_LIB/fakes3.py" "$T/fake" "$T/fake.port" "$T/fake.log" </dev/null >"$T/fake.out" 2>&1 3>&- &
	FAKE_PID=$!
	poll 20 test -s "$T/fake.port"
	FAKE=http://127.0.0.1:$(<"$T/fake.port")
	printf '[default]\nendpoint_url = %s\n' "$FAKE" >"$T/s3.credentials"
	chmod 600 "$T/s3.credentials"
	cp -p "$T/s3.credentials" "$HOME/.aws/credentials"
}

fake_is() { printf '%s' "$*" >"$T/fake/.mode"; }

@test 'an open bucket: nothing is signed' {
	fake_start
	make_files "$T/fake/b/p" 10 1000
	larder publish -q d:v1 --from s3://b/p --access public
	start
	equal "$(acquire 1 d:v1)" ready
	same_bytes d "$T/fake/b/p"
	equal "$(grep -c 'list-type=2' "$T/fake.log")" 4
	equal "$(grep -vc 'signed=no' "$T/fake.log")" 0
	fake_is error 403 AccessDenied
	larder evict -y d:v1 >/dev/null 2>&1 || { release 1; larder evict -y d:v1; }
	fails d:v1 'does not let everybody read it' 'no S3 profile with keys'
}

@test 'session tokens are sent and signed; one that is over is said' {
	fake_start
	make_files "$T/fake/b" 3 1000
	fake_is token s3ss10n
	printf 'aws_access_key_id = A\naws_secret_access_key = B\naws_session_token = s3ss10n\n' >>"$T/s3.credentials"
	cp "$T/s3.credentials" "$HOME/.aws/credentials"
	larder publish -q d:v1 --from s3://b --access public
	start
	equal "$(acquire 1 d:v1)" ready
	# Not what gateways change on the way.
	equal "$(grep -vc 'signed=host;x-amz-content-sha256;x-amz-date;x-amz-security-token token=s3ss10n encoding=identity' \
		"$T/fake.log")" 0
	release 1
	larder evict -y d:v1
	fake_is error 400 ExpiredToken
	fails d:v1 'session token of S3 profile default is over' ExpiredToken
	rm "$T/fake.log"
	nothing_told s3ss10n
}

@test 'cut in the middle: it goes on with a range and the same ETag, and no byte comes twice' {
	fake_start
	make_files "$T/fake/b" 3 2000000
	larder publish -q d:v1 --from s3://b --access public
	: >"$T/fake.log"
	fake_is cut
	start
	equal "$(acquire 1 d:v1)" ready
	same_bytes d "$T/fake/b"
	equal "$(grep -c 'range=bytes=1000000- if-match="' "$T/fake.log")" 3
	equal "$(counter origin_bytes)" 6000000
}

@test 'changed while it was read: noticed in staging and in publishing, by the ETag' {
	fake_start
	make_files "$T/fake/b" 1 2000000
	larder publish -q d:v1 --from s3://b --access public
	fake_is change
	start
	: >"$T/fake.log"
	fails d:v1 f00000 'changed at the origin while it was read'
	equal "$(grep -c ^GET "$T/fake.log")" 2
	code 1 larder publish -q e:v1 --from s3://b --access public
	contains "$output" 'changed at the origin while it was read'
}

@test 'what a server refuses ends at once, in a sentence; what may pass is tried again' {
	fake_start
	make_files "$T/fake/b" 1 1000
	larder publish -q d:v1 --from s3://b --access public
	start 'http_retries = 2'
	for want in '301 PermanentRedirect <Endpoint>b.s3.eu-1.amazonaws.com</Endpoint>|the server names b.s3.eu-1' \
		'400 AuthorizationHeaderMalformed <Region>eu-1</Region>|the server names eu-1' \
		'403 RequestTimeTooSkewed|clocks' '403 InvalidObjectState|archive' '403 InvalidAccessKeyId|key id' \
		'404 NoSuchBucket|no bucket b' '400 Whatever|Whatever'; do
		: >"$T/fake.log"
		# shellcheck disable=SC2086 # words
		fake_is error ${want%|*}
		fails d:v1 "${want#*|}"
		equal "$(grep -c ^GET "$T/fake.log")" 1
	done
	: >"$T/fake.log"
	fake_is error 503 SlowDown
	fails d:v1 SlowDown 'given up after 3 tries'
	equal "$(grep -c ^GET "$T/fake.log")" 3
}

@test 'listings that never end, that are empty for ever, or that are no listings' {
	fake_start
	make_files "$T/fake/b" 1 1000
	for want in 'samepage|the same page again' 'emptypage|empty pages only' 'html|no S3 listing'; do
		fake_is "${want%|*}"
		code 1 larder publish -q d:v1 --from s3://b --access public
		contains "$output" "${want#*|}"
	done
	[[ ! -e $T/catalog/d ]]
}

staged_some() { [[ $(find "$T/tier/trees" -type f -path '*/data/*' 2>/dev/null | wc -l) -ge $1 ]]; }

@test 'kill -9 in the middle: the next run asks only for what was missing' {
	fake_start
	make_files "$T/fake/b" 3000 2000
	larder publish -q d:v1 --from s3://b --access public --threads 16
	fake_is slow 20
	start 'transfer_threads = 8'
	acquire 1 d:v1 --timeout 100 >/dev/null 2>&1 3>&- & asking=$!
	poll 60 staged_some 1000
	daemon_kill9
	wait $asking || true
	had=$(find "$T/tier/trees" -type f -path '*/data/*' | wc -l)
	between "$had" 1000 2999
	fake_is
	: >"$T/fake.log"
	start
	equal "$(acquire 2 d:v1)" ready
	same_bytes d "$T/fake/b"
	# What had its name, but not yet durably, may be asked for again: one batch of the committer.
	between "$(wc -l <"$T/fake.log")" 1 $((3000 - had + 1024))
}
