/*
 * Hands a command over to larder-whole, with the words that the person typed. In `larder` it stands
 * for publish.c, catalog_check.c and network.c, and what they need.
 * It must not be reached after a command has done or said something: it would be done twice.
 */
#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctl/catalog_check.h"
#include "ctl/ctl.h"
#include "ctl/network.h"
#include "ctl/whole.h"
#include "larder/beside.h"

#define PROGRAM "larder-whole"

/* The words of this process as it was started: parsing has moved those that main got. NULL without
 * memory or /proc. */
static char **own_words(void)
{
	FILE *file = fopen("/proc/self/cmdline", "re");
	char **words = NULL, *word = NULL;
	size_t n = 0, room = 0;

	while (file && getdelim(&word, &room, '\0', file) >= 0) {
		char **more = reallocarray(words, n + 2, sizeof(*words));

		if (!more)
			break;
		words = more;
		words[n++] = word;
		words[n] = NULL;
		word = NULL;
		room = 0;
	}
	free(word);
	if (file)
		fclose(file);
	return words;
}

static void words_free(char **words)
{
	for (size_t i = 0; words && words[i]; i++)
		free(words[i]);
	free(words);
}

/* Beside this program, as it is built; or where it is installed. Returns only when it is nowhere.
 */
static void start(char **words)
{
	static const char *const places[] = {PROGRAM, "../libexec/larder/" PROGRAM};
	char buf[PATH_MAX];

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		const char *path = larder_beside(places[i], buf, sizeof(buf));

		if (path)
			execv(path, words);
		if (path && errno != ENOENT)
			return;
	}
	execv(LARDER_LIBEXECDIR "/" PROGRAM, words);
}

int whole_needed(struct larder_error *err)
{
	char **words = own_words();
	int why = ENOMEM;

	if (words) {
		start(words);
		why = errno;
	}
	words_free(words);
	/* not ENOENT: what the person asked for may well be there */
	return larder_error_set(
		err, ENOEXEC,
		"cannot start %s/" PROGRAM
		", which publishes and asks other machines: %s; install all of Larder",
		LARDER_LIBEXECDIR, strerror(why));
}

/* --- what only larder-whole can */

int ctl_publish(struct ctl *ctl)
{
	struct larder_error err = {0};

	(void)ctl;
	whole_needed(&err);
	return ctl_complain_error(&err);
}

int catalog_check_version(const struct catalog_check *check, uint64_t *problems,
			  struct larder_error *err)
{
	(void)check;
	*problems = 0;
	return whole_needed(err);
}

int network_open(const struct network_peer *peer, struct larder_client **client,
		 struct larder_error *err)
{
	(void)peer;
	*client = NULL;
	return whole_needed(err);
}

int network_open_sched(const struct network_settings *settings, struct larder_client **client,
		       struct larder_error *err)
{
	(void)settings;
	*client = NULL;
	return whole_needed(err);
}
