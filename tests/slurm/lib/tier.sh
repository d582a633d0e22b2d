# shellcheck shell=bash
# The cache file systems of a test cluster: a sparse image for each node, mounted through a loop device.
# Sourced by tests/slurm/cluster.

make_image()
{
	local image=$1 said
	truncate -s "$CAPACITY" "$image" || die "--capacity '$CAPACITY' is no size; write for example 512M or 2G"
	case $FS in
	xfs) said=$(mkfs.xfs -q "$image" 2>&1) || die "mkfs.xfs refused $CAPACITY: ${said%%$'\n'*} (or take --fs ext4)" ;;
	ext4) said=$(mkfs.ext4 -q -F -m 0 "$image" 2>&1) || die "mkfs.ext4 refused $CAPACITY: ${said%%$'\n'*}" ;;
	esac
}

# Another program may take the loop device between mount's choosing and its opening of it.
mount_image()
{
	local try
	for try in 1 2 3 4 5 6 7 8; do
		if mount -o loop "$1" "$2" 2>"$DIR/mount.err"; then
			rm -f "$DIR/mount.err"
			return 0
		fi
		sleep "0.0$try"
	done
	die "cannot mount $1 through a loop device: $(<"$DIR/mount.err")" \
		"(a container needs --privileged, and /dev/loop-control)"
}

make_tier()
{
	mkdir -p "$DIR/$1/tier"
	make_image "$DIR/$1/tier.img"
	mount_image "$DIR/$1/tier.img" "$DIR/$1/tier"
}

mounts_below()
{
	# The deepest first. /proc writes a space as \040; the directory's name holds none (parse_dir sees to that).
	awk -v dir="$DIR/" 'index($5, dir) == 1 { print $5 }' /proc/self/mountinfo | sort -r
}

unmount_all()
{
	local path
	while read -r path; do
		if ! poll 10 umount_quietly "$path"; then
			warn "$path is busy; detaching it, the kernel ends it when its last user does"
			umount -l "$path" || true
		fi
	done < <(mounts_below)
}

umount_quietly() { umount "$1" 2>/dev/null; }

# mount -o loop makes devices that vanish with the mount; one that a lazy unmount left is detached here.
detach_loops()
{
	local device
	while read -r device; do
		losetup -d "$device" 2>/dev/null || true
	done < <(losetup -n -O NAME,BACK-FILE --raw 2>/dev/null | awk -v dir="$DIR/" 'index($2, dir) == 1 { print $1 }')
}
