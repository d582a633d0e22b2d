#!/usr/bin/env bats
# Datasets that were published without digests: what came first is believed, said to be so, and compared from then on.

load lib
load web

# record FILE-INDEX of the one tree of NAME:VERSION, in hex.
record() { od -An -tx1 -j $((16 * $2)) -N 16 "$T"/tier/trees/*/"${1%:*}/${1#*:}@"*/digests | tr -d ' \n'; }

trust_of() { larder ls --json -o NAME,TRUST "$1" | jq -r '.trees[0].trust'; }

@test 'nothing is read at publication; the first staging digests, and says what it is' {
	nginx_start
	make_files "$T/web/d" 5 30000
	: >"$T/web/d/empty"
	head -c 3000000 /dev/urandom >"$T/web/d/large"
	(cd "$T/web/d" && ls) >"$T/paths"
	run larder publish d:v1 --from "$NGX/d" --paths "$T/paths" --access public --trust-first-use
	contains "$output" 'trust is at first use: 6 files have no digest'
	equal "$(grep -c GET "$T/ngx/access.log")" 1 # the probe of the test itself
	grep -qx 'trust first-use' "$T/catalog/d/v1.manifest"
	equal "$(grep -c '^f - ' "$T/catalog/d/v1.manifest")" 6
	equal "$(larder catalog ls --json -l | jq -r '.catalog[] | select(.version == "v1") | .trust')" first-use
	daemon_start
	equal "$(acquire 1 d:v1)" ready
	diff -r "$T/web/d" "$(tree_data d:v1)"
	equal "$(trust_of d:v1)" first-use
	contains "$(larder show d)" first-use
	contains "$(larder explain d)" 'without digests'
	# the manifest's order: empty, f00000, …; the record is what xxh128sum says
	equal "$(record d:v1 1)" "$(xxhsum -H2 "$T/web/d/f00000" 2>/dev/null | cut -d' ' -f1)"
	# a usual dataset is not of this kind
	larder publish -q e:v1 --from "$NGX/d" --paths "$T/paths" --access public
	equal "$(acquire 2 e:v1)" ready
	equal "$(trust_of e:v1)" digest
	[[ ! -e $(dirname "$(tree_data e:v1)")/digests ]]
}

@test 'from then on it is verified and repaired as any other; other bytes are not believed a second time' {
	make_files "$T/origin/d" 6 50000
	publish d:v1 "$T/origin/d" --trust-first-use
	daemon_start
	equal "$(acquire 1 d:v1)" ready
	same_tree "$T/origin/d" "$(tree_data d:v1)"
	larder verify d:v1 >/dev/null
	printf X | dd of="$(tree_data d:v1)/f00002" bs=1 seek=70 conv=notrunc status=none
	code 1 larder verify d:v1
	contains "$output" f00002
	poll 10 tree_is d:v1 ready # job 1 has it: what is damaged is staged again by itself
	larder repair d:v1 >/dev/null
	poll 10 tree_is d:v1 ready
	same_tree "$T/origin/d" "$(tree_data d:v1)"
	# damaged here, and another there: the same size and time deceive nobody
	printf X | dd of="$(tree_data d:v1)/f00003" bs=1 seek=70 conv=notrunc status=none
	touch -r "$T/origin/d/f00003" "$T/stamp"
	printf Y | dd of="$T/origin/d/f00003" bs=1 seek=9 conv=notrunc status=none
	touch -r "$T/stamp" "$T/origin/d/f00003"
	larder repair d:v1 >/dev/null || true
	poll 10 stage_failed
	contains "$(larder explain d:v1)" "do not match the manifest's digest"
	[[ $(tree_state d:v1) != ready ]]
}

stage_failed() { [[ $(tree_state d:v1) == failed ]]; }

@test 'size and time must be the manifest'\''s' {
	make_files "$T/origin/d" 3 1000
	publish d:v1 "$T/origin/d" --trust-first-use
	touch -d '1 hour ago' "$T/origin/d/f00001"
	daemon_start
	code 1 acquire 1 d:v1
	contains "$output" 'changed at the origin'
	nginx_start
	make_files "$T/web/w" 3 1000
	(cd "$T/web/w" && ls) >"$T/paths"
	larder publish -q w:v1 --from "$NGX/w" --paths "$T/paths" --access public --trust-first-use
	touch -d '1 hour ago' "$T/web/w/f00002"
	code 1 acquire 2 w:v1
	contains "$output" 'changed at the origin'
	printf x >>"$T/web/w/f00001"
	code 1 acquire 3 w:v1
	leases_are 0
	daemon_alive
}

@test 'nothing is linked without a digest that both have; with one it is' {
	make_files "$T/origin/d" 4 40000
	publish d:v1 "$T/origin/d" --trust-first-use
	daemon_start
	equal "$(acquire 1 d:v1)" ready
	publish d:v2 "$T/origin/d"
	equal "$(acquire 2 d:v2)" ready
	equal "$(stat -c %h "$(tree_data d:v2)/f00001")" 2
	cp -r --preserve=timestamps "$T/origin/d" "$T/origin/e"
	printf x >"$T/origin/e/more"
	publish d:v3 "$T/origin/e" --trust-first-use || publish d:v3 "$T/origin/e" --trust-first-use --no-alias
	equal "$(acquire 3 d:v3)" ready
	equal "$(stat -c %h "$(tree_data d:v3)/f00001")" 1
}

@test 'killed in the middle and begun again: no name without its digest' {
	nginx_start
	make_files "$T/web/d" 3000 3000
	(cd "$T/web/d" && ls) >"$T/paths"
	larder publish -q d:v1 --from "$NGX/d" --paths "$T/paths" --access public --trust-first-use
	nginx_stop
	nginx_start 'limit_rate 20k;'
	daemon_start
	acquire 1 d:v1 --timeout 100 >/dev/null 2>&1 3>&- & asking=$!
	poll 30 staged_some 1200
	daemon_kill9
	wait $asking || true
	daemon_start
	rm "$T/state/inventory.db"* 2>/dev/null || true
	daemon_kill9
	daemon_start
	equal "$(acquire 2 d:v1)" ready
	diff -r "$T/web/d" "$(tree_data d:v1)"
	equal "$(trust_of d:v1)" first-use
	larder verify d:v1 >/dev/null
}

staged_some() { [[ $(find "$T/tier/trees" -type f -path '*/data/*' 2>/dev/null | wc -l) -ge $1 ]]; }

@test 'only when it is asked for: a manifest that leaves digests out without saying so is refused' {
	make_files "$T/origin/d" 2 1000
	publish d:v1 "$T/origin/d" --trust-first-use
	(cd "$T/origin/d" && sha256sum f*) >"$T/SHA256SUMS"
	code 1 publish e:v1 "$T/origin/d" --list "$T/SHA256SUMS" --trust-first-use
	contains "$output" 'nobody would compare them'
	(cd "$T/origin/d" && xxhsum -H2 f* 2>/dev/null) >"$T/xxh128"
	publish e:v1 "$T/origin/d" --list "$T/xxh128" --trust-first-use
	lacks "$(cat "$T/catalog/e/v1.manifest")" first-use
	mkdir "$T/catalog/f"
	sed 's/^name d/name f/; /^trust/d' "$T/catalog/d/v1.manifest" >"$T/catalog/f/v1.manifest"
	daemon_start
	code 1 acquire 1 f:v1
	contains "$output" 'does not say "trust first-use"'
	code 1 larder catalog check f:v1
}
