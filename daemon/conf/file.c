/*
 * Owns the syntax of configuration files through libconfuse, and lines for every sentence.
 * Must not look at the machine or decide what a value means. The one file that includes confuse.h.
 * Called by server/config.c and sched/config.c.
 */
#include <confuse.h>
#include <errno.h>
#include <string.h>

#include "conf/conf.h"
#include "larder/cleanup.h"
#include "larder/text.h"

#define TOO_EARLY "the file ends too early: a quote, a brace or a value is missing"

struct parse;

/* libconfuse has no user pointer: the address it writes an option's text to leads back to us. */
struct slot {
	char *text;
	int line; /* where the key was given; 0: not yet */
	const struct config_key *key;
	const struct config_table *table;
	void *base;
	struct parse *parse;
};

struct parse {
	struct config_file *file;
	struct slot slots[CONFIG_KEYS_MAX], section_slots[CONFIG_SECTIONS_MAX][CONFIG_KEYS_MAX];
	struct larder_error *err;
	bool failed;
};

/* The first key of every table is no list, so its option has an address of ours. */
static struct slot *first_slot(const cfg_t *cfg)
{
	return (struct slot *)(void *)cfg->opts[0].simple_value.string;
}

static struct parse *parse_of(const cfg_t *cfg)
{
	return first_slot(cfg)->parse;
}

/* The kind of section that cfg is, and its number; NULL: the file's outside. */
static const struct config_section *section_of(const cfg_t *cfg, unsigned int *number)
{
	const struct config_section *section = parse_of(cfg)->file->section;

	for (*number = 0; section; section = section->next, (*number)++)
		if (first_slot(cfg) == parse_of(cfg)->section_slots[*number])
			return section;
	return NULL;
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
	larder_error_set(p->err, EINVAL, "%s:%d: %s", p->file->path, line,
			 larder_text_printable(text));
	return -1;
}

static int fail_unknown(struct parse *p, const cfg_t *cfg, const char *name)
{
	unsigned int number;
	const struct config_section *inside = section_of(cfg, &number);
	const struct config_table *table = inside ? inside->table : p->file->table;
	const char *near = NULL;
	unsigned int best = 4;

	for (unsigned int i = 0; i < table->n; i++) {
		unsigned int distance = larder_edit_distance(name, table->keys[i].name, best);

		if (distance < best) {
			best = distance;
			near = table->keys[i].name;
		}
	}
	return fail(p, cfg->line, "unknown key \"%s\"%s%s%s%s%s; %s lists the keys", name,
		    !inside			     ? ""
		    : strchr("aeiou", *inside->name) ? " in an "
						     : " in a ",
		    inside ? inside->name : "", near ? "; did you mean " : "", near ? near : "",
		    near ? "?" : "", p->file->manual);
}

/* libconfuse does not say of which kind; one of them has that title already. */
static int fail_twice(struct parse *p, cfg_t *cfg, const char *title)
{
	const char *kind = "section";

	for (const struct config_section *s = p->file->section; s; s = s->next)
		if (cfg_gettsec(cfg, s->name, title))
			kind = s->name;
	return fail(p, cfg->line, "%s \"%s\" is there twice; give each %s a name of its own", kind,
		    title, kind);
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
		fail_twice(p, cfg, va_arg(ap, const char *));
	} else if (strcmp(fmt, "premature end of file") == 0) {
		fail(p, cfg->line, TOO_EARLY);
	} else {
		vsnprintf(text, sizeof(text), fmt, ap);
		fail(p, cfg->line, "%s; %s shows how it is written", text, p->file->manual);
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
	if (config_value_set(slot->table, slot->key, slot->text, slot->base, &err))
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

/* The defaults of a section that may come. */
static int section_begin(struct parse *p, const struct config_section *section, struct slot *slots)
{
	int rc = 0;

	for (unsigned int i = 0; i < section->table->n; i++) {
		slots[i].line = 0;
		rc = rc ? rc
			: config_value_default(section->table, &section->table->keys[i],
					       section->base, p->err);
	}
	return rc;
}

/* A section's closing brace. */
static int on_section(cfg_t *cfg, cfg_opt_t *opt)
{
	struct parse *p = parse_of(cfg);
	cfg_t *inside = opt->values[opt->nvalues - 1]->section;
	unsigned int number;
	const struct config_section *section = section_of(inside, &number);
	struct slot *slots = p->section_slots[number];
	int lines[CONFIG_KEYS_MAX];

	if (!section)
		return -1;
	for (unsigned int i = 0; i < section->table->n; i++)
		lines[i] = slots[i].line;
	if (section->end(inside->title, lines, cfg->line, section->arg, p->err) ||
	    section_begin(p, section, slots)) {
		p->failed = true;
		return -1;
	}
	return 0;
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

static void fill_slots(struct parse *p, const struct config_table *table, void *base,
		       struct slot *slots)
{
	for (unsigned int i = 0; i < table->n; i++)
		slots[i] = (struct slot){
			.key = &table->keys[i], .table = table, .base = base, .parse = p};
}

static void fill_options(const struct config_table *table, struct slot *slots, cfg_opt_t *opts)
{
	for (unsigned int i = 0; i < table->n; i++) {
		if (table->keys[i].type == CONFIG_TYPE_LIST) {
			opts[i] =
				(cfg_opt_t)CFG_STR_LIST(table->keys[i].name, NULL, CFGF_NODEFAULT);
			opts[i].validcb = on_item;
		} else {
			opts[i] = (cfg_opt_t)CFG_SIMPLE_STR(table->keys[i].name, &slots[i].text);
			opts[i].validcb = on_value;
		}
	}
	opts[table->n] = (cfg_opt_t)CFG_END();
}

static int fetch_lists(const struct config_file *file, cfg_t *cfg, struct larder_error *err)
{
	int rc = 0;

	for (unsigned int i = 0; !rc && i < file->table->n; i++) {
		const struct config_key *key = &file->table->keys[i];
		cfg_opt_t *opt = cfg_getopt(cfg, key->name);
		struct config_list *list;

		if (key->type != CONFIG_TYPE_LIST || !(opt->flags & CFGF_MODIFIED))
			continue;
		list = (void *)((char *)file->base + key->offset);
		config_value_clear(key, file->base);
		for (unsigned int v = 0; !rc && v < opt->nvalues; v++)
			rc = config_list_add(list, opt->values[v]->string, err);
	}
	return rc;
}

static int parse_options(struct parse *p, char *text, cfg_opt_t *opts)
{
	int open_braces = config_blank_comments(text);
	cfg_t *cfg = cfg_init(opts, CFGF_NONE);
	int rc;

	if (!cfg)
		return larder_error_set(p->err, ENOMEM, "out of memory");
	cfg_set_error_function(cfg, on_error);
	rc = cfg_parse_buf(cfg, text);
	p->file->end_line = cfg->line;
	if (rc == CFG_SUCCESS && open_braces > 0)
		fail(p, cfg->line, TOO_EARLY);
	if (rc != CFG_SUCCESS || p->failed) {
		fail(p, cfg->line, "cannot be read");
		rc = -EINVAL;
	} else {
		rc = fetch_lists(p->file, cfg, p->err);
	}
	cfg_free(cfg);
	return rc;
}

static int parse_text(struct parse *p, char *text)
{
	cfg_opt_t opts[CONFIG_KEYS_MAX + CONFIG_SECTIONS_MAX + 1];
	cfg_opt_t inside[CONFIG_SECTIONS_MAX][CONFIG_KEYS_MAX + 1];
	unsigned int n = p->file->table->n, k = 0;

	fill_options(p->file->table, p->slots, opts);
	for (const struct config_section *s = p->file->section; s; s = s->next, k++) {
		fill_options(s->table, p->section_slots[k], inside[k]);
		opts[n + k] = (cfg_opt_t)CFG_SEC(s->name, inside[k],
						 CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES);
		opts[n + k].validcb = on_section;
	}
	opts[n + k] = (cfg_opt_t)CFG_END();
	reset_scanner();
	return parse_options(p, text, opts);
}

static void slots_fini(struct slot *slots, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		free(slots[i].text);
}

static int sections_begin(struct parse *p)
{
	unsigned int k = 0;
	int rc = 0;

	for (const struct config_section *s = p->file->section; s && !rc; s = s->next, k++) {
		fill_slots(p, s->table, s->base, p->section_slots[k]);
		rc = section_begin(p, s, p->section_slots[k]);
	}
	return rc;
}

static void sections_fini(struct parse *p)
{
	unsigned int k = 0;

	for (const struct config_section *s = p->file->section; s; s = s->next, k++) {
		slots_fini(p->section_slots[k], s->table->n);
		config_table_clear(s->table, s->base);
	}
}

static int parse(struct parse *p, char *text)
{
	const struct config_table *table = p->file->table;
	int rc = 0;

	fill_slots(p, table, p->file->base, p->slots);
	for (unsigned int i = 0; !rc && i < table->n; i++)
		rc = config_value_default(table, &table->keys[i], p->file->base, p->err);
	if (!rc)
		rc = sections_begin(p);
	if (!rc)
		rc = parse_text(p, text);
	for (unsigned int i = 0; i < table->n; i++)
		p->file->lines[i] = p->slots[i].line;
	slots_fini(p->slots, table->n);
	sections_fini(p);
	return rc;
}

int config_file_read(struct config_file *file, struct larder_error *err)
{
	auto_free struct parse *p = calloc(1, sizeof(*p));
	auto_free char *text = NULL;
	int rc;

	if (!p)
		return larder_error_set(err, ENOMEM, "out of memory");
	rc = config_slurp(file->path, &text, err);
	if (rc)
		return rc;
	p->file = file;
	p->err = err;
	return parse(p, text);
}

int config_file_line(const struct config_file *file, const char *name)
{
	for (unsigned int i = 0; i < file->table->n; i++)
		if (strcmp(file->table->keys[i].name, name) == 0)
			return file->lines[i];
	return 0;
}

void config_table_clear(const struct config_table *table, void *base)
{
	for (unsigned int i = 0; i < table->n; i++)
		config_value_clear(&table->keys[i], base);
}
