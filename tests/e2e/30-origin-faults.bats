#!/usr/bin/env bats
# What goes wrong at the origin or in the catalog fails that one job, with a sentence, and never becomes READY.

load lib

setup() { place_setup; }
teardown() { place_teardown; }

# fails SPEC PART…: the job fails and its sentence has the parts; nothing of it is ready or leased.
fails()
{
	local spec=$1 part
	shift
	# A new job each time: the same one would only be told the same again.
	JOB=$((${JOB-100} + 1))
	code 1 acquire $JOB "$spec"
	contains "$output" failed
	for part in "$@"; do contains "$output" "$part"; done
	[[ $(tree_state "$spec") != ready ]]
	leases_are 0
	daemon_alive
}

@test 'a file that shrank since publication' {
	dataset d:v1 10 1000
	truncate -s 999 "$(origin_of d:v1)/f00004"
	daemon_start
	fails d:v1 f00004
}

@test 'a file that grew since publication' {
	dataset d:v1 10 1000
	printf x >>"$(origin_of d:v1)/f00004"
	daemon_start
	fails d:v1 f00004
}

@test 'a file that vanished' {
	dataset d:v1 10 1000
	rm "$(origin_of d:v1)/f00007"
	daemon_start
	fails d:v1 f00007
}

@test 'a byte that changed, with size and mtime as before' {
	dataset d:v1 10 1000
	f=$(origin_of d:v1)/f00002
	touch -r "$f" "$T/stamp"
	printf x | dd of="$f" bs=1 seek=500 conv=notrunc status=none
	touch -r "$T/stamp" "$f"
	daemon_start
	fails d:v1 f00002
	between "$(counter digest_mismatches)" 1 10
	[[ ! -e $(tree_data d:v1)/f00002 ]]
}

@test 'a file that became a FIFO, a directory, a symlink to a secret' {
	dataset d:v1 4 1000
	f=$(origin_of d:v1)/f00001
	cp -a "$f" "$T/saved"
	daemon_start
	rm "$f" && mkfifo "$f"
	fails d:v1 f00001
	rm "$f" && mkdir "$f"
	fails d:v1 f00001
	rmdir "$f" && ln -s /etc/shadow "$f"
	fails d:v1 f00001
	rm "$f" && cp -a "$T/saved" "$f"
	equal "$(acquire 2 d:v1)" ready
}

@test 'what was verified before the fault stays usable: the next job fetches only the rest' {
	dataset d:v1 10 1000
	mv "$(origin_of d:v1)/f00009" "$T/f00009"
	daemon_start
	fails d:v1 f00009
	before=$(counter origin_bytes)
	mv "$T/f00009" "$(origin_of d:v1)/f00009"
	equal "$(acquire 2 d:v1)" ready
	between $(($(counter origin_bytes) - before)) 1000 10000
	same_tree "$(origin_of d:v1)" "$(tree_data d:v1)"
}

@test 'an origin that is gone altogether' {
	dataset d:v1 3 100
	rm -r "$(origin_of d:v1)"
	daemon_start
	fails d:v1 d
}

@test 'an origin that the publisher cannot read: on-fail=bypass lets the job run' {
	dataset d:v1 3 100 --access public
	rm "$(origin_of d:v1)/f00001"
	daemon_start
	run acquire 1 d:v1 --on-fail bypass
	contains "$output" bypass
	run joblet attach 1 0
	contains "$output" "DATASET_D_DIR=$(origin_of d:v1)"
}

@test 'a mirror helps when the first origin fails' {
	make_files "$T/origin/one" 5 1000
	cp -a "$T/origin/one" "$T/origin/two"
	publish d:v1 "$T/origin/one" --from "$T/origin/two"
	rm -r "$T/origin/one"
	mkdir "$T/origin/one"
	daemon_start
	equal "$(acquire 1 d:v1)" ready
	same_tree "$T/origin/two" "$(tree_data d:v1)"
}

@test 'an unknown dataset: the nearest names are told' {
	dataset imagenet:v1 1 10
	daemon_start
	fails imagnet:v1 imagenet
	fails imagenet:v2 v1
}

@test 'no catalog' {
	daemon_start
	rmdir "$T/catalog"
	fails d:v1 catalog
}

@test 'malformed specs are refused, each with what is wrong' {
	daemon_start
	for spec in '' ',' 'd:' ':v1' 'D:v1' 'd:v1,,e:v1' 'd:v1@xyz' 'd:v1/../x' '../d' 'd:v1/' $'d:\n' 'd=relative' 'd=/a/../b' \
		'd:v1,d:v2' 'a.b:v1,a-b:v1' "$(printf 'x%.0s' {1..70}):v1"; do
		JOB=$((${JOB-100} + 1))
		run acquire $JOB "$spec"
		[[ $status -ne 0 ]] || fail_with "accepted: $spec"
	done
	leases_are 0
	daemon_alive
}

# --- manifests

manifest() { printf '%s\n' "$T/catalog/d/v1.manifest"; }

# manifest_body SED: changes the body, and makes digest and totals right again, so that only the change is at fault.
manifest_body()
{
	local file body shards bytes
	file=$(manifest)
	body=$T/body
	sed '1,/^$/d' "$file" | sed -E "$1" >"$body"
	shards=$(wc -l <"$body")
	bytes=$(awk '$1 == "f" { n += $3 } END { printf "%d", n }' "$body")
	{
		sed '/^$/q' "$file" | sed -E "s/^digest .*/digest $(xxh128sum <"$body" | cut -d' ' -f1)/;
			s/^shards .*/shards $(printf %020d "$shards")/; s/^bytes .*/bytes $(printf %020d "$bytes")/"
		cat "$body"
	} >"$file.new"
	mv "$file.new" "$file"
}

@test 'the helper of these tests leaves a sound manifest sound' {
	dataset d:v1 3 100
	manifest_body ''
	daemon_start
	equal "$(acquire 1 d:v1)" ready
}

@test 'a manifest whose body does not have the digest that its head says' {
	dataset d:v1 3 100
	sed -i 's/ 0644 f00001$/ 0755 f00001/' "$(manifest)"
	daemon_start
	fails d:v1
	code 1 larder catalog check d:v1
}

@test 'a manifest that was cut off' {
	dataset d:v1 3 100
	truncate -s -10 "$(manifest)"
	daemon_start
	fails d:v1
}

@test 'a manifest that is empty, binary, or a directory' {
	dataset d:v1 3 100
	daemon_start
	: >"$(manifest)"
	fails d:v1
	head -c 30000 /dev/urandom >"$(manifest)"
	fails d:v1
	rm "$(manifest)" && mkdir "$(manifest)"
	fails d:v1
}

@test 'a manifest with a path that leaves the tree' {
	dataset d:v1 3 100
	manifest_body 's#f00001$#../f00001#'
	daemon_start
	fails d:v1
	[[ ! -e $T/tier/trees/f00001 ]]
}

@test 'a manifest with an absolute path, an encoded slash, a dot, a double' {
	daemon_start
	for change in 's#f00001$#/etc/f00001#' 's#f00001$#a%2Fb#' 's#f00001$#./f00001#' 's#f00001$#a//b#' 's#f00001$#f00000#' \
		's#f00001$#f00000/x#' 's#f00001$#%66#' 's#f00001$#a%00b#' 's#f00001$#x y#'; do
		rm -rf "$T/catalog/d" "$(origin_of d:v1)"
		dataset d:v1 3 100
		manifest_body "$change"
		fails d:v1
	done
}

@test 'a manifest that is not sorted' {
	dataset d:v1 3 100
	manifest_body '1{h;d};2{G}'
	daemon_start
	fails d:v1
}

@test 'a manifest whose sizes overflow' {
	dataset d:v1 3 100
	manifest_body 's/ 100 / 18446744073709551615 /'
	daemon_start
	fails d:v1
}

@test 'a manifest with a symlink out of the tree' {
	dataset d:v1 3 100
	manifest_body 's#^f [0-9a-f]+ 100 ([0-9]+) [0-7]+ f00001$#l - 0 \1 0777 f00001 ../../../../etc/passwd#'
	daemon_start
	fails d:v1
}

@test 'a manifest under the wrong name' {
	dataset d:v1 3 100
	mkdir "$T/catalog/e"
	cp "$(manifest)" "$T/catalog/e/v1.manifest"
	daemon_start
	fails e:v1
}

@test 'an alias that leads out of the catalog' {
	dataset d:v1 3 100
	cp "$(manifest)" "$T/v9.manifest"
	ln -s ../../v9.manifest "$T/catalog/d/v9.manifest"
	daemon_start
	fails d:v9
}

@test 'the origin is never written to' {
	dataset d:v1 5 100
	find "$T/origin" -printf '%p %T@ %C@ %m %s\n' | sort >"$T/before"
	daemon_start
	acquire 1 d:v1
	release 1
	larder evict -q d:v1
	find "$T/origin" -printf '%p %T@ %C@ %m %s\n' | sort >"$T/after"
	diff "$T/before" "$T/after"
}
