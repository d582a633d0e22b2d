/*
 * evict and gc: making room.
 * They must not choose what goes: the daemon does. --force is asked about.
 * Called through the table of commands.
 */
#include "core/hostlist.h"
#include "ctl/fleet_sched.h"
#include "larder/cleanup.h"

static int evict_one(struct ctl *ctl, size_t node, struct larder_client *client, const char *spec,
		     struct sheets *sheets, struct larder_error *err)
{
	const struct larder_msg_EVICT msg = {
		.spec = spec,
		.bytes = *spec ? 0 : ctl->options.bytes,
		.force = ctl->options.force,
		.dry_run = ctl->options.dry_run,
	};
	const struct fleet_request request = {LARDER_MSG_EVICT, &msg, FLEET_PATIENT_MS};

	return fleet_ask(ctl, node, client, &request, sheets, err);
}

static int evict_node(struct ctl *ctl, size_t node, struct larder_client *client, void *arg,
		      struct larder_error *err)
{
	int rc = 0;

	if (ctl->n_args == 0)
		return evict_one(ctl, node, client, "", arg, err);
	for (size_t i = 0; rc == 0 && i < ctl->n_args; i++)
		rc = evict_one(ctl, node, client, ctl->args[i], arg, err);
	return rc;
}

static int evict_check(const struct ctl *ctl)
{
	if ((ctl->n_args > 0) == (ctl->options.bytes > 0)) {
		ctl_complain(
			"evict wants either datasets or --bytes SIZE; see 'larder help evict'.");
		return CTL_USAGE;
	}
	if (ctl->options.fleet && ctl->n_args == 0) {
		ctl_complain("evict --fleet wants datasets; --bytes is a node's own affair.");
		return CTL_USAGE;
	}
	if (!ctl->options.force || ctl->options.dry_run)
		return CTL_DONE;
	return ctl_confirm(ctl, "Evict even what running jobs or pins hold? Files that a job has "
				"open stay readable to it, others vanish under it.");
}

/* One dataset on all nodes that hold it. */
static int evict_everywhere(struct ctl *ctl, const char *spec, struct sheets *sheets)
{
	struct ctl there = *ctl;
	const char *args[] = {spec, NULL};
	auto_free char *list = NULL;
	struct larder_error err = {0};
	int code;

	if (fleet_sched_holders(spec, &list, &err))
		return ctl_complain_error(&err);
	there.nodes = NULL;
	there.args = args;
	there.n_args = 1;
	there.options.nodes = list;
	if (hostlist_expand(list, &there.nodes, &there.n_nodes, &err))
		return ctl_complain_error(&err);
	there.remote = true;
	code = fleet_each(&there, evict_node, sheets);
	hostlist_free(there.nodes);
	return code;
}

static int evict_fleet(struct ctl *ctl, struct sheets *sheets)
{
	int all = CTL_DONE;

	for (size_t i = 0; i < ctl->n_args; i++) {
		int code = evict_everywhere(ctl, ctl->args[i], sheets);

		if (i == 0)
			all = code;
		else if (code != all)
			all = CTL_FAILED;
	}
	return all;
}

int ctl_evict(struct ctl *ctl)
{
	static const unsigned int types[] = {LARDER_MSG_FREED, 0};
	struct ctl shown = *ctl; /* for the NODE column */
	struct sheets *sheets = NULL;
	struct larder_error err = {0};
	int code = evict_check(ctl);

	if (code != CTL_DONE)
		return code;
	if (ctl->options.fleet)
		shown.n_nodes = 2;
	if (sheets_create(&shown, types, 0, &sheets, &err) != 0) {
		ctl_complain_error(&err);
		return CTL_USAGE;
	}
	code = ctl->options.fleet ? evict_fleet(ctl, sheets) : fleet_each(ctl, evict_node, sheets);
	if (sheets_print(sheets, stdout, &err) != 0)
		code = ctl_complain_error(&err);
	sheets_destroy(sheets);
	return code;
}

int ctl_gc(struct ctl *ctl)
{
	static const unsigned int types[] = {LARDER_MSG_FREED, 0};
	const struct larder_msg_GC msg = {.dry_run = ctl->options.dry_run};
	const struct fleet_request request = {LARDER_MSG_GC, &msg, FLEET_PATIENT_MS};

	return fleet_table(ctl, &request, types, 0);
}
