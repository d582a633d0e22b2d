/*
 * What the tests of the inventory share: a call that must succeed, with the inventory's sentence
 * when it does not. `w` is the test's world, which has the err that the call was given.
 */
#ifndef TESTS_INVENTORY_HELP_H
#define TESTS_INVENTORY_HELP_H

#define ok(call)                                                                                   \
	do {                                                                                       \
		int rc_ = (call);                                                                  \
		if (rc_)                                                                           \
			fail_msg("%s: %d %s", #call, rc_, w->err.text);                            \
	} while (0)

#endif
