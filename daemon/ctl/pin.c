/*
 * pin and unpin: a person's hold on datasets.
 * They must not decide who may: the daemon does.
 * Called through the table of commands.
 */
#include <errno.h>
#include <string.h>

#include "ctl/fleet.h"
#include "larder/text.h"

struct pinning {
	struct sheets *sheets;
	bool unpin;
	int64_t ttl_ms; /* 0: for ever */
};

static int pin_one(struct ctl *ctl, size_t node, struct larder_client *client, const char *spec,
		   const struct pinning *pinning, struct larder_error *err)
{
	const struct larder_msg_PIN pin = {
		.spec = spec,
		.ttl_ms = pinning->ttl_ms,
		.reason = ctl->options.reason ? ctl->options.reason : "",
	};
	const struct larder_msg_UNPIN unpin = {.spec = spec, .all_users = ctl->options.all_users};
	const struct fleet_request request = {
		.type = pinning->unpin ? LARDER_MSG_UNPIN : LARDER_MSG_PIN,
		.msg = pinning->unpin ? (const void *)&unpin : &pin,
		.answer_ms = FLEET_ANSWER_MS,
	};

	return fleet_ask(ctl, node, client, &request, pinning->sheets, err);
}

static int pin_node(struct ctl *ctl, size_t node, struct larder_client *client, void *arg,
		    struct larder_error *err)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < ctl->n_args; i++)
		rc = pin_one(ctl, node, client, ctl->args[i], arg, err);
	return rc;
}

static int pin_all(struct ctl *ctl, struct pinning *pinning)
{
	static const unsigned int types[] = {LARDER_MSG_PINNED, 0};
	struct larder_error err = {0};
	int code;

	if (sheets_create(ctl, types, 0, &pinning->sheets, &err) != 0) {
		ctl_complain_error(&err);
		return CTL_USAGE;
	}
	code = fleet_each(ctl, pin_node, pinning);
	if (sheets_print(pinning->sheets, stdout, &err) != 0)
		code = ctl_complain_error(&err);
	sheets_destroy(pinning->sheets);
	return code;
}

int ctl_pin(struct ctl *ctl)
{
	struct pinning pinning = {0};
	struct larder_error err = {0};

	if (strcmp(ctl->options.ttl, "forever") == 0)
		return pin_all(ctl, &pinning);
	if (larder_duration_parse(ctl->options.ttl, &pinning.ttl_ms, &err) == 0 &&
	    pinning.ttl_ms == 0)
		larder_error_set(&err, EINVAL, "a pin that ends at once holds nothing");
	if (err.code) {
		ctl_complain("--for: %s", err.text);
		return CTL_USAGE;
	}
	return pin_all(ctl, &pinning);
}

int ctl_unpin(struct ctl *ctl)
{
	struct pinning pinning = {.unpin = true};

	return pin_all(ctl, &pinning);
}
