/*
 * The daemon's state, whole: one struct, owned by main, handed to every part of server/. Touched by
 * the control thread alone.
 */
#ifndef SERVER_LARDERD_H
#define SERVER_LARDERD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "larder/clock.h"
#include "larder/error.h"
#include "larder/wire.h"
#include "server/admins.h"
#include "server/config.h"
#include "server/mailbox.h"
#include "server/slurmq.h"
#include "server/worker.h"
#include "store/inventory.h"
#include "store/tree.h"
#include "xfer/transfer.h"

struct access_cache;
struct advice;
struct gateway;
struct names;
struct order;
struct plan;
struct request;
struct session_list;
struct spare;
struct stand;
struct stage;
struct trim;

/* A tier at run time. */
struct node_tier {
	const struct config_tier *config;
	struct tier *tier; /* NULL: not usable, see problem */
	char problem[LARDER_ERROR_MAX];
	uint64_t reserved_bytes, reserved_inodes; /* promised to stages, not yet written */
	uint64_t leaving_bytes, leaving_inodes;	  /* of trees on their way out and not yet freed */
	struct trash_job *trash;		  /* NULL: nothing is being emptied */
	_Atomic uint32_t trash_rate;		  /* files per second; 0: full speed */
	_Atomic bool trash_stop;
};

struct larderd {
	struct config config;
	struct admins admins;
	sd_event *event;
	struct mailbox *mailbox;
	struct worker_pool *workers; /* short work: plans, weights, surveys */
	struct worker_pool *slow;    /* long work: trash, verify, recover */
	struct inventory *inv;
	sd_event_source *inv_source;
	struct source_options origin_options; /* borrows from config; the pool borrows it */
	char *no_proxy;			      /* of origin_options */
	struct origin_limits *limits;	      /* of origin_options */
	_Atomic int64_t http_spare;	      /* bytes: of origin_options */
	struct xfer_pool *pool;
	struct slurmq *slurm;
	struct access_cache *access;
	struct names *names;
	struct session_list *sessions;
	struct plan *plans;	  /* uthash by job id: jobs that are to come */
	struct spare *spares;	  /* uthash by tree id: brought for them */
	struct advice *advices;	  /* uthash by tree id */
	struct stand *stand;	  /* NULL: nobody has asked for the inventory yet */
	struct gateway *gateway;  /* NULL: no other machine may ask */
	struct node_tier *tiers;  /* config.n_tiers */
	struct request *requests; /* uthash by job id and run */
	struct stage *stages;	  /* uthash by tree id */
	struct trim *trims;	  /* uthash by tree id */
	struct verify *verifies;  /* uthash by tree id */
	struct order *orders;	  /* stages that nobody waits for */
	unsigned int running_transfers;
	char node[256];
	char boot_id[64];
	int64_t started_s;
	int64_t prolog_timeout_s; /* as slurmctld says; 0: none, -1: not known yet */
	double inflation;	  /* gdsf's L */
	int evict_policy;	  /* enum evict_policy */
	char drained[256];	  /* why; "": not drained */
	sd_event_source *reconcile_timer, *space_timer, *metrics_timer, *conf_timer, *scrub_timer;
	sd_event_source *rows_timer; /* NULL: nothing was granted yet */
	sd_event_source *stop_timer;
	unsigned int stop_ticks;     /* 20 ms each, before a stop waits no longer */
	unsigned int reconcile_busy; /* questions under way */
	uint64_t scrubbed;	     /* the tree that was read last */
	int exit_code;
};

/* From an embedded member to what it is embedded in. */
#define CONTAINER(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#endif
