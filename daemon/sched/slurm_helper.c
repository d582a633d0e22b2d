/*
 * Owns the lines between larder-sched and the process that may hang in libslurm.
 * Must not decide anything; keeps what slurmctld changed last. Started by ctld.c.
 */
#include "sched/slurm_helper.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "sched/slurm.h"

/* Whatever stands in Slurm's data: it must not end a line or a field. */
static void put_field(const char *text)
{
	putchar('\t');
	for (; *text; text++)
		putchar((unsigned char)*text < ' ' || *text == 0x7f ? '?' : *text);
}

static int put_node(const struct slurm_node *node, void *arg)
{
	(void)arg;
	fputs("node", stdout);
	put_field(node->name);
	put_field(node->address);
	printf("\t%d\t%d", node->usable, node->idle);
	put_field(node->features);
	put_field(node->active);
	return putchar('\n') == EOF ? -EIO : 0;
}

static int put_job(const struct slurm_ahead_job *job, void *arg)
{
	(void)arg;
	printf("job\t%" PRIu32 "\t%d\t%" PRIu32 "\t%" PRIu32 "\t%" PRId64, job->id, job->pending,
	       job->uid, job->gid, job->start_s);
	put_field(job->nodes);
	put_field(job->specs);
	put_field(job->ours);
	printf("\t%" PRIu32 "\t%d", job->min_nodes, job->refused);
	return putchar('\n') == EOF ? -EIO : 0;
}

static int answer(const char *question, time_t *nodes_since)
{
	struct larder_error err = {0};
	bool same = false;
	int rc;

	if (strcmp(question, "nodes") == 0)
		rc = slurm_nodes_each(nodes_since, &same, put_node, NULL, &err);
	else if (strcmp(question, "jobs") == 0)
		rc = slurm_jobs_each(put_job, NULL, &err);
	else
		return -EINVAL;
	if (rc) {
		fputs("fail", stdout);
		put_field(err.text);
		putchar('\n');
	} else {
		puts(same ? "same" : "end");
	}
	return fflush(stdout) ? -EIO : 0;
}

int slurm_helper_main(void)
{
	time_t nodes_since = 0;
	char line[64];

	slurm_begin();
	while (fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\n")] = '\0';
		if (answer(line, &nodes_since))
			return 1;
	}
	return 0;
}
