/*
 * What the files of this room share and nobody else sees: the tier's descriptors, opening below
 * it, one cached directory, walking, names put in place, and the committer.
 */
#ifndef STORE_INSIDE_H
#define STORE_INSIDE_H

#include <dirent.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "core/manifest.h"
#include "larder/error.h"
#include "store/tree.h"

struct committer;

struct tier {
	char *path; /* absolute */
	int fd;	    /* its directory, open from start to end: syncfs reports through it */
	int id_fd;  /* larder-tier; holds the lock against a second daemon */
	int trees_fd;
	int trash_fd;
	dev_t dev;
	ino_t ino;
	char id[33];
	_Atomic uint64_t unique; /* for names in the trash */
	struct committer *committer;
};

#define STORE_UNIQUE_MAX   64
#define STORE_KEY_PATH_MAX 512 /* "<domain>/<name>/<version>@<digest>/manifest" */

/* --- below.c: opening below a descriptor --- */

/* openat2 beneath dir: no symlinks, no other mount. A descriptor or -errno. */
int below_open(int dir, const char *path, int flags, mode_t mode);
/* mkdir of one component and its exact mode, whatever the umask; opened. One that is there is fine.
 */
int below_make_dir(int dir, const char *name, mode_t mode);
/* Has the directory names that differ only by case? */
bool below_casefolds(int dir);
/* A name for the trash that nothing has: "<time>-<counter>". */
void trash_unique(struct tier *tier, char out[STORE_UNIQUE_MAX]);

/* One directory below root, kept open: shards come sorted, so the next is mostly in it too. */
struct place {
	int root; /* borrowed */
	int fd;
	char *dir; /* path of fd relative to root; NULL: none */
};
void place_init(struct place *place, int root);
void place_fini(struct place *place);
/* The directory that holds `path` (borrowed) and in *name its last component. make: directories
 * that lack are made, 0555. A descriptor or -errno. */
int place_at(struct place *place, const char *path, bool make, const char **name);
/* Is the cached directory the one of `path`? */
bool place_holds(const struct place *place, const char *path);

/* --- cursors.c: a place for each thread that names things at the same time --- */

#define STORE_CURSORS 12 /* directories kept open by a sink; 2 descriptors each */

struct cursor {
	bool busy;
	uint64_t used;
	struct place tree, base;
};
struct cursors {
	pthread_mutex_t lock;
	pthread_cond_t free_cursor;
	uint64_t uses;
	struct cursor all[STORE_CURSORS];
};
void cursors_init(struct cursors *cursors, int tree, int base);
void cursors_fini(struct cursors *cursors);
/* The one that has the directory of `path` open, else the one least recently used. Waits when
 * all are taken. */
struct cursor *cursor_take(struct cursors *cursors, const char *path);
void cursor_give(struct cursors *cursors, struct cursor *cursor);

/* --- below.c again --- */

/* Calls fn for everything below root except root itself, a directory before what is in it, in no
 * order. One descriptor at any depth. fn's non-zero answer ends it and is returned. */
int store_walk(int root, int (*fn)(int dir, const struct dirent *entry, void *arg), void *arg);

/* --- tree.c --- */

/* "<domain>/<name>/<version>@<digest><suffix>", every part checked. 0 or -EINVAL. */
int tree_key_path(const struct tree_key *key, const char *suffix, char out[STORE_KEY_PATH_MAX],
		  struct larder_error *err);

/* What a shard looks like in a tree. */
mode_t shard_store_mode(uint32_t origin_mode);
bool shard_bit(const uint8_t *bits, uint64_t index);

/* A tree's data/ and manifest, open together. Zero-initialise `open` with TREE_OPEN_NONE. */
struct tree_open {
	int data;
	int manifest;
	int digests; /* -1: the manifest has them */
	struct manifest_reader *reader;
	struct place place;
};
#define TREE_OPEN_NONE                                                                             \
	{                                                                                          \
		.data = -1, .manifest = -1, .digests = -1, .place = {.root = -1, .fd = -1 }        \
	}
int tree_open(struct tier *tier, const struct tree_key *key, struct tree_open *open,
	      struct larder_error *err);
/* From the manifest's first shard again. */
int tree_open_rewind(struct tree_open *open, struct larder_error *err);
void tree_open_fini(struct tree_open *open);

/* --- names.c: how a name appears in a tree --- */

struct naming {
	enum { NAMING_FD, NAMING_LINK, NAMING_SYMLINK } kind;
	int fd;	  /* FD: the unnamed file */
	int from; /* LINK: the base's directory, same last component */
	mode_t mode;
	uint64_t size;
	int64_t mtime_ns;
	const char *target; /* SYMLINK */
};
/*
 * Gives it the name. What is there already and is the same by type, size and mode stays: names are
 * only made after verification. Anything else is replaced by rename. 0 or -errno.
 */
int naming_put(struct tier *tier, int dir, const char *name, const struct naming *naming);
/* Mode (it has `now`) and mtime of an open file, before it is synced. 0 or -errno. */
int naming_stamp(int fd, mode_t now, mode_t mode, int64_t mtime_ns);
struct timespec naming_time(int64_t ns);

/* --- committer.c and commit.c: one thread a tier; the two barriers --- */

/* What the committer knows of a sink. Its fields are the committer's once it is registered. */
struct commit_client {
	struct larder_error failed; /* code 0: not; sticky. Under the committer's lock */
	uint64_t last_gen;	    /* the batch of its latest item */
	/* Puts an unnamed file's name in place. On the committer's thread. */
	int (*name)(struct commit_client *client, const char *path, int fd, uint64_t size,
		    mode_t mode, struct larder_error *err);
	void *owner;
	void (*durable)(const uint64_t *indices, size_t n, uint64_t bytes, void *arg);
	void *arg;
};

int committer_start(struct tier *tier, struct committer **committer, struct larder_error *err);
/* What still waits is thrown away. */
void committer_stop(struct committer *committer);
/* The present epoch: read before whatever a later sync is to cover. */
uint32_t committer_epoch(const struct committer *committer);
/* Remembers in which epoch fd was made; forget gives it back, 0 when nobody told. */
int committer_note(struct committer *committer, int fd, struct larder_error *err);
uint32_t committer_forget(struct committer *committer, int fd);

struct commit_file {
	struct commit_client *client;
	char *path;
	uint64_t index, size;
	mode_t mode;
	uint32_t epoch;
	int fd;
};
/* Takes fd and path in every case. Blocks while too much waits. */
int committer_add_file(struct committer *committer, const struct commit_file *file,
		       struct larder_error *err);
/* Something that has its name already, which the next sync makes durable. */
int committer_add_name(struct committer *committer, struct commit_client *client, uint64_t index,
		       uint64_t bytes, uint32_t epoch, struct larder_error *err);
/* Has the client failed? 0 or its error. */
int committer_check(struct committer *committer, struct commit_client *client,
		    struct larder_error *err);
int committer_flush(struct committer *committer, struct commit_client *client,
		    struct larder_error *err);
/* Throws away what waits for this client; afterwards nothing of the committer points to it. */
void committer_leave(struct committer *committer, struct commit_client *client);

#endif
