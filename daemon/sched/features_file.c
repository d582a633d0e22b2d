/*
 * Owns the file that job_submit.lua reads: what is published, and the catalog's aliases.
 * Must not show a dataset that has no feature. Called by the control thread.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "larder/cleanup.h"
#include "larder/text.h"
#include "sched/choose.h"
#include "sched/sched.h"

#define FRESH_S		  60 /* it is written anew after this; the script trusts it for ten minutes */
#define MANIFEST	  ".manifest"
#define HOLDERS_BYTES_MAX 2000

struct features_file {
	char *last; /* what it says */
	int64_t written_s;
};

struct features_file *features_file_create(void)
{
	return calloc(1, sizeof(struct features_file));
}

void features_file_destroy(struct features_file *file)
{
	if (file)
		free(file->last);
	free(file);
}

/* --- what it says */

/* Only what slurmctld has counts, and on nodes that take jobs: a job must not be tied to what is
 * not there. */
static bool holds(const struct node *node, struct label *label, const struct choose_params *params)
{
	char feature[FEATURE_MAX + 1];

	if (strcmp(node->have, node->want) == 0)
		return true; /* all that was chosen */
	return choose_feature(label, params, feature) && features_have(node->have, feature);
}

/* "0-3" behind what is there. So long a list is cut, for then there are many. */
static void end_range(struct label *label)
{
	size_t used = label->holders ? strlen(label->holders) : 0;
	char range[32];
	char *text;
	int n = snprintf(range, sizeof(range), label->first == label->last ? "%s%u" : "%s%u-%u",
			 used ? "," : "", label->first, label->last);

	if (used + (size_t)n > HOLDERS_BYTES_MAX)
		return;
	text = realloc(label->holders, used + (size_t)n + 1);
	if (!text)
		return;
	memcpy(text + used, range, (size_t)n + 1);
	label->holders = text;
}

static void add_holder(struct label *label, unsigned int number)
{
	if (label->published && label->last + 1 != number)
		end_range(label);
	if (!label->published || label->last + 1 != number)
		label->first = number;
	label->last = number;
	label->published++;
}

/* Nodes come in the order of their numbers: that in which they became known. */
static void count(struct sched *sched, const struct choose_params *params)
{
	for (struct label *label = sched->model.labels; label; label = label->hh.next) {
		label->published = 0;
		free(label->holders);
		label->holders = NULL;
	}
	for (struct node *node = sched->model.nodes; node; node = node->hh.next) {
		if (!node->in_slurm || !node->usable || !node->have || !node->want)
			continue;
		for (unsigned int i = 0; i < node->n_chosen; i++)
			if (holds(node, node->chosen[i], params))
				add_holder(node->chosen[i], node->number);
	}
	for (struct label *label = sched->model.labels; label; label = label->hh.next)
		if (label->published)
			end_range(label);
}

static int by_key(const void *a, const void *b)
{
	return strcmp((*(const struct label *const *)a)->key,
		      (*(const struct label *const *)b)->key);
}

static size_t published(const struct sched *sched, struct label **labels)
{
	size_t n = 0;

	for (struct label *label = sched->model.labels; label; label = label->hh.next)
		if (label->published)
			labels[n++] = label;
	qsort(labels, n, sizeof(struct label *), by_key);
	return n;
}

char *features_file_text(struct sched *sched)
{
	const struct choose_params params = {.per_node = sched->config.features_per_node,
					     .omit_hidden =
						     strcmp(sched->config.hidden, "omit") == 0,
					     .key = &sched->hide_key};
	auto_free struct label **labels =
		calloc(HASH_COUNT(sched->model.labels) + 1, sizeof(struct label *));
	char feature[FEATURE_MAX + 1], *text = NULL;
	size_t room, n;
	FILE *out = labels ? open_memstream(&text, &room) : NULL;

	if (!out)
		return NULL;
	count(sched, &params);
	n = published(sched, labels);
	for (size_t i = 0; i < n; i++)
		if (choose_feature(labels[i], &params, feature))
			fprintf(out, "%s %s %s %u %s %s\n", labels[i]->name, labels[i]->version,
				feature, labels[i]->published, label_best(labels[i])->digest,
				labels[i]->holders ? labels[i]->holders : "");
	if (fclose(out)) {
		free(text);
		return NULL;
	}
	return text;
}

/* --- aliases */

static bool cut_suffix(char *name)
{
	size_t len = strlen(name), suffix = strlen(MANIFEST);

	if (len <= suffix || strcmp(name + len - suffix, MANIFEST) != 0)
		return false;
	name[len - suffix] = '\0';
	return true;
}

/* An alias is a symlink latest.manifest -> v3.manifest in the dataset's directory. */
static void put_aliases(FILE *out, const char *catalog, const char *name)
{
	auto_free char *path = NULL;
	auto_close_dir DIR *dir = NULL;
	const struct dirent *entry;

	if (asprintf(&path, "%s/%s", catalog, name) < 0) {
		path = NULL;
		return;
	}
	dir = opendir(path);
	while (dir && (entry = readdir(dir))) {
		char alias[256], target[256];
		ssize_t n = readlinkat(dirfd(dir), entry->d_name, target, sizeof(target) - 1);

		if (n <= 0)
			continue;
		target[n] = '\0';
		snprintf(alias, sizeof(alias), "%s", entry->d_name);
		if (cut_suffix(alias) && cut_suffix(target) &&
		    larder_version_check(alias, NULL) == 0 &&
		    larder_version_check(target, NULL) == 0)
			fprintf(out, "alias %s %s %s\n", name, alias, target);
	}
}

static void put_all_aliases(FILE *out, const char *catalog, const char *text)
{
	char name[256], last[256] = "";

	for (const char *at = text; *at && *catalog; at += strcspn(at, "\n") + 1) {
		snprintf(name, sizeof(name), "%.*s", (int)strcspn(at, " "), at);
		if (strcmp(name, last) != 0)
			put_aliases(out, catalog, name);
		snprintf(last, sizeof(last), "%s", name);
	}
}

static char *with_aliases(const char *catalog, const char *text)
{
	char *whole = NULL;
	size_t room;
	FILE *out = open_memstream(&whole, &room);

	if (!out)
		return NULL;
	fputs(text, out);
	put_all_aliases(out, catalog, text);
	if (fclose(out)) {
		free(whole);
		return NULL;
	}
	return whole;
}

/* --- the file */

static int set_group(int fd, const char *path, const char *name, struct larder_error *err)
{
	char buf[16384];
	struct group group, *found = NULL;
	int rc;

	if (!*name)
		return 0;
	rc = getgrnam_r(name, &group, buf, sizeof(buf), &found);
	if (rc || !found)
		return larder_error_set(err, rc ? rc : ENOENT,
					"features_group = \"%s\": there is no such group", name);
	if (fchown(fd, (uid_t)-1, group.gr_gid))
		return larder_error_set(err, errno, "give %s to the group %s: %s", path, name,
					strerror(errno));
	return 0;
}

static int write_to(const char *path, const struct sched_config *config, const char *text,
		    int64_t now_s, struct larder_error *err)
{
	auto_fd int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0640);
	auto_file FILE *out = NULL;

	if (fd < 0)
		return larder_error_set(err, errno, "write %s: %s", path, strerror(errno));
	if (fchmod(fd, 0640) || set_group(fd, path, config->features_group, err))
		return err->code ? -err->code
				 : larder_error_set(err, errno, "chmod %s: %s", path,
						    strerror(errno));
	out = fdopen(fd, "w");
	if (!out)
		return larder_error_set(err, errno, "write %s: %s", path, strerror(errno));
	(void)take_fd(&fd);
	fprintf(out, "# larder-sched features 1\nwritten %lld\n%send\n", (long long)now_s, text);
	if (fflush(out) || ferror(out))
		return larder_error_set(err, errno, "write %s: %s", path, strerror(errno));
	return 0;
}

int features_file_write(struct features_file *file, const struct sched_config *config,
			const char *text, int64_t now_s, struct larder_error *err)
{
	auto_free char *whole = with_aliases(config->catalog, text), *temporary = NULL;

	if (!whole || asprintf(&temporary, "%s.new", config->features_file) < 0)
		return larder_error_set(err, ENOMEM, "out of memory");
	if (file->last && strcmp(file->last, whole) == 0 && now_s - file->written_s < FRESH_S &&
	    now_s >= file->written_s)
		return 0;
	if (write_to(temporary, config, whole, now_s, err))
		return -err->code;
	if (rename(temporary, config->features_file))
		return larder_error_set(err, errno, "write %s: %s", config->features_file,
					strerror(errno));
	free(file->last);
	file->last = take_ptr(&whole);
	file->written_s = now_s;
	return 0;
}
