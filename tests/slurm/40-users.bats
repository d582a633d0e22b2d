#!/usr/bin/env bats
# A cached copy is no way round the origin's permissions, and ordinary users may do ordinary things only.
# What stands in single quotes is for the shell of the job (SC2016).
# shellcheck disable=SC2016

load ../lib/cluster

setup_file()
{
	cluster_up --nodes 1 --capacity 600M --larder-conf $'access_ttl = "1s"\npin_quota = "20M"\npin_max = "1h"\nown_hosts_allow = { "127.0.0.1" }'
	dataset open 5 100000
	make_files "$DIR/origin/team" 5 100000
	publish alices:v1 "$DIR/origin/team" --access users=larder-alice
	publish teams:v1 "$DIR/origin/team" --access groups=larder-team
	make_files "$DIR/origin/closed" 5 100000
	chmod 700 "$DIR/origin/closed"
	publish everybodys:v1 "$DIR/origin/closed" --access public
	publish roots:v1 "$DIR/origin/closed"
	make_files "$DIR/origin/lent" 5 100000
	chown larder-alice:larder-alice "$DIR/origin/lent"
	chmod 750 "$DIR/origin/lent"
	chgrp larder-team "$DIR/origin/lent"
	publish lent:v1 "$DIR/origin/lent"
	make_files "$DIR/home/alice/data" 4 100000
	chown -R larder-alice:larder-alice "$DIR/home/alice/data"
	dataset big 3 10000000
}

teardown_file() { cluster_down; }
teardown() { show_logs_on_failure; }

# runs PERSON SPEC / reads_as_unknown PERSON SPEC
runs()
{
	run as "$1" srun -w n1 --dataset="$2" sh -c "ls $DIR/datasets/*/* | wc -l"
	[[ $status -eq 0 ]] || fail_with "$1 cannot use $2: $output"
}

reads_as_unknown()
{
	local forbidden
	run as "$1" srun -w n1 --dataset="$2" true
	[[ $status -ne 0 ]] || fail_with "$1 could use $2"
	# The sentence must be the one for a name that does not exist.
	forbidden=${output//${2%%:*}/NAME}
	run as "$1" srun -w n1 --dataset=qqqqqqqq:v1 true
	equal "$(head -n 1 <<<"$forbidden")" "$(head -n 1 <<<"${output//qqqqqqqq/NAME}")"
}

@test "the first look of a user, whose rights nobody asked for yet, is complete" {
	srun -Q -w n1 --dataset=open:v1 true
	run as alice larder ls
	equal "$status" 0
	contains "$output" open
}

@test "a dataset with an open origin is for everybody" {
	runs alice open:v1
	runs bob open:v1
}

@test "access users= is for those users; to others it reads like an unknown name" {
	runs alice alices:v1
	reads_as_unknown bob alices:v1
}

@test "access groups= is for those groups; to others it reads like an unknown name" {
	runs alice teams:v1
	reads_as_unknown bob teams:v1
}

@test "access public needs no right at the origin" {
	runs alice everybodys:v1
	runs bob everybodys:v1
}

@test "access origin asks the origin's permissions: closed to alice, open to root" {
	reads_as_unknown alice roots:v1
	run srun -w n1 --dataset=roots:v1 true
	equal "$status" 0
	# It is cached now. That changes nothing.
	reads_as_unknown alice roots:v1
}

@test "a right that is withdrawn at the origin ends here, though the data is cached" {
	runs alice lent:v1
	chmod 700 "$DIR/origin/lent"
	chown root "$DIR/origin/lent"
	poll 10 eval '! as alice srun -Q -w n1 --dataset=lent:v1 true 2>/dev/null'
	tree_is n1 lent:v1 ready
}

@test "alice's own dataset is hers: her job finds it" {
	run as alice srun -w n1 --dataset="mine=$DIR/home/alice/data" sh -c 'cat "$DATASET_MINE_DIR"/* | wc -c'
	equal "$status" 0
	contains "$output" 400000
}

@test "bob cannot use alice's own dataset, by her path or by her name for it" {
	run as bob srun -w n1 --dataset="mine=$DIR/home/alice/data" true
	[[ $status -ne 0 ]]
	contains "$output" larder
	run as bob srun -w n1 --dataset=mine true
	[[ $status -ne 0 ]]
}

@test "alice's own dataset is scanned again at each use, and only the difference is staged" {
	as alice sh -c 'echo more >data/new'
	before=$(counter n1 origin_bytes)
	run as alice srun -w n1 --dataset="mine=$DIR/home/alice/data" sh -c 'cat "$DATASET_MINE_DIR"/* | wc -c'
	equal "$status" 0
	contains "$output" 400005
	equal $(($(counter n1 origin_bytes) - before)) 5
}

@test "two people's own datasets of one name do not meet" {
	as bob sh -c 'mkdir -p data && echo bobs >data/file'
	id=$(as alice sbatch --parsable -o "$DIR/out/%A" -w n1 --dataset="mine=$DIR/home/alice/data" --wrap 'sleep 600')
	poll 20 has_lease n1 "$id"
	run as bob srun -Q -w n1 --dataset="mine=$DIR/home/bob/data" sh -c 'ls "$DATASET_MINE_DIR"'
	equal "$status" 0
	contains "$output" file
	lacks "$output" f00000
	let_go "$id"
}

@test "what a user lists shows only what the user may see" {
	run as bob larder ls
	equal "$status" 0
	contains "$output" open
	lacks "$output" alices
	lacks "$output" teams
	lacks "$output" roots
	run as alice larder ls
	contains "$output" alices
	contains "$output" mine
	lacks "$output" roots
	run larder ls
	contains "$output" roots
	contains "$output" alices
}

@test "what a user may not see is not found: exit code 3" {
	run as bob larder show alices:v1
	equal "$status" 3
	run as bob larder show qqqqqqqq:v1
	equal "$status" 3
	run as alice larder show alices:v1
	equal "$status" 0
}

@test "what a user's jobs and metrics show is theirs" {
	id=$(as alice sbatch --parsable -o "$DIR/out/%A" -w n1 --dataset=alices:v1 --wrap 'sleep 600')
	poll 20 has_lease n1 "$id"
	run as bob larder jobs
	lacks "$output" alices
	run as bob larder metrics
	lacks "$output" alices
	run as alice larder jobs
	contains "$output" alices
	let_go "$id"
}

@test "a user pins what the user may see, within the quota, and only the user unpins it" {
	run as alice larder pin --for 1h open:v1
	[[ $status -eq 0 ]] || fail_with "$output"
	run larder show open:v1
	contains "$output" larder-alice
	run as bob larder unpin open:v1
	[[ $status -ne 0 ]]
	run larder evict -y open:v1
	[[ $status -ne 0 ]]
	contains "$output" pin
	run as alice larder unpin open:v1
	equal "$status" 0
	run as bob larder pin --for 10m alices:v1
	equal "$status" 3
	srun -Q -w n1 --dataset=big:v1 true
	run as alice larder pin --for 10m big:v1
	[[ $status -ne 0 ]]
	contains "$output" quota
	# No longer than pin_max either, and the default of a day is longer here.
	run as alice larder pin open:v1
	[[ $status -ne 0 ]]
	contains "$output" 1 h
}

@test "what only admins may do ends with exit code 5 for others" {
	local verb
	for verb in 'evict -y open:v1' 'verify open:v1' 'repair open:v1' gc 'drain test' resume reload; do
		# shellcheck disable=SC2086
		run as bob larder $verb
		[[ $status -eq 5 ]] || fail_with "larder $verb as bob: exit code $status: $output"
	done
	tree_is n1 open:v1 ready
}

web_port() { sed -nE 's/.* port ([0-9]+).*/\1/p' "$DIR/web.log"; }

@test "a user's own dataset at a URL: that user's alone, and never where the site forbids" {
	local pid
	mkdir "$DIR/web"
	make_files "$DIR/web" 4 50000
	(cd "$DIR/web" && sha256sum -- * >"$DIR/SHA256SUMS" && mv "$DIR/SHA256SUMS" .)
	timeout 300 python3 -u -m http.server --bind 127.0.0.1 --directory "$DIR/web" 0 >"$DIR/web.log" 2>&1 3>&- &
	pid=$!
	poll 30 grep -q 'port [0-9]' "$DIR/web.log"
	runs alice "web=http://127.0.0.1:$(web_port)/SHA256SUMS"
	equal "$(as alice srun -Q -w n1 --dataset="web=http://127.0.0.1:$(web_port)/SHA256SUMS" sh -c 'cd "$DATASET_WEB_DIR" && sha256sum *')" \
		"$(cd "$DIR/web" && sha256sum -- [!S]*)"
	contains "$(as alice larder ls)" "web "
	lacks "$(as bob larder ls)" "web "
	run as alice srun -w n1 --dataset="no=http://127.0.0.2:$(web_port)/SHA256SUMS" true
	[[ $status -ne 0 ]]
	contains "$output" 'own datasets may not lead'
	run as alice srun -w n1 --dataset="no=http://127.0.0.1:$(web_port)/" true
	contains "$output" 'cannot be listed'
	kill "$pid"
}

@test "the store and the daemon's state are closed to users" {
	run as alice ls "$DIR/n1/tier/trees"
	[[ $status -ne 0 ]]
	run as alice ls "$DIR/n1/state"
	[[ $status -ne 0 ]]
	run as alice srun -w n1 --dataset=open:v1 ls "$DIR/n1/tier/trees"
	[[ $status -ne 0 ]]
}

@test "an ordinary user cannot speak for a job: the plugin's requests are root's" {
	run as bob env SLURM_JOB_ID=1 SLURM_JOB_UID=0 srun -w n1 --dataset=alices:v1 true
	[[ $status -ne 0 ]]
}

@test "variables that pretend to be the plugin's choice give no right" {
	run as bob env SPANK_LARDER_SPECS=alices:v1 SLURM_SPANK_LARDER_SPECS=alices:v1 \
		SLURM_SPANK__SLURM_SPANK_OPTION_larder_dataset=alices:v1 srun -w n1 ls "$DIR/datasets/alices/v1"
	[[ $status -ne 0 ]]
}

@test "every lease is gone when the jobs are" {
	poll 10 no_leases n1
}

@test "no node was drained and no job held" {
	assert_nothing_drained_or_held
}
