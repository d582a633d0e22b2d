/*
 * evict and gc: making room.
 * They must not choose what goes: the daemon does. --force is asked about.
 * Called through the table of commands.
 */
#include "ctl/fleet.h"

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
	if (!ctl->options.force || ctl->options.dry_run)
		return CTL_DONE;
	return ctl_confirm(ctl, "Evict even what running jobs or pins hold? Files that a job has "
				"open stay readable to it, others vanish under it.");
}

int ctl_evict(struct ctl *ctl)
{
	static const unsigned int types[] = {LARDER_MSG_FREED, 0};
	struct sheets *sheets = NULL;
	struct larder_error err = {0};
	int code = evict_check(ctl);

	if (code != CTL_DONE)
		return code;
	if (sheets_create(ctl, types, 0, &sheets, &err) != 0) {
		ctl_complain_error(&err);
		return CTL_USAGE;
	}
	code = fleet_each(ctl, evict_node, sheets);
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
