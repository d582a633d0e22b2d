/*
 * Power cuts under the store: fills trees on a file system whose disk logs its writes, with SQLite
 * committing beside (a foreign fsync flushes what others only began), then cuts the power at many
 * moments and looks. No name may be there whose bytes differ; what was reported durable must be
 * there.
 *
 * powercut ext4|xfs CUTS [SEED]. To prove that the test would notice: with POWERCUT_BREAK=sync the
 * store's syncfs does nothing and nobody else commits, who would make true what is reported; with
 * POWERCUT_BREAK=order the early write-back does nothing either, so names come before bytes. Exit
 * 0: all cuts were sound; 1: some were not; 2: it could not run; 77: skip.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "../unit/disk.h"
#include "cutdisk.h"
#include "larder/cleanup.h"

#define SETS	5
#define THREADS 3
#define SHARDS	900
#define NEVER	UINT64_MAX

int __real_syncfs(int fd);
int __wrap_syncfs(int fd);
int __real_sync_file_range(int fd, off_t offset, off_t bytes, unsigned int flags);
int __wrap_sync_file_range(int fd, off_t offset, off_t bytes, unsigned int flags);

static bool breaks(const char *what)
{
	const char *broken = getenv("POWERCUT_BREAK");

	return broken && strcmp(broken, what) == 0;
}

int __wrap_syncfs(int fd)
{
	return breaks("sync") || breaks("order") ? 0 : __real_syncfs(fd);
}

int __wrap_sync_file_range(int fd, off_t offset, off_t bytes, unsigned int flags)
{
	return breaks("order") ? 0 : __real_sync_file_range(fd, offset, bytes, flags);
}

/* What the load knows of one tree. Positions are records of the disk's log. */
struct history {
	struct fake set;
	uint64_t created;  /* tree_create was back */
	uint64_t trashed;  /* tree_trash was about to be called */
	uint64_t *durable; /* by index: reported */
	struct sink *sink;
	struct load *load;
};

struct load {
	struct disk room; /* a tmpfs for images and log */
	struct cutdisk disk;
	const char *fs;
	char mnt[160], cut_image[160], cut_mnt[160];
	struct tier *tier;
	struct history sets[SETS];
	_Atomic bool stop;
	_Atomic uint64_t commits; /* of SQLite */
};

static uint64_t now_at(const struct load *load)
{
	return atomic_load(load->disk.records);
}

/* --- the data --- */

static void make_set(struct history *h, size_t which)
{
	struct piece *pieces = calloc(SHARDS, sizeof(*pieces));
	static const char *const versions[SETS] = {"v1", "v2", "v3", "v4", "v5"};
	size_t i;

	for (i = 0; i < SHARDS; i++) {
		char *path = NULL;

		if (asprintf(&path, "d%02zu/f%zu", i % 23, i) < 0)
			die("out of memory");
		pieces[i] = (struct piece){
			.path = path,
			.type = i % 50 == 7   ? 'd'
				: i % 50 == 9 ? 'l'
					      : 'f',
			.target = i % 50 == 9 ? "f0" : NULL,
			.size = i % 10 == 3   ? 0
				: i % 97 == 5 ? 400000
					      : 100 + i * 37 % 14000,
			/* every third shard is another one in each version */
			.seed = i % 3 ? i + 1 : (which + 2) * 100000 + i,
		};
		if (pieces[i].type != 'f')
			pieces[i].size = 0;
	}
	fake_make(&h->set, versions[which], pieces, SHARDS);
	for (i = 0; i < SHARDS; i++)
		free((void *)(uintptr_t)pieces[i].path);
	free(pieces);
	h->durable = malloc(SHARDS * sizeof(*h->durable));
	for (i = 0; i < SHARDS; i++)
		h->durable[i] = NEVER;
	h->created = h->trashed = NEVER;
}

/* --- the load --- */

static void durable(const uint64_t *indices, size_t n, uint64_t bytes, void *arg)
{
	struct history *h = arg;
	uint64_t at = now_at(h->load);
	size_t i;

	(void)bytes;
	for (i = 0; i < n; i++)
		h->durable[indices[i]] = at;
}

static void *foreign(void *arg)
{
	struct load *load = arg;
	char path[200];
	sqlite3 *db = NULL;

	snprintf(path, sizeof(path), "%s/foreign.db", load->mnt);
	if (sqlite3_open(path, &db) != SQLITE_OK ||
	    sqlite3_exec(db, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE t(x)",
			 NULL, NULL, NULL) != SQLITE_OK)
		die("sqlite: %s", sqlite3_errmsg(db));
	while (!atomic_load(&load->stop)) {
		if (sqlite3_exec(db, "INSERT INTO t VALUES(randomblob(300))", NULL, NULL, NULL) !=
		    SQLITE_OK)
			die("sqlite: %s", sqlite3_errmsg(db));
		atomic_fetch_add(&load->commits, 1);
		usleep(2000);
	}
	sqlite3_close(db);
	return NULL;
}

struct hand {
	pthread_t thread;
	struct history *h;
	const struct fake *base;
	size_t first;
};

static void *fill(void *arg)
{
	struct hand *hand = arg;
	struct sink *sink = hand->h->sink;
	const struct fake *set = &hand->h->set;
	struct larder_error err = {0};
	size_t i;

	for (i = hand->first; i < set->n; i += THREADS) {
		const struct shard *shard = &set->shards[i];
		int rc = 1;

		if (hand->base && shard->type == SHARD_FILE && shard->size &&
		    shard_same(shard, &hand->base->shards[i]))
			rc = sink->ops->link(sink, shard, &err);
		if (rc)
			rc = piece_put(sink, set, i, i % 4 == 0, &err);
		if (rc)
			die("shard %zu: %s", i, err.text);
	}
	return NULL;
}

static void stage(struct load *load, size_t which)
{
	struct history *h = &load->sets[which];
	const struct history *base = which ? &load->sets[which - 1] : NULL;
	struct tree_sink_params params = {
		.tier = load->tier,
		.key = h->set.key,
		.base = base ? &base->set.key : NULL,
		.durable = durable,
		.arg = h,
	};
	struct larder_error err = {0};
	struct hand hands[THREADS];
	size_t i;

	if (tree_create(load->tier, &h->set.key, h->set.fd, &err))
		die("%s", err.text);
	h->created = now_at(load);
	if (tree_sink_create(&params, &h->sink, &err))
		die("%s", err.text);
	for (i = 0; i < THREADS; i++) {
		hands[i] = (struct hand){.h = h, .base = base ? &base->set : NULL, .first = i};
		if (pthread_create(&hands[i].thread, NULL, fill, &hands[i]))
			die("no thread");
	}
	for (i = 0; i < THREADS; i++)
		pthread_join(hands[i].thread, NULL);
	if (h->sink->ops->flush(h->sink, &err))
		die("%s", err.text);
	tree_sink_destroy(h->sink);
}

static void evict(struct load *load, size_t which)
{
	struct larder_error err = {0};
	uint64_t freed;

	load->sets[which].trashed = now_at(load);
	if (tree_trash(load->tier, &load->sets[which].set.key, &err) ||
	    trash_empty(load->tier, NULL, NULL, &freed, &err))
		die("%s", err.text);
}

static void mount_loop(const char *image, const char *at)
{
	disk_run(
		"for i in 1 2 3 4 5 6 7 8; do mount -o loop %s %s && exit; sleep 0.0$i; done; exit 1",
		image, at);
}

static void umount_loop(const char *at)
{
	int i;

	for (i = 0; i < 200 && umount2(at, 0) < 0; i++)
		usleep(10 * 1000);
	if (i == 200)
		die("umount %s: %s", at, strerror(errno));
}

static void run_load(struct load *load)
{
	struct larder_error err = {0};
	char served[200], id[33];
	pthread_t other;
	bool alone = breaks("sync");
	size_t i;

	snprintf(served, sizeof(served), "%s/disk", load->disk.mount);
	mount_loop(served, load->mnt);
	if (tier_open(load->mnt, &load->tier, id, &err))
		die("%s", err.text);
	if (!alone && pthread_create(&other, NULL, foreign, load))
		die("no thread");
	for (i = 0; i < SETS; i++) {
		stage(load, i);
		if (i >= 2)
			evict(load, i - 2);
	}
	atomic_store(&load->stop, true);
	if (!alone)
		pthread_join(other, NULL);
	tier_close(load->tier);
	load->tier = NULL;
	umount_loop(load->mnt);
}

/* --- the look --- */

struct look {
	const struct history *h;
	uint64_t at;
	uint64_t present, wrong, lost;
	uint8_t missing[SHARDS / 8 + 1];
};

static void bad(const struct shard *shard, const char *problem, void *arg)
{
	struct look *look = arg;

	look->present--;
	look->missing[shard->index / 8] |= (uint8_t)(1u << (shard->index % 8));
	if (strcmp(problem, "it is not there") != 0) {
		if (look->wrong++ == 0)
			printf("# cut %llu: %s %s: %s\n", (unsigned long long)look->at,
			       look->h->set.version, shard->path, problem);
	} else if (look->h->durable[shard->index] <= look->at) {
		if (look->lost++ == 0)
			printf("# cut %llu: %s %s was durable at %llu and is not there\n",
			       (unsigned long long)look->at, look->h->set.version, shard->path,
			       (unsigned long long)look->h->durable[shard->index]);
	}
}

/* What a restarted daemon would do: fill the gaps. Everything is sound then. */
static bool refill(struct tier *tier, const struct look *look)
{
	const struct fake *set = &look->h->set;
	struct larder_error err = {0};
	struct look again = {.h = look->h, .present = SHARDS, .at = NEVER - 1};
	struct told told;
	struct sink *sink;
	size_t i;
	int rc = 0;

	told_init(&told, set->n);
	sink = set_sink(tier, set, NULL, &told);
	for (i = 0; i < set->n && rc == 0; i++)
		if (look->missing[i / 8] >> (i % 8) & 1)
			rc = piece_put(sink, set, i, false, &err);
	if (rc == 0)
		rc = sink->ops->flush(sink, &err);
	tree_sink_destroy(sink);
	told_fini(&told);
	if (rc == 0)
		rc = tree_verify(tier, &set->key, NULL, bad, &again, NULL, NULL, &err);
	if (rc)
		printf("# refill: %s\n", err.text);
	return rc == 0 && again.present == SHARDS;
}

static bool look_at_tree(struct tier *tier, const struct history *h, uint64_t at, bool fill_gaps,
			 uint64_t *present)
{
	struct look look = {.h = h, .at = at, .present = SHARDS};
	struct larder_error err = {0};

	if (tree_exists(tier, &h->set.key)) {
		if (h->created > at || h->trashed <= at)
			return true;
		printf("# cut %llu: tree %s is gone\n", (unsigned long long)at, h->set.version);
		return false;
	}
	if (tree_verify(tier, &h->set.key, NULL, bad, &look, NULL, NULL, &err)) {
		printf("# cut %llu: %s: %s\n", (unsigned long long)at, h->set.version, err.text);
		return false;
	}
	*present += look.present;
	if (look.wrong || look.lost) {
		printf("# cut %llu: %s: %llu wrong, %llu lost\n", (unsigned long long)at,
		       h->set.version, (unsigned long long)look.wrong,
		       (unsigned long long)look.lost);
		return false;
	}
	return !fill_gaps || refill(tier, &look);
}

static bool look_at_cut(struct load *load, uint64_t at, bool fill_gaps, uint64_t *present)
{
	struct larder_error err = {0};
	struct tier *tier = NULL;
	bool sound = true;
	char id[33];
	size_t i;

	mount_loop(load->cut_image, load->cut_mnt);
	if (tier_open(load->cut_mnt, &tier, id, &err)) {
		sound = load->sets[0].created > at; /* the tier itself was being made */
		if (!sound)
			printf("# cut %llu: %s\n", (unsigned long long)at, err.text);
	}
	for (i = 0; tier && i < SETS; i++)
		sound = look_at_tree(tier, &load->sets[i], at, fill_gaps, present) && sound;
	if (tier)
		tier_close(tier);
	umount_loop(load->cut_mnt);
	return sound;
}

struct moment {
	uint64_t at;
	unsigned int chance; /* as cutlog_cut() takes it */
};

static uint64_t last_report(const struct history *h)
{
	uint64_t last = 0;
	size_t i;

	for (i = 0; i < SHARDS; i++)
		if (h->durable[i] != NEVER && h->durable[i] > last)
			last = h->durable[i];
	return last;
}

/*
 * The first cuts are those in which a lie cannot but show: as the last shard of each tree was
 * reported, with nothing of what the disk had not been told to flush. Half of the others fall
 * shortly after some report.
 */
static struct moment choose_moment(const struct load *load, unsigned int nth, uint64_t records,
				   unsigned int *seed)
{
	static const unsigned int chances[] = {0, 50, 90, 100, 10};
	struct moment moment = {.chance = chances[nth % 5]};
	const struct history *h;

	if (nth < SETS)
		return (struct moment){.at = last_report(&load->sets[nth])};
	h = &load->sets[(unsigned int)rand_r(seed) % SETS];
	moment.at = h->durable[(unsigned int)rand_r(seed) % SHARDS];
	if (rand_r(seed) % 2 || moment.at == NEVER)
		moment.at = (unsigned int)rand_r(seed) % records;
	else
		moment.at += (unsigned int)rand_r(seed) % 12;
	if (moment.at > records)
		moment.at = records;
	return moment;
}

static int rising(const void *a, const void *b)
{
	const struct moment *x = a, *y = b;

	return (x->at > y->at) - (x->at < y->at);
}

static unsigned int cut_and_look(struct load *load, unsigned int cuts, unsigned int seed)
{
	struct cutlog *log = cutlog_open(&load->disk);
	struct moment *moments = calloc(cuts, sizeof(*moments));
	uint64_t present = 0;
	unsigned int unsound = 0;
	unsigned int i;

	for (i = 0; i < cuts; i++)
		moments[i] = choose_moment(load, i, cutlog_records(log), &seed);
	qsort(moments, cuts, sizeof(*moments), rising);
	for (i = 0; i < cuts; i++) {
		cutlog_cut(log, moments[i].at, moments[i].chance, &seed, load->cut_image);
		unsound += !look_at_cut(load, moments[i].at, i % 8 == 0, &present);
	}
	printf("# %s: %llu writes and %llu flushes, %llu foreign commits; %u cuts, %llu names looked at, %u cuts unsound\n",
	       load->fs, (unsigned long long)(cutlog_records(log) - cutlog_flushes(log)),
	       (unsigned long long)cutlog_flushes(log),
	       (unsigned long long)atomic_load(&load->commits), cuts, (unsigned long long)present,
	       unsound);
	if (present < SHARDS)
		die("nothing was there to look at: this proved nothing");
	cutlog_close(log);
	free(moments);
	return unsound;
}

static void prepare(struct load *load)
{
	const char *dir = load->room.path;
	size_t i;

	disk_make(&load->room, "tmpfs", 3000, NULL);
	disk_run("truncate -s %dM %s/image && mkfs.%s -q %s %s/image >%s/mkfs.log 2>&1",
		 strcmp(load->fs, "xfs") == 0 ? 320 : 128, dir, load->fs,
		 strcmp(load->fs, "xfs") == 0 ? "-K" : "-F -E nodiscard,lazy_itable_init=0", dir,
		 dir);
	snprintf(load->mnt, sizeof(load->mnt), "%s/mnt", dir);
	snprintf(load->cut_mnt, sizeof(load->cut_mnt), "%s/cut", dir);
	snprintf(load->cut_image, sizeof(load->cut_image), "%s/cut.image", dir);
	disk_run("mkdir -m 755 %s %s", load->mnt, load->cut_mnt);
	for (i = 0; i < SETS; i++) {
		load->sets[i].load = load;
		make_set(&load->sets[i], i);
	}
}

int main(int argc, char **argv)
{
	static struct load load;
	const char *why = access("/dev/fuse", R_OK | W_OK) < 0 ? "needs /dev/fuse" : disk_unable();
	unsigned int seed = argc > 3 ? (unsigned int)strtoul(argv[3], NULL, 10) : 1;
	unsigned int unsound;
	size_t i;

	if (argc < 3 || (strcmp(argv[1], "ext4") && strcmp(argv[1], "xfs")))
		die("usage: powercut ext4|xfs CUTS [SEED]");
	if (why) {
		printf("# %s\n", why);
		return 77;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	load.fs = argv[1];
	prepare(&load);
	cutdisk_start(&load.disk, load.room.path);
	run_load(&load);
	cutdisk_stop(&load.disk);
	unsound = cut_and_look(&load, (unsigned int)strtoul(argv[2], NULL, 10), seed);
	for (i = 0; i < SETS; i++) {
		fake_free(&load.sets[i].set);
		free(load.sets[i].durable);
	}
	disk_free(&load.room);
	return unsound ? 1 : 0;
}
