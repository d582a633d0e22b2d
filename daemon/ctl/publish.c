/*
 * `larder publish`: scans an origin and puts its manifest into the catalog, once and for all.
 * It must not write to the origin, nor change a version that exists.
 * Called through the table of commands.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "ctl/catalog_file.h"
#include "ctl/catalog_row.h"
#include "ctl/publish_url.h"
#include "ctl/scanning.h"
#include "ctl/sheets.h"
#include "ctl/split.h"
#include "larder/cleanup.h"
#include "larder/spec.h"

#define LATEST "latest"

struct publishing {
	struct ctl *ctl;
	struct larder_manifest_head head;     /* what is asked for */
	struct larder_manifest_head existing; /* of the version that is there; n_origins 0: none */
	struct larder_manifest_head done;     /* what the scan found */
	int dir_fd, existing_fd;
	struct catalog_draft draft;
	struct publish_url url;
	struct scan_progress progress;
	char alias_told[2 * CATALOG_FILE_MAX + 32]; /* what became of the alias; "" nothing */
};

static void publishing_fini(struct publishing *p)
{
	larder_manifest_head_fini(&p->head);
	larder_manifest_head_fini(&p->existing);
	larder_manifest_head_fini(&p->done);
	publish_url_fini(&p->url);
	catalog_draft_destroy(p->dir_fd, &p->draft);
	if (p->existing_fd >= 0)
		close(p->existing_fd);
	if (p->dir_fd >= 0)
		close(p->dir_fd);
}

/* --- what is asked for */

static int add_origin(struct larder_manifest_head *head, const char *text, struct larder_error *err)
{
	char *origin = strdup(text);
	size_t len = strlen(text);

	if (!origin)
		return larder_error_set(err, ENOMEM, "out of memory");
	head->origins[head->n_origins++] = origin;
	while (len > 1 && origin[len - 1] == '/')
		origin[--len] = '\0';
	return larder_origin_check(origin, err);
}

static int fill_head(struct publishing *p, struct larder_error *err)
{
	const struct ctl_options *options = &p->ctl->options;
	struct larder_manifest_head *head = &p->head;
	int rc = split_spec(p->ctl->args[0], SPLIT_VERSION_NEEDED, head->name, head->version, err);

	if (rc == 0 &&
	    (strcmp(head->version, LATEST) == 0 || strcmp(head->version, LARDER_OWN_VERSION) == 0))
		rc = larder_error_set(err, EINVAL,
				      "'%s' cannot be a version: it has a meaning of its "
				      "own. Take a number or a date, as in %s:v1",
				      head->version, head->name);
	if (rc == 0 && options->from.count == 0)
		rc = larder_error_set(err, EINVAL,
				      "say where the files are: --from /absolute/path, or "
				      "--from https://host/dir, or --from s3://bucket/prefix");
	for (unsigned int i = 0; rc == 0 && i < options->from.count; i++)
		rc = add_origin(head, options->from.items[i], err);
	if (rc == 0)
		rc = larder_access_parse(options->access, &head->access, err);
	if (rc == 0 && options->alias)
		rc = larder_version_check(options->alias, err);
	if (rc == 0 && options->alias && strcmp(options->alias, head->version) == 0)
		rc = larder_error_set(err, EINVAL, "an alias cannot have its own version's name");
	head->created_s = time(NULL);
	return rc ? rc : publish_url_fill(&p->ctl->options, head, &p->url, err);
}

/* --- what is there */

static int refuse_change(const struct publishing *p, const char *what, struct larder_error *err)
{
	return larder_error_set(
		err, EEXIST,
		"%s:%s exists already, with %s. A version is never changed: publish "
		"this as a new version (files that are the same are not copied again)",
		p->head.name, p->head.version, what);
}

static bool same_access(const struct larder_access *a, const struct larder_access *b)
{
	return a->kind == b->kind && strcmp(a->who, b->who) == 0;
}

static bool same_origins(const struct larder_manifest_head *a, const struct larder_manifest_head *b)
{
	if (a->n_origins != b->n_origins)
		return false;
	for (unsigned int i = 0; i < a->n_origins; i++)
		if (strcmp(a->origins[i], b->origins[i]) != 0)
			return false;
	return true;
}

static int look_at_existing(struct publishing *p, struct larder_error *err)
{
	char text[sizeof(p->existing.access.who) + 16], what[sizeof(text) + 32];
	char alias_of[CATALOG_FILE_MAX];
	int rc;

	if (p->dir_fd < 0)
		return 0;
	if (catalog_alias_get(p->dir_fd, p->head.version, alias_of) == 0)
		return larder_error_set(err, EEXIST, "%s is an alias (of %s), not a version",
					p->head.version, alias_of);
	rc = catalog_file_open(p->dir_fd, p->head.version, &p->existing_fd, &p->existing, err);
	if (rc == -ENOENT)
		return 0;
	if (rc != 0)
		return larder_error_prefix(err, "the version that is there");
	if (!same_access(&p->existing.access, &p->head.access)) {
		snprintf(what, sizeof(what), "access %s",
			 larder_access_format(&p->existing.access, text, sizeof(text)));
		return refuse_change(p, what, err);
	}
	return same_origins(&p->existing, &p->head) ? 0 : refuse_change(p, "another origin", err);
}

/* -n makes nothing: a dataset that is not there yet has no directory then. */
static int open_catalog(struct publishing *p, struct larder_error *err)
{
	bool dry = p->ctl->options.dry_run;
	int rc = catalog_file_dir(ctl_catalog_dir(p->ctl), p->head.name, !dry, &p->dir_fd, err);

	if (rc == -ENOENT && dry && access(ctl_catalog_dir(p->ctl), F_OK) == 0)
		rc = 0;
	if (rc == 0)
		rc = look_at_existing(p, err);
	return rc;
}

static int open_draft(struct publishing *p, struct larder_error *err)
{
	/* What is there is only compared: then nothing is written to the catalog. */
	if (!p->ctl->options.dry_run && p->existing_fd < 0)
		return catalog_draft_create(p->dir_fd, &p->draft, err);
	p->draft.fd = memfd_create("manifest", MFD_CLOEXEC);
	if (p->draft.fd < 0)
		return larder_error_set(err, errno, "room for the manifest: %s", strerror(errno));
	return 0;
}

/* --quick: the manifest that digests are taken over from; -1: none. */
static int earlier_manifest(const struct publishing *p)
{
	struct larder_manifest_head head = {0};
	char version[CATALOG_FILE_MAX];
	int fd = -1;

	if (!p->ctl->options.quick || p->dir_fd < 0)
		return -1;
	if (p->existing_fd >= 0)
		return fcntl(p->existing_fd, F_DUPFD_CLOEXEC, 0);
	if (catalog_alias_get(p->dir_fd, LATEST, version) != 0 ||
	    catalog_file_open(p->dir_fd, version, &fd, &head, NULL) != 0)
		return -1;
	larder_manifest_head_fini(&head);
	return fd;
}

static int scan(struct publishing *p, struct larder_error *err)
{
	auto_fd int earlier = earlier_manifest(p);
	const struct scan_params params = {
		.origin = p->head.origins[0],
		.head = &p->head,
		.paths = p->url.paths.count ? &p->url.paths : NULL,
		.options = &p->url.options,
		.threads = p->ctl->options.threads > 1024 ? 1024
							  : (unsigned int)p->ctl->options.threads,
		.earlier_manifest_fd = earlier,
		.first_use = p->ctl->options.trust_first_use,
		.progress = &p->progress,
	};
	int rc = open_draft(p, err);

	if (rc == 0)
		rc = scanning_run(&params, p->ctl->args[0], p->ctl->options.quiet, p->draft.fd,
				  &p->done, err);
	return rc;
}

/* --- what comes of it */

/* A digest that was not computed is only as good as the list that has it. */
static void tell_claims(struct publishing *p)
{
	char size[32];

	if (p->progress.claimed_shards)
		ctl_say(p->ctl,
			"%" PRIu64
			" digests (of %s) are claims of %s: the files were not read; every "
			"node compares when it stages",
			p->progress.claimed_shards,
			larder_size_format(p->progress.claimed_bytes, size, sizeof(size)),
			p->url.list);
	if (p->progress.trusted_shards)
		ctl_say(p->ctl,
			"trust is at first use: %" PRIu64
			" files have no digest; each node believes "
			"what it gets first, and compares only its size and time",
			p->progress.trusted_shards);
}

static int report(struct publishing *p, const char *what)
{
	static const unsigned int types[] = {LARDER_MSG_CATALOG, 0};
	const struct ctl_options *options = &p->ctl->options;
	const struct larder_manifest_head *head = p->existing_fd >= 0 ? &p->existing : &p->done;
	struct sheets *sheets = NULL;
	struct larder_error err = {0};
	char access[sizeof(head->access.who) + 16], size[32];
	const struct larder_msg_CATALOG row = {
		.name = p->head.name,
		.version = p->head.version,
		.alias_of = "",
		.problem = "",
		.access = larder_access_format(&head->access, access, sizeof(access)),
		.digest = head->digest,
		.publisher = "",
		.origin = p->head.origins[0],
		.bytes = head->bytes,
		.shards = head->shards,
		.created_s = head->created_s,
		.first_use = head->first_use,
	};
	int rc = 0;

	if (!options->json && !options->raw) {
		ctl_say(p->ctl, "%s %s:%s: %" PRIu64 " shards, %s, access %s, digest %s", what,
			row.name, row.version, row.shards,
			larder_size_format(row.bytes, size, sizeof(size)), row.access, row.digest);
		tell_claims(p);
		if (p->alias_told[0])
			ctl_say(p->ctl, "%s", p->alias_told);
		return CTL_DONE;
	}
	p->ctl->options.longer = true;
	p->ctl->n_nodes = 1;
	rc = sheets_create(p->ctl, types, 0, &sheets, &err);
	if (rc == 0)
		rc = sheets_add(sheets, NULL, LARDER_MSG_CATALOG, &row, &err);
	if (rc == 0)
		rc = sheets_print(sheets, stdout, &err);
	sheets_destroy(sheets);
	return rc ? ctl_complain_error(&err) : CTL_DONE;
}

static void note_alias(struct publishing *p, const char *alias, const char *what,
		       const char *version)
{
	snprintf(p->alias_told, sizeof(p->alias_told), "%s %s %s", alias, what, version);
}

/*
 * A publish that is repeated (after a crash between version and alias, too) makes an alias that is
 * missing, but moves none back unless it was named.
 */
static int move_alias(struct publishing *p, bool repeated, struct larder_error *err)
{
	const char *alias = p->ctl->options.alias ? p->ctl->options.alias : LATEST;
	char old[CATALOG_FILE_MAX] = "";
	int rc;

	if (p->ctl->options.no_alias)
		return 0;
	rc = catalog_alias_get(p->dir_fd, alias, old);
	if (rc == 0 && strcmp(old, p->head.version) == 0)
		return 0;
	if (rc == 0 && repeated && !p->ctl->options.alias) {
		note_alias(p, alias, "stays at", old);
		return 0;
	}
	rc = catalog_alias_set(p->dir_fd, alias, p->head.version, err);
	if (rc == 0)
		note_alias(p, alias, "now stands for", p->head.version);
	return rc;
}

static int commit(struct publishing *p, struct larder_error *err)
{
	int rc;

	if (p->existing_fd >= 0 && strcmp(p->existing.digest, p->done.digest) != 0)
		return refuse_change(p, "other files", err);
	if (p->ctl->options.dry_run)
		return 0;
	if (p->existing_fd >= 0)
		return move_alias(p, true, err);
	rc = catalog_draft_publish(p->dir_fd, &p->draft, p->head.version, err);
	if (rc == -EEXIST)
		return refuse_change(p, "what somebody else published just now", err);
	return rc ? rc : move_alias(p, false, err);
}

int ctl_publish(struct ctl *ctl)
{
	struct publishing p = {.ctl = ctl, .dir_fd = -1, .existing_fd = -1, .draft = {.fd = -1}};
	struct larder_error err = {0};
	const char *what = "published";
	char name[LARDER_NAME_MAX + 1];
	int code = CTL_DONE, rc;

	if (fill_head(&p, &err) != 0) {
		ctl_complain_error(&err);
		publishing_fini(&p);
		return CTL_USAGE;
	}
	rc = publish_url_read(&ctl->options, &p.url, &p.head, &err);
	if (rc == 0)
		rc = open_catalog(&p, &err);
	if (rc == 0)
		rc = scan(&p, &err);
	if (rc == 0)
		rc = commit(&p, &err);
	if (p.existing_fd >= 0)
		what = "nothing to do, the catalog has exactly this as";
	else if (ctl->options.dry_run)
		what = "would publish";
	code = rc ? ctl_complain_error(&err) : report(&p, what);
	strcpy(name, p.head.name);
	publishing_fini(&p);
	/* A dataset that has no version is none. */
	if (rc != 0 && !ctl->options.dry_run)
		catalog_file_tidy(ctl_catalog_dir(ctl), name);
	return code;
}
