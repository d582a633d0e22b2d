/*
 * Owns what --dataset= means: from text to specs and back.
 * Must not touch the file system: what a spec names need not exist.
 * Called by the plugin, the daemon (again: the text is the user's) and the CLI.
 */
#include "larder/spec.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "larder/cleanup.h"
#include "larder/manifest.h"
#include "lib/utf8.h"

static int refuse(struct larder_error *err, const char *spec, const char *fault)
{
	char bad[200];

	return larder_error_set(err, EINVAL, "bad dataset \"%s\": %s",
				larder_text_quote(spec, SIZE_MAX, bad, sizeof(bad)), fault);
}

/* A part of it was refused; says of which dataset. */
static int refused(struct larder_error *err, const char *what, const char *name)
{
	larder_error_prefix(err, "%s \"%s\"", what, name);
	return -EINVAL;
}

static bool all_printable(const char *text)
{
	while (*text) {
		size_t n = utf8_printable(text);

		if (!n)
			return false;
		text += n;
	}
	return true;
}

/* %2C and %25, and nothing else, into bytes. A string to free; NULL with the sentence. */
static char *unescape(const char *text, struct larder_error *err)
{
	auto_free char *out = malloc(strlen(text) + 1);
	char *to = out;

	if (!out) {
		larder_error_set(err, ENOMEM, "out of memory");
		return NULL;
	}
	while (*text) {
		if (*text != '%') {
			*to++ = *text++;
			continue;
		}
		if (strncmp(text, "%2C", 3) != 0 && strncmp(text, "%25", 3) != 0) {
			refuse(err, text, "write a percent sign as %25 and a comma as %2C");
			return NULL;
		}
		*to++ = text[2] == 'C' ? ',' : '%';
		text += 3;
	}
	*to = '\0';
	return take_ptr(&out);
}

/* A path prefix or glob behind the slash. One slash at its end, as shells complete it, is let go.
 */
static int take_subset(const char *whole, char *text, struct larder_spec *spec,
		       struct larder_error *err)
{
	size_t len = strlen(text);

	if (len > 1 && text[len - 1] == '/')
		text[--len] = '\0';
	if (!len)
		return refuse(err, whole, "no subset behind the slash");
	if (larder_path_check(text, err))
		return refused(err, "the subset of dataset", spec->name);
	spec->subset = strdup(text);
	return spec->subset ? 0 : larder_error_set(err, ENOMEM, "out of memory");
}

/* Copies [from, from+len) where it fits; too long a word is cut one byte above the limit, so that
 * the check of the word refuses it. */
static void take_word(char *out, size_t size, const char *from, size_t len)
{
	if (len > size - 1)
		len = size - 1;
	memcpy(out, from, len);
	out[len] = '\0';
}

/* NAME[:VERSION][@DIGEST][/SUBSET] */
static int parse_catalog(const char *whole, char *text, size_t name_len, struct larder_spec *spec,
			 struct larder_error *err)
{
	char word[LARDER_NAME_MAX + LARDER_VERSION_MAX + 2];
	char *p = text + name_len;
	size_t len;

	spec->kind = LARDER_SPEC_CATALOG;
	if (*p == ':') {
		len = strcspn(++p, "@/");
		take_word(word, sizeof(word), p, len);
		if (larder_version_check(word, err))
			return refused(err, "dataset", spec->name);
		strcpy(spec->version, word);
		p += len;
	}
	if (*p == '@') {
		len = strcspn(++p, "/");
		take_word(word, sizeof(word), p, len);
		if (larder_digest_check(word, err))
			return refused(err, "dataset", spec->name);
		strcpy(spec->digest, word);
		p += len;
	}
	if (*p == '/')
		return take_subset(whole, p + 1, spec, err);
	return *p ? refuse(err, whole, "write NAME[:VERSION][@DIGEST][/SUBSET]") : 0;
}

/* Where an origin's path part starts: behind "https://" and the like. */
static char *behind_scheme(char *origin)
{
	char *at = strstr(origin, "://");

	return *origin != '/' && at ? at + 3 : origin;
}

/* NAME=ORIGIN[//SUBSET] */
static int parse_own(const char *whole, char *origin, struct larder_spec *spec,
		     struct larder_error *err)
{
	char *path = behind_scheme(origin), *subset = strstr(path, "//");
	size_t len;

	spec->kind = LARDER_SPEC_OWN;
	if (subset) {
		*subset = '\0';
		subset += 2;
	}
	len = strlen(path);
	if (len > 1 && path[len - 1] == '/')
		path[len - 1] = '\0';
	if (larder_origin_check(origin, err))
		return refused(err, "dataset", spec->name);
	spec->origin = strdup(origin);
	if (!spec->origin)
		return larder_error_set(err, ENOMEM, "out of memory");
	return subset ? take_subset(whole, subset, spec, err) : 0;
}

static int parse_into(const char *text, struct larder_spec *spec, struct larder_error *err)
{
	char word[LARDER_NAME_MAX + 2];
	auto_free char *copy = NULL;
	size_t len;

	if (!*text)
		return larder_error_set(err, EINVAL, "an empty dataset; write NAME[:VERSION]");
	if (strlen(text) > LARDER_SPEC_TEXT_MAX)
		return refuse(err, text, "it is too long");
	if (!all_printable(text))
		return refuse(err, text, "only printable UTF-8 is allowed");
	copy = unescape(text, err);
	if (!copy)
		return err && err->code ? -err->code : -EINVAL;
	len = strcspn(copy, "=:@/");
	take_word(word, sizeof(word), copy, len);
	if (larder_name_check(word, err))
		return -EINVAL;
	strcpy(spec->name, word);
	if (copy[len] == '=')
		return parse_own(text, copy + len + 1, spec, err);
	return parse_catalog(text, copy, len, spec, err);
}

int larder_spec_parse(const char *text, struct larder_spec *spec, struct larder_error *err)
{
	int rc;

	memset(spec, 0, sizeof(*spec));
	rc = parse_into(text, spec, err);
	if (rc)
		larder_spec_fini(spec);
	return rc;
}

void larder_spec_fini(struct larder_spec *spec)
{
	free(spec->origin);
	free(spec->subset);
	memset(spec, 0, sizeof(*spec));
}
