/*
 * Which shards of a tree are there: bits by manifest index, in pages of 16,384 (2 KB blobs).
 * Must not: look at files or at the manifest.
 * Called by the control thread, a batch of a transfer at a time.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "larder/cleanup.h"
#include "core/state.h"
#include "store/inventory_sql.h"

#define PAGE_BITS  INV_BITMAP_PAGE_BITS
#define PAGE_BYTES (PAGE_BITS / 8)

/* The tree's state and how many shards it has. */
static int tree_size(struct inventory *inv, uint64_t tree, bool *ready, uint64_t *shards,
		     struct larder_error *err)
{
	auto_stmt st = inv_stmt(inv, INV_TREE_STATE_GET);
	struct inv_row row = {.st = st};
	char word[64];
	int rc = inv_step_tree(inv, st, tree, err);

	if (rc)
		return rc;
	inv_read_text(&row, word, sizeof(word));
	*ready = state_tree_parse(word) == LARDER_TREE_READY;
	*shards = inv_read_u64(&row);
	return inv_read_end(&row, "tree", err);
}

/* A page that is not there is all zeros. */
static int page_get(struct inventory *inv, uint64_t tree, uint64_t page, uint8_t *bits,
		    struct larder_error *err)
{
	auto_stmt st = inv_stmt(inv, INV_BITMAP_GET);
	int rc;

	inv_bind_u64(st, 1, tree);
	inv_bind_u64(st, 2, page);
	memset(bits, 0, PAGE_BYTES);
	rc = inv_step(inv, st, err);
	if (rc <= 0)
		return rc;
	if (sqlite3_column_bytes(st, 0) != PAGE_BYTES)
		return larder_error_set(err, EUCLEAN, "inventory: a page of a bitmap is cut");
	memcpy(bits, sqlite3_column_blob(st, 0), PAGE_BYTES);
	return 0;
}

static int page_put(struct inventory *inv, uint64_t tree, uint64_t page, const uint8_t *bits,
		    struct larder_error *err)
{
	auto_stmt st = inv_stmt(inv, INV_BITMAP_PUT);

	inv_bind_u64(st, 1, tree);
	inv_bind_u64(st, 2, page);
	inv_bind_blob(st, 3, bits, PAGE_BYTES);
	return inv_run(inv, st, err);
}

static int by_index(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* indices: sorted, so that each page is read and written once. */
static int set_sorted(struct inventory *inv, uint64_t tree, const uint64_t *indices, size_t n,
		      struct larder_error *err)
{
	uint8_t bits[PAGE_BYTES];
	size_t i = 0;

	while (i < n) {
		uint64_t page = indices[i] / PAGE_BITS;
		int rc = page_get(inv, tree, page, bits, err);

		for (; !rc && i < n && indices[i] / PAGE_BITS == page; i++)
			bits[indices[i] % PAGE_BITS / 8] |= (uint8_t)(1u << indices[i] % 8);
		if (!rc)
			rc = page_put(inv, tree, page, bits, err);
		if (rc)
			return rc;
	}
	return 0;
}

int inventory_bitmap_set(struct inventory *inv, uint64_t tree, const uint64_t *indices, size_t n,
			 struct larder_error *err)
{
	auto_free uint64_t *sorted = NULL;
	uint64_t shards;
	bool ready, own;
	int rc = tree_size(inv, tree, &ready, &shards, err);

	if (rc || n == 0)
		return rc;
	sorted = malloc(n * sizeof(*sorted));
	if (!sorted)
		return larder_error_set(err, ENOMEM, "note %zu shards", n);
	memcpy(sorted, indices, n * sizeof(*sorted));
	qsort(sorted, n, sizeof(*sorted), by_index);
	if (sorted[n - 1] >= shards)
		return larder_error_set(err, EINVAL, "shard %llu of a tree of %llu",
					(unsigned long long)sorted[n - 1],
					(unsigned long long)shards);
	rc = inv_enter(inv, &own, err);
	return rc ? rc : inv_leave(inv, own, set_sorted(inv, tree, sorted, n, err), err);
}

/* Bits behind the last shard mean nothing and are always 0. */
static void cut_tail(uint8_t *bits, uint64_t shards)
{
	if (shards % 8)
		bits[shards / 8] &= (uint8_t)((1u << shards % 8) - 1);
}

static int read_pages(struct inventory *inv, uint64_t tree, uint8_t *bits, uint64_t bytes,
		      struct larder_error *err)
{
	auto_stmt st = inv_stmt(inv, INV_BITMAP_EACH);
	int rc;

	inv_bind_u64(st, 1, tree);
	while ((rc = inv_step(inv, st, err)) == 1) {
		uint64_t page = (uint64_t)sqlite3_column_int64(st, 0);
		uint64_t left;

		if (page > bytes / PAGE_BYTES || sqlite3_column_bytes(st, 1) != PAGE_BYTES)
			return larder_error_set(err, EUCLEAN,
						"inventory: a page of a bitmap is "
						"not the tree's");
		left = bytes - page * PAGE_BYTES;
		if (left)
			memcpy(bits + page * PAGE_BYTES, sqlite3_column_blob(st, 1),
			       left < PAGE_BYTES ? left : PAGE_BYTES);
	}
	return rc;
}

int inventory_bitmap_load(struct inventory *inv, uint64_t tree, uint8_t *bits, uint64_t shards,
			  struct larder_error *err)
{
	uint64_t bytes = shards / 8 + (shards % 8 != 0), has;
	bool ready;
	int rc;

	memset(bits, 0, bytes);
	rc = tree_size(inv, tree, &ready, &has, err);
	if (!rc && has != shards)
		rc = larder_error_set(err, EINVAL, "a bitmap of %llu shards for a tree of %llu",
				      (unsigned long long)shards, (unsigned long long)has);
	if (rc)
		return rc;
	if (ready)
		memset(bits, 0xff, bytes);
	else
		rc = read_pages(inv, tree, bits, bytes, err);
	cut_tail(bits, shards);
	return rc;
}

static int store_pages(struct inventory *inv, uint64_t tree, const uint8_t *bits, uint64_t shards,
		       struct larder_error *err)
{
	auto_stmt drop = inv_stmt(inv, INV_BITMAP_DROP);
	uint64_t bytes = shards / 8 + (shards % 8 != 0);
	uint8_t page[PAGE_BYTES], none[PAGE_BYTES] = {0};
	int rc;

	inv_bind_u64(drop, 1, tree);
	rc = inv_run(inv, drop, err);
	for (uint64_t at = 0; !rc && at < bytes; at += PAGE_BYTES) {
		size_t len = bytes - at < PAGE_BYTES ? (size_t)(bytes - at) : PAGE_BYTES;

		memset(page, 0, sizeof(page));
		memcpy(page, bits + at, len);
		if (at + len == bytes)
			cut_tail(page, shards - at * 8);
		if (memcmp(page, none, sizeof(page)) != 0)
			rc = page_put(inv, tree, at / PAGE_BYTES, page, err);
	}
	return rc;
}

int inventory_bitmap_store(struct inventory *inv, uint64_t tree, const uint8_t *bits,
			   uint64_t shards, struct larder_error *err)
{
	uint64_t has;
	bool ready, own;
	int rc = tree_size(inv, tree, &ready, &has, err);

	if (!rc && has != shards)
		rc = larder_error_set(err, EINVAL, "a bitmap of %llu shards for a tree of %llu",
				      (unsigned long long)shards, (unsigned long long)has);
	if (!rc)
		rc = inv_enter(inv, &own, err);
	return rc ? rc : inv_leave(inv, own, store_pages(inv, tree, bits, shards, err), err);
}
