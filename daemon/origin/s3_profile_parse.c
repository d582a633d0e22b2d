/*
 * Owns: the format of AWS's files of profiles.
 * Must not: open files, or repeat a value in a sentence: it may be a secret.
 * Called by: s3_profile.c.
 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "larder/text.h"
#include "origin/s3_profile.h"

#define PROFILES_MAX 1000u

struct parse {
	struct s3_profiles *profiles;
	const char *where;
	unsigned long line;
	struct s3_profile *now;		     /* the section's; NULL: none, or one of another kind */
	bool section;			     /* the first one has begun */
	enum { FLAT, IN_S3, IN_OTHER } nest; /* what indented lines belong to: "s3 =" has such */
	struct larder_error *err;
};

static int fail(struct parse *p, const char *why)
{
	return larder_error_set(p->err, EINVAL, "%s:%lu: %s", p->where, p->line, why);
}

static void wipe(char **text)
{
	if (*text)
		explicit_bzero(*text, strlen(*text));
	free(*text);
	*text = NULL;
}

void s3_profile_fini(struct s3_profile *profile)
{
	wipe(&profile->key_id);
	wipe(&profile->secret);
	wipe(&profile->token);
	free(profile->name);
	free(profile->region);
	free(profile->endpoint);
	free(profile->buckets);
	free(profile->foreign);
	*profile = (struct s3_profile){0};
}

void s3_profiles_fini(struct s3_profiles *profiles)
{
	for (size_t i = 0; i < profiles->count; i++)
		s3_profile_fini(&profiles->items[i]);
	free(profiles->items);
	*profiles = (struct s3_profiles){0};
}

/* --- lines */

static char *trim(char *text)
{
	char *end;

	while (*text == ' ' || *text == '\t')
		text++;
	end = text + strlen(text);
	while (end > text && strchr(" \t\r", end[-1]))
		end--;
	*end = '\0';
	return text;
}

static struct s3_profile *find(struct s3_profiles *profiles, const char *name)
{
	for (size_t i = 0; i < profiles->count; i++)
		if (strcmp(profiles->items[i].name, name) == 0)
			return &profiles->items[i];
	return NULL;
}

static struct s3_profile *add(struct s3_profiles *profiles, const char *name)
{
	struct s3_profile *more = reallocarray(profiles->items, profiles->count + 1, sizeof(*more));

	if (!more)
		return NULL;
	profiles->items = more;
	more += profiles->count;
	*more = (struct s3_profile){.name = strdup(name)};
	if (!more->name)
		return NULL;
	profiles->count++;
	return more;
}

/* "[name]", "[profile name]"; sections of other kinds, as "[sso-session x]", are passed over. */
static int begin_section(struct parse *p, char *line)
{
	char *end = strchr(line, ']'), *name;

	if (!end || *trim(end + 1))
		return fail(p, "a section's line is [NAME]");
	*end = '\0';
	name = trim(line + 1);
	p->section = true;
	p->nest = FLAT;
	p->now = NULL;
	if (strncmp(name, "profile ", 8) == 0)
		name = trim(name + 8);
	else if (strpbrk(name, " \t"))
		return 0;
	for (const char *c = name; *c; c++)
		if (iscntrl((unsigned char)*c))
			return fail(p, "the profile's name has a control character");
	if (!*name || strlen(name) > 128)
		return fail(p, "a profile's name has 1 to 128 bytes");
	p->now = find(p->profiles, name);
	if (!p->now && p->profiles->count >= PROFILES_MAX)
		return fail(p, "more than 1000 profiles");
	if (!p->now)
		p->now = add(p->profiles, name);
	return p->now ? 0 : larder_error_set(p->err, ENOMEM, "out of memory");
}

/* --- values */

struct key {
	const char *name;
	size_t offset;
	bool list; /* blanks may be in it */
};

static const struct key keys[] = {
	{"aws_access_key_id", offsetof(struct s3_profile, key_id), false},
	{"aws_secret_access_key", offsetof(struct s3_profile, secret), false},
	{"aws_session_token", offsetof(struct s3_profile, token), false},
	{"region", offsetof(struct s3_profile, region), false},
	{"endpoint_url", offsetof(struct s3_profile, endpoint), false},
	{"larder_buckets", offsetof(struct s3_profile, buckets), true},
};

/* What AWS's tools would get keys by. */
static const char *const foreign[] = {
	"role_arn",	 "credential_process",	    "sso_session",
	"sso_start_url", "web_identity_token_file", "credential_source",
};

static int keep(struct parse *p, char **slot, const char *value)
{
	if (*slot || !*value) /* an earlier file, or line, has told it */
		return 0;
	*slot = strdup(value);
	return *slot ? 0 : larder_error_set(p->err, ENOMEM, "out of memory");
}

static int set_style(struct parse *p, const char *value)
{
	enum s3_style style = S3_STYLE_AUTO;

	if (strcmp(value, "path") == 0)
		style = S3_STYLE_PATH;
	else if (strcmp(value, "virtual") == 0)
		style = S3_STYLE_VIRTUAL;
	else if (strcmp(value, "auto") != 0)
		return fail(p, "addressing_style is path, virtual or auto");
	if (!p->now->style)
		p->now->style = style;
	return 0;
}

static int set_value(struct parse *p, const char *name, const char *value)
{
	if (strcmp(name, "addressing_style") == 0)
		return set_style(p, value);
	for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++)
		if (strcmp(name, foreign[i]) == 0)
			return keep(p, &p->now->foreign, name);
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		if (strcmp(name, keys[i].name) != 0)
			continue;
		for (const char *c = value; *c; c++)
			if (iscntrl((unsigned char)*c) || (*c == ' ' && !keys[i].list))
				return fail(p, "the value has a blank or a control character; a "
					       "remark needs a line of its own");
		return keep(p, (char **)(void *)((char *)p->now + keys[i].offset), value);
	}
	return 0; /* AWS's tools have many more */
}

static int take_line(struct parse *p, char *line)
{
	bool indented = *line == ' ' || *line == '\t';
	char *text = trim(line), *equals, *value;

	if (!*text || *text == '#' || *text == ';')
		return 0;
	if (*text == '[')
		return begin_section(p, text);
	equals = strchr(text, '=');
	if (!equals)
		return fail(p, "neither [NAME] nor KEY = VALUE");
	if (!p->section)
		return fail(p, "a key before the first [NAME]");
	*equals = '\0';
	text = trim(text);
	value = trim(equals + 1);
	if (!indented)
		p->nest = *value ? FLAT : strcmp(text, "s3") == 0 ? IN_S3 : IN_OTHER;
	if (!p->now || (indented && p->nest == IN_OTHER))
		return 0;
	return set_value(p, text, value);
}

int s3_profiles_parse(const char *text, size_t len, const char *where, struct s3_profiles *profiles,
		      struct larder_error *err)
{
	struct parse p = {.profiles = profiles, .where = where, .err = err};
	char *copy, *next;
	int rc = 0;

	if (memchr(text, '\0', len))
		return larder_error_set(err, EINVAL, "%s has a NUL in it", where);
	copy = strndup(text, len);
	if (!copy)
		return larder_error_set(err, ENOMEM, "out of memory");
	for (char *line = copy; !rc && line; line = next) {
		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		p.line++;
		rc = take_line(&p, line);
	}
	explicit_bzero(copy, len);
	free(copy);
	return rc;
}

/* --- whole profiles */

static int unusable(const struct s3_profile *profile, const char *why, struct larder_error *err)
{
	char shown[140];

	return larder_error_set(err, EINVAL, "S3 profile %s: %s",
				larder_text_quote(profile->name, SIZE_MAX, shown, sizeof(shown)),
				why);
}

static bool is_region(const char *text)
{
	return strlen(text) <= 64 && text[strspn(text, "abcdefghijklmnopqrstuvwxyz"
						       "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
						       "0123456789-_.")] == '\0';
}

/* http(s)://HOST[:PORT][/PATH], without a user, a query, or bytes that a URL has not. */
static bool is_endpoint(const char *text)
{
	const char *host = strstr(text, "://");

	if (!host || (strncmp(text, "https://", 8) != 0 && strncmp(text, "http://", 7) != 0))
		return false;
	host += 3;
	for (const char *c = host; *c; c++)
		if (!isgraph((unsigned char)*c) || strchr("@?#\"<>\\^`{|}", *c))
			return false;
	return *host && *host != '/' && *host != ':' && strlen(text) < 1024;
}

int s3_profile_check(const struct s3_profile *profile, struct larder_error *err)
{
	if (!profile->key_id != !profile->secret)
		return unusable(profile,
				"aws_access_key_id and aws_secret_access_key belong together", err);
	if (profile->token && !profile->secret)
		return unusable(profile, "aws_session_token is there without keys", err);
	if (profile->foreign && !profile->secret)
		return unusable(
			profile,
			"its keys would come by role, sign-on or program, which larder does "
			"not do; write aws_access_key_id and aws_secret_access_key",
			err);
	if (profile->region && !is_region(profile->region))
		return unusable(profile, "region has only letters, digits, - and _", err);
	if (profile->endpoint && !is_endpoint(profile->endpoint))
		return unusable(
			profile,
			"endpoint_url is http://HOST[:PORT] or https://HOST[:PORT], without "
			"user and query",
			err);
	return 0;
}
