/*
 * Owns: reading the XML of S3 servers, with expat.
 * Must not: believe it: every text has a bound, and a DTD ends it.
 * Called by: s3.c.
 */
#include <ctype.h>
#include <errno.h>
#include <expat.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "larder/text.h"
#include "origin/s3_list.h"
#include "origin/s3_url.h"

#define TEXT_MAX  8192 /* a key has at most 1,024 bytes, each up to three when encoded */
#define DEPTH_MAX 16u

/* The element that is open, by its depth; the rest is passed over. */
struct reading {
	XML_Parser parser;
	const char *root; /* what the first element must be; NULL: any */
	unsigned int depth;
	bool wrong_root;
	bool in_object; /* <Contents> */
	char text[TEXT_MAX + 1];
	size_t len;
	const char *fault; /* the first one; NULL: none */
	int rc;		   /* of found() */

	/* pass 1: what the page says of itself */
	bool quoted, truncated;
	char *token;
	/* pass 2: its objects; found NULL in pass 1 */
	int (*found)(const struct s3_object *object, void *arg);
	void *arg;
	char key[TEXT_MAX + 1];
	bool has_key, has_size;
	struct s3_object object;

	struct s3_error *error; /* of an error's page */
};

static void stop(struct reading *r, const char *fault)
{
	if (!r->fault)
		r->fault = fault;
	XML_StopParser(r->parser, XML_FALSE);
}

static void on_doctype(void *arg, const char *name, const char *system_id, const char *public_id,
		       int subset)
{
	(void)name, (void)system_id, (void)public_id, (void)subset;
	stop(arg, "it has a DTD");
}

static void on_begin(void *arg, const char *name, const char **attributes)
{
	struct reading *r = arg;

	(void)attributes;
	r->len = 0;
	if (++r->depth > DEPTH_MAX)
		stop(r, "it is nested too deeply");
	if (r->depth == 1 && r->root && strcmp(name, r->root) != 0) {
		r->wrong_root = true;
		stop(r, "it is no listing");
	}
	if (r->depth == 2 && strcmp(name, "Contents") == 0) {
		r->in_object = true;
		r->has_key = r->has_size = false;
		r->object = (struct s3_object){0};
	}
}

static void on_text(void *arg, const char *text, int len)
{
	struct reading *r = arg;

	if (r->len + (size_t)len > TEXT_MAX) {
		stop(r, "a text in it is too long");
		return;
	}
	memcpy(r->text + r->len, text, (size_t)len);
	r->len += (size_t)len;
}

static void end_page_field(struct reading *r, const char *name)
{
	if (strcmp(name, "EncodingType") == 0) {
		r->quoted = strcmp(r->text, "url") == 0;
		if (!r->quoted)
			stop(r, "its keys are encoded in an unknown way");
	} else if (strcmp(name, "IsTruncated") == 0) {
		r->truncated = strcmp(r->text, "true") == 0;
	} else if (strcmp(name, "NextContinuationToken") == 0) {
		free(r->token);
		r->token = strdup(r->text);
		if (!r->token)
			stop(r, "there is no memory for it");
	}
}

static void end_object_field(struct reading *r, const char *name)
{
	if (strcmp(name, "Key") == 0) {
		r->has_key = true;
		if (!r->quoted)
			strcpy(r->key, r->text);
		else if (s3_unquote(r->text, true, r->key))
			stop(r, "a key in it is encoded wrongly");
	} else if (strcmp(name, "Size") == 0) {
		r->has_size = !larder_u64_parse(r->text, &r->object.size, NULL);
	} else if (strcmp(name, "LastModified") == 0) {
		if (s3_time_parse(r->text, &r->object.mtime_ns))
			stop(r, "a time in it cannot be read");
	}
}

static void end_object(struct reading *r)
{
	r->in_object = false;
	if (!r->has_key || !r->has_size) {
		stop(r, "an object in it has no key or no size");
		return;
	}
	r->object.key = r->key;
	r->rc = r->found(&r->object, r->arg);
	if (r->rc)
		stop(r, "it is not wanted");
}

static void on_end(void *arg, const char *name)
{
	struct reading *r = arg;

	r->text[r->len] = '\0';
	if (r->depth == 2 && !r->in_object && !r->found)
		end_page_field(r, name);
	if (r->depth == 3 && r->in_object && r->found)
		end_object_field(r, name);
	if (r->depth == 2 && r->in_object) {
		if (r->found)
			end_object(r);
		r->in_object = false;
	}
	r->depth--;
	r->len = 0;
}

static void on_error_end(void *arg, const char *name)
{
	struct reading *r = arg;
	struct s3_error *error = r->error;

	r->text[r->len] = '\0';
	larder_text_printable(r->text);
	if (r->depth == 2 && strcmp(name, "Code") == 0)
		larder_text_quote(r->text, SIZE_MAX, error->code, sizeof(error->code));
	if (r->depth == 2 && strcmp(name, "Region") == 0)
		larder_text_quote(r->text, SIZE_MAX, error->region, sizeof(error->region));
	if (r->depth == 2 && strcmp(name, "Endpoint") == 0)
		larder_text_quote(r->text, SIZE_MAX, error->endpoint, sizeof(error->endpoint));
	r->depth--;
	r->len = 0;
}

/* One pass. 0, -ENOMEM, or -EPROTO with r->fault. */
static int parse(struct reading *r, const char *text, size_t len, bool whole)
{
	enum XML_Status status;

	if (len > INT32_MAX)
		return -EPROTO;
	r->parser = XML_ParserCreate(NULL);
	if (!r->parser)
		return -ENOMEM;
	r->depth = 0;
	r->in_object = false;
	XML_SetUserData(r->parser, r);
	XML_SetElementHandler(r->parser, on_begin, r->error ? on_error_end : on_end);
	XML_SetCharacterDataHandler(r->parser, on_text);
	XML_SetStartDoctypeDeclHandler(r->parser, on_doctype);
	status = XML_Parse(r->parser, text, (int)len, whole);
	if (status != XML_STATUS_OK && !r->fault)
		r->fault = XML_ErrorString(XML_GetErrorCode(r->parser));
	XML_ParserFree(r->parser);
	return r->fault ? -EPROTO : 0;
}

static int page_fault(const struct reading *r, int rc, struct larder_error *err)
{
	if (rc == -ENOMEM)
		return larder_error_set(err, ENOMEM, "out of memory");
	if (r->wrong_root)
		return larder_error_set(
			err, EPROTO, "the answer is no S3 listing; is endpoint_url an S3 server?");
	return larder_error_set(err, EPROTO, "the server's listing cannot be read: %s", r->fault);
}

int s3_list_parse(const char *text, size_t len,
		  int (*found)(const struct s3_object *object, void *arg), void *arg, char **token,
		  struct larder_error *err)
{
	struct reading *r = calloc(1, sizeof(*r));
	int rc = -ENOMEM;

	if (r) {
		r->root = "ListBucketResult";
		rc = parse(r, text, len, true);
	}
	if (!rc && r->truncated && (!r->token || !*r->token)) {
		r->fault = "there is more, and it does not say how to ask for it";
		rc = -EPROTO;
	}
	if (!rc) {
		r->found = found;
		r->arg = arg;
		rc = parse(r, text, len, true);
	}
	if (r && r->rc)
		rc = r->rc;
	else if (rc && r)
		rc = page_fault(r, rc, err);
	else if (rc)
		larder_error_set(err, ENOMEM, "out of memory");
	*token = NULL;
	if (!rc && r->truncated) {
		*token = r->token;
		r->token = NULL;
	}
	if (r)
		free(r->token);
	free(r);
	return rc;
}

void s3_error_parse(const char *text, size_t len, struct s3_error *error)
{
	struct reading *r = calloc(1, sizeof(*r));

	*error = (struct s3_error){0};
	if (!r)
		return;
	r->root = "Error";
	r->error = error;
	parse(r, text, len, false);
	free(r);
}

/* --- times */

static int number(const char **at, unsigned int digits, int *value)
{
	*value = 0;
	for (unsigned int i = 0; i < digits; i++, (*at)++) {
		if (!isdigit((unsigned char)**at))
			return -EINVAL;
		*value = *value * 10 + (**at - '0');
	}
	return 0;
}

static int field(const char **at, unsigned int digits, char behind, int *value)
{
	int rc = number(at, digits, value);

	if (rc || *(*at)++ != behind)
		return -EINVAL;
	return 0;
}

static void fraction(const char **at, int64_t *ns)
{
	int64_t weight = 100000000;

	if (**at != '.')
		return;
	for ((*at)++; isdigit((unsigned char)**at); (*at)++) {
		*ns += (**at - '0') * weight;
		weight /= 10;
	}
}

int s3_time_parse(const char *text, int64_t *ns)
{
	struct tm tm = {0};
	const char *at = text;
	int64_t part = 0;

	if (field(&at, 4, '-', &tm.tm_year) || field(&at, 2, '-', &tm.tm_mon) ||
	    field(&at, 2, 'T', &tm.tm_mday) || field(&at, 2, ':', &tm.tm_hour) ||
	    field(&at, 2, ':', &tm.tm_min) || number(&at, 2, &tm.tm_sec))
		return -EINVAL;
	fraction(&at, &part);
	if (strcmp(at, "Z") != 0)
		return -EINVAL;
	if (tm.tm_year < 1970 || tm.tm_year > 2200 || tm.tm_mon < 1 || tm.tm_mon > 12 ||
	    tm.tm_mday < 1 || tm.tm_mday > 31 || tm.tm_hour > 23 || tm.tm_min > 59 ||
	    tm.tm_sec > 60)
		return -EINVAL;
	tm.tm_year -= 1900;
	tm.tm_mon--;
	*ns = (int64_t)timegm(&tm) * 1000000000 + part;
	return 0;
}
