# shellcheck shell=bash disable=SC2154 # top, here and BUILD come from run
# A dataset of 1,000,000 shards, an inventory of 10,000 trees, 1,000 clients at once: how long each verb takes and
# what the daemon's memory comes to in it. It takes minutes, so only BENCH_SCALE=full runs it.

# scale_step WHAT GOAL-MS GOAL-MB COMMAND…: its time and the daemon's most memory meanwhile. "-": no goal.
scale_step() {
	local what=$1 goal_ms=$2 goal_mb=$3 began ended memory=0
	shift 3
	[[ -z ${DAEMON-} ]] || daemon_memory_reset
	began=${EPOCHREALTIME/[.,]/}
	"$@" > "$P/out" 2>&1 || { say "scale: $what: $(tail -n 3 "$P/out")"; return 1; }
	ended=${EPOCHREALTIME/[.,]/}
	[[ -z ${DAEMON-} ]] || memory=$(daemon_memory)
	scale_note "$what" $(((ended - began) / 1000)) "$goal_ms" "$((memory / 1024))" "$goal_mb"
}

scale_note() {
	printf '{"work":"scale","who":"%s","ms":%s,"goal_ms":"%s","daemon_mb":%s,"goal_mb":"%s"}\n' "$@" >> "$BENCH_OUT"
	printf '{"summary":"scale","who":"%s","ms":%s,"goal_ms":"%s","daemon_mb":%s,"goal_mb":"%s"}\n' "$@" >> "$BENCH_SUM"
	printf '%-44s%10s ms%10s%8s MB%8s\n' "$1" "$2" "$3" "$4" "$5"
}

# Killed, not stopped: a crash is what a restart has to be quick after.
scale_restart() {
	[[ -z ${DAEMON-} ]] || { kill -KILL "$DAEMON"; wait "$DAEMON" 2> /dev/null; }
	DAEMON=
	daemon_start && scale_note "$1" "${FIRST_MS%.*}" 1000 $(($(daemon_memory) / 1024)) 64
}

scale_gone() {
	larder evict -q -y "$1" && until [[ -z $(ls -A "$P/tier/trash") ]]; do sleep 0.2; done
}

scale_shards() {
	local n=$1 spec
	say "scale: making $n files"
	daemon_files "$P/origin/many" "$n" || return 1
	scale_step "publish, $n shards" - - larder publish -q many:v1 --from "$P/origin/many" &&
		scale_step "stage" - 128 larder stage -q --wait many:v1 || return 1
	spec=$(daemon_spec many)
	"$BENCH_BIN/acquire" rounds acquire "$n shards" "$spec" 2000 >> "$BENCH_OUT" &&
		sleep 3 && # idle: after two the transfers' memory has gone back
		scale_step 'ls' 100 64 larder ls &&
		scale_step 'show' - 64 larder show many:v1 &&
		scale_restart 'killed: start to first answer' &&
		scale_step 'verify' - 128 larder verify -q many:v1 &&
		scale_step 'evict: until the name is gone' - 128 larder evict -q -y many:v1 &&
		scale_step 'stage again, while the trash empties' - 128 larder stage -q --wait many:v1 &&
		scale_step 'evict: until the trash is empty' - 128 scale_gone many:v1
}

scale_trees() {
	daemon_stop
	"$BENCH_BIN/rows" "$P/state" local "$1" &&
		scale_restart "$1 trees: start to first answer" &&
		scale_step "ls of $1 trees, root" 100 64 larder ls &&
		scale_step "ls of $1 trees, json" 100 64 larder ls --json &&
		scale_step "ls of $1 trees, a user" 100 64 setpriv --reuid 65534 --regid 65534 --clear-groups -- larder ls &&
		scale_step "df" 100 64 larder df &&
		scale_step "metrics" 100 64 larder metrics &&
		scale_step "evict --bytes 1T --dry-run" - 64 larder evict -n --bytes 1T
}

scale_crowd() {
	local spec
	mkdir "$P/origin/one" && echo 1 > "$P/origin/one/1"
	chmod -R a+rX "$P/origin/one"
	spec=$(daemon_dataset one "$P/origin/one") || return 1
	"$BENCH_BIN/acquire" rounds acquire "among $SCALE_TREES trees" "$spec" 2000 >> "$BENCH_OUT" &&
		scale_step "$1 clients at once" - 128 "$BENCH_BIN/acquire" crowd acquire "$1 clients" "$spec" "$1" &&
		cat "$P/out" >> "$BENCH_OUT"
}

scale_all() {
	local part
	daemon_place 40G && daemon_start || return 1
	printf '\n%-44s%13s%10s%11s%8s\n' scale time goal memory goal
	for part in $SCALE_PARTS; do
		case $part in
		shards) scale_shards "$SCALE_SHARDS" ;;
		trees) scale_trees "$SCALE_TREES" ;;
		crowd) scale_crowd 1000 ;;
		*) say "scale: no part is called $part; there are shards, trees and crowd"; false ;;
		esac || return 1
	done
	python3 "$here/latency.py" "$BENCH_OUT" acquire ping
}

bench_scale() {
	local SCALE_SHARDS=${SCALE_SHARDS:-1000000} SCALE_TREES=${SCALE_TREES:-10000}
	local SCALE_PARTS=${SCALE_PARTS:-shards trees crowd}
	if [[ $BENCH_SCALE != full ]]; then
		say 'scale: left out, it takes minutes; BENCH_SCALE=full runs it'
		return 0
	fi
	(scale_all)
}
