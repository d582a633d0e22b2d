/*
 * Owns the format and the handling of marker files.
 * Must not ask the daemon; believes only files that root alone can have written.
 * Called by job.c (writes, removes), origin.c and task.c (reads).
 */
#include "marker.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "larder/cleanup.h"
#include "larder/wire.h"

#define MAGIC	   "larder-job 1"
#define MARKER_MAX ((size_t)512 * 1024) /* bytes: 32 origins of 4 KiB, 32 specs, one sentence */

/* Nobody but this process's user (root) may have been able to put names there. */
static int check_owner(const struct stat *st, const char *what, struct larder_error *err)
{
	if (st->st_uid != geteuid() || (st->st_mode & 022))
		return larder_error_set(err, EPERM, "%s is not root's alone: remove it", what);
	return 0;
}

static int open_dir(const char *dir, bool make, struct larder_error *err)
{
	char parent[PATH_MAX];
	auto_fd int fd = -1;
	struct stat st;
	int rc;

	if (make && strlen(dir) < sizeof(parent)) {
		strcpy(parent, dir);
		*strrchr(parent, '/') = '\0';
		if (parent[0])
			mkdir(parent, 0755);
		mkdir(dir, 0755);
	}
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return larder_error_set(err, errno, "open %s: %s", dir, strerror(errno));
	if (fstat(fd, &st))
		return larder_error_set(err, errno, "stat %s: %s", dir, strerror(errno));
	rc = check_owner(&st, dir, err);
	return rc ? rc : take_fd(&fd);
}

static void print(FILE *f, const struct marker *m)
{
	fprintf(f, MAGIC "\nrun %" PRIu32 "\non_fail %s\n", m->run,
		m->on_fail == LARDER_ON_FAIL_BYPASS ? "bypass" : "fail");
	if (m->specs)
		fprintf(f, "specs %s\n", m->specs);
	for (size_t i = 0; i < m->n_origins; i++)
		fprintf(f, "origin %s %s %s %s\n", m->origins[i].name, m->origins[i].version,
			m->origins[i].digest[0] ? m->origins[i].digest : "-", m->origins[i].path);
	if (m->error[0])
		fprintf(f, "%s %.*s\n", m->final ? "final" : "error", (int)strcspn(m->error, "\n"),
			m->error);
	fputs("end\n", f);
}

static int write_file(int dir, const char *name, const struct marker *m)
{
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	FILE *f = fd < 0 ? NULL : fdopen(fd, "w");
	int rc;

	if (!f) {
		rc = -errno;
		if (fd >= 0)
			close(fd);
		return rc;
	}
	errno = EIO;
	print(f, m);
	rc = ferror(f) ? -errno : 0;
	if (fclose(f))
		rc = -errno;
	return rc;
}

int marker_write(const char *dir, uint32_t job_id, const struct marker *marker,
		 struct larder_error *err)
{
	char name[16], temporary[24];
	auto_fd int fd = open_dir(dir, true, err);
	int rc;

	if (fd < 0)
		return fd;
	snprintf(name, sizeof(name), "%" PRIu32, job_id);
	snprintf(temporary, sizeof(temporary), ".%" PRIu32, job_id);
	unlinkat(fd, temporary, 0); /* of a prolog that was killed */
	rc = write_file(fd, temporary, marker);
	if (!rc && renameat(fd, temporary, fd, name))
		rc = -errno;
	if (rc) {
		unlinkat(fd, temporary, 0);
		return larder_error_set(err, rc, "write %s/%s: %s", dir, name, strerror(-rc));
	}
	return 0;
}

int marker_origin_add(struct marker *marker, const char *name, const char *version,
		      const char *digest, const char *path)
{
	struct marker_origin *o = &marker->origins[marker->n_origins];

	if (marker->n_origins == LARDER_SPECS_MAX)
		return -ENOSPC;
	if (larder_name_check(name, NULL) || larder_version_check(version, NULL) ||
	    (*digest && larder_digest_check(digest, NULL)) || path[0] != '/')
		return -EINVAL;
	for (const char *p = path; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			return -EINVAL;
	o->path = strdup(path);
	if (!o->path)
		return -ENOMEM;
	strcpy(o->name, name);
	strcpy(o->version, version);
	strcpy(o->digest, digest);
	marker->n_origins++;
	return 0;
}

int marker_origin_parse(const char *line, struct marker *marker)
{
	char name[LARDER_NAME_MAX + 1], version[LARDER_VERSION_MAX + 1];
	char digest[LARDER_DIGEST_HEX + 1];
	int used = 0;

	_Static_assert(LARDER_NAME_MAX == 64 && LARDER_VERSION_MAX == 64 && LARDER_DIGEST_HEX == 32,
		       "the widths below");
	if (sscanf(line, "%64[^ ] %64[^ ] %32[^ ] %n", name, version, digest, &used) != 3 || !used)
		return -EINVAL;
	return marker_origin_add(marker, name, version, strcmp(digest, "-") ? digest : "",
				 line + used);
}

static int parse_run(const char *value, struct marker *m)
{
	uint64_t number;

	if (larder_u64_parse(value, &number, NULL) || number > UINT32_MAX)
		return -EINVAL;
	m->run = (uint32_t)number;
	return 0;
}

static int parse_error(const char *value, bool final, struct marker *m)
{
	m->final = final;
	snprintf(m->error, sizeof(m->error), "%s", value);
	return 0;
}

static int parse_specs(const char *value, struct marker *m)
{
	free(m->specs);
	m->specs = strdup(value);
	return m->specs ? 0 : -ENOMEM;
}

static int parse_on_fail(const char *value, struct marker *m)
{
	m->on_fail = strcmp(value, "bypass") ? LARDER_ON_FAIL_FAIL : LARDER_ON_FAIL_BYPASS;
	return 0;
}

static int parse_line(char *line, struct marker *m)
{
	char *value = strchr(line, ' ');

	if (!value)
		return -EINVAL;
	*value++ = '\0';
	if (!strcmp(line, "run"))
		return parse_run(value, m);
	if (!strcmp(line, "on_fail"))
		return parse_on_fail(value, m);
	if (!strcmp(line, "specs"))
		return parse_specs(value, m);
	if (!strcmp(line, "origin"))
		return marker_origin_parse(value, m);
	if (!strcmp(line, "error") || !strcmp(line, "final"))
		return parse_error(value, !strcmp(line, "final"), m);
	return -EINVAL;
}

static int parse(char *text, struct marker *m)
{
	char *line = strsep(&text, "\n");

	if (strcmp(line, MAGIC))
		return -EBADMSG;
	while ((line = strsep(&text, "\n"))) {
		if (!strcmp(line, "end"))
			return 0;
		if (parse_line(line, m))
			return -EBADMSG;
	}
	return -EBADMSG; /* cut */
}

static int read_file(int fd, char **out)
{
	auto_free char *text = malloc(MARKER_MAX);
	size_t len = 0;
	ssize_t n;

	if (!text)
		return -ENOMEM;
	while (len < MARKER_MAX - 1 && (n = read(fd, text + len, MARKER_MAX - 1 - len)) != 0) {
		if (n < 0 && errno != EINTR)
			return -errno;
		len += n > 0 ? (size_t)n : 0;
	}
	text[len] = '\0';
	*out = take_ptr(&text);
	return 0;
}

int marker_read(const char *dir, uint32_t job_id, struct marker *marker, struct larder_error *err)
{
	char path[PATH_MAX];
	auto_fd int fd = -1;
	auto_free char *text = NULL;
	struct stat st;
	int rc;

	memset(marker, 0, sizeof(*marker));
	marker->on_fail = LARDER_ON_FAIL_FAIL;
	if ((size_t)snprintf(path, sizeof(path), "%s/%" PRIu32, dir, job_id) >= sizeof(path))
		return larder_error_set(err, ENAMETOOLONG, "%s is too long", dir);
	fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st))
		return larder_error_set(err, errno, "open %s: %s", path, strerror(errno));
	rc = S_ISREG(st.st_mode) ? check_owner(&st, path, err)
				 : larder_error_set(err, EBADMSG, "%s is no file", path);
	if (rc)
		return rc;
	rc = read_file(fd, &text);
	if (!rc)
		rc = parse(text, marker);
	return rc ? larder_error_set(err, rc, "read %s: %s", path, strerror(-rc)) : 0;
}

int marker_remove(const char *dir, uint32_t job_id, uint32_t run, struct larder_error *err)
{
	struct marker m;
	char path[PATH_MAX];
	int rc = marker_read(dir, job_id, &m, err);
	bool later = !rc && m.run > run;

	marker_fini(&m);
	if (rc == -ENOENT || later)
		return 0;
	if (rc && rc != -EBADMSG)
		return rc;
	snprintf(path, sizeof(path), "%s/%" PRIu32, dir, job_id);
	if (unlink(path) && errno != ENOENT)
		return larder_error_set(err, errno, "unlink %s: %s", path, strerror(errno));
	return 0;
}

void marker_fini(struct marker *marker)
{
	free(marker->specs);
	for (size_t i = 0; i < marker->n_origins; i++)
		free(marker->origins[i].path);
	memset(marker, 0, sizeof(*marker));
}
