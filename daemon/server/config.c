/*
 * Owns larder.conf: its syntax through libconfuse, lines for every sentence, what a reload may
 * change. Must not look at the machine or decide what a value means. The one file that includes
 * confuse.h. Called by main.c (start, --check-config) and by the reload.
 */
#include <confuse.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "larder/cleanup.h"
#include "larder/text.h"
#include "server/config_value.h"

enum {
	N_KEYS = 0
#define LARDER_KEY(TYPE, field, def, help) +1
#include "server/config.def"
#undef LARDER_KEY
	,
	N_TIER_KEYS = 0
#define LARDER_TIER_KEY(TYPE, field, def, help) +1
#include "server/config.def"
#undef LARDER_TIER_KEY
};

#define TOO_EARLY "the file ends too early: a quote, a brace or a value is missing"

struct parse;

/* libconfuse has no user pointer: the address it writes an option's text to leads back to us. */
struct slot {
	char *text;
	int line; /* where the key was given; 0: not yet */
	const struct config_key *key;
	void *base;
	struct parse *parse;
};

struct parse {
	struct config *config;
	struct config_tier tier; /* the section being read */
	struct config_where where;
	struct slot slots[N_KEYS], tier_slots[N_TIER_KEYS];
	struct larder_error *err;
	bool failed;
};

static struct parse *parse_of(const cfg_t *cfg)
{
	/* The first key of either table is no list, so its option has an address of ours. */
	return ((struct slot *)(void *)cfg->opts[0].simple_value.string)->parse;
}

/* Only the first sentence counts: what libconfuse says after it is an echo. */
static int __attribute__((format(printf, 3, 4)))
fail(struct parse *p, int line, const char *fmt, ...)
{
	char text[LARDER_ERROR_MAX];
	va_list ap;

	if (p->failed)
		return -1;
	p->failed = true;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	larder_error_set(p->err, EINVAL, "%s:%d: %s", p->where.file, line,
			 larder_text_printable(text));
	return -1;
}

static int fail_unknown(struct parse *p, const cfg_t *cfg, const char *name)
{
	bool tier = cfg->opts[0].simple_value.string == &p->tier_slots[0].text;
	const struct config_key *keys = tier ? config_tier_keys : config_keys;
	unsigned int n = tier ? N_TIER_KEYS : N_KEYS, best = 4;
	const char *near = NULL;

	for (unsigned int i = 0; i < n; i++) {
		unsigned int distance = larder_edit_distance(name, keys[i].name, best);

		if (distance < best) {
			best = distance;
			near = keys[i].name;
		}
	}
	return fail(p, cfg->line, "unknown key \"%s\"%s%s%s%s; larder.conf(5) lists the keys", name,
		    tier ? " in a tier" : "", near ? "; did you mean " : "", near ? near : "",
		    near ? "?" : "");
}

/* libconfuse's own sentences: the common ones in our words. It prints to stderr without this. */
static void __attribute__((format(printf, 2, 0))) on_error(cfg_t *cfg, const char *fmt, va_list ap)
{
	struct parse *p = parse_of(cfg);
	char text[512];

	if (p->failed)
		return;
	if (strcmp(fmt, "no such option '%s'") == 0) {
		fail_unknown(p, cfg, va_arg(ap, const char *));
	} else if (strcmp(fmt, "found duplicate title '%s'") == 0) {
		fail(p, cfg->line, "tier \"%s\" is there twice; give each tier a name of its own",
		     va_arg(ap, const char *));
	} else if (strcmp(fmt, "premature end of file") == 0) {
		fail(p, cfg->line, TOO_EARLY);
	} else {
		vsnprintf(text, sizeof(text), fmt, ap);
		fail(p, cfg->line, "%s; larder.conf(5) shows how it is written", text);
	}
}

static int given_twice(struct slot *slot, int line)
{
	if (slot->line)
		return fail(slot->parse, line, "%s is given twice, first in line %d",
			    slot->key->name, slot->line);
	slot->line = line;
	return 0;
}

static int on_value(cfg_t *cfg, cfg_opt_t *opt)
{
	struct slot *slot = (struct slot *)(void *)opt->simple_value.string;
	struct larder_error err = {0};

	if (given_twice(slot, cfg->line))
		return -1;
	if (config_value_set(slot->key, slot->text, slot->base, &err))
		return fail(slot->parse, cfg->line, "%s: %s", slot->key->name, err.text);
	return 0;
}

/* Called after each item and once more at the closing brace. The items are fetched at the end. */
static int on_item(cfg_t *cfg, cfg_opt_t *opt)
{
	struct larder_error err = {0};

	if (opt->nvalues && config_item_check(opt->values[opt->nvalues - 1]->string, &err))
		return fail(parse_of(cfg), cfg->line, "%s: %s", opt->name, err.text);
	return 0;
}

static int slot_line(const struct slot *slots, unsigned int n, const char *name)
{
	for (unsigned int i = 0; i < n; i++)
		if (strcmp(slots[i].key->name, name) == 0)
			return slots[i].line;
	return 0;
}

static int tier_begin(struct parse *p)
{
	int rc = 0;

	p->tier = (struct config_tier){0};
	for (unsigned int i = 0; i < N_TIER_KEYS; i++) {
		p->tier_slots[i].line = 0;
		rc = rc ? rc : config_value_default(&config_tier_keys[i], &p->tier, p->err);
	}
	return rc;
}

static void tier_fini(struct config_tier *tier)
{
	for (unsigned int i = 0; i < N_TIER_KEYS; i++)
		config_value_clear(&config_tier_keys[i], tier);
	free(tier->name);
}

static int tier_keep(struct parse *p, int line)
{
	unsigned int n = p->config->n_tiers;
	struct config_tier *tiers = reallocarray(p->config->tiers, n + 1, sizeof(*tiers));
	int *lines;

	if (!tiers)
		return fail(p, line, "out of memory");
	p->config->tiers = tiers;
	lines = reallocarray(p->where.tier_lines, n + 1, sizeof(*lines));
	if (!lines)
		return fail(p, line, "out of memory");
	p->where.tier_lines = lines;
	lines[n] = slot_line(p->tier_slots, N_TIER_KEYS, "path");
	tiers[n] = p->tier;
	p->config->n_tiers = n + 1;
	return tier_begin(p);
}

/* A tier's closing brace. */
static int on_tier(cfg_t *cfg, cfg_opt_t *opt)
{
	struct parse *p = parse_of(cfg);
	const cfg_t *section = opt->values[opt->nvalues - 1]->section;

	p->tier.name = strdup(section->title);
	if (!p->tier.name)
		return fail(p, cfg->line, "out of memory");
	if (config_tier_rules(&p->tier, p->where.file, cfg->line, p->err)) {
		p->failed = true;
		return -1;
	}
	return tier_keep(p, cfg->line);
}

static void be_silent(cfg_t *cfg, const char *fmt, va_list ap)
{
	(void)cfg;
	(void)fmt;
	(void)ap;
}

/*
 * libconfuse's scanner is global and stays inside a quote or comment that an earlier file left
 * open. This text leads from each of its states back to the first one.
 */
static void reset_scanner(void)
{
	cfg_opt_t none[] = {CFG_END()};
	cfg_t *cfg = cfg_init(none, CFGF_NONE);

	if (!cfg)
		return;
	cfg_set_error_function(cfg, be_silent);
	cfg_parse_buf(cfg, "*/#\"#'#\n");
	cfg_free(cfg);
}

static void fill_slots(struct parse *p)
{
	for (unsigned int i = 0; i < N_KEYS; i++)
		p->slots[i] = (struct slot){.key = &config_keys[i], .base = p->config, .parse = p};
	for (unsigned int i = 0; i < N_TIER_KEYS; i++)
		p->tier_slots[i] =
			(struct slot){.key = &config_tier_keys[i], .base = &p->tier, .parse = p};
}

static void fill_options(const struct config_key *keys, unsigned int n, struct slot *slots,
			 cfg_opt_t *opts)
{
	for (unsigned int i = 0; i < n; i++) {
		if (keys[i].type == CONFIG_TYPE_LIST) {
			opts[i] = (cfg_opt_t)CFG_STR_LIST(keys[i].name, NULL, CFGF_NODEFAULT);
			opts[i].validcb = on_item;
		} else {
			opts[i] = (cfg_opt_t)CFG_SIMPLE_STR(keys[i].name, &slots[i].text);
			opts[i].validcb = on_value;
		}
	}
	opts[n] = (cfg_opt_t)CFG_END();
}

static int fetch_lists(struct parse *p, cfg_t *cfg)
{
	int rc = 0;

	for (unsigned int i = 0; !rc && i < N_KEYS; i++) {
		cfg_opt_t *opt = cfg_getopt(cfg, config_keys[i].name);
		struct config_list *list;

		if (config_keys[i].type != CONFIG_TYPE_LIST || !(opt->flags & CFGF_MODIFIED))
			continue;
		list = (void *)((char *)p->config + config_keys[i].offset);
		config_value_clear(&config_keys[i], p->config);
		for (unsigned int v = 0; !rc && v < opt->nvalues; v++)
			rc = config_list_add(list, opt->values[v]->string, p->err);
	}
	return rc;
}

static int parse_text(struct parse *p, char *text)
{
	cfg_opt_t opts[N_KEYS + 2], tier_opts[N_TIER_KEYS + 1];
	cfg_t *cfg;
	int rc, open_braces;

	fill_options(config_tier_keys, N_TIER_KEYS, p->tier_slots, tier_opts);
	fill_options(config_keys, N_KEYS, p->slots, opts);
	opts[N_KEYS] = (cfg_opt_t)CFG_SEC("tier", tier_opts,
					  CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES);
	opts[N_KEYS].validcb = on_tier;
	opts[N_KEYS + 1] = (cfg_opt_t)CFG_END();
	rc = tier_begin(p);
	if (rc)
		return rc;
	reset_scanner();
	open_braces = config_blank_comments(text);
	cfg = cfg_init(opts, CFGF_NONE);
	if (!cfg)
		return larder_error_set(p->err, ENOMEM, "out of memory");
	cfg_set_error_function(cfg, on_error);
	rc = cfg_parse_buf(cfg, text);
	p->where.end_line = cfg->line;
	if (rc == CFG_SUCCESS && open_braces > 0)
		fail(p, cfg->line, TOO_EARLY);
	if (rc != CFG_SUCCESS || p->failed) {
		fail(p, cfg->line, "cannot be read");
		rc = -EINVAL;
	} else {
		rc = fetch_lists(p, cfg);
	}
	cfg_free(cfg);
	return rc;
}

static void parse_fini(struct parse *p)
{
	for (unsigned int i = 0; i < N_KEYS; i++)
		free(p->slots[i].text);
	for (unsigned int i = 0; i < N_TIER_KEYS; i++)
		free(p->tier_slots[i].text);
	tier_fini(&p->tier);
	free(p->where.tier_lines);
}

static int load(const char *path, struct config *config, struct larder_error *err)
{
	struct parse p = {.config = config, .err = err, .where.file = path};
	auto_free char *text = NULL;
	int rc = config_slurp(path, &text, err);

	fill_slots(&p);
	for (unsigned int i = 0; !rc && i < N_KEYS; i++)
		rc = config_value_default(&config_keys[i], config, err);
	if (!rc)
		rc = parse_text(&p, text);
	p.where.state_dir_line = slot_line(p.slots, N_KEYS, "state_dir");
	p.where.socket_line = slot_line(p.slots, N_KEYS, "socket");
	if (!rc)
		rc = config_rules(config, &p.where, err);
	parse_fini(&p);
	return rc;
}

int config_load(const char *path, struct config *config, struct larder_error *err)
{
	/* libconfuse's scanner is one for the process, and reloads are read on worker threads. */
	static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;
	int rc;

	*config = (struct config){0};
	config->path = strdup(path);
	if (!config->path)
		return larder_error_set(err, ENOMEM, "out of memory");
	pthread_mutex_lock(&one_at_a_time);
	rc = load(path, config, err);
	pthread_mutex_unlock(&one_at_a_time);
	if (rc)
		config_fini(config);
	return rc;
}

void config_fini(struct config *config)
{
	for (unsigned int i = 0; i < N_KEYS; i++)
		config_value_clear(&config_keys[i], config);
	for (unsigned int i = 0; i < config->n_tiers; i++)
		tier_fini(&config->tiers[i]);
	free(config->tiers);
	free(config->path);
	*config = (struct config){0};
}
