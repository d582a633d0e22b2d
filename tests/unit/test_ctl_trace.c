/*
 * Entries of the audit log as lines of a trace.
 * Must not ask a daemon: the entries are written here, as server/ writes them.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/trace.c"

struct written {
	struct trace *trace;
	FILE *out;
	char *text;
	size_t len;
};

static void begin(struct written *w, bool names)
{
	*w = (struct written){0};
	w->out = open_memstream(&w->text, &w->len);
	assert_non_null(w->out);
	assert_int_equal(trace_create(w->out, names, &w->trace), 0);
}

static void feed(struct written *w, const char *node, int64_t at_s, const char *what,
		 const char *text)
{
	const struct larder_msg_EVENT event = {.at_s = at_s, .what = what, .text = text};

	assert_int_equal(trace_event(w->trace, node, &event, NULL), 0);
}

/* What was written behind the first line, compared. */
static void end(struct written *w, const char *lines)
{
	trace_destroy(w->trace);
	fclose(w->out);
	assert_int_equal(strncmp(w->text, "# larder trace 1: TIME ", 23), 0);
	assert_string_equal(strchr(w->text, '\n') + 1, lines);
	free(w->text);
}

static void test_a_miss_a_join_and_a_hit(void **state)
{
	struct written w;

	(void)state;
	begin(&w, false);
	feed(&w, "n1", 100, "acquire",
	     "job=7 run=0 uid=1000 dataset=a:v1 state=staging found=miss bytes=5000");
	feed(&w, "n1", 105, "acquire",
	     "job=8 run=2 uid=1001 dataset=a:v1 state=staging found=join bytes=5000");
	feed(&w, "n1", 120, "stage.done",
	     "dataset=a:v1 state=ready origin_bytes=5000 linked_bytes=0 shards=3 ms=12500");
	feed(&w, "n1", 130, "acquire",
	     "job=9 run=0 uid=1000 dataset=a:v1 state=ready found=hit bytes=5000");
	feed(&w, "n1", 140, "evict", "dataset=b:v1 bytes=1 why=score");
	feed(&w, "n1", 160, "release", "job=7 run=0 leases=1");
	feed(&w, "n1", 161, "release", "job=9 run=0 leases=1");
	feed(&w, "n1", 205, "release", "job=8 run=2 leases=1");
	end(&w, "100 n1 7.0 u1 a:v1 5000 miss 12.500 47.500\n"
		"130 n1 9.0 u1 a:v1 5000 hit 0.000 31.000\n"
		"105 n1 8.2 u2 a:v1 5000 join 12.500 87.500\n");
}

static void test_a_requeued_job_and_two_datasets(void **state)
{
	struct written w;

	(void)state;
	begin(&w, false);
	feed(&w, "n1", 100, "acquire",
	     "job=7 run=0 uid=5 dataset=a:v1 state=ready found=hit bytes=1");
	feed(&w, "n1", 100, "acquire",
	     "job=7 run=0 uid=5 dataset=b:v2 state=ready found=hit bytes=2");
	/* the epilog of a requeued run shows the next run's number */
	feed(&w, "n1", 110, "release", "job=7 run=1 leases=2");
	feed(&w, "n1", 120, "acquire",
	     "job=7 run=1 uid=5 dataset=a:v1 state=ready found=hit bytes=1");
	feed(&w, "n1", 130, "release", "job=7 run=1 leases=1");
	end(&w, "100 n1 7.0 u1 a:v1 1 hit 0.000 10.000\n"
		"100 n1 7.0 u1 b:v2 2 hit 0.000 10.000\n"
		"120 n1 7.1 u1 a:v1 1 hit 0.000 10.000\n");
}

static void test_what_has_not_ended_is_left_out_and_nodes_are_apart(void **state)
{
	struct written w;

	(void)state;
	begin(&w, true);
	feed(&w, "n1", 100, "acquire",
	     "job=7 run=0 uid=0 dataset=a:v1 state=ready found=hit bytes=1");
	trace_node_end(w.trace);
	feed(&w, "n2", 100, "acquire",
	     "job=7 run=0 uid=0 dataset=a:v1 state=ready found=hit bytes=1");
	feed(&w, "n2", 101, "release", "job=7 run=0 leases=1");
	feed(&w, "n2", 101, "release", "job=7 run=0 leases=0");
	end(&w, "100 n2 7.0 root a:v1 1 hit 0.000 1.000\n");
}

static void test_entries_of_another_shape_are_passed_over(void **state)
{
	static const char *const bad[] = {
		"",
		"job=7",
		"job=7 run=0 uid=5 dataset=a:v1 state=ready",
		"job=x run=0 uid=5 dataset=a:v1 state=ready found=hit bytes=1",
		"job=7 run=0 uid=99999999999 dataset=a:v1 state=ready found=hit bytes=1",
		"job=7 run=0 uid=5 dataset=a:v1 state=ready found=whatever bytes=1",
		"job=7 run=0 uid=5 dataset= state=ready found=hit bytes=1",
	};
	struct written w;

	(void)state;
	begin(&w, false);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		feed(&w, "n1", 1, "acquire", bad[i]);
		feed(&w, "n1", 1, "stage.done", bad[i]);
	}
	feed(&w, "n1", 1, "release", "nothing");
	feed(&w, "n1", 2, "release", "job=7 run=0 leases=1");
	end(&w, "");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_miss_a_join_and_a_hit),
		cmocka_unit_test(test_a_requeued_job_and_two_datasets),
		cmocka_unit_test(test_what_has_not_ended_is_left_out_and_nodes_are_apart),
		cmocka_unit_test(test_entries_of_another_shape_are_passed_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
