/*
 * larder-whole has all there is. Linked into it in place of whole_elsewhere.c.
 */
#include "ctl/whole.h"

int whole_needed(struct larder_error *err)
{
	(void)err;
	return 0;
}
