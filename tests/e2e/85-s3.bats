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
