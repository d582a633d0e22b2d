/*
 * Owns the reading of the token that job_submit.lua leaves in admin_comment. Pure.
 * Must not trust it: admins and other scripts write there too. Called by slurm.c.
 */
#include "sched/token.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "larder/spec.h"

#define NAME "larder="

/* A token begins where a word does. */
static const char *find(const char *comment)
{
	const char *at = comment;

	while ((at = strstr(at, NAME))) {
		if (at == comment || strchr(" ;,|\t\n", at[-1]))
			return at + strlen(NAME);
		at += strlen(NAME);
	}
	return NULL;
}

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)tolower((unsigned char)c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool plain(char c)
{
	return isalnum((unsigned char)c) || (c && strchr("._:@/=,-", c));
}

/* One byte; how many bytes of text it took, 0 when it is none. */
static size_t decode(const char *text, char *byte)
{
	if (*text != '%') {
		*byte = *text;
		return plain(*text) ? 1 : 0;
	}
	if (hex(text[1]) < 0 || hex(text[2]) < 0)
		return 0;
	*byte = (char)(hex(text[1]) * 16 + hex(text[2]));
	return *byte ? 3 : 0;
}

char *token_specs(const char *comment)
{
	const char *at = comment ? find(comment) : NULL;
	size_t len = at ? strcspn(at, ";") : 0, used = 0;
	char *specs;

	if (!len || at[len] != ';' || len > 3 * LARDER_SPEC_TEXT_MAX)
		return NULL;
	specs = malloc(len + 1);
	if (!specs)
		return NULL;
	for (const char *end = at + len; at < end;) {
		size_t took = decode(at, &specs[used]);

		if (!took || at + took > end) {
			free(specs);
			return NULL;
		}
		at += took;
		used++;
	}
	specs[used] = '\0';
	return specs;
}
