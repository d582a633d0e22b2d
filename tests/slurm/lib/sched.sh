# shellcheck shell=bash
# larder-sched and its publisher in a test cluster: larder-sched as the ordinary user larder-sched, the publisher as
# SlurmUser (root here). Everything is below $DIR/sched. Sourced by tests/slurm/cluster.

SCHED_USER=larder-sched

# The last port of the block that choose_ports chose; the larderds' are before it.
sched_port() { printf '%s' $((PORT + 2 * NODES + 1)); }
fleet_port() { printf '%s' $((PORT + NODES + ${1#n})); }

ensure_sched_user()
{
	id -u "$SCHED_USER" >/dev/null 2>&1 ||
		useradd --system --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin "$SCHED_USER"
}

# In the extra lines of --sched-conf, %d stands for the cluster's directory. They come instead of ours.
write_sched_conf()
{
	local extra=${SCHED_EXTRA//%d/$DIR} line node
	mkdir -p "$DIR/sched"
	install -d -m 700 -o "$SCHED_USER" -g "$SCHED_USER" "$DIR/sched/state"
	chown "$SCHED_USER:$SCHED_USER" "$DIR/sched"
	for node in $(node_names); do echo "$node 127.0.0.1:$(fleet_port "$node")"; done >"$DIR/sched/nodes"
	while IFS= read -r line; do
		grep -qE "^[[:space:]]*${line%% *}[[:space:]]*=" <<<"$extra" || printf '%s\n' "$line"
	done < <(sched_conf_base) >"$DIR/sched/larder-sched.conf"
	printf '%s\n' "$extra" >>"$DIR/sched/larder-sched.conf"
}

sched_conf_base()
{
	cat <<-END
		listen = "127.0.0.1:$(sched_port)"
		munge_socket = "$DIR/munge/socket"
		state_dir = "$DIR/sched/state"
		slurm_conf = "$DIR/slurm.conf"
		slurm_every = "500ms"
		slurm_timeout = "10s"
		nodes_file = "$DIR/sched/nodes"
		poll_every = "500ms"
		node_timeout = "2s"
		silent_after = "3s"
		publish_every = "500ms"
		publisher = "$DIR/sched/publisher"
		publisher_for = "$SCHED_USER"
		features_file = "$DIR/sched/features"
		catalog = "$DIR/catalog"
		ahead_ttl = "30s"
	END
}

# For larder: where larder-sched is, and whom a credential is for.
write_sched_env()
{
	cat <<-END
		export LARDER_SCHED='127.0.0.1:$(sched_port)'
		export LARDER_SCHED_USER='$SCHED_USER'
		export LARDER_MUNGE_SOCKET='$DIR/munge/socket'
	END
}

start_publisher()
{
	install_binaries
	launch larder-publisher "$DIR/sched/publisher.log" env -i "SLURM_CONF=$DIR/slurm.conf" PATH=/usr/sbin:/usr/bin:/sbin:/bin \
		"$DIR/bin/larder-sched" --publisher -c "$DIR/sched/larder-sched.conf"
	await_socket larder-publisher "$DIR/sched/publisher" "$DIR/sched/publisher.log"
}

sched_listens_or_dead() { not_running larder-sched || [[ -n $(ss -Htln "sport = :$(sched_port)") ]]; }

start_sched()
{
	install_binaries
	launch larder-sched "$DIR/sched/larder-sched.log" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin \
		setpriv "--reuid=$SCHED_USER" "--regid=$SCHED_USER" --clear-groups \
		"$DIR/bin/larder-sched" -d -c "$DIR/sched/larder-sched.conf"
	poll 20 sched_listens_or_dead || true
	running larder-sched ||
		die "larder-sched ended at once; its log says:"$'\n'"$(tail -n 15 "$DIR/sched/larder-sched.log")"
}
