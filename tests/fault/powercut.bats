#!/usr/bin/env bats
# The store under power cuts, on real file systems: see powercut.c. Two of the tests break the store on
# purpose and must find that out, so that the others mean something.

setup_file()
{
	cd "$BATS_TEST_DIRNAME/../.." || return
	export BUILD=${BUILD:-build}
	pkg-config --exists fuse3 || skip 'needs libfuse3-dev'
	make -s -f Makefile -f tests/fault/powercut.mk "$BUILD/tests/powercut"
}

cut_power() # FILE-SYSTEM CUTS [BREAK]
{
	cd "$BATS_TEST_DIRNAME/../.." || return
	POWERCUT_BREAK=${3-} run timeout 120 "$BUILD/tests/powercut" "$1" "$2" "${POWERCUT_SEED:-$RANDOM}"
	echo "$output"
	((status != 77)) || skip "${output#\# }"
}

@test 'power cuts on ext4: no wrong bytes under a name, nothing lost that was reported' {
	cut_power ext4 30
	((status == 0))
}

@test 'power cuts on XFS: no wrong bytes under a name, nothing lost that was reported' {
	cut_power xfs 25
	((status == 0))
}

@test 'a store that reports without syncing is found out' {
	cut_power ext4 10 sync
	((status == 1))
	[[ $output == *'was durable at'*'and is not there'* ]]
}

@test 'a store that names before the bytes are written is found out' {
	cut_power xfs 10 order
	((status == 1))
	[[ $output == *'differ'* ]]
}
