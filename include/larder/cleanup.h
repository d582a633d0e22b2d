/*
 * Cleanup attributes: what a scope owns is let go at its end, on every path.
 * Ownership leaves by name: `*out = take_fd(&fd);`.
 */
#ifndef LARDER_CLEANUP_H
#define LARDER_CLEANUP_H

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static inline void larder_cleanup_free(void *p)
{
	free(*(void **)p);
}

static inline void larder_cleanup_fd(int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		close(*fd);
	errno = saved;
}

static inline void larder_cleanup_file(FILE **f)
{
	if (*f)
		fclose(*f);
}

static inline void larder_cleanup_dir(DIR **d)
{
	if (*d)
		closedir(*d);
}

#define auto_free      __attribute__((cleanup(larder_cleanup_free)))
#define auto_fd	       __attribute__((cleanup(larder_cleanup_fd)))
#define auto_file      __attribute__((cleanup(larder_cleanup_file)))
#define auto_close_dir __attribute__((cleanup(larder_cleanup_dir)))

static inline int take_fd(int *fd)
{
	int got = *fd;

	*fd = -1;
	return got;
}

static inline void *take_ptr_(void **p)
{
	void *got = *p;

	*p = NULL;
	return got;
}
#define take_ptr(p) ((__typeof__(*(p)))take_ptr_((void **)(p)))

#endif
