/*
 * verify and repair: datasets are read again and their digests compared.
 * They must not touch files: the daemon does.
 * Called through the table of commands.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/fleet.h"
#include "ctl/progress.h"

struct verifying {
	struct sheets *sheets;
	bool repair;
	uint64_t *ids; /* --all: what the node has */
	size_t n_ids;
};

static int verify_one(struct ctl *ctl, size_t node, struct larder_client *client,
		      const struct larder_msg_VERIFY *msg, const struct verifying *verifying,
		      struct larder_error *err)
{
	const struct fleet_request request = {LARDER_MSG_VERIFY, msg, FLEET_PATIENT_MS};

	return fleet_ask(ctl, node, client, &request, verifying->sheets, err);
}

static int take_tree(struct larder_row *row, void *arg, struct larder_error *err)
{
	struct verifying *verifying = arg;
	const struct larder_msg_TREE *tree = row->msg;
	void *grown;

	/* By number: a user's own dataset has no spec that an admin could write. */
	if (row->type != LARDER_MSG_TREE)
		return 0;
	grown = realloc(verifying->ids, (verifying->n_ids + 1) * sizeof(*verifying->ids));
	if (!grown)
		return larder_error_set(err, ENOMEM, "out of memory");
	verifying->ids = grown;
	verifying->ids[verifying->n_ids++] = tree->id;
	return 0;
}

static int verify_node(struct ctl *ctl, size_t node, struct larder_client *client, void *arg,
		       struct larder_error *err)
{
	const struct larder_msg_LIST list = {.pattern = ""};
	struct verifying *verifying = arg;
	struct larder_msg_VERIFY msg = {.repair = verifying->repair};
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < ctl->n_args; i++) {
		msg.spec = ctl->args[i];
		rc = verify_one(ctl, node, client, &msg, verifying, err);
	}
	msg.spec = "";
	verifying->n_ids = 0;
	if (ctl->options.all)
		rc = larder_client_call(client, LARDER_MSG_LIST, &list, FLEET_ANSWER_MS, take_tree,
					verifying, NULL, err);
	for (size_t i = 0; rc == 0 && i < verifying->n_ids; i++) {
		msg.id = verifying->ids[i];
		rc = verify_one(ctl, node, client, &msg, verifying, err);
	}
	return rc;
}

static int verify_all(struct ctl *ctl, bool repair)
{
	static const unsigned int types[] = {LARDER_MSG_SHARD, 0};
	struct verifying verifying = {.repair = repair};
	struct larder_error err = {0};
	int code;

	if ((ctl->n_args > 0) == ctl->options.all) {
		ctl_complain("%s wants either datasets or --all; see 'larder help %s'.",
			     ctl->command->verb, ctl->command->verb);
		return CTL_USAGE;
	}
	if (sheets_create(ctl, types, 0, &verifying.sheets, &err) != 0) {
		ctl_complain_error(&err);
		return CTL_USAGE;
	}
	code = fleet_each(ctl, verify_node, &verifying);
	if (sheets_print(verifying.sheets, stdout, &err) != 0)
		code = ctl_complain_error(&err);
	/* Damage that was only looked at is a failure; damage that was repaired is not. */
	if (code == CTL_DONE && !repair && sheets_count(verifying.sheets, LARDER_MSG_SHARD) > 0)
		code = CTL_FAILED;
	sheets_destroy(verifying.sheets);
	free(verifying.ids);
	return code;
}

int ctl_verify(struct ctl *ctl)
{
	return verify_all(ctl, false);
}

int ctl_repair(struct ctl *ctl)
{
	return verify_all(ctl, true);
}
