/*
 * A door that lets so many in at a time, in the order in which they came. Nobody blocks at it: who
 * has to wait is told when it is inside. For origin/ alone.
 */
#ifndef ORIGIN_GATE_H
#define ORIGIN_GATE_H

#include <pthread.h>
#include <stdbool.h>

/* Somebody's place; zeroed before its first use. */
struct gate_place {
	struct gate_place *next; /* (lock) */
	bool waiting, inside;	 /* (lock) */
	/* Called under the lock, by who made room; must not come back to the gate. */
	void (*wake)(void *arg);
	void *arg;
};

struct gate {
	pthread_mutex_t lock;
	unsigned int room;   /* (lock) 0: no limit */
	unsigned int inside; /* (lock) */
	struct gate_place *head, *tail;
};

void gate_init(struct gate *gate, unsigned int room);
void gate_fini(struct gate *gate);
/* Inside? Else it waits from now on; to be asked again when it was woken. */
bool gate_enter(struct gate *gate, struct gate_place *place);
/* Out, or not waiting any more. Always allowed. */
void gate_leave(struct gate *gate, struct gate_place *place);
/* More room lets waiting ones in; less lets nobody new in until enough have left. */
void gate_resize(struct gate *gate, unsigned int room);

#endif
