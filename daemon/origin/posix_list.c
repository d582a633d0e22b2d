/*
 * Owns: walking a directory origin with several threads, which take directories from one stack.
 * Must not: open files, or follow symlinks. A file with several names is several shards.
 * Called by: scan, through source_ops.list.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "larder/cleanup.h"
#include "larder/text.h"
#include "origin/origins.h"
#include "origin/posix.h"

#define DENTS_BYTES (256 * 1024) /* a batch of about 5,000 names, sorted by inode before stat */
#define THREADS_MAX 64

struct walk {
	struct posix_source *source;
	int (*found)(const struct source_entry *entry, void *arg);
	void *arg;
	pthread_mutex_t lock;
	pthread_cond_t change;
	char **dirs; /* a stack: depth first keeps it short */
	size_t n_dirs, room;
	unsigned int busy; /* threads that may still push */
	int rc;		   /* the first failure; guarded by lock */
	struct larder_error err;
};

/* One thread's view of the directory it is in. */
struct walker {
	struct walk *walk;
	int fd;
	const char *dir; /* "" is the root */
	char path[LARDER_PATH_BYTES + 258];
	char target[LARDER_PATH_BYTES + 1];
	char *dents;
	struct dirent64 **sorted;
	size_t sorted_room;
	uint64_t entries;
	struct larder_error err;
};

static int push_dir(struct walk *walk, const char *path)
{
	char *copy = strdup(path);
	int rc = -ENOMEM;

	if (!copy)
		return rc;
	pthread_mutex_lock(&walk->lock);
	if (walk->n_dirs == walk->room) {
		size_t room = walk->room ? walk->room * 2 : 256;
		char **grown = reallocarray(walk->dirs, room, sizeof(*grown));

		if (!grown)
			goto out;
		walk->dirs = grown;
		walk->room = room;
	}
	walk->dirs[walk->n_dirs++] = copy;
	copy = NULL;
	pthread_cond_signal(&walk->change);
	rc = 0;
out:
	pthread_mutex_unlock(&walk->lock);
	free(copy);
	return rc;
}

/* A path of the walk as text for people, in a sentence about it. */
static int path_error(struct walker *w, int code, const char *problem)
{
	char shown[512];

	return larder_error_set(&w->err, code, "%s at %s: %s",
				posix_show(w->path, shown, sizeof(shown)), w->walk->source->root,
				problem);
}

static int join_path(struct walker *w, const char *name)
{
	struct larder_error why;
	int len = snprintf(w->path, sizeof(w->path), "%s%s%s", w->dir, *w->dir ? "/" : "", name);

	if (len < 0 || (size_t)len > LARDER_PATH_BYTES)
		return path_error(w, ENAMETOOLONG, "the path is too long for a manifest");
	if (larder_path_check(w->path, &why))
		return path_error(w, EINVAL, why.text);
	return 0;
}

static int read_link(struct walker *w, const char *name)
{
	ssize_t len = readlinkat(w->fd, name, w->target, sizeof(w->target));

	if (len < 0)
		return path_error(w, errno, strerror(errno));
	if ((size_t)len >= sizeof(w->target))
		return path_error(w, ENAMETOOLONG, "the symlink's target is too long");
	w->target[len] = '\0';
	if (!larder_symlink_stays(w->path, w->target))
		return path_error(w, EINVAL,
				  "this symlink leaves the tree; remove it or put a copy there");
	return 0;
}

static const char *kind_refused(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFSOCK: return "a socket cannot be in a dataset; remove it";
	case S_IFIFO: return "a FIFO cannot be in a dataset; remove it";
	case S_IFBLK:
	case S_IFCHR: return "a device cannot be in a dataset; remove it";
	default: return "neither file, directory nor symlink; remove it";
	}
}

static int tell(struct walker *w, const struct stat *st, enum shard_type type)
{
	struct source_entry entry = {
		.path = w->path,
		.type = type,
		.size = type == SHARD_FILE ? (uint64_t)st->st_size : 0,
		.mtime_ns = (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec,
		.mode = st->st_mode & 07777,
		.uid = st->st_uid,
		.gid = st->st_gid,
		.target = type == SHARD_SYMLINK ? w->target : NULL,
	};
	int rc = w->walk->found(&entry, w->walk->arg);

	return rc ? path_error(w, -rc, strerror(-rc)) : 0;
}

static int visit(struct walker *w, const char *name)
{
	struct stat st;
	int rc = join_path(w, name);

	if (rc)
		return rc;
	if (fstatat(w->fd, name, &st, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) < 0)
		return path_error(w, errno == ENOENT ? ESTALE : errno,
				  errno == ENOENT ? "it went away while the origin was listed"
						  : strerror(errno));
	if (S_ISDIR(st.st_mode))
		return push_dir(w->walk, w->path) ? path_error(w, ENOMEM, "no memory") : 0;
	if (S_ISREG(st.st_mode))
		return tell(w, &st, SHARD_FILE);
	if (!S_ISLNK(st.st_mode))
		return path_error(w, EINVAL, kind_refused(st.st_mode));
	rc = read_link(w, name);
	return rc ? rc : tell(w, &st, SHARD_SYMLINK);
}

static int by_inode(const void *a, const void *b)
{
	const struct dirent64 *const *x = a, *const *y = b;

	return ((*x)->d_ino > (*y)->d_ino) - ((*x)->d_ino < (*y)->d_ino);
}

/* Puts pointers to the batch's entries, without "." and "..", into w->sorted. -ENOMEM. */
static long sort_batch(struct walker *w, size_t len)
{
	size_t n = 0;

	for (size_t at = 0; at < len;) {
		struct dirent64 *d = (void *)(w->dents + at);

		at += d->d_reclen;
		if (!strcmp(d->d_name, ".") || !strcmp(d->d_name, ".."))
			continue;
		if (n == w->sorted_room) {
			size_t room = n ? n * 2 : 1024;
			struct dirent64 **grown = reallocarray(w->sorted, room, sizeof(*grown));

			if (!grown)
				return -ENOMEM;
			w->sorted = grown;
			w->sorted_room = room;
		}
		w->sorted[n++] = d;
	}
	/* Inodes lie on disk in this order, names in a directory in that of a hash. */
	if (n)
		qsort(w->sorted, n, sizeof(struct dirent64 *), by_inode);
	return (long)n;
}

static int stopped(struct walk *walk)
{
	pthread_mutex_lock(&walk->lock);
	int rc = walk->rc;
	pthread_mutex_unlock(&walk->lock);
	return rc;
}

static int visit_batches(struct walker *w)
{
	int rc;

	for (;;) {
		ssize_t len = getdents64(w->fd, w->dents, DENTS_BYTES);
		long n;

		if (len < 0)
			return larder_error_set(&w->err, errno, "list %s: %s", w->dir,
						strerror(errno));
		if (!len)
			return 0;
		n = sort_batch(w, (size_t)len);
		if (n < 0)
			return larder_error_set(&w->err, ENOMEM, "no memory to list the origin");
		for (long i = 0; i < n; i++) {
			w->entries++;
			rc = visit(w, w->sorted[i]->d_name);
			if (rc)
				return rc;
		}
		rc = stopped(w->walk);
		if (rc)
			return rc;
	}
}

static int tell_empty(struct walker *w)
{
	struct stat st;

	if (fstat(w->fd, &st) < 0)
		return larder_error_set(&w->err, errno, "stat %s: %s", w->dir, strerror(errno));
	snprintf(w->path, sizeof(w->path), "%s", w->dir);
	return tell(w, &st, SHARD_DIR);
}

static int walk_dir(struct walker *w, const char *dir)
{
	auto_fd int fd = posix_open_beneath(w->walk->source, *dir ? dir : ".",
					    O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
	char shown[512];
	int rc;

	if (fd < 0)
		return larder_error_set(&w->err, fd, "directory %s at %s cannot be read: %s",
					*dir ? posix_show(dir, shown, sizeof(shown)) : ".",
					w->walk->source->root, strerror(-fd));
	w->fd = fd;
	w->dir = dir;
	w->entries = 0;
	rc = visit_batches(w);
	if (rc || w->entries || !*dir)
		return rc;
	return tell_empty(w);
}

/* The next directory, owned; NULL when all is done or something failed. */
static char *next_dir(struct walk *walk)
{
	char *dir = NULL;

	pthread_mutex_lock(&walk->lock);
	while (!walk->rc && !walk->n_dirs && walk->busy)
		pthread_cond_wait(&walk->change, &walk->lock);
	if (!walk->rc && walk->n_dirs) {
		dir = walk->dirs[--walk->n_dirs];
		walk->busy++;
	} else {
		pthread_cond_broadcast(&walk->change);
	}
	pthread_mutex_unlock(&walk->lock);
	return dir;
}

static void dir_done(struct walk *walk, int rc, const struct larder_error *err)
{
	pthread_mutex_lock(&walk->lock);
	walk->busy--;
	if (rc && !walk->rc) {
		walk->rc = rc;
		walk->err = *err;
	}
	if (walk->rc || !walk->busy)
		pthread_cond_broadcast(&walk->change);
	pthread_mutex_unlock(&walk->lock);
}

static void fail_walk(struct walk *walk, int rc, const struct larder_error *err)
{
	pthread_mutex_lock(&walk->lock);
	walk->busy++;
	pthread_mutex_unlock(&walk->lock);
	dir_done(walk, rc, err);
}

static void *walk_thread(void *arg)
{
	struct walker *w = arg;
	struct walk *walk = w->walk;
	int rc = source_as_enter(&walk->source->as, &w->err);

	if (rc) {
		fail_walk(walk, rc, &w->err);
		return NULL;
	}
	for (;;) {
		auto_free char *dir = next_dir(walk);

		if (!dir)
			break;
		rc = walk_dir(w, dir);
		dir_done(walk, rc, &w->err);
	}
	source_as_leave(&walk->source->as);
	return NULL;
}

static int walker_init(struct walker *w, struct walk *walk)
{
	w->walk = walk;
	w->dents = malloc(DENTS_BYTES);
	return w->dents ? 0 : -ENOMEM;
}

static int run_threads(struct walk *walk, unsigned int threads, struct walker *walkers)
{
	pthread_t ids[THREADS_MAX];
	unsigned int started = 0;
	int rc = 0;

	for (; started < threads; started++) {
		if (walker_init(&walkers[started], walk)) {
			rc = -ENOMEM;
			break;
		}
		rc = -pthread_create(&ids[started], NULL, walk_thread, &walkers[started]);
		if (rc)
			break;
	}
	if (started)
		rc = 0; /* fewer will do */
	for (unsigned int i = 0; i < started; i++)
		pthread_join(ids[i], NULL);
	return rc;
}

static void walk_fini(struct walk *walk, struct walker *walkers, unsigned int threads)
{
	for (unsigned int i = 0; walkers && i < threads; i++) {
		free(walkers[i].dents);
		free(walkers[i].sorted);
	}
	free(walkers);
	for (size_t i = 0; i < walk->n_dirs; i++)
		free(walk->dirs[i]);
	free(walk->dirs);
	pthread_cond_destroy(&walk->change);
	pthread_mutex_destroy(&walk->lock);
}

int posix_list(struct source *base, unsigned int threads,
	       int (*found)(const struct source_entry *entry, void *arg), void *arg,
	       struct larder_error *err)
{
	struct walk walk = {
		.source = (struct posix_source *)base,
		.found = found,
		.arg = arg,
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.change = PTHREAD_COND_INITIALIZER,
	};
	struct walker *walkers;
	int rc = -ENOMEM;

	threads = threads < 1 ? 1 : threads > THREADS_MAX ? THREADS_MAX : threads;
	walkers = calloc(threads, sizeof(*walkers));
	if (walkers && !push_dir(&walk, ""))
		rc = run_threads(&walk, threads, walkers);
	if (rc)
		larder_error_set(err, rc, "list %s: %s", walk.source->root, strerror(-rc));
	if (!rc && walk.rc) {
		rc = walk.rc;
		if (err)
			*err = walk.err;
	}
	walk_fini(&walk, walkers, threads);
	return rc;
}
