/*
 * Owns: answers that are read whole into memory, as the pages of listings.
 * Must not: know what they mean.
 * Called by: kinds of origins that speak HTTP.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "origin/http.h"

struct document {
	struct http_fetch *fetch;
	char *text;
	size_t room, max;
};

/* Where it goes is told by the fetch, which may have begun anew. */
static int document_put(const void *data, size_t len, void *arg)
{
	struct document *d = arg;
	size_t at = (size_t)d->fetch->reached, room = d->room;

	if (!len)
		return 0;
	if (len > d->max - at)
		return -E2BIG;
	while (room < at + len + 1)
		room = room ? 2 * room : 65536;
	if (room > d->room) {
		char *more = realloc(d->text, room);

		if (!more)
			return -ENOMEM;
		d->text = more;
		d->room = room;
	}
	memcpy(d->text + at, data, len);
	return 0;
}

int http_source_document(struct http_source *source, const char *url, size_t max, char **text,
			 size_t *len, struct larder_error *err)
{
	struct document d = {.max = max, .room = 1, .text = malloc(1)};
	struct http_fetch fetch = {.source = source,
				   .url = strdup(url),
				   .sizeless = true,
				   .put = document_put,
				   .arg = &d,
				   .modified_s = -1};
	int rc;

	d.fetch = &fetch;
	rc = d.text ? http_run(&fetch, err) : larder_error_set(err, ENOMEM, "out of memory");
	if (rc == -E2BIG)
		larder_error_set(err, E2BIG, "the answer has more than %zu bytes", max);
	else if (rc == -ENOMEM)
		larder_error_set(err, ENOMEM, "no memory for the server's answer");
	if (rc) {
		free(d.text);
		return rc;
	}
	d.text[fetch.reached] = '\0';
	*text = d.text;
	*len = (size_t)fetch.reached;
	return 0;
}
