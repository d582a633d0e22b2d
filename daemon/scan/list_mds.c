/*
 * Owns: the index.json of MosaicML Streaming: which files a dataset is of, their sizes and sums.
 * Must not: know what is in shards. Called by: list.c.
 *
 * {"version": 2, "shards": [{"format": "mds", "raw_data": FILE, "zip_data": FILE or null,
 * "hashes": […], …}, …]}, FILE = {"basename": PATH, "bytes": N, "hashes": {"sha1": HEX, …}}.
 * Other formats than mds have raw_meta and zip_meta beside. Where there is a zip file, the raw one
 * is made by the reader, and is not at the origin.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "larder/text.h"
#include "scan/list.h"

struct index {
	const char *prefix;
	struct scan_paths *paths;
	struct larder_error *err;
	uint32_t shard; /* from 1 */
};

static int fault(struct index *x, const char *what)
{
	return larder_error_set(x->err, EINVAL, "shard %u of the index: %s", x->shard, what);
}

/* The best of the sums that are told; a name that we do not know is no fault. */
static int take_hashes(struct index *x, json_t *hashes, enum sum_kind *best, unsigned char *sum)
{
	const char *name;
	json_t *value;

	if (!hashes || json_is_null(hashes))
		return 0;
	if (!json_is_object(hashes))
		return fault(x, "\"hashes\" is no object");
	json_object_foreach(hashes, name, value)
	{
		enum sum_kind kind = sum_by_name(name, strlen(name));
		const char *hex = json_string_value(value);

		if (kind == SUM_NONE || (*best != SUM_NONE && kind > *best))
			continue;
		if (!hex || !sum_parse(kind, hex, strlen(hex), false, sum))
			return fault(x, "a hash is not what its name says");
		*best = kind;
	}
	return 0;
}

static int take_file(struct index *x, json_t *file)
{
	const char *name = json_string_value(json_object_get(file, "basename"));
	json_t *bytes = json_object_get(file, "bytes");
	char path[LARDER_PATH_BYTES + 1];
	unsigned char sum[SUM_BYTES_MAX];
	enum sum_kind kind = SUM_NONE;
	int n, rc;

	if (!name || !json_is_integer(bytes) || json_integer_value(bytes) < 0)
		return fault(x, "a file has \"basename\" and \"bytes\"");
	n = snprintf(path, sizeof(path), "%s%s", x->prefix, name);
	if (n < 0 || (size_t)n >= sizeof(path))
		return fault(x, "a path that is too long");
	rc = take_hashes(x, json_object_get(file, "hashes"), &kind, sum);
	if (!rc)
		rc = scan_paths_add(x->paths, path, x->shard, (uint64_t)json_integer_value(bytes),
				    kind, sum, x->err);
	if (rc == -EINVAL && strncmp(x->err->text, "shard ", 6) != 0)
		larder_error_prefix(x->err, "shard %u of the index", x->shard);
	return rc;
}

/* The zip file where there is one, else the raw one. 1: neither is told. */
static int take_part(struct index *x, json_t *shard, const char *zip, const char *raw)
{
	json_t *file = json_object_get(shard, zip);

	if (!json_is_object(file))
		file = json_object_get(shard, raw);
	if (!json_is_object(file))
		return 1;
	return take_file(x, file);
}

static int take_shard(struct index *x, json_t *shard)
{
	int rc;

	x->shard++;
	if (!json_is_object(shard))
		return fault(x, "it is no object");
	rc = take_part(x, shard, "zip_data", "raw_data");
	if (rc)
		return rc < 0 ? rc : fault(x, "neither \"raw_data\" nor \"zip_data\" is there");
	rc = take_part(x, shard, "zip_meta", "raw_meta");
	return rc < 0 ? rc : 0;
}

static int take_index(struct index *x, json_t *root, const char *self)
{
	json_t *shards = json_object_get(root, "shards"), *shard;
	size_t i;

	if (!json_is_array(shards) || !json_is_integer(json_object_get(root, "version")))
		return larder_error_set(x->err, EINVAL,
					"this is no index.json of MosaicML Streaming "
					"(\"version\" and \"shards\" are missing)");
	json_array_foreach(shards, i, shard)
	{
		int rc = take_shard(x, shard);

		if (rc)
			return rc;
	}
	if (!self)
		return 0;
	return scan_paths_add(x->paths, self, 0, SCAN_SIZE_UNKNOWN, SUM_NONE, NULL, x->err);
}

int scan_list_mds(const char *text, size_t len, const char *prefix, const char *self,
		  struct scan_paths *paths, struct larder_error *err)
{
	struct index x = {.prefix = prefix, .paths = paths, .err = err};
	json_error_t why;
	char shown[200];
	json_t *root;
	int rc;

	if (len > SCAN_JSON_BYTES_MAX)
		return larder_error_set(err, E2BIG, "an index.json over %zu bytes",
					SCAN_JSON_BYTES_MAX);
	paths->unit = "shard";
	root = json_loadb(text, len, JSON_REJECT_DUPLICATES, &why);
	if (!root)
		return larder_error_set(
			err, EINVAL, "line %d: this is no JSON: %s", why.line,
			larder_text_quote(why.text, SIZE_MAX, shown, sizeof(shown)));
	rc = take_index(&x, root, self);
	json_decref(root);
	return rc;
}
