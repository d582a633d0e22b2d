# shellcheck shell=bash
# The ordinary people of the multi-user tests: larder-alice (also in group larder-team) and larder-bob.
# They are system accounts without a password and stay on the machine until `cluster down --users`.
# Sourced by tests/slurm/cluster.

# Several clusters may come up at once: they look, and make what is missing, one after the other.
one_at_a_time() { (flock 9 && "$@") 9<"$(command -v slurmctld)"; }

ensure_users()
{
	local user
	getent group larder-team >/dev/null || groupadd --system larder-team
	for user in larder-alice larder-bob; do
		id -u "$user" >/dev/null 2>&1 ||
			useradd --system --user-group --no-create-home --home-dir /nonexistent --shell /bin/bash "$user"
	done
	id -nG larder-alice | grep -qw larder-team || usermod -a -G larder-team larder-alice
}

remove_users()
{
	local user
	for user in larder-alice larder-bob larder-sched; do
		if id -u "$user" >/dev/null 2>&1; then
			userdel "$user" || warn "cannot remove the user $user"
		fi
	done
	if getent group larder-team >/dev/null; then
		groupdel larder-team || true
	fi
}

make_homes()
{
	local person
	for person in alice bob; do
		install -d -m 700 -o "larder-$person" -g "larder-$person" "$DIR/home/$person"
	done
	install -d -m 700 "$DIR/home/root"
	if ! runuser -u larder-alice -- test -x "$DIR"; then
		die "ordinary users cannot enter $DIR: make its parent directories passable (chmod o+x) or choose another --dir"
	fi
}
