/* A skip says why: cmocka's own says nothing. */
#ifndef UNIT_SKIP_H
#define UNIT_SKIP_H

#include <stdio.h>

/* After cmocka.h. Does not return. */
#define skip_because(why)                                                                          \
	do {                                                                                       \
		fprintf(stderr, "# skipped: %s\n", why);                                           \
		skip();                                                                            \
	} while (0)

#endif
