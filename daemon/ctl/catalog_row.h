/* One row of the catalog's listings: as struct larder_msg_<TYPE>, but made here. Borrowed strings.
 */
#ifndef CTL_CATALOG_ROW_H
#define CTL_CATALOG_ROW_H

#include <stdint.h>

/* Beyond all numbers of message.def. */
#define LARDER_MSG_CATALOG 0x10000u

struct larder_msg_CATALOG {
	const char *name, *version, *alias_of, *access, *problem, *digest, *publisher, *origin;
	uint64_t bytes, shards;
	int64_t created_s;
	uint32_t first_use;
};

#endif
