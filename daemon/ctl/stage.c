/*
 * stage and wait: bring datasets to nodes, and follow them until they are ready.
 * It must not decide what is staged first or whether there is room: the daemon does.
 * Called through the table of commands.
 */
#include <stdio.h>
#include <time.h>

#include "ctl/fleet.h"
#include "ctl/progress.h"
#include "larder/clock.h"

#define WATCH_SLACK_MS 10000 /* the daemon's own timeout comes first */

struct following {
	struct sheets *sheets;
	struct progress progress;
	int64_t until_ms; /* CLOCK_MONOTONIC; 0: no limit */
	const char *node;
};

static int stage_node(struct ctl *ctl, size_t node, struct larder_client *client, void *arg,
		      struct larder_error *err)
{
	struct following *following = arg;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < ctl->n_args; i++) {
		const struct larder_msg_STAGE msg = {
			.spec = ctl->args[i],
			.priority = (uint32_t)ctl->options.priority,
		};
		const struct fleet_request request = {LARDER_MSG_STAGE, &msg, FLEET_PATIENT_MS};

		rc = fleet_ask(ctl, node, client, &request, following->sheets, err);
	}
	return rc;
}

/* --- following */

static int show_transfer(struct larder_row *row, void *arg, struct larder_error *err)
{
	struct following *following = arg;
	const struct larder_msg_TRANSFER *transfer = row->msg;
	struct progress_now now;

	if (row->type != LARDER_MSG_TRANSFER)
		return sheets_add(following->sheets, following->node, row->type, row->msg, err);
	now = (struct progress_now){
		.what = transfer->dataset,
		.phase = transfer->phase,
		.done_bytes = transfer->done_bytes,
		.need_bytes = transfer->need_bytes,
		.done_shards = transfer->done_shards,
		.need_shards = transfer->need_shards,
		.bytes_per_s = transfer->bytes_per_s,
		.eta_ms = transfer->eta_ms,
	};
	progress_show(&following->progress, &now);
	return 0;
}

/* 0 means no limit to the daemon, so a limit that is used up is the shortest there is. */
static int64_t time_left(const struct following *following)
{
	int64_t left = following->until_ms - clock_mono_ms();

	if (following->until_ms == 0)
		return 0;
	return left > 0 ? left : 1;
}

static int watch_one(struct ctl *ctl, struct larder_client *client, const char *spec,
		     struct following *following, struct larder_error *err)
{
	const struct larder_msg_WATCH msg = {.spec = spec, .timeout_ms = time_left(following)};
	int answer_ms = FLEET_PATIENT_MS;
	char note[LARDER_ERROR_MAX];
	int rc;

	if (msg.timeout_ms > 0 && msg.timeout_ms < FLEET_PATIENT_MS - WATCH_SLACK_MS)
		answer_ms = (int)msg.timeout_ms + WATCH_SLACK_MS;
	progress_init(&following->progress, ctl->options.quiet);
	rc = larder_client_call(client, LARDER_MSG_WATCH, &msg, answer_ms, show_transfer, following,
				note, err);
	progress_end(&following->progress);
	if (rc != 0 || ctl->options.quiet)
		return rc;
	return sheets_note(following->sheets, following->node, note, err);
}

static int watch_node(struct ctl *ctl, size_t node, struct larder_client *client, void *arg,
		      struct larder_error *err)
{
	struct following *following = arg;
	int rc = 0;

	following->node = fleet_node(ctl, node);
	for (size_t i = 0; rc == 0 && i < ctl->n_args; i++)
		rc = watch_one(ctl, client, ctl->args[i], following, err);
	return rc;
}

static int follow(struct ctl *ctl, bool stage, bool watch)
{
	static const unsigned int types[] = {LARDER_MSG_LINE, 0};
	struct following following = {0};
	struct larder_error err = {0};
	int code = CTL_DONE;

	if (sheets_create(ctl, types, 0, &following.sheets, &err) != 0) {
		ctl_complain_error(&err);
		return CTL_USAGE;
	}
	if (ctl->options.timeout > 0)
		following.until_ms = clock_mono_ms() + ctl->options.timeout;
	/* All nodes start before the first is waited for. */
	if (stage)
		code = fleet_each(ctl, stage_node, &following);
	if (watch && (code == CTL_DONE || (stage && ctl->n_nodes > 1))) {
		int watched = fleet_each(ctl, watch_node, &following);

		code = code == CTL_DONE ? watched : code;
	}
	if (sheets_print(following.sheets, stdout, &err) != 0)
		code = ctl_complain_error(&err);
	sheets_destroy(following.sheets);
	return code;
}

int ctl_stage(struct ctl *ctl)
{
	if (ctl->options.priority > UINT32_MAX) {
		ctl_complain("--priority is at most %u.", UINT32_MAX);
		return CTL_USAGE;
	}
	return follow(ctl, true, ctl->options.wait);
}

int ctl_wait(struct ctl *ctl)
{
	return follow(ctl, false, true);
}
