/*
 * Owns the queue of questions to slurmctld and the helper process that asks them, one at a time.
 * Must not block or guess: no answer by the deadline is "no answer", and the helper is replaced.
 * Called by reconcile, acquire and the waiting prologs, on the control thread.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "larder/cleanup.h"
#include "larder/clock.h"
#include "server/child.h"
#include "server/slurmq_parse.h"

#define LINE_BYTES_MAX 512
#define QUEUE_MAX      65536 /* questions; a caller that asks more must wait */

struct question {
	struct question *next;
	uint32_t job_id;      /* 0: the configuration */
	slurmq_job_fn job_fn; /* NULL for both: forgotten */
	slurmq_conf_fn conf_fn;
	void *arg;
	int64_t deadline_ms;
};

struct slurmq {
	sd_event *event;
	char *helper, *slurm_conf, *node;
	int64_t timeout_ms;
	struct question *head, **tail; /* in order of their deadlines */
	unsigned int length;
	bool sent;	     /* the head's line is with the helper */
	struct child *child; /* NULL: no helper runs */
	int sock;
	sd_event_source *io, *timer, *pump; /* pump runs what must not run inside a caller's call */
	char line[LINE_BYTES_MAX];
	size_t line_len;
};

/* The helper goes; what it was asked is asked anew or answered by the caller. */
static void drop_helper(struct slurmq *q)
{
	q->io = sd_event_source_disable_unref(q->io);
	child_abandon(q->child);
	q->child = NULL;
	if (q->sock >= 0)
		close(q->sock);
	q->sock = -1;
	q->sent = false;
	q->line_len = 0;
}

static void pump_soon(struct slurmq *q)
{
	sd_event_source_set_enabled(q->pump, SD_EVENT_ONESHOT);
}

static void arm_timer(struct slurmq *q)
{
	if (!q->head) {
		sd_event_source_set_enabled(q->timer, SD_EVENT_OFF);
		return;
	}
	sd_event_source_set_time(q->timer, (uint64_t)q->head->deadline_ms * 1000);
	sd_event_source_set_enabled(q->timer, SD_EVENT_ONESHOT);
}

/* Out of the queue and answered. The callback is the last thing: it may ask again, or end all this.
 */
static void answer_head(struct slurmq *q, const struct slurm_job *job, int64_t prolog_timeout_s)
{
	struct question asked = *q->head;
	struct question *gone = q->head;

	q->head = gone->next;
	if (!q->head)
		q->tail = &q->head;
	free(gone);
	q->length--;
	q->sent = false;
	arm_timer(q);
	if (q->head)
		pump_soon(q);
	if (asked.job_fn)
		asked.job_fn(job, asked.arg);
	else if (asked.conf_fn)
		asked.conf_fn(prolog_timeout_s, asked.arg);
}

static void answer_nothing(struct slurmq *q)
{
	struct slurm_job job = {.job_id = q->head->job_id, .fate = SLURM_JOB_NO_ANSWER};

	answer_head(q, &job, -1);
}

/* A whole line. Whatever is not an answer to what was asked ends the helper. */
static void take_line(struct slurmq *q, const char *line)
{
	struct slurm_job job = {0};
	int64_t seconds = -1;
	int rc;

	if (!q->head || !q->sent) {
		drop_helper(q);
		return;
	}
	if (slurmq_is_failure(line)) {
		answer_nothing(q);
		return;
	}
	if (q->head->job_id)
		rc = slurmq_parse_job(line, q->head->job_id, &job);
	else
		rc = slurmq_parse_conf(line, &seconds);
	if (rc) {
		drop_helper(q);
		answer_nothing(q);
		return;
	}
	answer_head(q, &job, seconds);
}

static void helper_lost(struct slurmq *q)
{
	bool asked = q->sent;

	drop_helper(q);
	if (asked && q->head)
		answer_nothing(q);
}

static int on_readable(sd_event_source *source, int fd, uint32_t revents, void *arg)
{
	struct slurmq *q = arg;
	char line[LINE_BYTES_MAX];
	char *end;
	ssize_t n;

	(void)source;
	(void)revents;
	n = read(fd, q->line + q->line_len, sizeof(q->line) - q->line_len);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0) {
		helper_lost(q);
		return 0;
	}
	q->line_len += (size_t)n;
	end = memchr(q->line, '\n', q->line_len);
	if (!end && q->line_len < sizeof(q->line))
		return 0;
	/* One question, one line: more than that, or none that ends, is not our helper. */
	if (!end || end != q->line + q->line_len - 1 || memchr(q->line, '\0', q->line_len)) {
		helper_lost(q);
		return 0;
	}
	*end = '\0';
	memcpy(line, q->line, q->line_len);
	q->line_len = 0;
	take_line(q, line);
	return 0;
}

static void on_helper_dead(int status, void *arg)
{
	struct slurmq *q = arg;

	(void)status;
	q->child = NULL; /* its socket says so as well, after what it said last */
}

static int spawn_helper(struct slurmq *q, int theirs, struct larder_error *err)
{
	static char name[] = "larder-slurm-helper", option[] = "--node";
	static char path[] = "PATH=/usr/sbin:/usr/bin:/sbin:/bin", lang[] = "LANG=C.UTF-8";
	auto_free char *conf = NULL;
	char *const argv[] = {name, option, q->node, NULL};
	char *envp[] = {path, lang, NULL, NULL};
	struct child_params params = {
		.path = q->helper,
		.argv = argv,
		.envp = envp,
		.fds = {theirs, theirs, -1}, /* libslurm's own sentences are not for our log */
		.n_fds = 3,
	};

	if (*q->slurm_conf) {
		if (asprintf(&conf, "SLURM_CONF=%s", q->slurm_conf) < 0) {
			conf = NULL;
			return larder_error_set(err, ENOMEM, "out of memory");
		}
		envp[2] = conf;
	}
	return child_start(q->event, &params, on_helper_dead, q, &q->child, err);
}

static int start_helper(struct slurmq *q, struct larder_error *err)
{
	int pair[2], rc;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return larder_error_set(err, errno, "socketpair: %m");
	q->sock = pair[0];
	auto_fd int theirs = pair[1];

	if (fcntl(q->sock, F_SETFL, O_NONBLOCK) < 0)
		return larder_error_set(err, errno, "socketpair: %m");
	rc = sd_event_add_io(q->event, &q->io, q->sock, EPOLLIN, on_readable, q);
	if (rc < 0)
		return larder_error_set(err, rc, "watch the helper: %s", strerror(-rc));
	return spawn_helper(q, theirs, err);
}

static int send_head(struct slurmq *q)
{
	char line[32];
	int len = q->head->job_id ? snprintf(line, sizeof(line), "job %u\n", q->head->job_id)
				  : snprintf(line, sizeof(line), "conf\n");

	return send(q->sock, line, (size_t)len, MSG_NOSIGNAL | MSG_DONTWAIT) == len ? 0 : -EIO;
}

/* Sends the head's question, with a helper if there is none. At most one answer a call. */
static int on_pump(sd_event_source *source, void *arg)
{
	struct slurmq *q = arg;
	struct larder_error err = {0};

	(void)source;
	if (!q->head || q->sent)
		return 0;
	if (!q->head->job_fn && !q->head->conf_fn) {
		answer_nothing(q); /* forgotten: takes it out */
		return 0;
	}
	if (q->sock >= 0 && !q->child)
		drop_helper(q); /* it ended between two questions */
	if ((q->sock < 0 && start_helper(q, &err)) || send_head(q)) {
		drop_helper(q);
		answer_nothing(q);
		return 0;
	}
	q->sent = true;
	return 0;
}

static int on_deadline(sd_event_source *source, uint64_t now, void *arg)
{
	struct slurmq *q = arg;

	(void)source;
	(void)now;
	if (!q->head)
		return 0;
	if (q->head->deadline_ms > clock_mono_ms()) {
		arm_timer(q);
		return 0;
	}
	/* libslurm cannot be interrupted, only ended. What waits behind has its own deadline. */
	if (q->sent)
		drop_helper(q);
	answer_nothing(q);
	return 0;
}

static int make_sources(struct slurmq *q)
{
	int rc = sd_event_add_time(q->event, &q->timer, CLOCK_MONOTONIC, 0, 1000, on_deadline, q);

	if (rc >= 0)
		rc = sd_event_source_set_enabled(q->timer, SD_EVENT_OFF);
	if (rc >= 0)
		rc = sd_event_add_defer(q->event, &q->pump, on_pump, q);
	if (rc >= 0)
		rc = sd_event_source_set_enabled(q->pump, SD_EVENT_OFF);
	return rc;
}

int slurmq_create(sd_event *event, const char *helper, const char *slurm_conf, const char *node,
		  int64_t timeout_ms, struct slurmq **out, struct larder_error *err)
{
	struct slurmq *q = calloc(1, sizeof(*q));
	int rc = -ENOMEM;

	if (!q)
		return larder_error_set(err, ENOMEM, "out of memory");
	q->event = sd_event_ref(event);
	q->tail = &q->head;
	q->sock = -1;
	q->timeout_ms = timeout_ms > 0 ? timeout_ms : 1;
	q->helper = strdup(helper);
	q->slurm_conf = strdup(slurm_conf ? slurm_conf : "");
	q->node = strdup(node);
	if (q->helper && q->slurm_conf && q->node)
		rc = make_sources(q);
	if (rc < 0) {
		slurmq_destroy(q);
		return larder_error_set(err, rc, "questions to slurmctld: %s", strerror(-rc));
	}
	*out = q;
	return 0;
}

void slurmq_destroy(struct slurmq *q)
{
	if (!q)
		return;
	drop_helper(q);
	while (q->head) {
		struct question *gone = q->head;

		q->head = gone->next;
		free(gone);
	}
	sd_event_source_disable_unref(q->timer);
	sd_event_source_disable_unref(q->pump);
	sd_event_unref(q->event);
	free(q->helper);
	free(q->slurm_conf);
	free(q->node);
	free(q);
}

static int enqueue(struct slurmq *q, struct question asked)
{
	struct question *question;

	if (q->length >= QUEUE_MAX)
		return -EAGAIN;
	question = malloc(sizeof(*question));
	if (!question)
		return -ENOMEM;
	*question = asked;
	question->next = NULL;
	question->deadline_ms = clock_mono_ms() + q->timeout_ms;
	*q->tail = question;
	q->tail = &question->next;
	if (q->length++ == 0)
		arm_timer(q);
	pump_soon(q);
	return 0;
}

int slurmq_job(struct slurmq *q, uint32_t job_id, slurmq_job_fn fn, void *arg)
{
	if (!job_id)
		return -EINVAL;
	return enqueue(q, (struct question){.job_id = job_id, .job_fn = fn, .arg = arg});
}

int slurmq_conf(struct slurmq *q, slurmq_conf_fn fn, void *arg)
{
	return enqueue(q, (struct question){.conf_fn = fn, .arg = arg});
}

/* The questions stay in the queue; what is not with the helper yet is passed over when its turn
 * comes. */
void slurmq_forget(struct slurmq *q, void *arg)
{
	for (struct question *at = q->head; at; at = at->next)
		if (at->arg == arg) {
			at->job_fn = NULL;
			at->conf_fn = NULL;
		}
}
