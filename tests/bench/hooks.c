/*
 * What each hook of the plugin costs a job on a node that has its dataset: the plugin as Slurm
 * loads it, hooks called in Slurm's order in processes of their own, the daemon the real one.
 * Slurm's side is the unit tests' stand-in. Called by hooks.sh.
 *
 *   hooks PLUGIN SOCKET CATALOG SPEC ROUNDS
 * SPEC with its digest. One JSON line for each hook, with a dataset and without.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../unit/spank_host.h"

#define OPTION	 "SPANK__SLURM_SPANK_OPTION_larder_dataset" /* prolog and epilog have it so */
#define HOOK_MAX 6

/* One process of Slurm's: which hooks it calls, in order. */
struct process {
	const char *name;
	spank_context_t context;
	const char *hooks[HOOK_MAX];
};

static const struct process processes[] = {
	{"prolog",
	 S_CTX_JOB_SCRIPT,
	 {"slurm_spank_init", "slurm_spank_job_prolog", "slurm_spank_exit"}},
	{"step",
	 S_CTX_REMOTE,
	 {"slurm_spank_init", "slurm_spank_init_post_opt", "slurm_spank_task_init_privileged",
	  "slurm_spank_task_init", "slurm_spank_exit"}},
	{"epilog",
	 S_CTX_JOB_SCRIPT,
	 {"slurm_spank_init", "slurm_spank_job_epilog", "slurm_spank_exit"}},
};
#define PROCESSES (sizeof(processes) / sizeof(processes[0]))

/* Of one process: loading the plugin, then each hook. Shared with the child that runs them. */
struct times {
	double load_us, hook_us[HOOK_MAX];
	int failed; /* the hook's place, from 1 */
};

struct bench {
	const char *plugin, *spec;
	char arguments[3][512];
	char *argv[4];
	size_t rounds;
	struct times *shared;
	struct times *all[PROCESSES]; /* by round */
};

static double now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

static _Noreturn void give_up(const char *what, const char *why)
{
	fprintf(stderr, "hooks: %s: %s\n", what, why);
	exit(1);
}

static int call(void *plugin, const char *name, struct bench *b, spank_t host, double *us)
{
	spank_f *hook = NULL;
	double began;
	int rc;

	*(void **)&hook = dlsym(plugin, name);
	if (!hook)
		return -1;
	began = now_us();
	rc = hook(host, 3, b->argv);
	*us = now_us() - began;
	return rc;
}

/* In a child: the plugin is loaded as slurmd and slurmstepd do it, each time anew. */
static void run_hooks(const struct process *p, struct bench *b, spank_t host)
{
	double began = now_us();
	void *plugin = dlopen(b->plugin, RTLD_LAZY);

	if (!plugin)
		give_up(b->plugin, dlerror());
	b->shared->load_us = now_us() - began;
	for (int i = 0; i < HOOK_MAX && p->hooks[i]; i++)
		if (call(plugin, p->hooks[i], b, host, &b->shared->hook_us[i])) {
			b->shared->failed = i + 1;
			break;
		}
}

static void run_process(size_t at, struct bench *b, spank_t host, size_t round)
{
	const struct process *p = &processes[at];
	int status = 0;
	pid_t pid;

	host->context = p->context;
	host->n_options = 0;
	host->said[0] = '\0';
	*b->shared = (struct times){0};
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		run_hooks(p, b, host);
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status || b->shared->failed)
		give_up(p->name, host->said[0] ? host->said : "a hook failed");
	b->all[at][round] = *b->shared;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void print_series(const char *who, const char *what, double *us, size_t n)
{
	qsort(us, n, sizeof(*us), by_size);
	printf("{\"work\":\"hooks\",\"who\":\"%s\",\"what\":\"%s\",\"n\":%zu,\"p50_us\":%.1f,"
	       "\"p99_us\":%.1f,\"max_us\":%.1f}\n",
	       who, what, n, us[n / 2], us[n * 99 / 100], us[n - 1]);
}

/* hook -1: loading. */
static void print_hook(struct bench *b, size_t at, int hook, const char *who, double *us)
{
	char what[64];
	const char *name = hook < 0 ? "load" : processes[at].hooks[hook] + strlen("slurm_spank_");

	for (size_t i = 0; i < b->rounds; i++)
		us[i] = hook < 0 ? b->all[at][i].load_us : b->all[at][i].hook_us[hook];
	snprintf(what, sizeof(what), "%s: %s", processes[at].name, name);
	print_series(who, what, us, b->rounds);
}

static void print_all(struct bench *b, const char *who)
{
	double *us = calloc(b->rounds, sizeof(*us));

	for (size_t at = 0; us && at < PROCESSES; at++)
		for (int hook = -1; hook < HOOK_MAX && (hook < 0 || processes[at].hooks[hook]);
		     hook++)
			print_hook(b, at, hook, who, us);
	free(us);
}

static void run_rounds(struct bench *b, const char *who, uint32_t first_job)
{
	struct spank_handle *host = host_create(S_CTX_JOB_SCRIPT);

	if (b->spec)
		setenv(OPTION, b->spec, 1);
	else
		unsetenv(OPTION);
	for (size_t i = 0; i < b->rounds; i++) {
		host->job_id = first_job + (uint32_t)i;
		memset(host->job_env, 0, sizeof(host->job_env));
		for (size_t at = 0; at < PROCESSES; at++)
			run_process(at, b, host, i);
	}
	host_destroy(host);
	print_all(b, who);
}

int main(int argc, char **argv)
{
	struct bench b = {0};

	if (argc != 6 || strtoul(argv[5], NULL, 10) == 0) {
		fprintf(stderr, "usage: hooks PLUGIN SOCKET CATALOG SPEC ROUNDS\n");
		return 2;
	}
	b.plugin = argv[1];
	b.rounds = strtoul(argv[5], NULL, 10);
	snprintf(b.arguments[0], sizeof(b.arguments[0]), "socket=%s", argv[2]);
	snprintf(b.arguments[1], sizeof(b.arguments[1]), "catalog=%s", argv[3]);
	snprintf(b.arguments[2], sizeof(b.arguments[2]), "timeout=10s");
	for (int i = 0; i < 3; i++)
		b.argv[i] = b.arguments[i];
	b.shared = mmap(NULL, sizeof(*b.shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			-1, 0);
	for (size_t at = 0; at < PROCESSES; at++)
		b.all[at] = calloc(b.rounds, sizeof(struct times));
	if (b.shared == MAP_FAILED || !b.all[0] || !b.all[1] || !b.all[2])
		give_up("memory", "there is none");
	run_rounds(&b, "no dataset", 500000);
	b.spec = argv[4];
	run_rounds(&b, "warm dataset", 600000);
	return 0;
}
