/*
 * Owns the one queue into the control thread: an intrusive list, a lock, an eventfd.
 * Allocates nothing per letter, so that posting cannot fail.
 * Posted to by transfer threads, committers and workers; emptied by the event loop.
 */
#include "server/mailbox.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct mailbox {
	pthread_mutex_t lock;
	struct letter *first, **last;
	int fd;
	sd_event_source *source;
};

static struct letter *mailbox_take_all(struct mailbox *mailbox)
{
	struct letter *all;

	pthread_mutex_lock(&mailbox->lock);
	all = mailbox->first;
	mailbox->first = NULL;
	mailbox->last = &mailbox->first;
	pthread_mutex_unlock(&mailbox->lock);
	return all;
}

/* Were there any? */
static bool mailbox_run(struct mailbox *mailbox)
{
	struct letter *all = mailbox_take_all(mailbox), *next;

	for (struct letter *letter = all; letter; letter = next) {
		next = letter->next; /* fn may free the letter */
		letter->fn(letter->arg);
	}
	return all != NULL;
}

static int on_letters(sd_event_source *source, int fd, uint32_t revents, void *arg)
{
	uint64_t n;

	(void)source;
	(void)revents;
	if (read(fd, &n, sizeof(n)) < 0)
		return 0; /* nothing there any more: taken with the ones before */
	mailbox_run(arg);
	return 0;
}

int mailbox_create(sd_event *event, struct mailbox **mailbox, struct larder_error *err)
{
	struct mailbox *box = calloc(1, sizeof(*box));
	int rc;

	if (!box)
		return larder_error_set(err, ENOMEM, "out of memory");
	pthread_mutex_init(&box->lock, NULL);
	box->last = &box->first;
	box->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	rc = box->fd < 0 ? -errno
			 : sd_event_add_io(event, &box->source, box->fd, EPOLLIN, on_letters, box);
	if (rc < 0) {
		mailbox_destroy(box);
		return larder_error_set(err, rc, "mailbox: eventfd: %s", strerror(-rc));
	}
	*mailbox = box;
	return 0;
}

void mailbox_destroy(struct mailbox *mailbox)
{
	if (!mailbox)
		return;
	while (mailbox_run(mailbox)) /* what they make others post, too */
		;
	sd_event_source_unref(mailbox->source);
	if (mailbox->fd >= 0)
		close(mailbox->fd);
	pthread_mutex_destroy(&mailbox->lock);
	free(mailbox);
}

void mailbox_post(struct mailbox *mailbox, struct letter *letter)
{
	const uint64_t one = 1;

	letter->next = NULL;
	pthread_mutex_lock(&mailbox->lock);
	*mailbox->last = letter;
	mailbox->last = &letter->next;
	pthread_mutex_unlock(&mailbox->lock);
	/* An eventfd write fails only when the counter is full, and then it is readable already. */
	if (write(mailbox->fd, &one, sizeof(one)) < 0)
		return;
}
