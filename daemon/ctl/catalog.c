/*
 * `larder catalog`: lists, checks, renames by alias and removes what the catalog has.
 * It must not touch an origin (it only looks, with --against-origin) or ask the daemon.
 * Called through the table of commands.
 */
#include <errno.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ctl/catalog_check.h"
#include "ctl/catalog_file.h"
#include "ctl/catalog_row.h"
#include "ctl/sheets.h"
#include "ctl/split.h"
#include "ctl/whole.h"
#include "larder/catalog.h"
#include "larder/cleanup.h"

struct listing {
	struct ctl *ctl;
	struct sheets *sheets;
	struct larder_error *err;
	const char *version; /* only this one; NULL: all */
	bool found, bad;
};

static int listing_open(struct listing *listing, const unsigned int *types)
{
	listing->ctl->n_nodes = 1;
	if (sheets_create(listing->ctl, types, 0, &listing->sheets, listing->err) == 0)
		return CTL_DONE;
	ctl_complain_error(listing->err);
	return CTL_USAGE;
}

/* Prints what there is, also when rc says that it is not all. */
static int listing_close(struct listing *listing, int rc)
{
	struct larder_error why = {0};
	int code = rc ? ctl_complain_error(listing->err) : CTL_DONE;

	if (sheets_print(listing->sheets, stdout, &why) != 0)
		code = ctl_complain_error(&why);
	sheets_destroy(listing->sheets);
	if (code == CTL_DONE && listing->bad)
		code = CTL_FAILED;
	return code;
}

/* --- ls */

static const char *user_name(uid_t uid, char *buf, size_t len)
{
	const struct passwd *user = getpwuid(uid);

	snprintf(buf, len, "%s", user ? user->pw_name : "");
	if (!user)
		snprintf(buf, len, "%u", uid);
	return buf;
}

static int list_row(const struct larder_catalog_row *from, void *arg)
{
	struct listing *listing = arg;
	char access[1100], publisher[64];
	struct larder_msg_CATALOG row = {
		.name = from->name,
		.version = from->version,
		.alias_of = from->alias_of,
		.problem = from->problem,
	};

	if (from->head) {
		row.access = larder_access_format(&from->head->access, access, sizeof(access));
		row.digest = from->head->digest;
		row.publisher = user_name(from->head->publisher, publisher, sizeof(publisher));
		row.origin = from->head->origins[0];
		row.bytes = from->head->bytes;
		row.shards = from->head->shards;
		row.created_s = from->head->created_s;
		row.first_use = from->head->first_use;
	}
	return sheets_add(listing->sheets, NULL, LARDER_MSG_CATALOG, &row, listing->err);
}

static int catalog_ls(struct ctl *ctl, size_t n_args, const char **args)
{
	static const unsigned int types[] = {LARDER_MSG_CATALOG, 0};
	struct larder_error err = {0};
	struct listing listing = {.ctl = ctl, .err = &err};
	int code = listing_open(&listing, types);

	if (code != CTL_DONE)
		return code;
	return listing_close(&listing,
			     larder_catalog_each(ctl_catalog_dir(ctl), n_args ? args[0] : NULL,
						 geteuid(), getegid(), list_row, &listing, &err));
}

/* --- check */

static int check_version(struct listing *listing, const struct larder_catalog_row *row)
{
	const struct catalog_check check = {
		.catalog = ctl_catalog_dir(listing->ctl),
		.name = row->name,
		.version = row->version,
		.against_origin = listing->ctl->options.against_origin,
		.sheets = listing->sheets,
	};
	struct larder_error why = {0};
	char text[LARDER_ERROR_MAX + 200];
	uint64_t problems = 0;
	int rc = row->problem ? larder_error_set(&why, EINVAL, "%s", row->problem)
			      : catalog_check_version(&check, &problems, &why);

	if (rc != 0)
		snprintf(text, sizeof(text), "%s:%s is damaged: %s", row->name, row->version,
			 why.text);
	else if (problems > 0)
		snprintf(text, sizeof(text),
			 "%s:%s is sound, but %" PRIu64 " shards differ at the origin %s",
			 row->name, row->version, problems, row->head->origins[0]);
	else
		snprintf(text, sizeof(text), "%s:%s is sound (%" PRIu64 " shards)%s", row->name,
			 row->version, row->head->shards,
			 check.against_origin ? ", and so is the origin by sizes and times" : "");
	listing->bad |= rc != 0 || problems > 0;
	return sheets_note(listing->sheets, NULL, text, listing->err);
}

static int check_row(const struct larder_catalog_row *row, void *arg)
{
	struct listing *listing = arg;
	struct larder_catalog_row real = *row;

	if (listing->version && strcmp(listing->version, row->version) != 0)
		return 0;
	if (!listing->version && row->alias_of)
		return 0;
	listing->found = true;
	if (row->alias_of)
		real.version = row->alias_of;
	return check_version(listing, &real);
}

static int catalog_check_verb(struct ctl *ctl, size_t n_args, const char **args)
{
	static const unsigned int types[] = {LARDER_MSG_SHARD, LARDER_MSG_LINE, 0};
	char name[LARDER_NAME_MAX + 1], version[LARDER_VERSION_MAX + 1];
	struct larder_error err = {0};
	struct listing listing = {.ctl = ctl, .err = &err};
	int code, rc;

	(void)n_args;
	if (split_spec(args[0], SPLIT_VERSION_OPTIONAL, name, version, &err) != 0) {
		ctl_complain_error(&err);
		return CTL_USAGE;
	}
	if (whole_needed(&err) != 0)
		return ctl_complain_error(&err);
	listing.version = *version ? version : NULL;
	code = listing_open(&listing, types);
	if (code != CTL_DONE)
		return code;
	rc = larder_catalog_each(ctl_catalog_dir(ctl), name, geteuid(), getegid(), check_row,
				 &listing, &err);
	if (rc == 0 && !listing.found)
		rc = larder_error_set(&err, ENOENT,
				      "%s has no version '%s'; 'larder catalog ls %s' "
				      "lists what there is",
				      name, version, name);
	return listing_close(&listing, rc);
}

/* --- alias and rm */

static int alias_set(struct ctl *ctl, const char *spec, const char *version,
		     struct larder_error *err)
{
	char name[LARDER_NAME_MAX + 1], alias[LARDER_VERSION_MAX + 1];
	struct larder_manifest_head head = {0};
	auto_fd int dir = -1;
	auto_fd int fd = -1;
	int rc = split_spec(spec, SPLIT_VERSION_NEEDED, name, alias, err);

	if (rc == 0)
		rc = larder_version_check(version, err);
	if (rc == 0)
		rc = catalog_file_dir(ctl_catalog_dir(ctl), name, false, &dir, err);
	if (rc == 0)
		rc = catalog_file_open(dir, version, &fd, &head, err);
	larder_manifest_head_fini(&head);
	if (rc == -ENOENT && dir >= 0)
		return larder_error_set(err, ENOENT,
					"%s has no version '%s' that an alias could stand "
					"for; 'larder catalog ls %s' lists what there is",
					name, version, name);
	if (rc == 0 && !ctl->options.dry_run)
		rc = catalog_alias_set(dir, alias, version, err);
	if (rc == 0)
		ctl_say(ctl, "%s:%s %s %s", name, alias,
			ctl->options.dry_run ? "would stand for" : "now stands for", version);
	return rc;
}

static int catalog_alias_verb(struct ctl *ctl, size_t n_args, const char **args)
{
	struct larder_error err = {0};

	(void)n_args;
	return alias_set(ctl, args[0], args[1], &err) ? ctl_complain_error(&err) : CTL_DONE;
}

/* Is it there, and does nothing stand on it? *alias: it is one itself. */
static int rm_check(int dir, const char *name, const char *version, bool *alias,
		    struct larder_error *err)
{
	char other[CATALOG_FILE_MAX];
	int rc = catalog_alias_get(dir, version, other);

	*alias = rc == 0 || rc == -EBADMSG;
	if (rc == -ENOENT)
		return larder_error_set(err, ENOENT, "%s has no version '%s'", name, version);
	if (*alias)
		return 0;
	rc = catalog_alias_of(dir, version, other, err);
	if (rc == 1)
		return larder_error_set(
			err, EBUSY,
			"the alias %s stands for %s:%s; move it first "
			"('larder catalog alias %s:%s OTHER') or remove it ('larder "
			"catalog rm %s:%s')",
			other, name, version, name, other, name, other);
	return rc;
}

static int catalog_rm_verb(struct ctl *ctl, size_t n_args, const char **args)
{
	char name[LARDER_NAME_MAX + 1], version[LARDER_VERSION_MAX + 1], question[512];
	struct larder_error err = {0};
	auto_fd int dir = -1;
	bool alias = false;
	int rc = split_spec(args[0], SPLIT_VERSION_NEEDED, name, version, &err), code = CTL_DONE;

	(void)n_args;
	if (rc != 0) {
		ctl_complain_error(&err);
		return CTL_USAGE;
	}
	rc = catalog_file_dir(ctl_catalog_dir(ctl), name, false, &dir, &err);
	if (rc == 0)
		rc = rm_check(dir, name, version, &alias, &err);
	if (rc != 0)
		return ctl_complain_error(&err);
	snprintf(question, sizeof(question),
		 "Remove %s%s:%s from the catalog? Its files at the origin "
		 "stay, and so do copies on nodes until they are evicted.",
		 alias ? "the alias " : "", name, version);
	if (!ctl->options.dry_run)
		code = ctl_confirm(ctl, question);
	if (code == CTL_DONE && !ctl->options.dry_run)
		rc = catalog_file_remove(ctl_catalog_dir(ctl), name, dir, version, &err);
	if (rc != 0)
		return ctl_complain_error(&err);
	if (code == CTL_DONE)
		ctl_say(ctl, "%s %s:%s", ctl->options.dry_run ? "would remove" : "removed", name,
			version);
	return code;
}

/* --- which */

static const struct {
	const char *word;
	size_t min, max;
	int (*run)(struct ctl *ctl, size_t n_args, const char **args);
} verbs[] = {
	{"ls", 0, 1, catalog_ls},
	{"alias", 2, 2, catalog_alias_verb},
	{"check", 1, 1, catalog_check_verb},
	{"rm", 1, 1, catalog_rm_verb},
};

int ctl_catalog(struct ctl *ctl)
{
	const char *word = ctl->n_args ? ctl->args[0] : "ls";
	size_t n = ctl->n_args ? ctl->n_args - 1 : 0;

	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		if (strcmp(verbs[i].word, word) != 0)
			continue;
		if (n >= verbs[i].min && n <= verbs[i].max)
			return verbs[i].run(ctl, n, ctl->args + 1);
		ctl_complain("catalog %s has too %s arguments; see 'larder help catalog'.", word,
			     n < verbs[i].min ? "few" : "many");
		return CTL_USAGE;
	}
	ctl_complain("catalog has no '%s'; see 'larder help catalog'.", word);
	return CTL_USAGE;
}
