# shellcheck shell=bash disable=SC2154,SC2034 # top and BUILD come from run; FIRST_MS is scale.sh's
# A larderd of the benches' own: its state, catalog, origins and tier on one XFS file system in an image below
# BENCH_DIR, which goes as a whole (to unlink millions of files would take longer than the bench).
# Used by acquire.sh and scale.sh, each in a subshell whose end is daemon_end.

# daemon_place SIZE: everything is below $P from here on.
daemon_place() {
	P=$BENCH_DIR/larder
	mkdir -p "$P"
	trap daemon_end EXIT
	trap 'exit 130' INT TERM
	truncate -s "$1" "$P.img"
	mkfs.xfs -q "$P.img" && mount -o loop "$P.img" "$P" || return 1
	chmod 755 "$BENCH_DIR" "$P"
	mkdir "$P/state" "$P/tier" "$P/catalog" "$P/origin" "$P/view" "$P/helper"
	export LARDER_SOCKET=$P/larderd.sock LARDER_CATALOG=$P/catalog LARDER_NODE=bench
	PATH=$BUILD:$PATH
	# No slurmctld here: questions about jobs get no answer, so leases stay.
	printf '#!/bin/sh\nwhile read -r what id; do echo "fail errno=1800 text=no controller"; done\n' \
		> "$P/helper/larder-slurm-helper"
	chmod 755 "$P/helper/larder-slurm-helper"
}

daemon_end() {
	daemon_stop
	umount "$P" 2> /dev/null || umount -l "$P" 2> /dev/null
	rm -rf "$P" "$P.img"
}

# DAEMON_KEYS: further lines of larder.conf.
daemon_conf() {
	cat > "$P/larder.conf" <<-END
		node_name = "bench"
		socket = "$LARDER_SOCKET"
		state_dir = "$P/state"
		catalog = "$P/catalog"
		view_root = "$P/view"
		helper_dir = "$P/helper"
		${DAEMON_KEYS-}
		tier "local" {
			path = "$P/tier"
		}
	END
}

# Starts it and waits for its first answer; sets FIRST_MS, counted from the fork.
daemon_start() {
	daemon_conf
	"$BUILD/larderd" -c "$P/larder.conf" < /dev/null >> "$P/larderd.log" 2>&1 &
	DAEMON=$!
	FIRST_MS=$("$BENCH_BIN/acquire" answer 60) || { tail -n 5 "$P/larderd.log" >&2; return 1; }
}

daemon_stop() {
	[[ -n ${DAEMON-} ]] || return 0
	kill -TERM "$DAEMON" 2> /dev/null
	wait "$DAEMON" 2> /dev/null
	DAEMON=
}

# The most memory it has had resident, in KB, since it started or since the last daemon_memory_reset.
daemon_memory() { awk '/^VmHWM/ { print $2 }' "/proc/$DAEMON/status"; }
daemon_memory_reset() { echo 5 > "/proc/$DAEMON/clear_refs"; }

# daemon_files DIR COUNT: tiny files that everybody may read, 1,000 to a directory, no two alike.
daemon_files() {
	python3 -c '
import os, sys
top, count = sys.argv[1], int(sys.argv[2])
for i in range(count):
    if i % 1000 == 0:
        sub = f"{top}/{i // 1000:04}"
        os.makedirs(sub)
    with open(f"{sub}/{i % 1000:03}", "w") as f:
        f.write(f"{i}\n")
' "$1" "$2"
	chmod -R a+rX "$1"
}

# daemon_dataset NAME DIR: published and staged; prints NAME:v1@DIGEST, as submission fixes it.
daemon_dataset() {
	larder publish -q "$1:v1" --from "$2" > /dev/null || return 1
	larder stage -q "$1:v1" > /dev/null && larder wait -q "$1:v1" > /dev/null || return 1
	daemon_spec "$1"
}

daemon_spec() { larder ls --raw -h -o NAME,VERSION,DIGEST "$1" | awk '{ print $1 ":" $2 "@" $3 }'; }
