/*
 * Plays larderd on a socket, in a process of its own, for tests of what asks it: answers as the
 * script says and writes down what it was asked.
 */
#ifndef UNIT_FAKE_LARDERD_H
#define UNIT_FAKE_LARDERD_H

#include <stdint.h>
#include <sys/types.h>

enum fake_answer {
	FAKE_READY,	/* ACQUIRE and AWAIT: ready; ATTACH: one variable and one line */
	FAKE_FAILED,	/* ACQUIRE: failed, "it does not fit" */
	FAKE_PENDING,	/* ACQUIRE: pending; the third AWAIT: ready */
	FAKE_FOREVER,	/* always pending */
	FAKE_DROP,	/* closes the connection on the first AWAIT, ready after that */
	FAKE_REFUSE,	/* ERROR for everything, "refused by the test" */
	FAKE_HANG,	/* takes connections and requests, answers nothing */
	FAKE_BAD_ROWS,	/* ATTACH: a variable that a task must not be given */
	FAKE_BAD_VIEW,	/* ATTACH: a view whose name leaves the root */
	FAKE_PATH_VIEW, /* ATTACH: a view to be bound by path, of the directory given as tree */
};

struct fake_larderd {
	pid_t pid;
	struct fake_record *record; /* shared with the process */
};

struct fake_record {
	unsigned int connections;
	char log[16384]; /* a line for each request: "ACQUIRE job=42 run=0 specs=…" */
};

/* Listens when it returns. tree and root: of FAKE_PATH_VIEW, else NULL. */
struct fake_larderd fake_larderd_start(const char *socket_path, enum fake_answer answer,
				       const char *tree, const char *root);
void fake_larderd_stop(struct fake_larderd *fake);

#endif
