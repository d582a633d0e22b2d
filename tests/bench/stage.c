/*
 * The driver of the benches of staging and scanning: the daemon's own pool, sink and scan in a
 * process of their own, so that a bench can time and weigh it beside cp.
 *
 *   stage scan ORIGIN MANIFEST           writes a manifest
 *   stage copy MANIFEST ORIGIN TIER      stages it into a tier; durable when it ends
 *   stage touch BYTES                    maps, touches and frees memory (PERFORMANCE, trap 1)
 * Options before the verb: -t THREADS, -m MEMORY, -s (the sync engine).
 * Prints one JSON line; exit 1 and a sentence when something fails.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "larder/cleanup.h"
#include "larder/text.h"
#include "origin/origins.h"
#include "scan/scan.h"
#include "store/tree.h"
#include "xfer/transfer.h"

/*
 * The kinds of origins here: directories alone. With all of them thirty libraries would be loaded,
 * which takes as long as a quarter of a short run; a larderd has them already.
 */
const struct source_ops *const origins[] = {&source_posix, NULL};

const struct source_ops *origin_kind(const char *origin)
{
	return origins[0]->owns(origin) ? origins[0] : NULL;
}

struct waiting {
	pthread_mutex_t lock;
	pthread_cond_t change;
	bool over;
	int rc;
	struct larder_error err;
};

static double now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static int failed(const struct larder_error *err)
{
	fprintf(stderr, "stage: %s\n", err->text);
	return 1;
}

static void done(int rc, const struct larder_error *err, void *arg)
{
	struct waiting *waiting = arg;

	pthread_mutex_lock(&waiting->lock);
	waiting->over = true;
	waiting->rc = rc;
	waiting->err = *err;
	pthread_cond_signal(&waiting->change);
	pthread_mutex_unlock(&waiting->lock);
}

static void wait_for(struct waiting *waiting)
{
	pthread_mutex_lock(&waiting->lock);
	while (!waiting->over)
		pthread_cond_wait(&waiting->change, &waiting->lock);
	pthread_mutex_unlock(&waiting->lock);
}

static void durable(const uint64_t *indices, size_t n, uint64_t bytes, void *arg)
{
	(void)indices;
	(void)bytes;
	*(_Atomic uint64_t *)arg += n;
}

static long peak_kb(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return usage.ru_maxrss;
}

/* From the first reservation to the last name on the disk. */
static int copy_tree(struct tier *tier, const struct xfer_pool_params *pool_params, int manifest,
		     const struct larder_manifest_head *head, const char *origin,
		     struct larder_error *err)
{
	const struct tree_key key = {"site", head->name, head->version, head->digest};
	struct waiting waiting = {.lock = PTHREAD_MUTEX_INITIALIZER,
				  .change = PTHREAD_COND_INITIALIZER};
	_Atomic uint64_t shards = 0;
	struct tree_sink_params sink = {
		.tier = tier, .key = key, .durable = durable, .arg = &shards};
	struct transfer_params params = {.want = {.manifest_fd = manifest, .base_manifest_fd = -1},
					 .origins = &origin,
					 .n_origins = 1,
					 .done = done,
					 .arg = &waiting};
	struct transfer_progress progress;
	struct xfer_pool *pool = NULL;
	struct transfer *transfer;
	double start = now_s();

	if (tree_create(tier, &key, manifest, err) || tree_sink_create(&sink, &params.sink, err) ||
	    xfer_pool_create(pool_params, &pool, err) ||
	    transfer_start(pool, origins, &params, &transfer, err))
		return -1;
	wait_for(&waiting);
	transfer_progress_get(transfer, &progress);
	transfer_destroy(transfer);
	xfer_pool_destroy(pool);
	tree_sink_destroy(params.sink);
	*err = waiting.err;
	if (!waiting.rc)
		printf("{\"verb\":\"copy\",\"engine\":\"%s\",\"seconds\":%.4f,\"shards\":%llu,"
		       "\"bytes\":%llu,\"peak_kb\":%ld}\n",
		       progress.engine, now_s() - start, (unsigned long long)shards,
		       (unsigned long long)progress.done_bytes, peak_kb());
	return waiting.rc;
}

static int verb_copy(const struct xfer_pool_params *params, char **argv)
{
	struct larder_manifest_head head;
	struct larder_error err = {0};
	auto_fd int manifest = open(argv[0], O_RDONLY | O_CLOEXEC);
	struct tier *tier = NULL;
	char id[33];
	int rc;

	if (larder_manifest_head_read(manifest, &head, &err) || tier_open(argv[2], &tier, id, &err))
		return failed(&err);
	rc = copy_tree(tier, params, manifest, &head, argv[1], &err);
	tier_close(tier);
	larder_manifest_head_fini(&head);
	return rc ? failed(&err) : 0;
}

static int verb_scan(unsigned int threads, char **argv)
{
	struct larder_manifest_head head = {.name = "bench", .version = "v1", .n_origins = 1};
	struct larder_manifest_head got = {0};
	struct larder_error err = {0};
	auto_fd int out = open(argv[1], O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	struct scan_params params = {
		.origin = argv[0], .head = &head, .threads = threads, .earlier_manifest_fd = -1};
	double start = now_s();

	head.origins[0] = argv[0];
	if (scan_run(&params, out, &got, &err))
		return failed(&err);
	printf("{\"verb\":\"scan\",\"seconds\":%.4f,\"shards\":%llu,\"bytes\":%llu,\"peak_kb\":%ld}\n",
	       now_s() - start, (unsigned long long)got.shards, (unsigned long long)got.bytes,
	       peak_kb());
	larder_manifest_head_fini(&got);
	return 0;
}

static int verb_touch(const char *text)
{
	struct larder_error err = {0};
	unsigned char *memory;
	uint64_t bytes;

	if (larder_size_parse(text, &bytes, &err))
		return failed(&err);
	memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (memory == MAP_FAILED) {
		perror("stage: mmap");
		return 1;
	}
	return munmap(memory, bytes) ? 1 : 0;
}

static int usage(void)
{
	fprintf(stderr, "usage: stage [-t THREADS] [-m MEMORY] [-s] "
			"{scan ORIGIN MANIFEST | copy MANIFEST ORIGIN TIER | touch BYTES}\n");
	return 2;
}

int main(int argc, char **argv)
{
	struct xfer_pool_params params = {0};
	struct larder_error err;
	int c;

	while ((c = getopt(argc, argv, "t:m:s")) != -1) {
		if (c == 't')
			params.threads = (unsigned int)atoi(optarg);
		else if (c == 'm' && larder_size_parse(optarg, &params.memory_bytes, &err) == 0)
			continue;
		else if (c == 's')
			params.no_uring = true;
		else
			return usage();
	}
	argv += optind;
	argc -= optind;
	if (argc == 3 && !strcmp(argv[0], "scan"))
		return verb_scan(params.threads, argv + 1);
	if (argc == 4 && !strcmp(argv[0], "copy"))
		return verb_copy(&params, argv + 1);
	if (argc == 2 && !strcmp(argv[0], "touch"))
		return verb_touch(argv[1]);
	return usage();
}
