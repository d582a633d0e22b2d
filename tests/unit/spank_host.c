/*
 * Owns the stand-in for Slurm's side of the SPANK interface.
 * Must behave as what docs measured of 22.05. Called by the plugin's code under test, and by tests.
 */
#include "spank_host.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static struct spank_handle *the_host;

struct spank_handle *host_create(spank_context_t context)
{
	struct spank_handle *host = mmap(NULL, sizeof(*host), PROT_READ | PROT_WRITE,
					 MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (host == MAP_FAILED)
		fail_msg("out of memory");
	host->context = context;
	host->job_id = 42;
	host->uid = geteuid();
	host->gid = getegid();
	the_host = host;
	return host;
}

void host_destroy(struct spank_handle *host)
{
	the_host = NULL;
	munmap(host, sizeof(*host));
}

static struct host_pair *find(struct host_pair *pairs, const char *name)
{
	for (int i = 0; i < HOST_PAIRS; i++)
		if (pairs[i].used && !strcmp(pairs[i].name, name))
			return &pairs[i];
	return NULL;
}

const char *host_get(const struct host_pair *pairs, const char *name)
{
	for (int i = 0; i < HOST_PAIRS; i++)
		if (pairs[i].used && !strcmp(pairs[i].name, name))
			return pairs[i].value;
	return NULL;
}

void host_set(struct host_pair *pairs, const char *name, const char *value)
{
	struct host_pair *pair = find(pairs, name);

	for (int i = 0; i < HOST_PAIRS && !pair; i++)
		if (!pairs[i].used)
			pair = &pairs[i];
	if (!pair || strlen(name) >= sizeof(pair->name) || strlen(value) >= sizeof(pair->value))
		fail_msg("the host has no room for %s", name);
	pair->used = true;
	strcpy(pair->name, name);
	strcpy(pair->value, value);
}

static void unset(struct host_pair *pairs, const char *name)
{
	struct host_pair *pair = find(pairs, name);

	if (pair)
		pair->used = false;
}

int host_type(struct spank_handle *host, const char *name, const char *value)
{
	for (unsigned int i = 0; i < host->n_options; i++)
		if (!strcmp(host->options[i]->name, name))
			return host->options[i]->cb(host->options[i]->val, value,
						    host->context == S_CTX_REMOTE);
	return -1;
}

int host_run(struct spank_handle *host, spank_f *hook, char *argv[])
{
	int argc = 0, status = 0;
	pid_t pid;

	while (argv[argc])
		argc++;
	fflush(NULL);
	pid = fork();
	if (pid == 0)
		_exit(hook(host, argc, argv) ? 201 : 200);
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		fail_msg("fork failed");
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* --- what the plugin calls --- */

spank_context_t spank_context(void)
{
	return the_host->context;
}

spank_err_t spank_option_register(spank_t sp, struct spank_option *opt)
{
	sp->options[sp->n_options++] = opt;
	return ESPANK_SUCCESS;
}

/* As in prolog and epilog: from the environment, with and without the extra prefix. */
spank_err_t spank_option_getopt(spank_t sp, struct spank_option *opt, char **value)
{
	char name[256];

	(void)sp;
	snprintf(name, sizeof(name), "SPANK__SLURM_SPANK_OPTION_larder_%s", opt->name);
	for (char *c = name; *c; c++)
		if (*c == '-')
			*c = '_';
	*value = getenv(name + 6);
	if (!*value)
		*value = getenv(name);
	return *value ? ESPANK_SUCCESS : ESPANK_ERROR;
}

spank_err_t spank_get_item(spank_t sp, spank_item_t item, ...)
{
	spank_err_t rc = ESPANK_SUCCESS;
	va_list ap;

	va_start(ap, item);
	if (item == S_JOB_ID)
		*va_arg(ap, uint32_t *) = sp->job_id;
	else if (item == S_JOB_STEPID)
		*va_arg(ap, uint32_t *) = sp->step_id;
	else if (item == S_JOB_NODEID)
		*va_arg(ap, uint32_t *) = sp->node_id;
	else if (item == S_TASK_GLOBAL_ID)
		*va_arg(ap, uint32_t *) = sp->global_id;
	else if (item == S_TASK_ID)
		*va_arg(ap, int *) = sp->local_id;
	else if (item == S_JOB_UID)
		*va_arg(ap, uid_t *) = sp->uid;
	else if (item == S_JOB_GID)
		*va_arg(ap, gid_t *) = sp->gid;
	else
		rc = ESPANK_NOT_AVAIL;
	va_end(ap);
	return rc;
}

spank_err_t spank_getenv(spank_t sp, const char *var, char *buf, int len)
{
	const char *value = host_get(sp->job_env, var);

	if (!value)
		return ESPANK_ENV_NOEXIST;
	snprintf(buf, (size_t)len, "%s", value);
	return strlen(value) < (size_t)len ? ESPANK_SUCCESS : ESPANK_NOSPACE;
}

spank_err_t spank_setenv(spank_t sp, const char *var, const char *val, int overwrite)
{
	(void)overwrite;
	host_set(sp->job_env, var, val);
	return ESPANK_SUCCESS;
}

spank_err_t spank_unsetenv(spank_t sp, const char *var)
{
	unset(sp->job_env, var);
	return ESPANK_SUCCESS;
}

spank_err_t spank_job_control_setenv(spank_t sp, const char *name, const char *value, int overwrite)
{
	(void)overwrite;
	host_set(sp->control, name, value);
	return ESPANK_SUCCESS;
}

spank_err_t spank_job_control_unsetenv(spank_t sp, const char *name)
{
	unset(sp->control, name);
	return ESPANK_SUCCESS;
}

void slurm_error(const char *format, ...)
{
	size_t had = strlen(the_host->said), room = sizeof(the_host->said) - had;
	va_list ap;

	va_start(ap, format);
	vsnprintf(the_host->said + had, room, format, ap);
	va_end(ap);
	had = strlen(the_host->said);
	if (had + 1 < sizeof(the_host->said))
		strcpy(the_host->said + had, "\n");
}

void slurm_verbose(const char *format, ...)
{
	(void)format;
}
