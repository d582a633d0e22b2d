/* larder-sched.conf, read by conf/ against sched.def. */
#ifndef SCHED_CONFIG_H
#define SCHED_CONFIG_H

#include "conf/conf.h"

struct sched_config {
#define LARDER_SCHED_KEY(TYPE, field, def, help) CONFIG_CTYPE_##TYPE field;
#include "sched/sched.def"
#undef LARDER_SCHED_KEY
};

/* 0, or -errno; the sentence has file, line, key, the bad text and what is allowed. */
int sched_config_load(const char *path, struct sched_config *config, struct larder_error *err);
void sched_config_fini(struct sched_config *config);

#endif
