/*
 * Owns the file that a user's scan writes: made before, distrusted after.
 * Must not read its body (a worker does), and never believes the user's process.
 * Called by check.c.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "larder/cleanup.h"
#include "server/check_own.h"

void check_own_clear(struct check_own *own)
{
	*own = (struct check_own){.write_fd = -1, .read_fd = -1};
}

/* Mode 0600 of root and no name: the user's process cannot open it anew, only use what it was
 * given. */
static int open_pair(struct check_own *own, const char *tmp_dir, struct larder_error *err)
{
	char again[40];

	own->write_fd = open(tmp_dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (own->write_fd < 0)
		return larder_error_set(err, errno, "a temporary file in %s: %m", tmp_dir);
	snprintf(again, sizeof(again), "/proc/self/fd/%d", own->write_fd);
	own->read_fd = open(again, O_RDONLY | O_CLOEXEC);
	if (own->read_fd < 0)
		return larder_error_set(err, errno, "a temporary file in %s, for reading: %m",
					tmp_dir);
	return 0;
}

int check_own_init(struct check_own *own, const struct check_request *request,
		   struct larder_error *err)
{
	enum larder_origin_form form;
	size_t root;
	int rc;

	own->used = true;
	own->uid = request->uid;
	own->name = strdup(request->spec->name);
	rc = larder_origin_form(request->spec->origin, &form, &root, err);
	if (rc)
		return rc;
	own->origin = strndup(request->spec->origin, root);
	if (!own->name || !own->origin)
		return larder_error_set(err, ENOMEM, "out of memory");
	return open_pair(own, request->tmp_dir, err);
}

void check_own_hand_over(struct check_own *own)
{
	if (own->write_fd >= 0)
		close(own->write_fd);
	own->write_fd = -1;
}

/*
 * A read lease is given only while nobody has the file open for writing: the scan's process is
 * dead, but it could have passed its descriptor on before it died.
 */
static int check_sealed(int fd, struct larder_error *err)
{
	if (fcntl(fd, F_SETLEASE, F_RDLCK) < 0) {
		if (errno == EAGAIN)
			return larder_error_set(
				err, EPERM, "somebody still writes to the manifest of the scan");
		return larder_error_set(
			err, errno,
			"take the scan's manifest back: %m (the file system of state_dir must know leases)");
	}
	fcntl(fd, F_SETLEASE, F_UNLCK);
	return 0;
}

static bool head_is_asked(const struct check_own *own, const struct larder_manifest_head *head)
{
	char who[16];

	snprintf(who, sizeof(who), "%u", own->uid);
	return strcmp(head->name, own->name) == 0 &&
	       strcmp(head->version, LARDER_OWN_VERSION) == 0 &&
	       head->access.kind == LARDER_ACCESS_USERS && strcmp(head->access.who, who) == 0 &&
	       head->n_origins == 1 && strcmp(head->origins[0], own->origin) == 0;
}

int check_own_take(struct check_own *own, struct larder_manifest_head *head, int *manifest_fd,
		   struct larder_error *err)
{
	struct larder_manifest_head got = {0};
	struct stat st;
	int rc = check_sealed(own->read_fd, err);

	if (rc)
		return rc;
	if (fstat(own->read_fd, &st) < 0 || !S_ISREG(st.st_mode))
		return larder_error_set(err, EPROTO, "the manifest of the scan is no regular file");
	rc = larder_manifest_head_read(own->read_fd, &got, err);
	if (rc)
		return larder_error_prefix(err, "the manifest of the scan of %s", own->origin);
	if (!head_is_asked(own, &got)) {
		larder_manifest_head_fini(&got);
		return larder_error_set(err, EPROTO,
					"the scan of %s made a manifest of something else",
					own->origin);
	}
	got.publisher = own->uid; /* the file is root's: it is the user whose bytes these are */
	*head = got;
	*manifest_fd = take_fd(&own->read_fd);
	return 0;
}

void check_own_fini(struct check_own *own)
{
	if (own->write_fd >= 0)
		close(own->write_fd);
	if (own->read_fd >= 0)
		close(own->read_fd);
	free(own->name);
	free(own->origin);
	check_own_clear(own);
}
