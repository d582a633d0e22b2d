/*
 * Log lines: one event stays one line whatever a value holds, and every conversion takes its
 * argument.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log/log.h"

struct capture {
	int saved, fd;
	char text[16384];
};

static void capture_begin(struct capture *c)
{
	c->saved = dup(STDERR_FILENO);
	c->fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	assert_true(c->fd >= 0);
	dup2(c->fd, STDERR_FILENO);
}

static void capture_end(struct capture *c)
{
	ssize_t n = pread(c->fd, c->text, sizeof(c->text) - 1, 0);

	dup2(c->saved, STDERR_FILENO);
	close(c->saved);
	close(c->fd);
	assert_true(n >= 0);
	c->text[n] = '\0';
}

/* What stands behind time stamp and level, without the newline. */
#define assert_logs(expected, ...)                                                                 \
	do {                                                                                       \
		struct capture c_;                                                                 \
		char *at_;                                                                         \
		capture_begin(&c_);                                                                \
		log_event(LOG_LEVEL_INFO, __VA_ARGS__);                                            \
		capture_end(&c_);                                                                  \
		at_ = strstr(c_.text, "Z info ");                                                  \
		assert_non_null(at_);                                                              \
		assert_string_equal(at_ + strlen("Z info "), expected "\n");                       \
	} while (0)

static void test_conversions(void **state)
{
	(void)state;
	assert_logs(
		"e i=-5 u=7 x=ff l=-1 ul=2 ll=-3 ull=4 z=5 j=-6 f=1.50 c=y p=100% s=end", "e",
		"i=%d u=%u x=%x l=%ld ul=%lu ll=%lld ull=%llu z=%zu j=%jd f=%.2f c=%c p=%d%% s=%s",
		-5, 7u, 0xffu, -1L, 2UL, -3LL, 4ULL, (size_t)5, (intmax_t)-6, 1.5, 'y', 100, "end");
	assert_logs("e a=00 b=007", "e", "a=%s b=%s", "00", "007");
	assert_logs("e part=abc next=1", "e", "part=%.3s next=%d", "abcdef", 1);
	assert_logs("e part=ab next=1", "e", "part=%.*s next=%d", 2, "abcdef", 1);
	errno = ENOENT;
	assert_logs("e why=\"No such file or directory\"", "e", "why=%m");
}

static void test_quoting(void **state)
{
	const char *volatile none = NULL;

	(void)state;
	assert_logs("e path=/a/b:c", "e", "path=%s", "/a/b:c");
	assert_logs("e path=\"/a b\" next=1", "e", "path=%s next=%d", "/a b", 1);
	assert_logs("e text=\"\" next=1", "e", "text=%s next=%d", "", 1);
	assert_logs("e text=\"x=1\"", "e", "text=%s", "x=1");
	assert_logs("e text=\"a\\nlevel=error b\"", "e", "text=%s", "a\nlevel=error b");
	assert_logs("e text=\"say \\\"hi\\\" \\\\ \\x1b[31m\\x7f\"", "e", "text=%s",
		    "say \"hi\" \\ \x1b[31m\x7f");
	/* in quotes of the format's own */
	assert_logs("e text=\"a b \\\"c\\\"\"", "e", "text=\"%s\"", "a b \"c\"");
	assert_logs("e text=(none)", "e", "text=%s", none);
	assert_logs("e imagenet\\n:v3", "e", "%s:%s", "imagenet\n", "v3");
}

static void test_long_lines_are_cut(void **state)
{
	char big[10000];
	struct capture c;

	(void)state;
	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	capture_begin(&c);
	log_event(LOG_LEVEL_WARNING, "big", "a=%s b=%d", big, 5);
	capture_end(&c);
	assert_true(strlen(c.text) > 4000 && strlen(c.text) < 4300);
	assert_ptr_equal(strchr(c.text, '\n'), c.text + strlen(c.text) - 1);
	assert_non_null(strstr(c.text, "Z warning big a=xxx"));
}

static void test_levels_and_errno(void **state)
{
	struct capture c;

	(void)state;
	capture_begin(&c);
	errno = EBUSY;
	log_event(LOG_LEVEL_DEBUG, "quiet", "a=%d", 1);
	log_event(LOG_LEVEL_ERR, "loud", "%s", "");
	assert_int_equal(errno, EBUSY);
	log_set_level(LOG_LEVEL_DEBUG);
	log_event(LOG_LEVEL_DEBUG, "heard", "a=%d", 1);
	log_set_level(LOG_LEVEL_INFO);
	capture_end(&c);
	assert_null(strstr(c.text, "quiet"));
	assert_non_null(strstr(c.text, "Z error loud"));
	assert_non_null(strstr(c.text, "Z debug heard a=1\n"));
}

/* A stream that systemd connected once, but that is not stderr any more, must not be used. */
static void test_stale_journal_stream(void **state)
{
	(void)state;
	setenv("JOURNAL_STREAM", "1:2", 1);
	assert_logs("e a=1", "e", "a=%d", 1);
	unsetenv("JOURNAL_STREAM");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_conversions),
		cmocka_unit_test(test_quoting),
		cmocka_unit_test(test_long_lines_are_cut),
		cmocka_unit_test(test_levels_and_errno),
		cmocka_unit_test(test_stale_journal_stream),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
