/*
 * Waits and classes of what is tried again at remote origins, and what web servers' answers mean.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/retry.h"
#include "origin/http_answer.h"

static const struct retry_policy policy = {
	.retries = 5, .base_ms = 100, .cap_ms = 1000, .patience_ms = 60000};

static void test_waits_double_up_to_the_cap(void **state)
{
	static const int64_t wait[] = {100, 200, 400, 800, 1000};

	(void)state;
	for (unsigned int i = 0; i < 5; i++)
		assert_int_equal(retry_delay_ms(&policy, RETRY_RESET, i + 1, -1, 0), wait[i]);
	assert_int_equal(retry_delay_ms(&policy, RETRY_RESET, 6, -1, 0), -1);
}

static void test_jitter_takes_at_most_half(void **state)
{
	int64_t least = 1000, most = 0;

	(void)state;
	for (uint32_t r = 0; r < 4096; r++) {
		int64_t ms = retry_delay_ms(&policy, RETRY_STALL, 5, -1, r * 2654435761u);

		least = ms < least ? ms : least;
		most = ms > most ? ms : most;
	}
	assert_in_range(least, 500, 510);
	assert_in_range(most, 990, 1000);
}

static void test_many_failures_do_not_overflow(void **state)
{
	struct retry_policy stubborn = policy;

	(void)state;
	stubborn.retries = UINT32_MAX;
	stubborn.cap_ms = INT64_MAX / 4;
	assert_int_equal(retry_delay_ms(&stubborn, RETRY_RESET, UINT32_MAX, -1, 0), INT64_MAX / 4);
}

static void test_the_server_is_left_alone_as_long_as_it_asks(void **state)
{
	int64_t ms = retry_delay_ms(&policy, RETRY_BUSY, 1, 8000, 1023);

	(void)state;
	assert_in_range(ms, 8000, 9000);
	assert_true(ms > 8000);
	assert_int_equal(retry_delay_ms(&policy, RETRY_BUSY, 1, 8000, 0), 8000);
	assert_int_equal(retry_delay_ms(&policy, RETRY_BUSY, 5, 10, 0), 1000);
	assert_int_equal(retry_delay_ms(&policy, RETRY_BUSY, 1, 60001, 0), -1);
}

static void test_what_is_never_tried_again(void **state)
{
	static const long never[] = {301, 400, 401, 403, 404, 410, 416, 418, 501, 505, 600};
	static const long server[] = {408, 500, 502, 504, 599};

	(void)state;
	assert_int_equal(retry_delay_ms(&policy, RETRY_NEVER, 1, -1, 0), -1);
	for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++)
		assert_int_equal(retry_class_of_status(never[i]), RETRY_NEVER);
	for (size_t i = 0; i < sizeof(server) / sizeof(server[0]); i++)
		assert_int_equal(retry_class_of_status(server[i]), RETRY_SERVER);
	assert_int_equal(retry_class_of_status(429), RETRY_BUSY);
	assert_int_equal(retry_class_of_status(503), RETRY_BUSY);
}

static void test_content_ranges(void **state)
{
	static const char *const bad[] = {"",
					  "bytes",
					  "bytes 1-2",
					  "bytes 1-2/*",
					  "bytes */9",
					  "bytes 2-1/9",
					  "bytes 1-9/9",
					  "bytes -1-2/9",
					  "bytes 1-2/9 ",
					  "bytes  1-2/9",
					  "items 1-2/9",
					  "bytes 1-2/9, 3-4/9",
					  "bytes 1-2/99999999999999999999",
					  "bytes +1-2/9"};
	uint64_t first, last, total;

	(void)state;
	assert_int_equal(http_range_parse("bytes 5-9/10", &first, &last, &total), 0);
	assert_int_equal(first, 5);
	assert_int_equal(last, 9);
	assert_int_equal(total, 10);
	assert_int_equal(http_range_parse("Bytes 0-0/1", &first, &last, &total), 0);
	assert_int_equal(http_range_parse(NULL, &first, &last, &total), -EINVAL);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(http_range_parse(bad[i], &first, &last, &total), -EINVAL);
}

static int judge(struct http_answer answer, uint64_t from, const char *etag, uint64_t *skip,
		 struct larder_error *err)
{
	const struct http_expect expect = {
		.size = 10, .from = from, .modified_s = 1000, .etag = etag};

	return http_answer_judge(&answer, &expect, skip, err);
}

static void test_answers(void **state)
{
	struct http_answer whole = {.status = 200, .length = 10, .modified_s = -1};
	struct http_answer part = {
		.status = 206, .length = 5, .modified_s = -1, .range = "bytes 5-9/10"};
	struct http_answer other;
	struct larder_error err;
	uint64_t skip;

	(void)state;
	assert_int_equal(judge(whole, 0, "", &skip, &err), 0);
	assert_int_equal(skip, 0);
	assert_int_equal(judge(whole, 4, "", &skip, &err), 0);
	assert_int_equal(skip, 4);
	assert_int_equal(judge(part, 5, "", &skip, &err), 0);
	assert_int_equal(skip, 0);
	assert_int_equal(judge(part, 0, "", &skip, &err), -EPROTO);
	assert_int_equal(judge(part, 4, "", &skip, &err), -EPROTO);
	other = part, other.range = "bytes 5-10/11";
	assert_int_equal(judge(other, 5, "", &skip, &err), -ESTALE);
	other = part, other.range = NULL;
	assert_int_equal(judge(other, 5, "", &skip, &err), -EPROTO);
	other = whole, other.length = 11;
	assert_int_equal(judge(other, 0, "", &skip, &err), -ESTALE);
	assert_non_null(strstr(err.text, "11"));
	assert_non_null(strstr(err.text, "10"));
	other = whole, other.length = -1;
	assert_int_equal(judge(other, 0, "", &skip, &err), 0);
	other = whole, other.encoding = "gzip";
	assert_int_equal(judge(other, 0, "", &skip, &err), -EPROTO);
	other = whole, other.encoding = "identity", other.etag = "\"a\"", other.modified_s = 1000;
	assert_int_equal(judge(other, 0, "\"a\"", &skip, &err), 0);
	assert_int_equal(judge(other, 0, "\"b\"", &skip, &err), -ESTALE);
	other.modified_s = 1001;
	assert_int_equal(judge(other, 0, "\"a\"", &skip, &err), -ESTALE);
}

static void test_urls(void **state)
{
	static const char *const more[] = {"mirror.example"};
	char *url = http_url_join("https://h/a%20b", "c d/100%#?\xc3\xa9&+.tar");

	(void)state;
	assert_string_equal(url, "https://h/a%20b/c%20d/100%25%23%3F%C3%A9&+.tar");
	free(url);
	url = http_url_join("http://h/", "x");
	assert_string_equal(url, "http://h/x");
	free(url);
	assert_true(http_host_allowed("H.Example", "h.example", NULL, 0));
	assert_true(http_host_allowed("MIRROR.example", "h", more, 1));
	assert_false(http_host_allowed("evil-mirror.example", "h", more, 1));
	assert_false(http_host_allowed("mirror.example.evil", "h", more, 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_waits_double_up_to_the_cap),
		cmocka_unit_test(test_jitter_takes_at_most_half),
		cmocka_unit_test(test_many_failures_do_not_overflow),
		cmocka_unit_test(test_the_server_is_left_alone_as_long_as_it_asks),
		cmocka_unit_test(test_what_is_never_tried_again),
		cmocka_unit_test(test_content_ranges),
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_urls),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
