/*
 * Owns the words for who holds what. Changes nothing; tells a user nothing of others but a count.
 * Used where something is refused because it is held.
 */
#include "server/holders.h"

#include <stdio.h>
#include <string.h>

#include "larder/clock.h"
#include "larder/text.h"
#include "server/names.h"

#define HOLDERS_TOLD 4

struct holders {
	struct larderd *d;
	uid_t uid;
	bool admin;
	char text[384];
	unsigned int told, all;
	uint32_t except, last_job;
};

static int add_lease(const struct inv_lease *lease, void *arg)
{
	struct holders *h = arg;
	char user[64], age[48];
	size_t at = strlen(h->text);

	if (lease->job_id == h->last_job || lease->job_id == h->except)
		return 0; /* a job with several datasets is one holder */
	h->last_job = lease->job_id;
	h->all++;
	if ((!h->admin && lease->uid != h->uid) || h->told == HOLDERS_TOLD)
		return 0;
	larder_duration_format((clock_s() - lease->since_s) * 1000, age, sizeof(age));
	snprintf(h->text + at, sizeof(h->text) - at, "%sjob %u (%s, %s)", h->told ? ", " : ": ",
		 lease->job_id, names_user(h->d, lease->uid, user, sizeof(user)), age);
	h->told++;
	return 0;
}

unsigned int holders_text(struct larderd *d, uint64_t tree, uint32_t except, uid_t uid, bool admin,
			  char *buf, size_t len)
{
	struct holders h = {.d = d, .uid = uid, .admin = admin, .except = except};
	struct larder_error ignored;

	inventory_lease_each(d->inv, tree, 0, add_lease, &h, &ignored);
	snprintf(buf, len, "%u job%s%s%s", h.all, h.all == 1 ? "" : "s", h.text,
		 h.told && h.told < h.all ? ", …" : "");
	return h.all;
}
