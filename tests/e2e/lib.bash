# shellcheck shell=bash
# shellcheck disable=SC2034 # used by the suites
# What the end-to-end suites share: a larderd of their own per test, datasets, and what to assert of them.
# No Slurm: joblet speaks as the plugin, and a small script answers the daemon's questions about jobs.
# Loaded by tests/e2e/*.bats. Waiting is always a bounded poll for the thing itself.

TOP=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
BUILD=${BUILD:-$TOP/build}
[[ $BUILD == /* ]] || BUILD=$TOP/$BUILD
LARDERD=$BUILD/larderd
PATH=$BUILD:$BUILD/tests:$PATH
# An ordinary user without a name: ids that no file of the machine belongs to.
USER_A=54321 USER_B=54322

# --- a place for each test ---

# For setup: everything of a test is below $T, which ordinary users can enter.
place_setup()
{
	[[ $EUID -eq 0 ]] || skip 'needs root'
	[[ -x $LARDERD ]] || skip "no $LARDERD: run make first"
	T=$(mktemp -d /tmp/larder-e2e.XXXXXX)
	chmod 755 "$T"
	mkdir "$T/state" "$T/tier" "$T/catalog" "$T/origin" "$T/view" "$T/jobs" "$T/helper"
	export LARDER_SOCKET=$T/larderd.sock LARDER_CATALOG=$T/catalog LARDER_NODE=e1
	echo boot-1 >"$T/boot_id"
	write_helper
}

# For teardown.
place_teardown()
{
	[[ -n ${T-} ]] || return 0
	if [[ -z ${BATS_TEST_COMPLETED-} && -z ${BATS_TEST_SKIPPED-} ]]; then
		printf '==> larderd.log\n'
		tail -n 25 "$T/larderd.log" 2>/dev/null || true
	fi
	daemon_stop || true
	reap_background
	for place in tier state; do umount "$T/$place" 2>/dev/null || umount -l "$T/$place" 2>/dev/null || true; done
	chattr -R -i "$T" 2>/dev/null || true
	rm -rf "$T"
}

reap_background()
{
	local pid
	for pid in $(jobs -p); do kill -KILL "$pid" 2>/dev/null || true; done
	wait 2>/dev/null || true
}

# What the daemon asks about jobs: $T/jobs/ID holds the answer's pairs; no file: slurmctld does not answer.
write_helper()
{
	cat >"$T/helper/larder-slurm-helper" <<-END
		#!/bin/bash
		while read -r what id; do
			if [[ \$what == conf ]]; then echo 'conf prolog_timeout_s=0'
			elif [[ -e $T/jobs/\$id ]]; then echo "job id=\$id \$(<"$T/jobs/\$id")"
			else echo 'fail errno=1800 text=Unable to contact slurm controller'
			fi
		done
	END
	chmod 755 "$T/helper/larder-slurm-helper"
}

# slurm_says JOB running|gone: what the helper answers from now on.
slurm_says()
{
	case $2 in
	running) echo 'state=running completing=0 here=1 restarts=0 limit_s=0 start_s=1700000000' ;;
	gone) echo 'state=unknown' ;;
	esac >"$T/jobs/$1.new"
	mv "$T/jobs/$1.new" "$T/jobs/$1"
}

# tier_image FS SIZE: the tier on a file system of its own.
tier_image()
{
	truncate -s "$2" "$T/tier.img"
	case $1 in
	ext4) mkfs.ext4 -q -F -m 0 "${@:3}" "$T/tier.img" ;;
	xfs) mkfs.xfs -q "${@:3}" "$T/tier.img" ;;
	esac
	mount -o loop "$T/tier.img" "$T/tier"
}

# --- the daemon ---

# daemon_conf [LINE…]: writes the configuration; lines given come last, tier lines as tier:LINE.
daemon_conf()
{
	local line tier_lines=''
	{
		cat <<-END
			node_name = "e1"
			socket = "$T/larderd.sock"
			state_dir = "$T/state"
			catalog = "$T/catalog"
			view_root = "$T/view"
			helper_dir = "$T/helper"
			boot_id_file = "$T/boot_id"
			allow_tmpfs_state = true
			evict_grace = "0"
		END
		for line in "$@"; do
			if [[ $line == tier:* ]]; then tier_lines+="${line#tier:}"$'\n'; else printf '%s\n' "$line"; fi
		done
		printf 'tier "local" {\n path = "%s"\n%s}\n' "$T/tier" "$tier_lines"
	} >"$T/larder.conf"
}

# daemon_start [LINE…]: with lines, a new configuration is written first.
daemon_start()
{
	[[ $# -eq 0 && -e $T/larder.conf ]] || daemon_conf "$@"
	"$LARDERD" -c "$T/larder.conf" </dev/null >>"$T/larderd.log" 2>&1 3>&- &
	DAEMON=$!
	if ! poll 10 daemon_answers_or_dead || ! joblet ping; then
		fail_with "larderd does not answer: $(tail -n 5 "$T/larderd.log")"
		return 1
	fi
}

daemon_answers_or_dead() { ! kill -0 "$DAEMON" 2>/dev/null || joblet ping 2>/dev/null; }
daemon_dead() { ! kill -0 "$DAEMON" 2>/dev/null; }

daemon_stop()
{
	[[ -n ${DAEMON-} ]] || return 0
	kill -CONT "$DAEMON" 2>/dev/null || true
	kill -TERM "$DAEMON" 2>/dev/null || true
	if ! poll 10 daemon_dead; then
		kill -KILL "$DAEMON"
		echo 'larderd did not end within 10 s of SIGTERM'
		wait "$DAEMON" || true
		DAEMON=
		return 1
	fi
	wait "$DAEMON" 2>/dev/null || true
	DAEMON=
}

daemon_kill9()
{
	kill -KILL "$DAEMON"
	wait "$DAEMON" 2>/dev/null || true
	DAEMON=
}

daemon_alive() { kill -0 "$DAEMON" && joblet ping; }

# --- small tools ---

fail_with()
{
	printf '%s\n' "$*" >&2
	return 1
}

now_ms() { printf '%s' $((${EPOCHREALTIME/[.,]/} / 1000)); }

# poll SECONDS COMMAND…: what a quiet machine needs at most; a loaded one, or a sanitizer, has three times that.
poll()
{
	local deadline=$(($(now_ms) + $1 * 3000))
	shift
	until "$@"; do
		[[ $(now_ms) -lt $deadline ]] || return 1
		sleep 0.03
	done
}

contains() { [[ $1 == *"$2"* ]] || fail_with "expected '$2' in:"$'\n'"$1"; }
lacks() { [[ $1 != *"$2"* ]] || fail_with "did not expect '$2' in:"$'\n'"$1"; }
equal() { [[ $1 == "$2" ]] || fail_with "expected '$2', got '$1'"; }
between() { [[ $1 -ge $2 && $1 -le $3 ]] || fail_with "expected $2 to $3, got $1"; }

# code EXIT COMMAND…: runs it, and its exit code must be that. Output is in $output, as with run.
code()
{
	local want=$1
	shift
	run "$@"
	# shellcheck disable=SC2154
	[[ $status -eq $want ]] || fail_with "expected exit code $want, got $status from: $*"$'\n'"$output"
}

# as UID COMMAND…: an ordinary user.
as()
{
	local uid=$1
	shift
	setpriv --reuid "$uid" --regid "$uid" --clear-groups -- "$@"
}

# --- datasets ---

# make_files DIR COUNT BYTES: random files f00000, f00001, … that everybody may read. One pass, for speed.
make_files()
{
	mkdir -p "$1"
	head -c $(($2 * $3)) /dev/urandom | split -b "$3" -a 5 -d - "$1/f"
	chmod 755 "$1"
}

# publish NAME:VERSION PATH [OPTION…]
publish()
{
	local spec=$1 from=$2
	shift 2
	larder publish -q "$spec" --from "$from" "$@"
}

# dataset NAME:VERSION COUNT BYTES [OPTION…]: files at $T/origin/NAME-VERSION, published.
dataset()
{
	local spec=$1 dir=$T/origin/${1/:/-}
	make_files "$dir" "$2" "$3"
	publish "$spec" "$dir" "${@:4}"
}

origin_of() { printf '%s\n' "$T/origin/${1/:/-}"; }

# The data directory of a tree; there is exactly one of that name and version.
tree_data()
{
	local found=("$T"/tier/trees/*/"${1%%:*}/${1#*:}@"*/data)
	[[ ${#found[@]} -eq 1 && -d ${found[0]} ]] || fail_with "trees of $1: ${found[*]}" || return 1
	printf '%s\n' "${found[0]}"
}

no_tree() { ! compgen -G "$T/tier/trees/*/${1%%:*}/${1#*:}@*" >/dev/null; }
trash_empty() { [[ -z $(ls -A "$T/tier/trash") ]]; }

# same_tree ORIGIN COPY: every name, byte, link target, executable bit and mtime (files).
same_tree()
{
	diff -r --no-dereference "$1" "$2" || return 1
	diff <(listing "$1") <(listing "$2")
}

listing()
{
	(cd "$1" && find . \( -type f -perm -u+x -printf '%P\0x %T@\0' \) -o \( -type f -printf '%P\0- %T@\0' \) \
		-o \( -type l -printf '%P\0-> %l\0' \) -o \( -type d -empty -printf '%P\0d\0' \)) |
		paste -zd' ' - - | sort -z | tr '\0' '\n'
}

# --- what the daemon says ---

# tree_is NAME:VERSION STATE
tree_is() { [[ $(tree_state "$1") == "$2" ]]; }
tree_state() { larder ls --json "$1" 2>/dev/null | jq -r '.trees[0].state // empty'; }
tree_field() { larder ls --json -o "NAME,$2" "$1" | jq -r ".trees[0].${2,,} // empty"; }

# counter NAME: of the metrics, by its name in counter.def.
counter()
{
	larder metrics | awk -v name="larder_$1" '
		{ metric = $1; sub(/\{.*/, "", metric) }
		metric == name || metric == name "_total" { sum += $NF; found = 1 }
		END { if (!found) exit 1; printf "%d\n", sum }'
}

# Leases on the node, all told.
leases() { larder status --json -o LEASES | jq -r '.node[0].leases'; }
leases_are() { [[ $(leases) == "$1" ]]; }

# acquire JOB SPECS [OPTION…]: as root's job, first run.
acquire() { joblet acquire "$1" 0 0 "$2" "${@:3}"; }
release() { joblet release "$1" "${2-0}"; }

# used BYTES of the tier's file system, as the kernel counts.
fs_used() { df -B1 --output=used "$T/tier" | tail -n 1; }
