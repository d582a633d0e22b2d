/*
 * larder-sched: the recipe. Reads the command line and the configuration, starts the threads, runs
 * the control loop, stops. Also the doors of the two processes that talk to slurmctld.
 * Decides nothing.
 */
#include <argp.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "larder/cleanup.h"
#include "larder/clock.h"
#include "log/log.h"
#include "sched/control.h"
#include "sched/publisher.h"
#include "sched/slurm_helper.h"
#include "sched/visible.h"

#define SERVE_TIMEOUT_S 60

struct options {
	const char *config;
	bool check, publisher;
};

static const struct argp_option option_table[] = {
	{"config", 'c', "FILE", 0, "Read FILE instead of /etc/larder/larder-sched.conf", 0},
	{"check-config", 'k', NULL, 0, "Check the configuration, print what is wrong, and exit", 0},
	{"publisher", 'p', NULL, 0,
	 "Be the publisher: run as SlurmUser, set node features of ours, and nothing else", 0},
	{"debug", 'd', NULL, 0, "Log what happens in detail", 0},
	{0},
};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct options *options = state->input;

	switch (key) {
	case 'c': options->config = arg; return 0;
	case 'k': options->check = true; return 0;
	case 'p': options->publisher = true; return 0;
	case 'd': log_set_level(LOG_LEVEL_DEBUG); return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "%s: larder-sched takes options only", arg);
		return EINVAL;
	default: return ARGP_ERR_UNKNOWN;
	}
}

/* --- the key of hidden features: made once, so that they survive a restart */

static int key_make(const char *path, struct seal_key *key, struct larder_error *err)
{
	auto_fd int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);

	seal_key_make(key);
	if (fd < 0 || write(fd, key->bytes, sizeof(key->bytes)) != (ssize_t)sizeof(key->bytes) ||
	    fsync(fd))
		return larder_error_set(err, errno, "write %s: %s", path, strerror(errno));
	return 0;
}

static int key_load(struct sched *sched, struct larder_error *err)
{
	auto_free char *path = NULL;
	auto_fd int fd = -1;

	if (asprintf(&path, "%s/key", sched->config.state_dir) < 0) {
		path = NULL;
		return larder_error_set(err, ENOMEM, "out of memory");
	}
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 && errno == ENOENT)
		return key_make(path, &sched->hide_key, err);
	if (fd < 0)
		return larder_error_set(err, errno, "read %s: %s", path, strerror(errno));
	if (read(fd, sched->hide_key.bytes, SEAL_BYTES) != (ssize_t)SEAL_BYTES)
		return larder_error_set(
			err, EINVAL,
			"%s is no key of %u bytes: remove it, and hidden features get "
			"other names",
			path, SEAL_BYTES);
	return 0;
}

/* --- running */

static void log_refused(const char *address, const struct larder_error *err, void *arg)
{
	(void)arg;
	log_event(LOG_LEVEL_WARNING, "serve.refused", "address=%s error=\"%s\"", address,
		  err->text);
}

static int serve(struct sched *sched, struct larder_error *err)
{
	const struct fleet_serve_params params = {.address = sched->config.listen,
						  .node = SCHED_NODE_NAME,
						  .munge_socket = sched->config.munge_socket,
						  .connections = sched->config.max_connections,
						  .of_one = sched->config.max_connections,
						  .timeout_s = SERVE_TIMEOUT_S,
						  .answer = serve_answer,
						  .refused = log_refused,
						  .arg = sched};

	return *sched->config.listen ? fleet_serve_start(&params, &sched->server, err) : 0;
}

static int start(struct sched *sched, struct larder_error *err)
{
	sched->started_mono_ms = clock_mono_ms();
	sched->visible = visible_cache_create();
	if (!sched->visible)
		return larder_error_set(err, ENOMEM, "out of memory");
	if (key_load(sched, err) || nodes_file_read(sched, err) ||
	    poller_start(sched, &sched->poller, err))
		return -err->code;
	return serve(sched, err);
}

/* The signals are the control thread's, which reads them from a descriptor: blocked everywhere. */
static int run(struct sched *sched)
{
	struct larder_error err = {0};
	sigset_t signals;
	int status = 1;

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
	signal(SIGPIPE, SIG_IGN);
	srandom((unsigned int)(clock_mono_ms() ^ getpid()));
	pthread_mutex_init(&sched->lock, NULL);
	if (start(sched, &err)) {
		log_event(LOG_LEVEL_ERR, "start.failed", "error=\"%s\"", err.text);
	} else {
		log_event(LOG_LEVEL_INFO, "start", "version=%s listen=%s", LARDER_VERSION,
			  sched->config.listen);
		status = control_run(sched);
	}
	fleet_serve_stop(sched->server);
	poller_stop(sched->poller);
	model_fini(&sched->model);
	visible_cache_destroy(sched->visible);
	pthread_mutex_destroy(&sched->lock);
	return status;
}

static int publish(const struct sched_config *config)
{
	struct larder_error err = {0};

	if (*config->slurm_conf)
		setenv("SLURM_CONF", config->slurm_conf, 1);
	if (publisher_run(config->publisher, config->publisher_for, &err))
		log_event(LOG_LEVEL_ERR, "publisher.failed", "error=\"%s\"", err.text);
	return 1;
}

int main(int argc, char **argv)
{
	static const struct argp argp = {
		option_table, parse_option,
		NULL,	      "Larder's part beside slurmctld. See larder-sched(8).",
		NULL,	      NULL,
		NULL};
	struct options options = {.config = "/etc/larder/larder-sched.conf"};
	struct larder_error err = {0};
	static struct sched sched;
	int status = 0;

	if (argc > 1 && strcmp(argv[1], SLURM_HELPER_OPTION) == 0)
		return slurm_helper_main();
	argp_program_version = "larder-sched " LARDER_VERSION;
	argp_parse(&argp, argc, argv, 0, NULL, &options);
	if (sched_config_load(options.config, &sched.config, &err)) {
		fprintf(stderr, "larder-sched: %s\n", err.text);
		return 1;
	}
	if (options.publisher)
		status = publish(&sched.config);
	else if (!options.check)
		status = run(&sched);
	sched_config_fini(&sched.config);
	return status;
}
