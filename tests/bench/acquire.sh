# shellcheck shell=bash disable=SC2154 # top, here and BUILD come from run
# What a job pays on a node that has its dataset: ACQUIRE and RELEASE, each apart, beside a PING on the same
# connection, for trees of one shard and of many, and while another dataset is being staged.

# Prints the JSON lines to the results.
acquire_rounds() {
	"$BENCH_BIN/acquire" "$@" >> "$BENCH_OUT"
}

# acquire_tree WHO NAME COUNT
acquire_tree() {
	local spec
	say "acquire: publishing and staging $3 shards"
	daemon_files "$P/origin/$2" "$3"
	spec=$(daemon_dataset "$2" "$P/origin/$2") || return 1
	acquire_rounds rounds acquire "$1" "$spec" "$ACQUIRE_ROUNDS"
}

# acquire_beside WHO COUNT SIZE: the one-shard tree again, while files of that size are staged.
acquire_beside() {
	local name=${1##* } waiter
	say "acquire: beside the staging of $2 x $3 bytes"
	make_files "$2" "$3" "$P/origin/$name" && chmod -R a+rX "$P/origin/$name"
	larder publish -q "$name:v1" --from "$P/origin/$name" > /dev/null || return 1
	sync
	larder stage -q --wait "$name:v1" > /dev/null 2>&1 &
	waiter=$!
	acquire_rounds beside acquire "$1" "$(daemon_spec one)" 1000000 "$waiter"
	wait "$waiter"
}

acquire_all() {
	daemon_place 24G && daemon_start || return 1
	acquire_tree '1 shard' one 1 &&
		acquire_tree '10,000 shards' tenthousand 10000 &&
		acquire_tree "$ACQUIRE_MANY shards" many "$ACQUIRE_MANY" &&
		acquire_rounds rounds acquire '1 shard, again' "$(daemon_spec one)" "$ACQUIRE_ROUNDS" &&
		acquire_beside 'staging large' $((LARGE_COUNT * 2)) "$LARGE_SIZE" &&
		acquire_beside 'staging small' $((SMALL_COUNT * 2)) 112640 || return 1
	python3 "$here/latency.py" "$BENCH_OUT" acquire ping
}

bench_acquire() {
	local ACQUIRE_ROUNDS=5000 ACQUIRE_MANY=${ACQUIRE_MANY:-200000}
	case $BENCH_SCALE in
	tiny) ACQUIRE_ROUNDS=100 ACQUIRE_MANY=20000 ;;
	full) ACQUIRE_MANY=1000000 ;;
	esac
	(acquire_all)
}
