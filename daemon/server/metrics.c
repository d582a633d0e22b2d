/*
 * Owns the metrics: text for METRICS and for node_exporter's textfile collector.
 * Counts nothing itself. Called by dispatch and by a timer.
 */
#include "server/metrics.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "larder/cleanup.h"
#include "log/log.h"
#include "server/dispatch.h"
#include "server/space.h"
#include "server/stage.h"

static int print_counter(enum inv_counter counter, const char *name, const char *unit,
			 const char *help, uint64_t value, void *arg)
{
	FILE *out = arg;

	(void)counter;
	fprintf(out,
		"# HELP larder_%s_total %s (%s)\n# TYPE larder_%s_total counter\nlarder_%s_total %" PRIu64
		"\n",
		name, help, unit, name, name, value);
	return 0;
}

static void gauge(FILE *out, const char *name, const char *help)
{
	fprintf(out, "# HELP larder_%s %s\n# TYPE larder_%s gauge\n", name, help, name);
}

static void print_tiers(struct larderd *d, FILE *out)
{
	struct larder_error ignored;

	gauge(out, "tier_bytes", "space of a tier by kind");
	for (unsigned int i = 0; i < d->config.n_tiers; i++) {
		struct node_tier *tier = &d->tiers[i];
		const char *name = tier->config->name;
		struct quota_tier look;

		if (!tier->tier || space_look(d, tier, &look, &ignored))
			continue;
		fprintf(out, "larder_tier_bytes{tier=\"%s\",kind=\"capacity\"} %" PRIu64 "\n", name,
			look.capacity_bytes);
		fprintf(out, "larder_tier_bytes{tier=\"%s\",kind=\"trees\"} %" PRIu64 "\n", name,
			look.tree_bytes);
		fprintf(out, "larder_tier_bytes{tier=\"%s\",kind=\"reserved\"} %" PRIu64 "\n", name,
			look.reserved_bytes);
		fprintf(out, "larder_tier_bytes{tier=\"%s\",kind=\"trash\"} %" PRIu64 "\n", name,
			look.trash_bytes);
		fprintf(out, "larder_tier_bytes{tier=\"%s\",kind=\"free\"} %" PRIu64 "\n", name,
			look.free_bytes);
	}
	gauge(out, "tier_usable", "1 when the tier can be used");
	for (unsigned int i = 0; i < d->config.n_tiers; i++)
		fprintf(out, "larder_tier_usable{tier=\"%s\"} %d\n", d->tiers[i].config->name,
			d->tiers[i].tier != NULL);
}

static int count_lease(const struct inv_lease *lease, void *arg)
{
	uint64_t *n = arg;

	(void)lease;
	(*n)++;
	return 0;
}

static void print_node(struct larderd *d, FILE *out)
{
	uint64_t states[LARDER_TREE_STATES] = {0}, leases = 0;
	struct larder_error ignored;

	inventory_tree_states(d->inv, states, &ignored);
	gauge(out, "trees", "trees by state");
	for (unsigned int i = 0; i < LARDER_TREE_STATES; i++)
		fprintf(out, "larder_trees{state=\"%s\"} %" PRIu64 "\n", larder_tree_state_word(i),
			states[i]);
	gauge(out, "leases", "leases of running jobs");
	if (!inventory_lease_each(d->inv, 0, 0, count_lease, &leases, &ignored))
		fprintf(out, "larder_leases %" PRIu64 "\n", leases);
	gauge(out, "transfers", "stages under way");
	fprintf(out, "larder_transfers %u\n", HASH_COUNT(d->stages));
	gauge(out, "drained", "1 while the node takes no datasets");
	fprintf(out, "larder_drained %d\n", d->drained[0] != '\0');
	gauge(out, "build_info", "the version that runs");
	fprintf(out, "larder_build_info{version=\"%s\"} 1\n", LARDER_VERSION);
}

/* The lines of two metrics, made in one walk: those of a metric stand together. */
struct tree_lines {
	FILE *bytes, *uses;
};

/* Names and versions need no escaping: their alphabet has neither quote nor backslash. */
static int print_tree(const struct inv_tree *tree, void *arg)
{
	struct tree_lines *lines = arg;

	fprintf(lines->bytes,
		"larder_dataset_bytes{dataset=\"%s:%s\",digest=\"%.8s\"} %" PRIu64 "\n", tree->name,
		tree->version, tree->digest, tree->present_bytes);
	fprintf(lines->uses, "larder_dataset_uses{dataset=\"%s:%s\",digest=\"%.8s\"} %.3f\n",
		tree->name, tree->version, tree->digest, tree->uses);
	return 0;
}

/* Walks the trees that are to be shown. */
typedef int (*tree_walk_fn)(inventory_tree_fn fn, void *fn_arg, const void *arg);

static void print_trees(tree_walk_fn walk, const void *arg, FILE *out)
{
	auto_free char *uses = NULL;
	size_t len;
	struct tree_lines lines = {.bytes = out, .uses = open_memstream(&uses, &len)};

	if (!lines.uses)
		return;
	gauge(out, "dataset_bytes", "bytes of a dataset that are here");
	walk(print_tree, &lines, arg);
	gauge(out, "dataset_uses", "uses of a dataset, decayed");
	if (!fclose(lines.uses))
		fputs(uses, out);
}

static char *metrics_text(struct larderd *d, tree_walk_fn walk, const void *arg)
{
	struct larder_error ignored;
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	if (!out)
		return NULL;
	inventory_counter_each(d->inv, print_counter, out, &ignored);
	print_node(d, out);
	print_tiers(d, out);
	print_trees(walk, arg, out);
	if (fclose(out)) {
		free(text);
		return NULL;
	}
	return text;
}

/* --- METRICS */

static int walk_visible(inventory_tree_fn fn, void *fn_arg, const void *arg)
{
	return visible_each(arg, fn, fn_arg);
}

#define PIECE_MAX 16384 /* bytes of a row */

/* Whole lines from text on, PIECE_MAX bytes at most; a longer one by itself. Where they end. */
static char *piece_end(char *text)
{
	size_t len = strlen(text);
	char *end = len > PIECE_MAX ? memrchr(text, '\n', PIECE_MAX) : text + len;

	return end ? end : strchrnul(text, '\n');
}

/* Ten thousand trees are twenty thousand lines: a row for each would cost more than to make them.
 */
static void send_metrics(struct session *session, const struct visible *visible, void *arg)
{
	auto_free char *text = metrics_text(session_daemon(session), walk_visible, visible);

	(void)arg;
	for (char *piece = text, *end; piece && *piece; piece = end) {
		end = piece_end(piece);
		if (*end)
			*end++ = '\0';
		session_row(session, LARDER_MSG_TEXT, &(struct larder_msg_TEXT){.text = piece});
	}
	session_done(session, "");
}

void handle_METRICS(struct session *session, const void *msg)
{
	(void)msg;
	visible_look(session, NULL, send_metrics, NULL, NULL);
}

/* --- the text file */

struct metrics_file {
	struct work work;
	char *path, *text;
};

static void write_run(struct work *work)
{
	struct metrics_file *file = (struct metrics_file *)work;
	auto_free char *tmp = NULL;
	FILE *out;

	if (asprintf(&tmp, "%s.%d", file->path, getpid()) < 0)
		return;
	out = fopen(tmp, "we");
	if (!out)
		return;
	fputs(file->text, out);
	if (fclose(out) || chmod(tmp, 0644) || rename(tmp, file->path))
		unlink(tmp); /* the next one comes soon; the collector reports a file that grows old
			      */
}

static void write_done(struct work *work)
{
	struct metrics_file *file = (struct metrics_file *)work;

	free(file->path);
	free(file->text);
	free(file);
}

struct public_walk {
	inventory_tree_fn fn;
	void *arg;
};

static int if_public(const struct inv_tree *tree, void *arg)
{
	struct public_walk *walk = arg;
	bool shown = tree->owner == INV_OWNER_SITE && strcmp(tree->access, "public") == 0;

	return shown ? walk->fn(tree, walk->arg) : 0;
}

static int walk_public(inventory_tree_fn fn, void *fn_arg, const void *arg)
{
	const struct larderd *d = arg;
	struct public_walk walk = {fn, fn_arg};
	struct larder_error ignored;

	return inventory_tree_each(d->inv, NULL, if_public, &walk, &ignored);
}

void metrics_write(struct larderd *d)
{
	struct metrics_file *file;

	if (!d->config.metrics_file[0])
		return;
	file = calloc(1, sizeof(*file));
	if (file) {
		file->path = strdup(d->config.metrics_file);
		file->text = metrics_text(d, walk_public, d);
	}
	if (!file || !file->path || !file->text) {
		if (file)
			write_done(&file->work);
		return;
	}
	file->work = (struct work){.run = write_run, .done = write_done};
	worker_run(d->workers, &file->work);
}
