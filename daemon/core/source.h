/*
 * Where bytes come from: the vtable of origins. core/ only names it; origin/ has the kinds; xfer/
 * and scan/ use it. All calls may block; none is made on the control thread. A source is used by
 * many threads at once; ops synchronise what they share.
 */
#ifndef CORE_SOURCE_H
#define CORE_SOURCE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/manifest.h"
#include "larder/error.h"

/* As whom an origin is read: the publisher, or the user whose own dataset it is. A thread that
 * opens takes these as its file system ids for that call (root with uid 0 stays root). */
struct source_as {
	uid_t uid;
	gid_t gid;
	const gid_t *groups;
	unsigned int n_groups;
};

struct source;
struct origin_limits;

/* Where the s3 kind learns who asks, and whom to ask (origin/s3_profile.h has the order). Borrowed.
 * Nothing here is a secret but credentials_text. */
struct source_s3 {
	const char *credentials_file; /* AWS's format; NULL, "": none; read at each open */
	const char *credentials_text; /* that file's text, where somebody else has read it */
	const char *config_file;      /* the same format, for what is no secret */
	/* Whose files these are, and as whom they are read. NULL: this process's own user. */
	const struct source_as *owner;
	const char *profile, *endpoint, *region; /* NULL, "": by bucket, by profile */
	bool environment;			 /* AWS_* of this process count, too */
};

/* Where a user's own URL may lead, whatever it is called: origin/http_filter.h. Borrowed. */
struct source_filter {
	const char *const *deny, *const *allow; /* addresses, networks, hosts, domains */
	unsigned int n_deny, n_allow;
};

#define SOURCE_SPARE_BYTES ((int64_t)16 * 1024 * 1024)

/* How remote origins are read. Borrowed while a source of it is open. */
struct source_options {
	unsigned int connections; /* of one source at the same time */
	unsigned int ranges;	  /* of those, for parts of large shards */
	int64_t connect_timeout_ms;
	int64_t stall_timeout_ms;	   /* a window of this length must bring 1 KiB/s */
	int64_t total_timeout_ms;	   /* of one shard, tries included; 0: none */
	unsigned int retries;		   /* of one shard */
	unsigned int retry_budget;	   /* of all shards of a source together */
	const char *ca_file;		   /* NULL, "": the system's */
	const char *client_cert;	   /* NULL, "": none; PEM */
	const char *client_key;		   /* NULL, "": it is in client_cert */
	const char *proxy;		   /* NULL, "": as the environment says; "none" */
	const char *no_proxy;		   /* hosts, comma separated; NULL, "": none */
	const char *const *redirect_hosts; /* beside the origin's own */
	unsigned int n_redirect_hosts;
	struct origin_limits *limits; /* of all sources together; NULL: none */
	/* Bytes of memory for what comes ahead of its turn, of all sources together; NULL: a
	 * source's own SOURCE_SPARE_BYTES. */
	_Atomic int64_t *spare;
	/* No digest will be compared (publishing): a broken transfer goes on only where the server
	 * proves that the file is still the same one. */
	bool unverified;
	const _Atomic bool *stop; /* NULL: only put tells */
	/* Of a user's own URL: every address that is connected to is judged, and no proxy is asked.
	 * NULL: the site's own origins. */
	const struct source_filter *filter;
	const char *login_text; /* that user's logins at web servers (origin/http_login.h); NULL */
	struct source_s3 s3;
};
/* What config.def has, for who reads no configuration. */
#define SOURCE_OPTIONS_DEFAULT                                                                     \
	((struct source_options){                                                                  \
		.connections = 16,                                                                 \
		.ranges = 4,                                                                       \
		.connect_timeout_ms = 10000,                                                       \
		.stall_timeout_ms = 30000,                                                         \
		.retries = 5,                                                                      \
		.retry_budget = 200,                                                               \
	})

/* One thing found by list(). Borrowed. */
struct source_entry {
	const char *path; /* relative, decoded */
	enum shard_type type;
	uint64_t size;
	int64_t mtime_ns;
	uint32_t mode;
	uint32_t uid, gid;  /* where the kind has owners; else 0 */
	const char *target; /* symlinks */
};

/* One shard that is fetched beside others. */
struct source_stream {
	const struct shard *shard;			     /* until end() */
	int (*put)(const void *data, size_t len, void *arg); /* as fetch has it */
	/* Once, when nothing of it is under way any more; rc as fetch answers. */
	void (*end)(int rc, const struct larder_error *err, void *arg);
	void *arg;
};
struct source_feed {
	unsigned int at_once; /* streams at the same time, at most */
	/* Another one? false: not now. Asked again whenever there is room for it. */
	bool (*next)(struct source_stream *stream, void *arg);
	void *arg;
};

struct source_ops {
	const char *kind; /* "posix" */
	/* Is this origin ours? By its text alone. */
	bool (*owns)(const char *origin);
	int (*open)(const char *origin, const struct source_as *as,
		    const struct source_options *options, struct source **source,
		    struct larder_error *err); /* options NULL: the defaults */
	void (*close)(struct source *source);
	/*
	 * A descriptor to read the shard from, when the kind has such (NULL otherwise: use fetch).
	 * Checks that what is there is a regular file of the manifest's size: -ENOENT, -EACCES,
	 * -ESTALE (size differs: the sentence names both), ….
	 */
	int (*open_shard)(struct source *source, const struct shard *shard, int *fd,
			  struct larder_error *err);
	/*
	 * Streams bytes from `offset` to the end to put() in order; put's non-zero answer stops it.
	 * For remote kinds; NULL where open_shard serves. While it waits it puts 0 bytes (NULL) now
	 * and then, to learn whether it is still wanted. Retries are its own affair; the sentence
	 * does not name shard and origin.
	 */
	int (*fetch)(struct source *source, const struct shard *shard, uint64_t offset,
		     int (*put)(const void *data, size_t len, void *arg), void *arg,
		     struct larder_error *err);
	/*
	 * Many shards on the calling thread, from their first byte; for kinds with fetch, else
	 * NULL. Returns when next() has none and all are over. put() and end() are called from in
	 * here.
	 */
	int (*fetch_many)(struct source *source, const struct source_feed *feed);
	/* Size and time of one file by its path, where a list names what there is; NULL: the kind
	 * takes no lists. */
	int (*look)(struct source *source, const char *path, struct source_entry *entry,
		    struct larder_error *err);
	/*
	 * NULL for kinds that cannot. Everything there, in no order, calls from several threads at
	 * once. Sockets, devices, FIFOs and symlinks that leave the tree are errors that name the
	 * path. Directories are told only when empty.
	 */
	int (*list)(struct source *source, unsigned int threads,
		    int (*found)(const struct source_entry *entry, void *arg), void *arg,
		    struct larder_error *err);
};

/* The first member of every kind's own struct. */
struct source {
	const struct source_ops *ops;
};

#endif
