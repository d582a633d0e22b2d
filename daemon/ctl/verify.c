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
#include "larder/spec.h"

#define SPEC_ROOM (LARDER_NAME_MAX + LARDER_VERSION_MAX + LARDER_DIGEST_HEX + 3)

struct verifying {
	struct sheets *sheets;
	bool repair;
	char (*specs)[SPEC_ROOM]; /* --all: what the node has */
	size_t n_specs;
};

static int verify_one(struct ctl *ctl, size_t node, struct larder_client *client, const char *spec,
		      const struct verifying *verifying, struct larder_error *err)
{
	const struct larder_msg_VERIFY msg = {.spec = spec, .repair = verifying->repair};
	const struct fleet_request request = {LARDER_MSG_VERIFY, &msg, FLEET_PATIENT_MS};

	return fleet_ask(ctl, node, client, &request, verifying->sheets, err);
}

static int take_tree(struct larder_row *row, void *arg, struct larder_error *err)
{
	struct verifying *verifying = arg;
	const struct larder_msg_TREE *tree = row->msg;
	void *grown;

	/* A user's own datasets have no spec that an admin could write; what is empty holds no
	 * bytes. */
	if (row->type != LARDER_MSG_TREE || strcmp(tree->version, LARDER_OWN_VERSION) == 0)
		return 0;
	grown = realloc(verifying->specs, (verifying->n_specs + 1) * sizeof(*verifying->specs));
	if (!grown)
		return larder_error_set(err, ENOMEM, "out of memory");
	verifying->specs = grown;
	snprintf(verifying->specs[verifying->n_specs++], SPEC_ROOM, "%s:%s@%s", tree->name,
		 tree->version, tree->digest);
	return 0;
}

static int verify_node(struct ctl *ctl, size_t node, struct larder_client *client, void *arg,
		       struct larder_error *err)
{
	const struct larder_msg_LIST list = {.pattern = ""};
	struct verifying *verifying = arg;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < ctl->n_args; i++)
		rc = verify_one(ctl, node, client, ctl->args[i], verifying, err);
	verifying->n_specs = 0;
	if (ctl->options.all)
		rc = larder_client_call(client, LARDER_MSG_LIST, &list, FLEET_ANSWER_MS, take_tree,
					verifying, NULL, err);
	for (size_t i = 0; rc == 0 && i < verifying->n_specs; i++)
		rc = verify_one(ctl, node, client, verifying->specs[i], verifying, err);
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
	free(verifying.specs);
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
