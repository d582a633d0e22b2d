/* Shared by the files that inspect a configuration: where findings go. */
#ifndef SERVER_CONFIG_INSPECT_H
#define SERVER_CONFIG_INSPECT_H

#include "server/config.h"

struct config_look {
	config_tell_fn tell;
	void *arg;
	int fatal; /* findings that were */
};

void config_finding(struct config_look *look, bool fatal, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* Warns of tiers that job_container/tmpfs hides from jobs. */
void config_inspect_container(struct config_look *look, const struct config *config);

#endif
