#!/usr/bin/env bats
# Publishing from lists that others wrote: what they say of the files is compared, and nothing is believed that need not be.

load lib
load web

# The body of a manifest without times: digests, sizes and paths.
body() { grep '^f ' "$T/catalog/$1/v1.manifest" | cut -d' ' -f2,3,6; }

# lists_of DIR: what the usual tools say of it, beside it, not in it.
lists_of()
{
	(
		cd "$1" || exit
		find . -type f -print0 | sort -z >"$T/names"
		xargs -0 sha256sum <"$T/names" >"$T/SHA256SUMS"
		xargs -0 md5sum <"$T/names" >"$T/MD5SUMS"
		xargs -0 sha1sum --tag <"$T/names" >"$T/tagged"
		xargs -0 xxhsum -H1 <"$T/names" 2>/dev/null >"$T/xxh64"
		xargs -0 xxhsum -H2 --tag <"$T/names" 2>/dev/null >"$T/xxh128-tagged"
		xargs -0 xxhsum -H2 <"$T/names" 2>/dev/null >"$T/all.xxh128"
	)
}

@test 'lists of sha256sum, md5sum, sha1sum --tag, xxhsum: of a directory, the manifest is that of the files' {
	make_files "$T/origin/d" 20 5000
	mkdir "$T/origin/d/sub dir"
	printf x >"$T/origin/d/sub dir/a+b%41 #?é"
	: >"$T/origin/d/empty"
	chmod -R a+rX "$T/origin/d"
	lists_of "$T/origin/d"
	publish plain:v1 "$T/origin/d"
	for list in SHA256SUMS MD5SUMS tagged xxh64 xxh128-tagged all.xxh128; do
		name=$(tr 'A-Z_' 'a-z-' <<<"$list")
		publish "$name:v1" "$T/origin/d" --list "$T/$list"
		diff <(body plain) <(body "$name")
	done
	daemon_start
	equal "$(acquire 1 all.xxh128:v1)" ready
	same_tree "$T/origin/d" "$(tree_data all.xxh128:v1)"
}

@test 'XXH3-128 that is told is taken over without a byte read, and is said to be a claim; the node compares' {
	nginx_start
	make_files "$T/web/d" 10 100000
	lists_of "$T/web/d"
	cp "$T/all.xxh128" "$T/web/d/"
	run larder publish d:v1 --from "$NGX/d" --list "$NGX/d/all.xxh128" --access public
	contains "$output" '10 digests (of 977 KiB) are claims'
	equal "$(grep -c 'HEAD' "$T/ngx/access.log")" 11
	equal "$(grep -c 'GET /d/f' "$T/ngx/access.log")" 0
	daemon_start
	equal "$(acquire 1 d:v1)" ready
	# a claim that is wrong is found out there
	sed "s/^........../0123456789/" "$T/all.xxh128" >"$T/web/d/wrong.xxh128"
	larder publish -q wrong:v1 --from "$NGX/d" --list "$NGX/d/wrong.xxh128" --access public
	code 1 acquire 2 wrong:v1
	contains "$output" "do not match the manifest's digest"
	[[ $(tree_state wrong:v1) != ready ]]
}

@test 'a file that is not what the list says ends it, by name; nothing is published' {
	make_files "$T/origin/d" 5 5000
	lists_of "$T/origin/d"
	printf X | dd of="$T/origin/d/f00003" bs=1 seek=77 conv=notrunc status=none
	for list in SHA256SUMS MD5SUMS xxh64; do
		code 1 publish d:v1 "$T/origin/d" --list "$T/$list"
		contains "$output" f00003
		contains "$output" 'does not match the list'
	done
	rm "$T/origin/d/f00003"
	code 3 publish d:v1 "$T/origin/d" --list "$T/SHA256SUMS"
	contains "$output" 'f00003 is not at'
	[[ -z $(ls -A "$T/catalog") ]]
}

@test 'what a list leaves out is not published; one below the origin counts from its own place' {
	nginx_start
	make_files "$T/web/d/train" 4 1000
	make_files "$T/web/d/val" 4 1000
	(cd "$T/web/d/train" && sha256sum f0000[0-2] >SHA256SUMS)
	larder publish -q a:v1 --from "$NGX/d" --list "$NGX/d/train/SHA256SUMS" --access public
	equal "$(body a | cut -d' ' -f3 | tr '\n' ' ')" 'train/f00000 train/f00001 train/f00002 '
	# the list as the origin: its directory is it
	larder publish -q b:v1 --from "$NGX/d/train/SHA256SUMS" --access public
	grep -qx "origin $NGX/d/train" "$T/catalog/b/v1.manifest"
	equal "$(body b | wc -l)" 3
	larder publish -q c:v1 --from "$NGX/d/train/f00003.tar" --access public && false
	cp "$T/web/d/train/f00003" "$T/web/d/train/f00003.tar"
	larder publish -q c:v1 --from "$NGX/d/train/f00003.tar" --access public
	equal "$(body c | cut -d' ' -f3)" f00003.tar
}

# mds_index DIR [HASH]: an index.json as MosaicML Streaming writes it, over DIR's shard files.
mds_index()
{
	python3 - "$1" "${2-sha1}" <<-'END'
		import hashlib, json, os, sys
		d, kind = sys.argv[1:3]
		shards = []
		for name in sorted(os.listdir(d)):
		    data = open(os.path.join(d, name), 'rb').read()
		    about = {'basename': name, 'bytes': len(data), 'hashes': {kind: hashlib.new(kind, data).hexdigest()}}
		    zipped = name.endswith('.zstd')
		    raw = {'basename': name[:-5], 'bytes': 10 * len(data), 'hashes': {}} if zipped else about
		    shards.append({'column_names': ['x'], 'compression': 'zstd' if zipped else None, 'format': 'mds',
		                   'hashes': [kind], 'raw_data': raw, 'zip_data': about if zipped else None,
		                   'samples': 3, 'size_limit': 67108864, 'version': 2})
		json.dump({'shards': shards, 'version': 2}, open(os.path.join(d, 'index.json'), 'w'))
	END
}

@test 'a MosaicML index.json: the files that are there, raw or zipped, and itself' {
	nginx_start
	mkdir "$T/web/m"
	for i in 0 1 2; do head -c 70000 /dev/urandom >"$T/web/m/shard.0000$i.mds"; done
	head -c 30000 /dev/urandom >"$T/web/m/shard.00003.mds.zstd"
	mds_index "$T/web/m"
	echo 'not of the dataset' >"$T/web/m/README"
	larder publish -q m:v1 --from "$NGX/m/index.json" --access public
	equal "$(body m | cut -d' ' -f3 | tr '\n' ' ')" \
		'index.json shard.00000.mds shard.00001.mds shard.00002.mds shard.00003.mds.zstd '
	daemon_start
	equal "$(acquire 1 m:v1)" ready
	rm "$T/web/m/README"
	diff -r "$T/web/m" "$(tree_data m:v1)"
	# one byte more than the index says
	printf x >>"$T/web/m/shard.00001.mds"
	code 1 larder publish n:v1 --from "$NGX/m/index.json" --access public
	contains "$output" 'shard.00001.mds has 70001 bytes, and the list says 70000'
	printf x | dd of="$T/web/m/shard.00001.mds" bs=1 count=1 conv=notrunc status=none
	truncate -s 70000 "$T/web/m/shard.00001.mds"
	code 1 larder publish n:v1 --from "$NGX/m/index.json" --access public
	contains "$output" 'its sha1 is another one'
}

@test 'WebDataset: braces of numbers and words in any part, and lists of such names' {
	nginx_start
	for part in train val; do
		mkdir -p "$T/web/w/$part/v2"
		for i in 00 01 02; do head -c 2000 /dev/urandom >"$T/web/w/$part/v2/s-$i.tar"; done
	done
	larder publish -q w:v1 --from "$NGX/w/{train,val}/v2/s-{00..02}.tar" --access public
	grep -qx "origin $NGX/w" "$T/catalog/w/v1.manifest"
	printf '%s\n' 'train/v2/s-{00..02}.tar' "$NGX/w/val/v2/s-00.tar" 'val/v2/s-{01,02}.tar' >"$T/web/w/shards.list"
	larder publish -q x:v1 --from "$NGX/w/shards.list" --access public
	diff <(body w) <(body x)
	daemon_start
	equal "$(acquire 1 w:v1)" ready
	rm "$T/web/w/shards.list"
	diff -r "$T/web/w" "$(tree_data w:v1)"
	# a mirror is written in the same way, or is refused
	larder publish -q y:v1 --from "$NGX/w/{train,val}/v2/s-{00..02}.tar" \
		--from "$NGX/w/./{train,val}/v2/s-{00..02}.tar" --access public
	code 2 larder publish z:v1 --from "$NGX/w/{train,val}/v2/s-{00..02}.tar" \
		--from "$NGX/w/{train,val}/v2/s-{00..01}.tar" --access public
	contains "$output" 'other files than the first'
}

@test 'lists that lie: paths that leave, names twice, 32 digits of nobody knows what, no end' {
	make_files "$T/origin/d" 3 1000
	lists_of "$T/origin/d"
	{ cat "$T/SHA256SUMS"; printf '%064d  ../../etc/shadow\n' 7; } >"$T/list"
	code 1 publish d:v1 "$T/origin/d" --list "$T/list"
	contains "$output" 'line 4'
	ln -s /etc "$T/origin/d/etc"
	printf '%064d  etc/shadow\n' 7 >"$T/list"
	code 1 publish d:v1 "$T/origin/d" --list "$T/list"
	contains "$output" 'leads out of the origin'
	{ cat "$T/SHA256SUMS"; head -n 1 "$T/SHA256SUMS"; } >"$T/list"
	code 1 publish d:v1 "$T/origin/d" --list "$T/list"
	contains "$output" 'listed twice (lines 1 and 4)'
	cp "$T/all.xxh128" "$T/nobody-knows"
	code 1 publish d:v1 "$T/origin/d" --list "$T/nobody-knows"
	contains "$output" '--sums md5 or --sums xxh128'
	code 1 publish d:v1 "$T/origin/d" --list "$T/nobody-knows" --sums md5
	contains "$output" 'does not match the list'
	publish d:v1 "$T/origin/d" --list "$T/nobody-knows" --sums xxh128
	code 2 publish e:v1 "$T/origin/d" --list "$T/SHA256SUMS" --sums crc
	contains "$output" 'known are xxh128'
	code 1 publish e:v1 "$T/origin/d" --list /dev/zero
	contains "$output" 'is longer than'
	awk 'BEGIN { for (i = 0; i < 10000002; i++) print i }' >"$T/list"
	code 1 publish e:v1 "$T/origin/d" --list "$T/list"
	contains "$output" 'more than 10000000 paths'
}
