/*
 * Owns the publisher's socket: who may ask, what a line must look like, what is answered.
 * Must not do anything but set features of ours, and take them out of constraints. Called by
 * main.c, in a process of its own.
 */
#include "sched/publisher.h"

#include <errno.h>
#include <pwd.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "larder/cleanup.h"
#include "larder/text.h"
#include "log/log.h"
#include "sched/nodeset.h"
#include "sched/slurm.h"
#include "sched/wishes.h"

#define LINE_BYTES_MAX (1u << 20)
#define JOBS_MAX       1024 /* in one batch; the rest comes with the next */
#define SLURM_S	       120 /* for one batch; who hangs longer in libslurm is ended and started anew */

/* What one client said since its last go. */
struct batch {
	struct wishes *wishes;
	uint32_t jobs[JOBS_MAX];
	size_t n_jobs;
};

static int take_have(const struct slurm_node *node, void *arg)
{
	struct larder_error err = {0};

	return wishes_have(arg, node->name, node->features, node->active, &err);
}

/* One request for each pair of lists. A group that is refused (a node that has gone, say) stands
 * in nobody's way. */
static int apply(const struct wishes *wishes, size_t max, size_t *changed, size_t *left,
		 struct larder_error *err)
{
	size_t n, done = 0;
	const struct wish_group *groups = wishes_groups(wishes, &n);
	int rc = 0;

	for (size_t i = 0; i < n && i < max; i++) {
		auto_free char *nodes = nodeset_fold(groups[i].nodes, groups[i].n);

		if (!nodes)
			return larder_error_set(err, ENOMEM, "out of memory");
		if (slurm_features_set(nodes, groups[i].features, groups[i].active, err)) {
			rc = -err->code;
			log_event(LOG_LEVEL_WARNING, "publish.refused", "nodes=%s error=\"%s\"",
				  nodes, err->text);
			continue;
		}
		log_event(LOG_LEVEL_INFO, "publish", "nodes=%s features=%s", nodes,
			  groups[i].features);
		*changed += groups[i].n;
		done++;
	}
	*left = n > max ? n - max : 0;
	return done ? 0 : rc;
}

/* A job that cannot be freed (it has just gone, say) stands in nobody's way. */
static void free_jobs(const struct batch *batch)
{
	for (size_t i = 0; i < batch->n_jobs; i++) {
		struct larder_error err = {0};

		if (slurm_job_free(batch->jobs[i], &err))
			log_event(LOG_LEVEL_WARNING, "free.refused", "job=%u error=\"%s\"",
				  batch->jobs[i], err.text);
		else
			log_event(LOG_LEVEL_INFO, "free", "job=%u", batch->jobs[i]);
	}
}

static void go(FILE *client, const struct batch *batch, const char *max_text)
{
	struct wishes *wishes = batch->wishes;
	struct larder_error err = {0};
	size_t changed = 0, left = 0, groups = 0;
	uint64_t max;
	int rc = larder_u64_parse(max_text, &max, &err);

	alarm(SLURM_S);
	if (!rc)
		free_jobs(batch);
	if (!rc)
		rc = slurm_nodes_each(NULL, NULL, take_have, wishes, &err);
	if (!rc)
		rc = apply(wishes, max, &changed, &left, &err);
	alarm(0);
	wishes_groups(wishes, &groups);
	if (rc)
		fprintf(client, "fail\t%s\n", larder_text_printable(err.text));
	else
		fprintf(client, "done\t%zu\t%zu\t%zu\n", changed, groups - left, left);
}

static int take_free(struct batch *batch, const char *text, struct larder_error *err)
{
	uint64_t id;

	if (larder_u64_parse(text, &id, err) || id == 0 || id > UINT32_MAX)
		return larder_error_set(err, EINVAL, "\"%.40s\" is no job's number", text);
	if (batch->n_jobs < JOBS_MAX)
		batch->jobs[batch->n_jobs++] = (uint32_t)id;
	return 0;
}

/* false: what it says is not of this protocol, and it is not heard any more. */
static bool take_line(FILE *client, char *line, struct batch *batch)
{
	struct larder_error err = {0};
	char *verb = strsep(&line, "\t"), *first = strsep(&line, "\t");
	int rc;

	if (!first)
		return false;
	if (strcmp(verb, "go") == 0 && !line) {
		go(client, batch, first);
		wishes_destroy(batch->wishes);
		batch->wishes = wishes_create();
		batch->n_jobs = 0;
		return batch->wishes && fflush(client) == 0;
	}
	if (strcmp(verb, "free") == 0 && !line)
		rc = take_free(batch, first, &err);
	else if (strcmp(verb, "set") == 0 && line && !strchr(line, '\t'))
		rc = wishes_add(batch->wishes, first, line, &err);
	else
		return false;
	if (!rc)
		return true;
	log_event(LOG_LEVEL_WARNING, "publisher.refused", "error=\"%s\"", err.text);
	fprintf(client, "fail\t%s\n", larder_text_printable(err.text));
	fflush(client);
	return false;
}

/* fgets, and not getline: what has no end is not read. */
static void serve(int fd)
{
	struct batch batch = {.wishes = wishes_create()};
	auto_free char *line = malloc(LINE_BYTES_MAX);
	int back = dup(fd);
	auto_file FILE *in = fdopen(fd, "r"), *out = back < 0 ? NULL : fdopen(back, "w");
	bool go_on = batch.wishes && line && in && out;

	while (go_on && fgets(line, LINE_BYTES_MAX, in)) {
		char *end = strchr(line, '\n');

		if (!end)
			break;
		*end = '\0';
		go_on = take_line(out, line, &batch);
	}
	wishes_destroy(batch.wishes);
	if (!in)
		close(fd);
	if (!out && back >= 0)
		close(back);
}

static int user_of(const char *name, uid_t *uid, struct larder_error *err)
{
	struct passwd *pw;

	errno = 0;
	pw = getpwnam(name);
	if (!pw)
		return larder_error_set(err, errno ? errno : ENOENT,
					"publisher_for = \"%s\": there is no such user here", name);
	*uid = pw->pw_uid;
	return 0;
}

static int listen_at(const char *path, struct larder_error *err)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	auto_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	unlink(path); /* an earlier one's */
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) || chmod(path, 0666) ||
	    listen(fd, 8))
		return larder_error_set(err, errno, "listen at %s: %s", path, strerror(errno));
	return take_fd(&fd);
}

static bool may_ask(int fd, uid_t only)
{
	socklen_t len = sizeof(struct ucred);
	struct ucred peer;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len))
		return false;
	if (peer.uid == only || peer.uid == 0 || peer.uid == geteuid())
		return true;
	log_event(LOG_LEVEL_WARNING, "publisher.refused", "uid=%u", peer.uid);
	return false;
}

int publisher_run(const char *path, const char *only_user, struct larder_error *err)
{
	uid_t only = 0;
	auto_fd int fd = -1;

	if (user_of(only_user, &only, err))
		return -err->code;
	fd = listen_at(path, err);
	if (fd < 0)
		return -err->code;
	signal(SIGPIPE, SIG_IGN);
	slurm_begin();
	log_event(LOG_LEVEL_INFO, "publisher.start", "socket=%s for=%s", path, only_user);
	for (;;) {
		int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC);

		if (client < 0 && (errno == EINTR || errno == ECONNABORTED))
			continue;
		if (client < 0)
			return larder_error_set(err, errno, "accept: %s", strerror(errno));
		if (may_ask(client, only))
			serve(client);
		else
			close(client);
	}
}
