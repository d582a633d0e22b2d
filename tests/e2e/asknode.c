/*
 * Sends any request of message.def and prints the rows that come back, for tests: on a node's
 * socket, or over the network as larder-sched does. It must not use the daemon's own code beyond
 * the protocol's two ends. Called by the suites of tests/e2e; built as BUILD/tests/asknode.
 *
 *   asknode [OPTION…] MESSAGE [FIELD…]      fields in the order of message.def
 *     --net ADDRESS --node NAME             over the network; else LARDER_SOCKET
 *     --munge SOCKET, --to UID              munged's socket; who must be able to read it (root)
 *     --write BODY CREDENTIAL               sends nothing: writes both to files
 *     --raw FILE                            these bytes instead of the message's frame
 *     --serve                               answers instead, at --net as --node: prints its port;
 * rows with a comma between, each sent to requests that want it
 *
 * A row is a line "NAME<tab>field=value<tab>…". Exit codes: 0 DONE, 1 ERROR or no answer, 2 usage.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fleet/call.h"
#include "fleet/credential.h"
#include "fleet/serve.h"
#include "larder/cleanup.h"
#include "larder/client.h"

#define ANSWER_MS 15000
#define RAW_BYTES 65536

struct options {
	const char *net, *node, *munge, *body, *credential, *raw;
	bool serve;
	uid_t to;
};

union any_message {
#define LARDER_X(name, number, who, help) struct larder_msg_##name name;
	LARDER_MESSAGES(LARDER_X)
#undef LARDER_X
};

static int complain(const struct larder_error *err)
{
	fprintf(stderr, "asknode: %s [%s]\n", err->text, strerrorname_np(err->code));
	return 1;
}

/* --- any message from words, and to words */

#define FROM_U32(text) ((uint32_t)strtoul(text, NULL, 0))
#define FROM_U64(text) strtoull(text, NULL, 0)
#define FROM_I64(text) strtoll(text, NULL, 0)
#define FROM_STR(text) (text)
#define FORM_U32       "%" PRIu32
#define FORM_U64       "%" PRIu64
#define FORM_I64       "%" PRId64
#define FORM_STR       "%s"

/* The message's number; 0: none of that name, or another number of fields. */
static unsigned int message_fill(char **words, int n, union any_message *msg)
{
	int at = 1;

#define FILL(kind, field)                                                                          \
	m->field = at < n ? FROM_##kind(words[at]) : (__typeof__(m->field))0, at++;
#define LARDER_X(name, number, who, help)                                                          \
	if (strcmp(words[0], #name) == 0) {                                                        \
		struct larder_msg_##name *m = &msg->name;                                          \
                                                                                                   \
		(void)m;                                                                           \
		LARDER_FIELDS_##name(FILL) return at == n ? number : 0;                            \
	}
	LARDER_MESSAGES(LARDER_X)
#undef LARDER_X
	return 0;
}

static void message_print(unsigned int type, const void *msg)
{
	fputs(larder_msg_name(type), stdout);
#define PRINT(kind, field) printf("\t" #field "=" FORM_##kind, m->field);
#define LARDER_X(name, number, who, help)                                                          \
	if (type == number) {                                                                      \
		const struct larder_msg_##name *m = msg;                                           \
                                                                                                   \
		(void)m;                                                                           \
		LARDER_FIELDS_##name(PRINT)                                                        \
	}
	LARDER_MESSAGES(LARDER_X)
#undef LARDER_X
	putchar('\n');
}

/* --- on the socket */

static int print_row(struct larder_row *row, void *arg, struct larder_error *err)
{
	(void)arg;
	(void)err;
	message_print(row->type, row->msg);
	return 0;
}

static int ask_here(unsigned int type, const void *msg)
{
	const char *path = getenv("LARDER_SOCKET");
	struct larder_client *client = NULL;
	struct larder_error err = {0};
	char note[LARDER_ERROR_MAX];
	int rc = larder_client_open(path ? path : "/run/larder/larderd.sock", NULL, 3000, &client,
				    &err);

	if (!rc)
		rc = larder_client_call(client, type, msg, ANSWER_MS, print_row, NULL, note, &err);
	larder_client_close(client);
	if (rc)
		return complain(&err);
	printf("DONE\tnote=%s\n", note);
	return 0;
}

/* --- over the network */

/* Prints the frames; 0 when the last of them is DONE. */
static int print_answer(uint8_t *at, size_t left)
{
	struct larder_error err = {0};
	union any_message msg = {0};
	struct larder_head head = {0};

	while (left >= LARDER_FRAME_HEAD) {
		auto_free uint8_t *body = NULL;

		if (larder_head_decode(at, &head, &err) || head.length > left - LARDER_FRAME_HEAD)
			return complain(&err);
		body = calloc(1, head.length + 1);
		if (!body)
			return 1;
		memcpy(body, at + LARDER_FRAME_HEAD, head.length);
		if (larder_msg_decode(head.type, body, head.length, &msg, &err))
			return complain(&err);
		message_print(head.type, &msg);
		at += LARDER_FRAME_HEAD + head.length;
		left -= LARDER_FRAME_HEAD + head.length;
	}
	return head.type == LARDER_MSG_DONE && !left ? 0 : 1;
}

static int ask_there(const struct options *options, const uint8_t *frame, size_t len)
{
	struct fleet_call call = {.address = options->net,
				  .node = options->node,
				  .to = options->to,
				  .request = frame,
				  .len = len,
				  .timeout_ms = ANSWER_MS};
	struct fleet_caller *caller = NULL;
	struct larder_error err = {0};
	int rc;

	if (fleet_caller_create(options->munge, 1, 1, &caller, &err))
		return complain(&err);
	fleet_call_all(caller, &call, 1, NULL, NULL);
	rc = call.rc ? complain(&call.err) : print_answer(call.answer, call.answer_len);
	free(call.answer);
	fleet_caller_destroy(caller);
	return rc;
}

static int put(const char *path, const void *bytes, size_t len)
{
	FILE *file = fopen(path, "w");

	return file && fwrite(bytes, 1, len, file) == len && fclose(file) == 0 ? 0 : 1;
}

/* The file's bytes in place of the frame. */
static int slurp(const char *path, uint8_t **bytes, size_t *len)
{
	FILE *file = fopen(path, "r");
	uint8_t *whole = file ? calloc(1, RAW_BYTES) : NULL;

	if (!whole)
		return 1;
	*len = fread(whole, 1, RAW_BYTES, file);
	fclose(file);
	free(*bytes);
	*bytes = whole;
	return 0;
}

static int write_both(const struct options *options, const uint8_t *frame, size_t len)
{
	auto_free char *credential = NULL;
	struct larder_error err = {0};
	struct seal_key key;

	if (credential_make(options->munge, options->node, options->to, frame, len, &credential,
			    &key, &err))
		return complain(&err);
	return put(options->body, frame, len) ||
	       put(options->credential, credential, strlen(credential));
}

/* --- answering, as larder-sched would */

struct rows {
	char **words;
	int n;
};

/* Is that a row of an answer to this request? */
static bool fits(unsigned int request, unsigned int row)
{
	switch (row) {
	case LARDER_MSG_FLEET_TREE: return request == LARDER_MSG_FLEET_LIST;
	case LARDER_MSG_FLEET_NODE: return request == LARDER_MSG_FLEET_STATUS;
	case LARDER_MSG_NODE_ADDRESS: return request == LARDER_MSG_NODES;
	case LARDER_MSG_TEXT: return request == LARDER_MSG_FLEET_EXPLAIN;
	default: return request != LARDER_MSG_NODES && request != LARDER_MSG_FLEET_EXPLAIN;
	}
}

static int add_frame(unsigned int type, uint32_t seq, const void *msg, uint8_t **out, size_t *len,
		     struct larder_error *err)
{
	auto_free uint8_t *frame = NULL;
	uint8_t *more;
	size_t n = 0;

	if (larder_msg_encode(type, seq, msg, &frame, &n, err))
		return -err->code;
	more = realloc(*out, *len + n);
	if (!more)
		return larder_error_set(err, ENOMEM, "out of memory");
	memcpy(more + *len, frame, n);
	*out = more;
	*len += n;
	return 0;
}

static int answer(const struct fleet_peer *peer, const uint8_t *request, size_t len, uint8_t **out,
		  size_t *out_len, struct larder_error *err, void *arg)
{
	const struct rows *rows = arg;
	union any_message msg = {0};
	struct larder_head head;

	(void)peer;
	*out = NULL;
	*out_len = 0;
	if (len < LARDER_FRAME_HEAD || larder_head_decode(request, &head, err))
		return larder_error_set(err, EBADMSG, "no frame");
	for (int at = 0, n; at < rows->n; at += n + 1) {
		unsigned int type;

		for (n = 0; at + n < rows->n && strcmp(rows->words[at + n], ",") != 0;)
			n++;
		type = message_fill(rows->words + at, n, &msg);
		if (!type)
			return larder_error_set(err, EINVAL, "%s: no row", rows->words[at]);
		if (fits(head.type, type) && add_frame(type, head.seq, &msg, out, out_len, err))
			return -err->code;
	}
	return add_frame(LARDER_MSG_DONE, head.seq, &(struct larder_msg_DONE){.note = ""}, out,
			 out_len, err);
}

static int serve(const struct options *options, char **words, int n)
{
	struct rows rows = {words, n};
	struct fleet_server *server;
	struct larder_error err = {0};
	const struct fleet_serve_params params = {.address = options->net,
						  .node = options->node,
						  .munge_socket = options->munge,
						  .connections = 64,
						  .of_one = 64,
						  .timeout_s = 30,
						  .answer = answer,
						  .arg = &rows};

	if (fleet_serve_start(&params, &server, &err))
		return complain(&err);
	printf("%u\n", fleet_serve_port(server));
	fflush(stdout);
	for (;;)
		pause();
}

static void parse(int argc, char **argv, struct options *options)
{
	static const struct option table[] = {
		{"net", required_argument, NULL, 'a'},	 {"node", required_argument, NULL, 'n'},
		{"munge", required_argument, NULL, 'm'}, {"to", required_argument, NULL, 't'},
		{"write", required_argument, NULL, 'w'}, {"raw", required_argument, NULL, 'r'},
		{"serve", no_argument, NULL, 's'},	 {0}};
	int key;

	while ((key = getopt_long(argc, argv, "+", table, NULL)) != -1)
		switch (key) {
		case 'a': options->net = optarg; break;
		case 'n': options->node = optarg; break;
		case 'm': options->munge = optarg; break;
		case 't': options->to = FROM_U32(optarg); break;
		case 'w':
			options->body = optarg;
			options->credential = optind < argc ? argv[optind++] : "";
			break;
		case 'r': options->raw = optarg; break;
		case 's': options->serve = true; break;
		default: exit(2);
		}
}

int main(int argc, char **argv)
{
	struct options options = {.munge = "", .node = ""};
	auto_free uint8_t *frame = NULL;
	struct larder_error err = {0};
	union any_message msg = {0};
	unsigned int type = 0;
	size_t len = 0;

	parse(argc, argv, &options);
	if (options.serve)
		return serve(&options, argv + optind, argc - optind);
	if (optind < argc)
		type = message_fill(argv + optind, argc - optind, &msg);
	if (!type) {
		fprintf(stderr, "asknode: a message of message.def and its fields, please\n");
		return 2;
	}
	if (!options.net && !options.body)
		return ask_here(type, &msg);
	if (larder_msg_encode(type, 1, &msg, &frame, &len, &err))
		return complain(&err);
	if (options.raw && slurp(options.raw, &frame, &len))
		return 2;
	return options.body ? write_both(&options, frame, len) : ask_there(&options, frame, len);
}
