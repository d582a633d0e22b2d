/*
 * Owns the search for origins in the prolog.
 * Must not block: the catalog is read in a child. Must not judge: whether the job's user may read
 * the origin is for the kernel to say when the job does.
 * Called by job.c.
 */
#include "origin.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ask.h"
#include "larder/catalog.h"
#include "larder/cleanup.h"
#include "larder/clock.h"

#define ANSWER_MAX ((size_t)256 * 1024)

struct search {
	const char *catalog;
	const struct larder_spec_list *specs, *fixed;
	uid_t uid;
	gid_t gid;
};

static const struct larder_spec *fixed_spec(const struct search *s, const struct larder_spec *spec)
{
	for (size_t i = 0; i < s->fixed->count; i++)
		if (!strcmp(s->fixed->items[i].name, spec->name))
			return &s->fixed->items[i];
	return spec;
}

static const char *first_path(const struct larder_manifest_head *head)
{
	for (unsigned int i = 0; i < head->n_origins; i++)
		if (head->origins[i][0] == '/' && !strpbrk(head->origins[i], "\n\r"))
			return head->origins[i];
	return NULL;
}

/* In the child: a line for each catalog dataset, or "! sentence". */
static void find_one(const struct search *s, const struct larder_spec *spec, FILE *out)
{
	struct larder_catalog_entry entry = {0};
	struct larder_error err = {0};
	const char *path;

	if (larder_catalog_find(s->catalog, fixed_spec(s, spec), s->uid, s->gid, &entry, &err)) {
		fprintf(out, "! %.*s\n", (int)strcspn(err.text, "\n"), err.text);
		return;
	}
	path = first_path(&entry.head);
	if (path)
		fprintf(out, "%s %s %s %s\n", entry.head.name, entry.head.version,
			entry.head.digest, path);
	else
		fprintf(out, "! %s has no origin that is a path of a file system\n", spec->name);
	larder_catalog_entry_fini(&entry);
}

/* Lets go of what slurmd may wait on, in case this process is never seen to end. */
static void child(const struct search *s, int fd)
{
	int null = open("/dev/null", O_RDWR);
	FILE *out = fdopen(fd, "w");

	for (int i = 0; i <= 2 && null >= 0; i++)
		dup2(null, i);
	for (size_t i = 0; out && i < s->specs->count; i++)
		if (s->specs->items[i].kind == LARDER_SPEC_CATALOG)
			find_one(s, &s->specs->items[i], out);
	if (out)
		fflush(out);
	_exit(0);
}

/* All that comes until the other side closes. 0, -ETIMEDOUT or -errno. */
static int read_until(int fd, char *text, size_t size, int64_t until_ms)
{
	size_t len = 0;

	for (;;) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		int64_t left = until_ms - clock_mono_ms();
		int ready = poll(&p, 1, left > 0 ? (int)left : 0);
		ssize_t n;

		if (ready < 0 && errno == EINTR)
			continue;
		if (ready <= 0)
			return ready ? -errno : -ETIMEDOUT;
		n = read(fd, text + len, size - 1 - len);
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0)
			len += (size_t)n;
		text[len] = '\0';
		if (n == 0 || len == size - 1)
			return 0;
	}
}

static int take_answer(char *text, struct marker *marker, struct larder_error *err)
{
	char *line;
	int rc = 0;

	while ((line = strsep(&text, "\n"))) {
		if (!*line)
			continue;
		if (line[0] == '!')
			rc = larder_error_set(err, ENOENT, "%s", line + 2);
		else if (marker_origin_parse(line, marker))
			rc = larder_error_set(err, EINVAL,
					      "an origin in the catalog cannot be used");
	}
	return rc;
}

static int ask_child(const struct search *s, int timeout_ms, struct marker *marker,
		     struct larder_error *err)
{
	auto_free char *text = calloc(1, ANSWER_MAX);
	int ends[2], rc;
	pid_t pid;

	if (!text || pipe2(ends, O_CLOEXEC))
		return larder_error_set(err, text ? errno : ENOMEM, "look into the catalog: %s",
					strerror(text ? errno : ENOMEM));
	pid = fork();
	if (pid == 0)
		child(s, ends[1]);
	close(ends[1]);
	rc = pid < 0 ? -errno : read_until(ends[0], text, ANSWER_MAX, clock_mono_ms() + timeout_ms);
	close(ends[0]);
	if (pid > 0) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, rc ? WNOHANG : 0);
	}
	if (rc)
		return larder_error_set(err, rc,
					"the catalog %s could not be read within %d ms: %s",
					s->catalog, timeout_ms, strerror(-rc));
	return take_answer(text, marker, err);
}

int origin_find(const char *catalog, const struct larder_spec_list *specs,
		const struct larder_spec_list *fixed, uid_t uid, gid_t gid, int timeout_ms,
		struct marker *marker, struct larder_error *err)
{
	struct search s = {catalog, specs, fixed, uid, gid};
	bool in_catalog = false;

	for (size_t i = 0; i < specs->count; i++) {
		const struct larder_spec *spec = &specs->items[i];

		if (spec->kind == LARDER_SPEC_CATALOG)
			in_catalog = true;
		else if (*spec->origin != '/')
			return larder_error_set(err, EINVAL,
						"%s is at a URL, which no job can read as files",
						spec->name);
		else if (marker_origin_add(marker, spec->name, LARDER_OWN_VERSION, "",
					   spec->origin))
			return larder_error_set(err, EINVAL, "%s: its path cannot be handed on",
						spec->name);
	}
	return in_catalog ? ask_child(&s, timeout_ms, marker, err) : 0;
}
