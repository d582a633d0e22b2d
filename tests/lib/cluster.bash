# shellcheck shell=bash
# What the suites on a real Slurm cluster share: one cluster for a file of tests, datasets, jobs, and what to
# assert of them. Loaded by tests/slurm/*.bats. Waiting is always a bounded poll for the thing itself.

CLUSTER=$BATS_TEST_DIRNAME/cluster

# --- a cluster for a file of tests ---

# cluster_up OPTION…: for setup_file. Its directory is new, so that suites can run side by side.
cluster_up()
{
	command -v slurmctld >/dev/null || fail_with 'Slurm is not installed: run contrib/bootstrap'
	DIR=$(mktemp -d /tmp/larder-bats.XXXXXX)
	export DIR
	"$CLUSTER" up --dir "$DIR" "$@"
	# shellcheck disable=SC1091
	. "$DIR/env"
	mkdir -m 755 "$DIR/origin" "$DIR/out"
	chmod 1777 "$DIR/out"
}

# For teardown_file: also when setup_file failed half-way.
cluster_down() { [[ -z ${DIR-} ]] || "$CLUSTER" down --dir "$DIR"; }

node() { "$CLUSTER" "$@" --dir "$DIR"; }

# For teardown: what a failed test needs to be understood. Its jobs must not spoil the tests that follow.
show_logs_on_failure()
{
	[[ -z ${BATS_TEST_COMPLETED-} && -z ${BATS_TEST_SKIPPED-} ]] || return 0
	local file
	for file in "$DIR"/n*/larderd.log; do
		printf '==> %s\n' "$file"
		tail -n 15 "$file"
	done
	grep -hiE 'larder|spank' "$DIR"/n*/slurmd.log | tail -n 15 || true
	squeue -h -o %A | grep -vxF "${TIMED:-none}" | xargs -r scancel || true
}

# The last test of every file: nothing that went before drained a node or held a job, not even for a moment.
assert_nothing_drained_or_held()
{
	local n
	for n in $(sinfo -h -N -o %N | sort -u); do poll 30 node_usable "$n" || fail_with "node $n: $(sinfo -h -n "$n" -o '%T %E')"; done
	if grep -iE 'drain|JobHeldAdmin|requeue.*held|held.*requeue' "$DIR/ctld/slurmctld.log"; then
		fail_with 'slurmctld drained a node or held a job (see the lines above)'
	fi
	[[ $(squeue -h -o %r) != *Held* ]] || fail_with "a job is held: $(squeue -h)"
}

node_usable() { [[ $(sinfo -h -n "$1" -o %T) =~ ^(idle|mixed|allocated)$ ]]; }

# --- small tools ---

fail_with()
{
	printf '%s\n' "$*" >&2
	return 1
}

now_ms() { printf '%s' $((${EPOCHREALTIME/[.,]/} / 1000)); }

# poll SECONDS COMMAND…
poll()
{
	local deadline=$(($(now_ms) + $1 * 1000))
	shift
	until "$@"; do
		[[ $(now_ms) -lt $deadline ]] || return 1
		sleep 0.05
	done
}

# holds SECONDS COMMAND…: the command stays true for that long. For promises that something does NOT happen.
holds()
{
	local deadline=$(($(now_ms) + $1 * 1000))
	shift
	while [[ $(now_ms) -lt $deadline ]]; do
		"$@" || return 1
		sleep 0.1
	done
}

not() { ! "$@"; }

contains() { [[ $1 == *"$2"* ]] || fail_with "expected '$2' in:"$'\n'"$1"; }
lacks() { [[ $1 != *"$2"* ]] || fail_with "did not expect '$2' in:"$'\n'"$1"; }
equal() { [[ $1 == "$2" ]] || fail_with "expected '$2', got '$1'"; }
between() { [[ $1 -ge $2 && $1 -le $3 ]] || fail_with "expected $2 to $3, got $1"; }

# as alice COMMAND…: an ordinary user, in a directory of their own.
as()
{
	local person=$1
	shift
	(cd "$DIR/home/$person" && exec runuser -u "larder-$person" -- "$@")
}

# --- datasets ---

# make_files DIR COUNT BYTES: random files 0000, 0001, … that everybody may read. One pass, for speed.
make_files()
{
	mkdir -p "$1"
	head -c $(($2 * $3)) /dev/urandom | split -b "$3" -a 5 -d - "$1/f"
	chmod 755 "$1"
}

tree_bytes() { find "$1" -type f -printf '%s\n' | awk '{ n += $1 } END { print n + 0 }'; }

# publish NAME:VERSION PATH [OPTION…]
publish()
{
	local spec=$1 from=$2
	shift 2
	larder publish "$spec" --from "$from" "$@"
}

# dataset NAME COUNT BYTES [OPTION…]: NAME:v1, of random files; the options are publish's.
dataset()
{
	local name=$1 count=$2 bytes=$3
	shift 3
	make_files "$DIR/origin/$name" "$count" "$bytes"
	publish "$name:v1" "$DIR/origin/$name" "$@"
}

# set_alias NAME ALIAS VERSION: an alias is a symbolic link, as the catalog's format says.
set_alias() { ln -sfn "$3.manifest" "$LARDER_CATALOG/$1/$2.manifest"; }

# --- what a node's daemon says ---

# counter NODE NAME: a counter of the metrics, by its name in counter.def.
counter()
{
	larder -w "$1" metrics | awk -v name="larder_$2" '
		{ metric = $1; sub(/\{.*/, "", metric) }
		metric == name || metric == name "_total" { sum += $NF; found = 1 }
		END { if (!found) exit 1; printf "%d\n", sum }'
}

# tree_state NODE NAME:VERSION: ready, partial, staging, failed, or nothing when it is not there.
tree_state()
{
	local answer
	# A daemon that does not answer must not read like one that has no such tree.
	answer=$(larder -w "$1" ls --json) || { echo no-answer; return 1; }
	jq -r --arg n "${2%%:*}" --arg v "${2#*:}" \
		'first(.. | objects | select(.name? == $n and .version? == $v) | .state) // empty' <<<"$answer"
}

tree_is() { [[ $(tree_state "$1" "$2") == "$3" ]]; }

# leases NODE: how many leases there are; leases NODE JOB: of that job.
leases()
{
	if [[ $# -eq 1 ]]; then
		counter "$1" leases
	else
		leases_of_job "$@"
	fi
}

leases_of_job()
{
	local answer spec
	local -i n=0
	# A daemon that does not answer must not read like one without leases.
	answer=$(larder -w "$1" ls --raw -h -o NAME,VERSION) || { echo no-answer; return 1; }
	for spec in ${answer// /:}; do
		n+=$(larder -w "$1" show "$spec" --json | jq -s --arg job "$2" \
			'[.. | objects | .leases? | arrays | .[] | select((.job | tostring) == $job)] | length')
	done
	printf '%d\n' "$n"
}

no_leases() { [[ $(leases "$@") == 0 ]]; }
has_lease() { [[ $(leases "$@") =~ ^[1-9] ]]; }

# Where a tree's files are on the node: for root's eyes only.
tree_data() { printf '%s\n' "$DIR/$1/tier/trees"/*/"${2%%:*}/${2#*:}@"*/data; }

# --- jobs ---

# submit OPTION… : a batch job that runs the script on standard input; prints its id. Output: $DIR/out/ID.
submit() { sbatch --parsable -o "$DIR/out/%A" "$@" | cut -d';' -f1; }

job_state() { scontrol show job "$1" 2>/dev/null | sed -n 's/.*JobState=\([A-Z_]*\).*/\1/p' | head -n 1; }
job_is() { [[ $(job_state "$1") == "$2" ]]; }
job_over() { [[ ! $(job_state "$1") =~ ^(PENDING|CONFIGURING|RUNNING|COMPLETING|SUSPENDED)$ ]]; }
no_jobs_at_all() { [[ -z $(squeue -h) ]]; }

# finish JOB [SECONDS]: waits for its end, prints its state.
finish()
{
	if ! poll "${2-30}" job_over "$1"; then
		fail_with "job $1 is still $(job_state "$1") after ${2-30} s: $(job_output "$1")"
		return 1
	fi
	job_state "$1"
}

job_output() { cat "$DIR/out/$1" 2>/dev/null || true; }
output_has() { grep -qF -- "$2" "$DIR/out/$1" 2>/dev/null; }

# hold_dataset NODE SPEC [OPTION…]: a job that runs until it is let go; prints its id once it runs.
hold_dataset()
{
	local n=$1 spec=$2 id
	shift 2
	id=$(submit -w "$n" --dataset="$spec" "$@" <<<$'#!/bin/sh\necho started\nexec sleep 600')
	poll 30 started_or_over "$id" || true
	if ! output_has "$id" started; then
		fail_with "job $id with $spec did not start: $(job_state "$id") $(job_output "$id")"
		return 1
	fi
	printf '%s\n' "$id"
}

started_or_over() { output_has "$1" started || job_over "$1"; }

# let_go JOB: ends it and waits until Slurm is done with it.
let_go()
{
	scancel "$1"
	poll 20 job_over "$1"
}

# batch_stepd NODE JOB: pid of the step daemon of the job's batch step. Slurm writes the title into 20 bytes: "[7.b".
batch_stepd()
{
	local pid title
	for pid in $(node jobpids "$1"); do
		title=$(tr '\0' ' ' <"/proc/$pid/cmdline") || continue
		[[ $title != "slurmstepd: [$2.b"* ]] || printf '%s\n' "$pid"
	done
}
