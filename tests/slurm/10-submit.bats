#!/usr/bin/env bats
# Submission: what the options accept, what is refused before it queues, and what a job then finds.
# What stands in single quotes is for the shell of the job (SC2016).
# shellcheck disable=SC2016

load ../lib/cluster

setup_file()
{
	cluster_up --nodes 2 --capacity 512M
	make_files "$DIR/origin/v1/train" 20 20000
	make_files "$DIR/origin/v1/val" 5 20000
	cp -a "$DIR/origin/v1" "$DIR/origin/v2"
	echo 'second version' >"$DIR/origin/v2/VERSION"
	publish imagenet:v1 "$DIR/origin/v1"
	publish imagenet:v2 "$DIR/origin/v2"
	set_alias imagenet latest v2
	make_files "$DIR/origin/other" 3 1000
	publish other-set:1.0 "$DIR/origin/other"
}

teardown_file() { cluster_down; }
teardown() { show_logs_on_failure; }

# refused TEXT OPTION…: sbatch says no, with the text, and queues nothing.
refused()
{
	local text=$1
	shift
	run sbatch -o /dev/null "$@" --wrap true
	[[ $status -ne 0 ]] || fail_with "accepted: $*"
	contains "$output" "$text"
	contains "$output" larder
	# A job of an earlier test may still be completing.
	[[ -z $(squeue -h -t PD,CF,R) ]] || fail_with "queued: $(squeue -h)"
}

@test "the options stand in the help of sbatch, srun and salloc, marked [dataset]" {
	local program
	for program in sbatch srun salloc; do
		run "$program" --help
		for option in dataset dataset-mode dataset-wait dataset-on-fail dataset-distribute dataset-placement; do
			[[ $output =~ --$option= ]] || fail_with "$program --help lacks --$option"
		done
		contains "$output" '[dataset]'
	done
}

@test "an unknown name is refused before queueing, with the nearest names" {
	refused imagenet --dataset=imagenett:v1
	refused other-set --dataset=other_set:1.0
}

@test "an unknown version is refused before queueing, with the versions there are" {
	refused v2 --dataset=imagenet:v3
}

@test "srun and salloc refuse an unknown name too" {
	run srun --dataset=imagenett true
	[[ $status -ne 0 ]]
	contains "$output" imagenet
	run salloc --dataset=imagenett true
	[[ $status -ne 0 ]]
	contains "$output" imagenet
}

@test "every malformed spec is refused" {
	local spec
	for spec in '' ',' 'imagenet:v1,' ',imagenet:v1' 'Imagenet:v1' '-x:v1' 'imagenet:' 'imagenet:-v' 'imagenet:v 1' \
		'imagenet:v1@' 'imagenet:v1@xyz' 'imagenet:v1/../../etc' 'imagenet:v1//etc' 'imagenet:v1,imagenet:v2' \
		'imagenet:v1,imagenet:v1' 'none,imagenet:v1' 'mine=relative/path' 'mine=' '=/' 'mine=ftp://host/x' \
		$'imagenet:v1\nPATH=x' 'imagenet:v1 $(id)' "$(printf 'a%.0s' {1..65}):v1" "$(printf 'a%.0s' {1..30000})"; do
		refused '' --dataset="$spec"
	done
}

@test "two names that would share an environment variable are refused" {
	publish other_set:1.0 "$DIR/origin/other"
	refused 'OTHER_SET' --dataset=other-set:1.0,other_set:1.0
	rm -r "$LARDER_CATALOG/other_set"
}

@test "a bad value of another option is refused, and the sentence names what is allowed" {
	refused lazy --dataset=imagenet:v1 --dataset-mode=sometimes
	refused none --dataset=imagenet:v1 --dataset-wait=soon
	refused none --dataset=imagenet:v1 --dataset-wait=-5
	refused bypass --dataset=imagenet:v1 --dataset-on-fail=maybe
	refused shard --dataset=imagenet:v1 --dataset-distribute=all
	refused prefer --dataset=imagenet:v1 --dataset-placement=here
	refused SHA256SUMS --dataset=mine=https://host/x
	refused bypass --dataset=mine=https://host/x.tar --dataset-on-fail=bypass
	refused bypass --dataset=mine=s3://bucket/key --dataset-mode=bypass
}

@test "what a later version brings is refused with a sentence, not ignored" {
	refused lazy --dataset=imagenet:v1 --dataset-mode=lazy
	refused shard --dataset=imagenet:v1 --dataset-distribute=shard
}

@test "srun finds the dataset complete, with its environment and one line on stderr" {
	run srun -w n1 --dataset=imagenet:v1 sh -c 'cd "$DATASET_IMAGENET_DIR" && pwd && find . -type f | wc -l && env | grep ^DATASET_'
	[[ $status -eq 0 ]]
	contains "$output" "$DIR/datasets/imagenet/v1"
	contains "$output" $'\n25\n'
	contains "$output" "DATASET_ROOT=$DIR/datasets"
	contains "$output" "DATASET_IMAGENET_DIR=$DIR/datasets/imagenet/v1"
	contains "$output" 'DATASET_IMAGENET_VERSION=v1'
	contains "$output" 'DATASET_IMAGENET_STATE=ready'
	contains "$output" 'DATASET_IMAGENET_COVERAGE='
	contains "$output" 'DATASET_IMAGENET_MANIFEST='
	contains "$output" 'DATASET_SPECS=imagenet:v1'
	[[ $output =~ DATASET_IMAGENET_DIGEST=[0-9a-f]{32} ]]
	contains "$output" 'larder: imagenet:v1 ready'
	equal "$(grep -c '^larder: ' <<<"$output")" 1
}

@test "the bytes that the job sees are the origin's" {
	run srun -Q -w n1 --dataset=imagenet:v1 diff -r "$DIR/origin/v1" "$DIR/datasets/imagenet/v1"
	[[ $status -eq 0 ]]
}

@test "the job can read the manifest it is given" {
	run srun -w n1 --dataset=imagenet:v1 sh -c 'grep -c train/f "$DATASET_IMAGENET_MANIFEST"'
	[[ $status -eq 0 ]]
	contains "$output" 20
}

@test "an #SBATCH line works, and its output file has larder's line" {
	id=$(submit <<<$'#!/bin/sh\n#SBATCH --dataset=imagenet:v1\n#SBATCH -w n1\nls "$DATASET_IMAGENET_DIR"/train | wc -l')
	equal "$(finish "$id")" COMPLETED
	contains "$(job_output "$id")" 20
	contains "$(job_output "$id")" 'larder: imagenet:v1 ready'
}

@test "the command line beats the #SBATCH line" {
	id=$(submit --dataset=other-set:1.0 <<<$'#!/bin/sh\n#SBATCH --dataset=imagenet:v1\nenv | grep ^DATASET_SPECS')
	equal "$(finish "$id")" COMPLETED
	contains "$(job_output "$id")" 'DATASET_SPECS=other-set:1.0'
	lacks "$(job_output "$id")" imagenet
}

@test "srun inside salloc finds what salloc asked for" {
	run salloc -w n1 --dataset=imagenet:v1 srun cat "$DIR/datasets/imagenet/v1/train/f00000"
	[[ $status -eq 0 ]]
}

@test "several datasets in one option" {
	run srun -w n1 --dataset=imagenet:v1,other-set:1.0 ls "$DIR/datasets/imagenet/v1/val" "$DIR/datasets/other-set/1.0"
	[[ $status -eq 0 ]]
	contains "$output" 'larder: imagenet:v1 ready'
	contains "$output" 'larder: other-set:1.0 ready'
}

@test "a job on two nodes finds it on both" {
	run srun -N2 --dataset=imagenet:v1 sh -c "cat $DIR/datasets/imagenet/v1/train/* | md5sum"
	[[ $status -eq 0 ]]
	sum=$(cat "$DIR"/origin/v1/train/* | md5sum)
	equal "$(grep -cxF -- "$sum" <<<"$output")" 2
}

@test "an ordinary user's job works as root's does" {
	run as alice srun -w n1 --dataset=imagenet:v1 sh -c "id -un; ls $DIR/datasets/imagenet/v1/train | wc -l"
	[[ $status -eq 0 ]]
	contains "$output" larder-alice
	contains "$output" 20
}

@test "the view is read-only, for root too" {
	run srun -w n1 --dataset=imagenet:v1 touch "$DIR/datasets/imagenet/v1/new"
	[[ $status -ne 0 ]]
	contains "$output" 'Read-only file system'
	run srun -w n1 --dataset=imagenet:v1 rm "$DIR/datasets/imagenet/v1/train/f00000"
	[[ $status -ne 0 ]]
	run srun -w n1 --dataset=imagenet:v1 mount -o remount,bind,rw "$DIR/datasets/imagenet/v1"
	[[ -e $DIR/origin/v1/train/f00000 && -e $(tree_data n1 imagenet:v1)/train/f00000 ]]
}

@test "the view shows what the job leased and nothing else" {
	run srun -w n1 --dataset=other-set:1.0 find "$DIR/datasets" -mindepth 2 -maxdepth 2
	[[ $status -eq 0 ]]
	contains "$output" "$DIR/datasets/other-set/1.0"
	lacks "$output" imagenet
}

@test "nothing is visible on the host while a job runs, nor after it" {
	id=$(hold_dataset n1 imagenet:v1)
	[[ -z $(ls -A "$DIR/datasets") ]]
	lacks "$(cat /proc/self/mountinfo)" "$DIR/datasets"
	let_go "$id"
	[[ -z $(ls -A "$DIR/datasets") ]]
	lacks "$(cat /proc/self/mountinfo)" "$DIR/datasets"
}

@test "another job on the node does not see it" {
	id=$(hold_dataset n1 imagenet:v1)
	run srun -w n1 ls "$DIR/datasets"
	[[ $status -eq 0 ]]
	lacks "$output" imagenet
	let_go "$id"
}

@test "latest is resolved once, at submission, for every task of an array" {
	id=$(submit -H --array=1-3 -o "$DIR/out/latest-%a" --dataset=imagenet <<<$'#!/bin/sh\necho "got $DATASET_IMAGENET_VERSION"')
	set_alias imagenet latest v1
	scontrol release "$id"
	poll 20 eval 'grep -q got "$DIR/out/latest-1" && grep -q got "$DIR/out/latest-2" && grep -q got "$DIR/out/latest-3"'
	set_alias imagenet latest v2
	equal "$(grep -h got "$DIR"/out/latest-* | sort -u)" 'got v2'
}

@test "a digest that the catalog has is honoured, another one is refused" {
	digest=$(sed -n 's/^.*digest[^0-9a-f]*\([0-9a-f]\{32\}\).*/\1/p' "$LARDER_CATALOG/imagenet/v1.manifest" | head -n 1)
	[[ -n $digest ]]
	run srun -w n1 --dataset="imagenet:v1@$digest" true
	[[ $status -eq 0 ]]
	refused '' --dataset="imagenet:v1@00000000000000000000000000000000"
}

@test "a subset is there and usable" {
	run srun -w n2 --dataset=imagenet:v1/val ls "$DIR/datasets/imagenet/v1/val"
	[[ $status -eq 0 ]]
	equal "$(grep -c '^f0000' <<<"$output")" 5
}

@test "--dataset=none asks for nothing" {
	run srun --dataset=none sh -c 'env | grep DATASET_ || echo clean'
	[[ $status -eq 0 ]]
	equal "$output" clean
}

@test "a job without the option is left alone" {
	run srun sh -c 'env | grep -i -e DATASET_ -e larder_job || echo clean'
	[[ $status -eq 0 ]]
	equal "$output" clean
}

@test "a user's own dataset is there by its name" {
	run srun -w n1 --dataset="mine=$DIR/origin/other" sh -c 'ls "$DATASET_MINE_DIR" | wc -l'
	[[ $status -eq 0 ]]
	contains "$output" 3
}

@test "every lease is gone when the jobs are" {
	poll 10 no_leases n1
	poll 10 no_leases n2
}

@test "no node was drained and no job held" {
	assert_nothing_drained_or_held
}
