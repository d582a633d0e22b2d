/*
 * Any bytes as --dataset=: what is taken must come back the same through its canonical text.
 * Must not reach the file system. Run by `make fuzz`.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "larder/manifest.h"
#include "larder/spec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void same_text(const char *a, const char *b)
{
	if (!a != !b || (a && strcmp(a, b) != 0))
		abort();
}

static void same_spec(const struct larder_spec *a, const struct larder_spec *b)
{
	if (a->kind != b->kind)
		abort();
	same_text(a->name, b->name);
	same_text(a->version, b->version);
	same_text(a->digest, b->digest);
	same_text(a->origin, b->origin);
	same_text(a->subset, b->subset);
}

static void check_list(const struct larder_spec_list *list)
{
	char *text = larder_spec_list_format(list);
	struct larder_spec_list again;

	if (!text || larder_spec_list_parse(text, &again, NULL) || again.count != list->count)
		abort();
	for (size_t i = 0; i < list->count; i++) {
		const struct larder_spec *spec = &list->items[i];

		same_spec(spec, &again.items[i]);
		if (spec->origin && larder_origin_check(spec->origin, NULL))
			abort();
		if (!larder_subset_covers(spec->subset, spec->subset))
			abort();
		larder_subset_match(spec->subset, "train/0001.tar");
	}
	larder_spec_list_fini(&again);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct larder_spec_list list;
	struct larder_error err = {0};
	char *text = malloc(size + 1);

	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	if (larder_spec_list_parse(text, &list, &err) == 0) {
		check_list(&list);
		larder_spec_list_fini(&list);
	} else if (!err.code || !err.text[0]) {
		abort();
	}
	free(text);
	return 0;
}
