/*
 * Owns going through a catalog: every version and alias that the viewer may use, sorted.
 * Must not write or cache, and must not tell of what is closed to the viewer.
 * Called by the CLI, the daemon's listings and completion; may block.
 */
#include <errno.h>
#include <string.h>

#include "larder/cleanup.h"
#include "lib/catalog.h"

struct walk {
	struct catalog_finder finder;
	int (*fn)(const struct larder_catalog_row *row, void *arg);
	void *arg;
	bool told; /* at least one row */
};

/* What is closed to the viewer is not there; what is broken is told as such. */
static int tell_version(struct walk *w, int dataset, const char *name, const char *version)
{
	struct larder_catalog_row row = {.name = name, .version = version};
	struct larder_manifest_head head = {0};
	char real[LARDER_VERSION_MAX + 1];
	struct larder_error problem = {0};
	int alias = larder_catalog_resolve(dataset, version, real, &problem);
	int rc = alias;

	if (alias >= 0)
		rc = larder_catalog_read(dataset, name, real, w->finder.viewer, &head, &problem);
	if (rc == -ENOENT || rc == -EACCES)
		return 0;
	row.alias_of = alias > 0 ? real : NULL;
	row.head = rc ? NULL : &head;
	row.problem = rc ? problem.text : NULL;
	w->told = true;
	rc = w->fn(&row, w->arg);
	larder_manifest_head_fini(&head);
	return rc;
}

static int tell_dataset(struct walk *w, const char *name)
{
	auto_fd int dataset = larder_catalog_open_dataset(w->finder.fd, name, w->finder.err);
	auto_names struct names versions = {0};
	int rc;

	if (dataset < 0)
		return dataset == -ENOENT ? 0 : dataset;
	rc = larder_catalog_versions(dataset, &versions, w->finder.err);
	for (size_t i = 0; rc == 0 && i < versions.count; i++)
		rc = tell_version(w, dataset, name, versions.items[i]);
	return rc;
}

static int tell_all(struct walk *w)
{
	auto_names struct names datasets = {0};
	int rc = larder_catalog_datasets(w->finder.fd, &datasets, w->finder.err);

	for (size_t i = 0; rc == 0 && i < datasets.count; i++)
		rc = tell_dataset(w, datasets.items[i]);
	return rc;
}

int larder_catalog_each(const char *catalog, const char *name, uid_t uid, gid_t gid,
			int (*fn)(const struct larder_catalog_row *row, void *arg), void *arg,
			struct larder_error *err)
{
	struct walk w = {.finder = {.catalog = catalog, .viewer = {uid, gid}, .err = err},
			 .fn = fn,
			 .arg = arg};
	auto_fd int fd = -1;
	int rc;

	if (name && larder_name_check(name, err))
		return -EINVAL;
	fd = larder_catalog_open(catalog, err);
	if (fd < 0)
		return fd;
	w.finder.fd = fd;
	if (!name)
		return tell_all(&w);
	rc = tell_dataset(&w, name);
	return rc == 0 && !w.told ? larder_catalog_unknown(&w.finder, name) : rc;
}
