/*
 * --dataset= on the controller (contrib/lua/larder.lua) and everywhere else (larder/spec.h): one
 * grammar. Must ask both about the same texts: known edges, and random changes of them from a fixed
 * seed.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "larder/spec.h"
#include "scratch.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define TEXTS	 20000
#define TEXT_MAX (LARDER_SPEC_TEXT_MAX + 64)

static const char *const seeds[] = {
	"none",
	"a",
	"a,b:v1,c@0123456789abcdef",
	"imagenet:v3@0123456701234567012345670123456701",
	"imagenet:v3@01234567012345670123456701234567/train/*.tar",
	"imagenet/a%2Cb%25",
	"x=/data/x//train/*.tar",
	"x=/data/my files/",
	"x=https://host:8443/a%2520b//sub",
	"x=s3://bucket/prefix",
	"x=http://host",
	"x=https://u:p@h/a",
	"x=/a///b",
	"x=/a//",
	"x=/",
	"x=rel://a//b",
	"a.b,a-b",
	"a,a/x",
	"Imagenet:v1",
	"x/../y",
	"x/./a",
	"x/a/",
	"x//",
	"x/caf\xc3\xa9",
	"x/\xc2\x85",
	"x/\xe2\x82\xac\xf0\x9f\x98\x80",
	"x/\xed\xa0\x80",
	"x/\xf4\x90\x80\x80",
	"x/\xe0\x9f\xbf",
	"x/a\nb",
	"x/a\x7f",
	"x:v3@01234567@01234567",
};

/* A bad digit of a generator is no matter here; the same texts come each time. */
static uint32_t next_random(uint32_t *state)
{
	*state = *state * 1664525 + 1013904223;
	return *state >> 8;
}

static char random_byte(uint32_t *state)
{
	static const char likely[] = "/:@=,%.-_*aAz09 2C5\xc2\x85\xe2\x82\xf0\n\t\"\\";

	return likely[next_random(state) % (sizeof(likely) - 1)];
}

/* One to four bytes put in, taken out or changed. */
static void change(char *text, uint32_t *state)
{
	for (uint32_t n = 1 + next_random(state) % 4; n; n--) {
		size_t len = strlen(text), at = next_random(state) % (len + 1);

		switch (next_random(state) % 3) {
		case 0:
			memmove(text + at + 1, text + at, len - at + 1);
			text[at] = random_byte(state);
			break;
		case 1: memmove(text + at, text + at + (at < len), len - at + (at == len)); break;
		default:
			if (at < len)
				text[at] = random_byte(state);
		}
	}
}

/* The limits, which no random change reaches. */
static const char *limit(size_t i)
{
	static char text[TEXT_MAX];
	static const struct {
		const char *before;
		size_t bytes;
	} rows[] = {
		{"", 64},      {"", 65},	  {"x:", 64},	     {"x:", 65},
		{"x@", 8},     {"x@", 32},	  {"x@", 33},	     {"x/", 255},
		{"x/", 256},   {"x=/", 255},	  {"x=/", 256},	     {"x/", 16382},
		{"x/", 16383}, {"x=s3://", 4090}, {"x=s3://", 4089}, {"x=s3://", 4088},
	};

	if (i >= COUNT(rows))
		return NULL;
	strcpy(text, rows[i].before);
	memset(text + strlen(rows[i].before), 'a', rows[i].bytes);
	text[strlen(rows[i].before) + rows[i].bytes] = '\0';
	return text;
}

/* n names with commas between them. */
static const char *names(size_t n)
{
	static char text[TEXT_MAX];
	size_t len = 0;

	for (size_t i = 0; i < n; i++)
		len += (size_t)sprintf(text + len, "%sd%zu", i ? "," : "", i);
	return text;
}

/* A subset of n components of 15 bytes. */
static const char *deep(size_t n)
{
	static char text[TEXT_MAX];
	size_t len = (size_t)sprintf(text, "x");

	for (size_t i = 0; i < n; i++)
		len += (size_t)sprintf(text + len, "/component-%05zu", i);
	return text;
}

struct run {
	FILE *hex;
	unsigned char *taken;
	size_t n;
};

static void add(struct run *run, const char *text)
{
	struct larder_spec_list list;

	run->taken[run->n] = larder_spec_list_parse(text, &list, NULL) == 0;
	if (run->taken[run->n])
		larder_spec_list_fini(&list);
	run->n++;
	for (; *text; text++)
		fprintf(run->hex, "%02x", (unsigned char)*text);
	fputc('\n', run->hex);
}

static void add_all(struct run *run)
{
	uint32_t state = 20261126;
	const char *text;

	add(run, "");
	for (size_t i = 0; i < COUNT(seeds); i++)
		add(run, seeds[i]);
	for (size_t i = 0; (text = limit(i)); i++)
		add(run, text);
	for (size_t n = LARDER_SPECS_MAX; n <= LARDER_SPECS_MAX + 1; n++)
		add(run, names(n));
	for (size_t n = 255; n <= 257; n++)
		add(run, deep(n));
	while (run->n < TEXTS) {
		char changed[256];

		strcpy(changed, seeds[next_random(&state) % COUNT(seeds)]);
		change(changed, &state);
		add(run, changed);
	}
}

/* What `lua` says to each line of `path`, compared. Shows the text that the two see differently. */
static void compare(const char *lua, const char *path, const struct run *run)
{
	char command[512], line[8], *text = NULL;
	size_t room = 0, good = 0;
	FILE *said, *hex = fopen(path, "r");

	snprintf(command, sizeof(command), "%s tests/lua/verdicts.lua <%s", lua, path);
	said = popen(command, "r");
	assert_non_null(said);
	assert_non_null(hex);
	for (size_t i = 0; i < run->n; i++) {
		assert_true(getline(&text, &room, hex) > 0);
		if (!fgets(line, sizeof(line), said))
			fail_msg("%s ended after %zu texts", lua, i);
		if (line[0] - '0' != run->taken[i])
			fail_msg("%s says %.1s, spec.h %d, to the bytes %.200s", lua, line,
				 run->taken[i], text);
		good += run->taken[i];
	}
	assert_int_equal(pclose(said), 0);
	fclose(hex);
	free(text);
	/* neither nearly all nor nearly none, or the texts would tell nothing */
	assert_in_range(good, TEXTS / 10, TEXTS * 9 / 10);
}

static void test_both_take_the_same_texts(void **state)
{
	struct run run = {.taken = calloc(TEXTS, 1)};
	char *dir = scratch_create(), path[300];

	(void)state;
	snprintf(path, sizeof(path), "%s/texts", dir);
	assert_non_null(run.taken);
	run.hex = fopen(path, "w");
	assert_non_null(run.hex);
	add_all(&run);
	fclose(run.hex);
	compare("lua5.1", path, &run);
	compare("lua5.4", path, &run);
	free(run.taken);
	scratch_destroy(dir);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_both_take_the_same_texts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
