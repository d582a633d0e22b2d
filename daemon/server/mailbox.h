/*
 * How other threads speak to the control thread: they post a function, it runs there, in order.
 * The only queue between threads that the server has.
 */
#ifndef SERVER_MAILBOX_H
#define SERVER_MAILBOX_H

#include <systemd/sd-event.h>

#include "larder/error.h"

struct mailbox;
typedef void (*mailbox_fn)(void *arg);

int mailbox_create(sd_event *event, struct mailbox **mailbox, struct larder_error *err);
/* What is still in it runs first. No other thread may post any more. */
void mailbox_destroy(struct mailbox *mailbox);
/* From any thread. Never fails: the letter is part of what the caller allocated. */
struct letter {
	struct letter *next;
	mailbox_fn fn;
	void *arg;
};
void mailbox_post(struct mailbox *mailbox, struct letter *letter);

#endif
