/*
 * Any bytes as a foreign list: what is taken are paths that a manifest takes too, in order, none
 * twice. The first byte chooses the form, the kind of sums and where the list is. Run by `make
 * fuzz`.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "larder/text.h"
#include "scan/list.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct scan_paths *paths)
{
	for (size_t i = 0; i < paths->count; i++) {
		const struct scan_path *item = paths->items[i];

		if (larder_path_check(item->path, NULL) || item->path_len != strlen(item->path))
			abort();
		if (i && larder_path_compare(paths->items[i - 1]->path, item->path) >= 0)
			abort();
		if (item->sum == SUM_XXH128)
			(void)sum_digest(scan_path_sum(item));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const places[] = {"/tmp/list", "https://h/d/list", "https://h/d/a%20b/x",
					     "/tmp/md5sums"};
	unsigned int choice = size ? data[0] : 0;
	const struct scan_list list = {
		.where = places[choice % 4],
		.origin = "https://h/d",
		.form = choice / 4 % 8 ? SCAN_LIST_ANY : SCAN_LIST_PLAIN,
		.sums = (enum sum_kind)(choice / 32 % SUM_KINDS),
	};
	size_t len = size ? size - 1 : 0;
	struct scan_paths paths = {0};
	struct larder_error err = {0};
	char *text = malloc(len + 1);

	if (!text)
		return 0;
	memcpy(text, data + (size ? 1 : 0), len);
	text[len] = '\0';
	/* braces are meant to make much of little; not in a fuzzer's memory */
	if (memmem(text, len, "..", 2) && memmem(text, len, "{", 1))
		for (char *at = text; (at = strstr(at, "..")); at++)
			memset(at, '.', strspn(at, ".0123456789"));
	if (scan_list_parse(&list, text, len, &paths, &err) == 0)
		check(&paths);
	else if (!err.code || !err.text[0])
		abort();
	scan_paths_fini(&paths);
	free(text);
	return 0;
}
