/*
 * Owns: who is inside a gate and who waits, in their order.
 * Must not: block, or know what is behind it.
 * Called by: http_loop.c, limits.c.
 */
#include "origin/gate.h"

void gate_init(struct gate *gate, unsigned int room)
{
	*gate = (struct gate){.room = room};
	pthread_mutex_init(&gate->lock, NULL);
}

void gate_fini(struct gate *gate)
{
	pthread_mutex_destroy(&gate->lock);
}

static bool has_room(const struct gate *gate)
{
	return !gate->room || gate->inside < gate->room;
}

static void let_in(struct gate *gate)
{
	while (gate->head && has_room(gate)) {
		struct gate_place *place = gate->head;

		gate->head = place->next;
		if (!gate->head)
			gate->tail = NULL;
		gate->inside++;
		place->waiting = false;
		place->inside = true;
		if (place->wake)
			place->wake(place->arg);
	}
}

static void wait_here(struct gate *gate, struct gate_place *place)
{
	place->waiting = true;
	place->next = NULL;
	if (gate->tail)
		gate->tail->next = place;
	else
		gate->head = place;
	gate->tail = place;
}

bool gate_enter(struct gate *gate, struct gate_place *place)
{
	bool inside;

	pthread_mutex_lock(&gate->lock);
	if (!place->inside && !place->waiting) {
		if (!gate->head && has_room(gate)) {
			gate->inside++;
			place->inside = true;
		} else {
			wait_here(gate, place);
		}
	}
	inside = place->inside;
	pthread_mutex_unlock(&gate->lock);
	return inside;
}

static void go_away(struct gate *gate, const struct gate_place *place)
{
	struct gate_place *before = NULL;

	for (struct gate_place *at = gate->head; at != place; at = at->next)
		before = at;
	if (before)
		before->next = place->next;
	else
		gate->head = place->next;
	if (gate->tail == place)
		gate->tail = before;
}

void gate_leave(struct gate *gate, struct gate_place *place)
{
	pthread_mutex_lock(&gate->lock);
	if (place->waiting)
		go_away(gate, place);
	if (place->inside)
		gate->inside--;
	place->waiting = place->inside = false;
	let_in(gate);
	pthread_mutex_unlock(&gate->lock);
}

void gate_resize(struct gate *gate, unsigned int room)
{
	pthread_mutex_lock(&gate->lock);
	gate->room = room;
	let_in(gate);
	pthread_mutex_unlock(&gate->lock);
}
