/*
 * Owns the spelling of one line of a manifest's body: text to shard and back, one canonical way.
 * Must not do I/O; pure. Called by the manifest's reader and writer.
 */
#include "core/manifest_line.h"

#include <errno.h>
#include <string.h>

/* The line that is being parsed; `at` never passes `end`, where the newline stands. */
struct line {
	const char *at, *end;
	struct larder_error *err;
};

static int fault(struct line *l, const char *what)
{
	return larder_error_set(l->err, EINVAL, "%s", what);
}

/* One space behind a field that has just been taken. */
static bool take_space(struct line *l)
{
	if (*l->at != ' ')
		return false;
	l->at++;
	return true;
}

static int take_type(struct line *l, struct shard *shard)
{
	switch (*l->at) {
	case 'f': shard->type = SHARD_FILE; break;
	case 'l': shard->type = SHARD_SYMLINK; break;
	case 'd': shard->type = SHARD_DIR; break;
	default: return fault(l, "the type is none of f, l and d");
	}
	l->at++;
	return take_space(l) ? 0 : fault(l, "one space should stand behind the type");
}

static int take_digest(struct line *l, struct shard *shard)
{
	char hex[2 * sizeof(shard->digest) + 1];

	shard->digest = (struct digest){0, 0};
	shard->undigested = shard->type == SHARD_FILE && *l->at == '-';
	if (shard->type != SHARD_FILE || shard->undigested) {
		if (*l->at != '-')
			return fault(l, "only files have a digest, the others a -");
		l->at++;
		return take_space(l) ? 0 : fault(l, "one space should stand behind the -");
	}
	if ((size_t)(l->end - l->at) < sizeof(hex))
		return fault(l, "it is cut short");
	memcpy(hex, l->at, sizeof(hex) - 1);
	hex[sizeof(hex) - 1] = '\0';
	if (!digest_parse(hex, &shard->digest))
		return fault(l, "the digest is not 32 lower-case hex digits");
	l->at += sizeof(hex) - 1;
	return take_space(l) ? 0 : fault(l, "one space should stand behind the digest");
}

/* A number up to INT64_MAX without zeros in front, and the space behind it. */
static bool take_number(struct line *l, uint64_t *number)
{
	const char *p = l->at;
	uint64_t sum = 0;

	/* the newline at the end stops it; 19 digits cannot overflow 64 bits */
	while (*p >= '0' && *p <= '9' && p - l->at < 19)
		sum = sum * 10 + (uint64_t)(*p++ - '0');
	if (p == l->at || (*l->at == '0' && p - l->at > 1) || sum > INT64_MAX)
		return false;
	l->at = p;
	*number = sum;
	return take_space(l);
}

static int take_size(struct line *l, struct shard *shard)
{
	if (!take_number(l, &shard->size))
		return fault(l, "the size is no plain number below 2^63");
	return 0;
}

static int take_mtime(struct line *l, struct shard *shard)
{
	bool before = *l->at == '-';
	uint64_t number;

	l->at += before;
	if (!take_number(l, &number) || (before && number == 0))
		return fault(l, "the time is no plain number of nanoseconds");
	shard->mtime_ns = before ? -(int64_t)number : (int64_t)number;
	return 0;
}

static int take_mode(struct line *l, struct shard *shard)
{
	shard->mode = 0;
	for (int i = 0; i < 4; i++, l->at++) {
		if (*l->at < '0' || *l->at > '7')
			return fault(l, "the mode is not 4 octal digits");
		shard->mode = shard->mode << 3 | (uint32_t)(*l->at - '0');
	}
	return take_space(l) ? 0 : fault(l, "one space should stand behind the mode");
}

static int take_path(struct line *l, struct shard *shard, char *path)
{
	const char *end = memchr(l->at, ' ', (size_t)(l->end - l->at));

	if (!end)
		end = l->end;
	if (larder_path_decode(l->at, (size_t)(end - l->at), path, LARDER_PATH_BYTES + 1, l->err) <
	    0)
		return -EINVAL;
	l->at = end;
	shard->path = path;
	return 0;
}

static int take_target(struct line *l, struct shard *shard, char *target)
{
	shard->target = NULL;
	if (shard->type != SHARD_SYMLINK)
		return l->at == l->end ? 0 : fault(l, "something stands behind the path");
	if (l->at == l->end)
		return fault(l, "the symlink's target is missing");
	l->at++;
	if (larder_percent_decode(l->at, (size_t)(l->end - l->at), target, LARDER_PATH_BYTES + 1,
				  l->err) < 0) {
		larder_error_prefix(l->err, "the symlink's target");
		return -EINVAL;
	}
	shard->target = target;
	return 0;
}

int manifest_line_parse(const char *line, size_t len, struct shard *shard, char *path, char *target,
			struct larder_error *err)
{
	struct line l = {.at = line, .end = line + len, .err = err};

	if (take_type(&l, shard) || take_digest(&l, shard) || take_size(&l, shard) ||
	    take_mtime(&l, shard) || take_mode(&l, shard) || take_path(&l, shard, path) ||
	    take_target(&l, shard, target))
		return -EINVAL;
	return 0;
}

static char *put_number(char *to, uint64_t number)
{
	char digits[20];
	size_t n = 0;

	do {
		digits[n++] = (char)('0' + number % 10);
		number /= 10;
	} while (number);
	while (n)
		*to++ = digits[--n];
	*to++ = ' ';
	return to;
}

size_t manifest_line_format(const struct shard *shard, char *out)
{
	bool file = shard->type == SHARD_FILE;
	char *to = out;

	*to++ = (char)shard->type;
	*to++ = ' ';
	if (file && !shard->undigested) {
		digest_format(shard->digest, to);
		to += 32;
	} else {
		*to++ = '-';
	}
	*to++ = ' ';
	to = put_number(to, file ? shard->size : 0);
	if (shard->mtime_ns < 0)
		*to++ = '-';
	to = put_number(to, shard->mtime_ns < 0 ? -(uint64_t)shard->mtime_ns
						: (uint64_t)shard->mtime_ns);
	for (unsigned int shift = 12; shift > 0; shift -= 3)
		*to++ = (char)('0' + (shard->mode >> (shift - 3) & 7));
	*to++ = ' ';
	to += larder_path_encode_into(shard->path, to);
	if (shard->type == SHARD_SYMLINK) {
		*to++ = ' ';
		to += larder_path_encode_into(shard->target, to);
	}
	*to++ = '\n';
	return (size_t)(to - out);
}
