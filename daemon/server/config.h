/*
 * larder.conf, read by conf/ against config.def. Values are typed, defaulted, and refused with file
 * and line.
 */
#ifndef SERVER_CONFIG_H
#define SERVER_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "conf/conf.h"
#include "larder/error.h"

struct config_tier {
	char *name; /* the section's title, owned */
#define LARDER_TIER_KEY(TYPE, field, def, help) CONFIG_CTYPE_##TYPE field;
#include "server/config.def"
#undef LARDER_TIER_KEY
};

/* Limits of a remote origin. */
struct config_origin {
	char *match; /* the section's title, owned */
#define LARDER_ORIGIN_KEY(TYPE, field, def, help) CONFIG_CTYPE_##TYPE field;
#include "server/config.def"
#undef LARDER_ORIGIN_KEY
};

struct config {
#define LARDER_KEY(TYPE, field, def, help) CONFIG_CTYPE_##TYPE field;
#include "server/config.def"
#undef LARDER_KEY
	struct config_tier *tiers; /* at least one; owned */
	unsigned int n_tiers;
	struct config_origin *origins; /* owned */
	unsigned int n_origins;
	char *path; /* of the file */
};

/* 0, or -errno; the sentence has file, line, key, the bad text and what is allowed. */
int config_load(const char *path, struct config *config, struct larder_error *err);
void config_fini(struct config *config);
/*
 * What only a look at the machine tells: tiers that exist, view_root empty and no mount point and
 * with no tier beneath it, the state's file system, a tier under a job_container directory
 * (job_container.conf beside slurm_conf), helper there. Local looks only, none at the catalog.
 * Calls tell for each finding; returns the number of those that are fatal.
 */
typedef void (*config_tell_fn)(bool fatal, const char *text, void *arg);
int config_inspect(const struct config *config, config_tell_fn tell, void *arg);
/* The catalog's side, for --check-config: no origin beneath view_root. Reads every manifest's head
 * and may block. */
int config_inspect_catalog(const struct config *config, config_tell_fn tell, void *arg);
/* The keys that a reload cannot change and that differ, comma separated, into buf; returns how
 * many. */
int config_fixed_changes(const struct config *now, const struct config *next, char *buf,
			 size_t len);

#endif
