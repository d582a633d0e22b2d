# shellcheck shell=bash
# shellcheck disable=SC2034 # used by the suites
# A real S3 server for the end-to-end tests of one file: started once, ended with the file.
# Must not: leave a process or a file behind. Loaded by tests/e2e/*.bats behind lib.bash.

S3_LIB=$TOP/tests/lib

# For setup_file. Swift keeps metadata in extended attributes, which not every /tmp has.
s3_start()
{
	local dir
	command -v swift-proxy-server >/dev/null || return 0
	for dir in "${TMPDIR:-/tmp}" /var/tmp "$BUILD"; do
		S3_DIR=$(mktemp -d "$dir/larder-s3.XXXXXX") || continue
		python3 -c 'import os, sys; os.setxattr(sys.argv[1], "user.larder", b"1")' "$S3_DIR" 2>/dev/null && break
		rmdir "$S3_DIR"
		S3_DIR=
	done
	[[ -n $S3_DIR ]] || return 0
	export S3_DIR
	"$S3_LIB/s3server" "$S3_DIR" </dev/null >"$S3_DIR/out" 2>&1 3>&- &
	S3_PID=$!
	export S3_PID
	if poll 300 s3_up_or_dead && [[ -s $S3_DIR/endpoint ]]; then
		S3=$(<"$S3_DIR/endpoint")
		export S3
	else
		cat "$S3_DIR/out" >&2
		return 1
	fi
}

s3_up_or_dead() { [[ -s $S3_DIR/endpoint ]] || ! kill -0 "$S3_PID" 2>/dev/null; }

# For teardown_file.
s3_stop()
{
	[[ -z ${S3_PID-} ]] || { kill -TERM "$S3_PID" 2>/dev/null && wait "$S3_PID" 2>/dev/null; } || true
	[[ -z ${S3_DIR-} ]] || rm -rf "$S3_DIR"
}

s3_needed() { [[ -n ${S3-} ]] || skip 'no Swift, or no extended attributes'; }

# s3 VERB …: puts things into the server (tests/lib/s3tool).
s3() { "$S3_LIB/s3tool" "$S3" "$@"; }

# s3_profile NAME KEY-ID SECRET [LINE…]: one profile of the server, as text.
s3_profile()
{
	printf '[%s]\naws_access_key_id = %s\naws_secret_access_key = %s\nendpoint_url = %s\n' "$1" "$2" "$3" "$S3"
	[[ $# -lt 4 ]] || printf '%s\n' "${@:4}"
}
