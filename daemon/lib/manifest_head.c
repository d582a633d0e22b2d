/*
 * Owns the head of a manifest: text to struct and back, in one canonical form.
 * Must not look at the body.
 * Called by the catalog, the manifest's reader and writer, the daemon and the CLI.
 *
 * As larder-manifest(5) has it: these kinds of lines in this order, one space behind the word,
 *	larder-manifest 1
 *	name NAME
 *	version VERSION
 *	access ACCESS
 *	origin ORIGIN          (one to eight, in order of preference)
 *	trust first-use        (only where files are without a digest)
 *	created SECONDS        (since 1970)
 *	shards NUMBER          (20 digits, zeros in front)
 *	bytes NUMBER           (20 digits, zeros in front)
 *	digest XXH3-128        (32 digits, of everything behind the empty line)
 * and an empty line. Totals and digest have a fixed width, so that the head's size is known before
 * they are: the writer leaves room, streams the body, and puts the head in place at the end.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "larder/cleanup.h"
#include "larder/manifest.h"

#define TOTAL_DIGITS 20

/* Where parsing stands. The text is copied, so that lines can end in a NUL. */
struct cursor {
	char *at, *end;
	unsigned int line;
	struct larder_error *err;
};

static int fault(struct cursor *c, const char *what)
{
	return larder_error_set(c->err, EINVAL, "manifest, line %u: %s", c->line, what);
}

static int wrap(struct cursor *c, int rc)
{
	if (rc)
		larder_error_prefix(c->err, "manifest, line %u", c->line);
	return rc;
}

/* The next line without its newline; NULL when there is none left that ends in one. */
static char *next_line(struct cursor *c)
{
	char *line = c->at, *end = memchr(line, '\n', (size_t)(c->end - line));

	c->line++;
	if (!end || memchr(line, 0, (size_t)(end - line)))
		return NULL;
	*end = '\0';
	c->at = end + 1;
	return line;
}

/* The value of a line "word value"; NULL (and the sentence) when the next line is another. */
static char *next_value(struct cursor *c, const char *word)
{
	char *line = next_line(c);
	size_t len = strlen(word);

	if (line && strncmp(line, word, len) == 0 && line[len] == ' ' && line[len + 1])
		return line + len + 1;
	larder_error_set(c->err, EINVAL, "manifest, line %u: \"%s ...\" should stand here", c->line,
			 word);
	return NULL;
}

static int parse_names(struct cursor *c, struct larder_manifest_head *head)
{
	const char *value = next_value(c, "name");

	if (!value)
		return -EINVAL;
	if (larder_name_check(value, c->err))
		return wrap(c, -EINVAL);
	strcpy(head->name, value);
	value = next_value(c, "version");
	if (!value)
		return -EINVAL;
	if (larder_version_check(value, c->err))
		return wrap(c, -EINVAL);
	strcpy(head->version, value);
	value = next_value(c, "access");
	if (!value)
		return -EINVAL;
	return wrap(c, larder_access_parse(value, &head->access, c->err));
}

static int parse_origins(struct cursor *c, struct larder_manifest_head *head)
{
	do {
		const char *value = next_value(c, "origin");

		if (!value)
			return -EINVAL;
		if (head->n_origins == LARDER_ORIGINS_MAX)
			return fault(c, "more than 8 origins");
		if (larder_origin_check(value, c->err))
			return wrap(c, -EINVAL);
		head->origins[head->n_origins] = strdup(value);
		if (!head->origins[head->n_origins])
			return larder_error_set(c->err, ENOMEM, "out of memory");
		head->n_origins++;
	} while (c->end - c->at > 7 && strncmp(c->at, "origin ", 7) == 0);
	return 0;
}

static int parse_trust(struct cursor *c, struct larder_manifest_head *head)
{
	const char *value;

	if (c->end - c->at < 6 || strncmp(c->at, "trust ", 6) != 0)
		return 0;
	value = next_value(c, "trust");
	if (!value || strcmp(value, "first-use") != 0)
		return fault(c, "the only trust there is to tell of is \"first-use\"");
	head->first_use = true;
	return 0;
}

/* A number in its one spelling: `digits` of them, or no zeros in front when that is 0. */
static int parse_number(struct cursor *c, const char *word, size_t digits, uint64_t *number)
{
	const char *value = next_value(c, word);

	if (!value)
		return -EINVAL;
	if (digits ? strlen(value) != digits : (value[0] == '0' && value[1]))
		return fault(c, digits ? "20 digits should stand here" : "zeros in front");
	return wrap(c, larder_u64_parse(value, number, c->err));
}

static int parse_totals(struct cursor *c, struct larder_manifest_head *head)
{
	const char *value;
	uint64_t created;

	if (parse_number(c, "created", 0, &created))
		return -EINVAL;
	if (created > INT64_MAX)
		return fault(c, "this time is out of range");
	head->created_s = (int64_t)created;
	if (parse_number(c, "shards", TOTAL_DIGITS, &head->shards) ||
	    parse_number(c, "bytes", TOTAL_DIGITS, &head->bytes))
		return -EINVAL;
	value = next_value(c, "digest");
	if (!value)
		return -EINVAL;
	if (larder_digest_check(value, c->err))
		return wrap(c, -EINVAL);
	if (strlen(value) != LARDER_DIGEST_HEX)
		return fault(c, "32 digits should stand here");
	strcpy(head->digest, value);
	return 0;
}

static int parse_lines(struct cursor *c, struct larder_manifest_head *head)
{
	const char *line = next_line(c);
	int rc;

	if (!line || strncmp(line, "larder-manifest ", 16) != 0)
		return fault(c, "this is no manifest; it should begin with \"" LARDER_MANIFEST_MAGIC
				"\"");
	if (strcmp(line, LARDER_MANIFEST_MAGIC) != 0)
		return fault(c, "a manifest of a version that this Larder does not know");
	rc = parse_names(c, head);
	if (rc == 0)
		rc = parse_origins(c, head);
	if (rc == 0)
		rc = parse_trust(c, head);
	if (rc == 0)
		rc = parse_totals(c, head);
	if (rc)
		return rc;
	line = next_line(c);
	if (!line || *line)
		return fault(c, "an empty line should stand here");
	return 0;
}

int larder_manifest_head_parse(const char *text, size_t len, struct larder_manifest_head *head,
			       struct larder_error *err)
{
	size_t take = len < LARDER_MANIFEST_HEAD_MAX ? len : LARDER_MANIFEST_HEAD_MAX;
	auto_free char *copy = malloc(take + 1);
	struct cursor c = {.at = copy, .end = copy + take, .err = err};
	int rc;

	memset(head, 0, sizeof(*head));
	if (!copy)
		return larder_error_set(err, ENOMEM, "out of memory");
	memcpy(copy, text, take);
	copy[take] = '\0';
	rc = parse_lines(&c, head);
	head->body_offset = (size_t)(c.at - copy);
	if (rc)
		larder_manifest_head_fini(head);
	return rc;
}

/* Up to `room` bytes from the start of the file. */
static ssize_t read_start(int fd, char *buf, size_t room)
{
	size_t got = 0;

	while (got < room) {
		ssize_t n = pread(fd, buf + got, room - got, (off_t)got);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		got += (size_t)n;
	}
	return (ssize_t)got;
}

int larder_manifest_head_read(int fd, struct larder_manifest_head *head, struct larder_error *err)
{
	auto_free char *buf = malloc(LARDER_MANIFEST_HEAD_MAX);
	struct stat st;
	ssize_t n;
	int rc;

	memset(head, 0, sizeof(*head));
	if (!buf)
		return larder_error_set(err, ENOMEM, "out of memory");
	if (fstat(fd, &st) < 0)
		return larder_error_set(err, errno, "look at the manifest: %m");
	if (!S_ISREG(st.st_mode))
		return larder_error_set(err, EINVAL, "the manifest is no regular file");
	n = read_start(fd, buf, LARDER_MANIFEST_HEAD_MAX);
	if (n < 0)
		return larder_error_set(err, (int)-n, "read the manifest: %s", strerror((int)-n));
	rc = larder_manifest_head_parse(buf, (size_t)n, head, err);
	head->publisher = st.st_uid;
	return rc;
}

char *larder_manifest_head_format(const struct larder_manifest_head *head)
{
	char access[sizeof(head->access.who) + 16];
	auto_free char *text = NULL;
	auto_file FILE *out = NULL;
	size_t len = 0;

	out = open_memstream(&text, &len);
	if (!out)
		return NULL;
	fprintf(out, LARDER_MANIFEST_MAGIC "\nname %s\nversion %s\naccess %s\n", head->name,
		head->version, larder_access_format(&head->access, access, sizeof(access)));
	for (unsigned int i = 0; i < head->n_origins; i++)
		fprintf(out, "origin %s\n", head->origins[i]);
	if (head->first_use)
		fputs("trust first-use\n", out);
	fprintf(out, "created %" PRId64 "\nshards %020" PRIu64 "\nbytes %020" PRIu64 "\n",
		head->created_s, head->shards, head->bytes);
	fprintf(out, "digest %s\n\n", head->digest);
	if (ferror(out) || fflush(out))
		return NULL;
	fclose(take_ptr(&out));
	return take_ptr(&text);
}

void larder_manifest_head_fini(struct larder_manifest_head *head)
{
	for (unsigned int i = 0; i < head->n_origins; i++)
		free(head->origins[i]);
	memset(head, 0, sizeof(*head));
}
