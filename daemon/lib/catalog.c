/*
 * Owns finding one dataset in a catalog, and the sentence when it is not there: with the nearest
 * names, or the versions that there are, only among what the user may use.
 * Must not write or cache. Called by the plugin at submission, the daemon and the CLI; may block.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "larder/cleanup.h"
#include "lib/catalog.h"

#define NEAREST_MAX  3	/* names in a sentence */
#define VERSIONS_MAX 12 /* versions in a sentence */

/* Appends to a sentence as far as there is room. */
static void append(char *text, size_t size, const char *more)
{
	size_t had = strlen(text);

	snprintf(text + had, size - had, "%s", more);
}

/* May the viewer use any version of it? */
static bool any_usable(struct catalog_finder *f, const char *name)
{
	auto_fd int dataset = larder_catalog_open_dataset(f->fd, name, NULL);
	auto_names struct names versions = {0};

	if (dataset < 0 || larder_catalog_versions(dataset, &versions, NULL))
		return false;
	/* the newest first: most often it is readable at once */
	for (size_t i = versions.count; i-- > 0;) {
		struct larder_manifest_head head;
		char real[LARDER_VERSION_MAX + 1];

		if (larder_catalog_resolve(dataset, versions.items[i], real, NULL) < 0 ||
		    larder_catalog_read(dataset, name, real, f->viewer, &head, NULL))
			continue;
		larder_manifest_head_fini(&head);
		return true;
	}
	return false;
}

/* Up to NEAREST_MAX names within `bound` edits, nearest first. How many. */
static size_t nearest(struct catalog_finder *f, const struct names *all, const char *name,
		      const char *near[NEAREST_MAX])
{
	unsigned int bound = (unsigned int)(strlen(name) / 3);
	size_t count = 0;

	if (bound < 1)
		bound = 1;
	if (bound > 3)
		bound = 3;
	for (unsigned int distance = 0; distance <= bound; distance++)
		for (size_t i = 0; i < all->count && count < NEAREST_MAX; i++)
			if (larder_edit_distance(all->items[i], name, bound) == distance &&
			    any_usable(f, all->items[i]))
				near[count++] = all->items[i];
	return count;
}

int larder_catalog_unknown(struct catalog_finder *f, const char *name)
{
	auto_names struct names all = {0};
	const char *near[NEAREST_MAX];
	char hint[320] = "";
	size_t n;

	if (larder_catalog_datasets(f->fd, &all, NULL) == 0) {
		n = nearest(f, &all, name, near);
		for (size_t i = 0; i < n; i++) {
			append(hint, sizeof(hint),
			       i == 0	    ? "; did you mean "
			       : i + 1 == n ? " or "
					    : ", ");
			append(hint, sizeof(hint), near[i]);
		}
		if (n)
			append(hint, sizeof(hint), "?");
	}
	return larder_error_set(f->err, ENOENT,
				"unknown dataset \"%s\"%s (larder catalog lists what there is)",
				name, hint);
}

/* "v1, v2, latest (v2)" into text: what the viewer may use. How many that are. */
static size_t list_versions(struct catalog_finder *f, int dataset, const char *name, char *text,
			    size_t size)
{
	auto_names struct names all = {0};
	char more[2 * LARDER_VERSION_MAX + 32];
	size_t count = 0;

	if (larder_catalog_versions(dataset, &all, NULL))
		return 0;
	for (size_t i = 0; i < all.count; i++) {
		struct larder_manifest_head head;
		char real[LARDER_VERSION_MAX + 1];
		int alias = larder_catalog_resolve(dataset, all.items[i], real, NULL);

		if (alias < 0 || larder_catalog_read(dataset, name, real, f->viewer, &head, NULL))
			continue;
		larder_manifest_head_fini(&head);
		if (count++ >= VERSIONS_MAX)
			continue;
		snprintf(more, sizeof(more), alias ? "%s%s (%s)" : "%s%s", count > 1 ? ", " : "",
			 all.items[i], real);
		append(text, size, more);
	}
	if (count > VERSIONS_MAX) {
		snprintf(more, sizeof(more), " and %zu more", count - VERSIONS_MAX);
		append(text, size, more);
	}
	return count;
}

static int unknown_version(struct catalog_finder *f, int dataset, const char *name,
			   const char *version)
{
	char has[800] = "";

	if (!list_versions(f, dataset, name, has, sizeof(has)))
		return larder_catalog_unknown(f, name);
	if (!*version)
		return larder_error_set(f->err, ENOENT,
					"dataset \"%s\" has no latest; name a version: it has %s",
					name, has);
	return larder_error_set(f->err, ENOENT, "dataset \"%s\" has no version \"%s\"; it has %s",
				name, version, has);
}

static int check_digest(struct catalog_finder *f, const struct larder_spec *spec,
			const struct larder_manifest_head *head)
{
	if (strncmp(head->digest, spec->digest, strlen(spec->digest)) == 0)
		return 0;
	return larder_error_set(
		f->err, ESTALE,
		"%s:%s has the digest %.16s now, not %s; name the version without a "
		"digest to take what is there",
		head->name, head->version, head->digest, spec->digest);
}

static int find_version(struct catalog_finder *f, int dataset, const struct larder_spec *spec,
			struct larder_catalog_entry *entry)
{
	const char *wanted = spec->version[0] ? spec->version : "latest";
	char real[LARDER_VERSION_MAX + 1];
	int rc = larder_catalog_resolve(dataset, wanted, real, f->err);

	if (rc >= 0)
		rc = larder_catalog_read(dataset, spec->name, real, f->viewer, &entry->head,
					 f->err);
	if (rc == -ENOENT || rc == -EACCES)
		return unknown_version(f, dataset, spec->name, spec->version);
	if (rc)
		return rc;
	rc = check_digest(f, spec, &entry->head);
	if (rc)
		return rc;
	if (asprintf(&entry->path, "%s/%s/%s.manifest", f->catalog, spec->name, real) < 0) {
		entry->path = NULL;
		return larder_error_set(f->err, ENOMEM, "out of memory");
	}
	return 0;
}

int larder_catalog_find(const char *catalog, const struct larder_spec *spec, uid_t uid, gid_t gid,
			struct larder_catalog_entry *entry, struct larder_error *err)
{
	struct catalog_finder f = {.catalog = catalog, .viewer = {uid, gid}, .err = err};
	auto_fd int fd = -1, dataset = -1;
	int rc;

	memset(entry, 0, sizeof(*entry));
	if (spec->kind != LARDER_SPEC_CATALOG)
		return larder_error_set(err, EINVAL,
					"dataset \"%s\" is the user's own, not the "
					"catalog's",
					spec->name);
	/* What reaches a path here was checked when it was parsed; a caller may have filled it in.
	 */
	rc = larder_name_check(spec->name, err);
	if (rc == 0 && spec->version[0])
		rc = larder_version_check(spec->version, err);
	if (rc)
		return rc;
	fd = larder_catalog_open(catalog, err);
	if (fd < 0)
		return fd;
	f.fd = fd;
	dataset = larder_catalog_open_dataset(fd, spec->name, err);
	if (dataset == -ENOENT)
		return larder_catalog_unknown(&f, spec->name);
	if (dataset < 0)
		return dataset;
	rc = find_version(&f, dataset, spec, entry);
	if (rc)
		larder_catalog_entry_fini(entry);
	return rc;
}

void larder_catalog_entry_fini(struct larder_catalog_entry *entry)
{
	larder_manifest_head_fini(&entry->head);
	free(entry->path);
	memset(entry, 0, sizeof(*entry));
}
