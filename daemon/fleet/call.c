/*
 * Owns the asking side between machines: connections that are kept, deadlines, and the proof that
 * the answer is from who was asked. Knows nothing of what is asked. Blocks: for a thread that may.
 * Called by larder-sched's poller and by the CLI.
 */
#include "fleet/call.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fleet/credential.h"
#include "fleet/serve.h"
#include "larder/cleanup.h"

#define POLL_MS 100 /* how soon a stop is noticed */

/* A handle and the call it is busy with. */
struct line {
	struct line *next; /* idle ones */
	CURL *curl;
	struct fleet_call *call;
	struct curl_slist *headers;
	struct seal_key key;
	char seal[SEAL_HEX_BYTES];
	size_t room;
	bool too_long;
	char why[CURL_ERROR_SIZE];
};

struct fleet_caller {
	char *munge_socket;
	CURLM *multi;
	struct line *lines, *idle;
	unsigned int n;
};

static size_t on_body(char *data, size_t one, size_t n, void *arg)
{
	struct line *line = arg;
	struct fleet_call *call = line->call;
	size_t need = call->answer_len + one * n;

	if (need > FLEET_ANSWER_MAX) {
		line->too_long = true;
		return 0;
	}
	if (need > line->room) {
		size_t room = need < 16384 ? 16384 : need + need / 2;
		uint8_t *more = realloc(call->answer, room + 1);

		if (!more)
			return 0;
		call->answer = more;
		line->room = room;
	}
	memcpy(call->answer + call->answer_len, data, one * n);
	call->answer_len = need;
	return one * n;
}

/* "Larder-Seal: hex" */
static size_t on_header(char *data, size_t one, size_t n, void *arg)
{
	const size_t name = strlen(FLEET_SEAL_HEADER);
	struct line *line = arg;
	size_t len = one * n;

	if (len > name + 1 && strncasecmp(data, FLEET_SEAL_HEADER, name) == 0 && data[name] == ':')
		snprintf(line->seal, sizeof(line->seal), "%.*s",
			 (int)strspn(data + name + 2, "0123456789abcdef"), data + name + 2);
	return len;
}

static void line_set(struct line *line, const char *url)
{
	CURL *curl = line->curl;
	struct fleet_call *call = line->call;

	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http");
	curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(curl, CURLOPT_TCP_KEEPALIVE, 1L); /* long work on a machine that died */
	curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)call->timeout_ms);
	curl_easy_setopt(curl, CURLOPT_POSTFIELDS, call->request);
	curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->len);
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, line->headers);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, line);
	curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(curl, CURLOPT_HEADERDATA, line);
	curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, line->why);
	curl_easy_setopt(curl, CURLOPT_PRIVATE, line);
}

static int add_header(struct line *line, const char *text)
{
	struct curl_slist *more = curl_slist_append(line->headers, text);

	if (!more)
		return -ENOMEM;
	line->headers = more;
	return 0;
}

static int line_prepare(struct fleet_caller *caller, struct line *line, struct larder_error *err)
{
	struct fleet_call *call = line->call;
	auto_free char *credential = NULL, *header = NULL, *url = NULL;

	if (credential_make(caller->munge_socket, call->node, call->to, call->request, call->len,
			    &credential, &line->key, err))
		return -err->code;
	if (asprintf(&header, "Authorization: MUNGE %s", credential) < 0 ||
	    asprintf(&url, "http://%s%s", call->address, FLEET_PATH) < 0 ||
	    add_header(line, header) || add_header(line, "Expect:") ||
	    add_header(line, "Content-Type: application/octet-stream"))
		return larder_error_set(err, ENOMEM, "out of memory");
	line_set(line, url);
	return 0;
}

static void line_end(struct fleet_caller *caller, struct line *line, int rc,
		     void (*done)(struct fleet_call *call))
{
	struct fleet_call *call = line->call;

	call->rc = rc;
	if (rc) {
		free(call->answer);
		call->answer = NULL;
		call->answer_len = 0;
	}
	curl_slist_free_all(line->headers);
	line->headers = NULL;
	line->call = NULL;
	line->next = caller->idle;
	caller->idle = line;
	if (done)
		done(call);
}

static void line_begin(struct fleet_caller *caller, struct fleet_call *call,
		       void (*done)(struct fleet_call *call))
{
	struct line *line = caller->idle;
	int rc;

	caller->idle = line->next;
	line->call = call;
	line->room = 0;
	line->too_long = false;
	line->seal[0] = line->why[0] = '\0';
	call->answer = NULL;
	call->answer_len = 0;
	curl_easy_reset(line->curl);
	rc = line_prepare(caller, line, &call->err);
	if (!rc && curl_multi_add_handle(caller->multi, line->curl))
		rc = larder_error_set(&call->err, ENOMEM, "out of memory");
	if (rc)
		line_end(caller, line, rc, done);
}

static int refused(struct line *line, long status)
{
	struct fleet_call *call = line->call;
	int len = call->answer_len < 300 ? (int)call->answer_len : 300;

	for (int i = 0; i < len; i++)
		if (call->answer[i] < ' ' || call->answer[i] > '~')
			call->answer[i] = '?'; /* from the network, and not sealed */
	return larder_error_set(&call->err, status == 401 ? EACCES : EIO,
				"%s at %s refuses: %.*s (HTTP %ld)", call->node, call->address, len,
				call->answer ? (char *)call->answer : "", status);
}

static int failed(struct line *line, CURLcode code)
{
	struct fleet_call *call = line->call;
	int rc = code == CURLE_OPERATION_TIMEDOUT ? ETIMEDOUT
		 : code == CURLE_COULDNT_CONNECT  ? ECONNREFUSED
		 : line->too_long		  ? EMSGSIZE
						  : EIO;

	return larder_error_set(&call->err, rc, "%s at %s does not answer: %s", call->node,
				call->address,
				line->too_long ? "an answer that is too long"
				: line->why[0] ? line->why
					       : curl_easy_strerror(code));
}

static int judge(struct line *line, CURLcode code)
{
	struct fleet_call *call = line->call;
	long status = 0;

	if (code != CURLE_OK)
		return failed(line, code);
	curl_easy_getinfo(line->curl, CURLINFO_RESPONSE_CODE, &status);
	if (status != 200)
		return refused(line, status);
	if (!seal_fits(&line->key, call->answer ? (const void *)call->answer : "", call->answer_len,
		       line->seal))
		return larder_error_set(&call->err, EACCES,
					"who answers at %s is not %s: the answer's seal is wrong",
					call->address, call->node);
	return 0;
}

static void reap(struct fleet_caller *caller, void (*done)(struct fleet_call *call))
{
	CURLMsg *msg;
	int left;

	while ((msg = curl_multi_info_read(caller->multi, &left))) {
		CURL *curl = msg->easy_handle;
		CURLcode code = msg->data.result;
		struct line *line = NULL;

		curl_easy_getinfo(curl, CURLINFO_PRIVATE, (char **)&line);
		curl_multi_remove_handle(caller->multi, curl); /* msg is gone after this */
		line_end(caller, line, judge(line, code), done);
	}
}

/* What is under way or was not begun ends. */
static void cancel(struct fleet_caller *caller, struct fleet_call *calls, size_t begun, size_t n,
		   void (*done)(struct fleet_call *call))
{
	for (unsigned int i = 0; i < caller->n; i++) {
		struct line *line = &caller->lines[i];

		if (!line->call)
			continue;
		curl_multi_remove_handle(caller->multi, line->curl);
		line_end(caller, line, larder_error_set(&line->call->err, ECANCELED, "stopped"),
			 done);
	}
	for (size_t i = begun; i < n; i++) {
		calls[i].answer = NULL;
		calls[i].answer_len = 0;
		calls[i].rc = larder_error_set(&calls[i].err, ECANCELED, "stopped");
		if (done)
			done(&calls[i]);
	}
}

static bool busy(const struct fleet_caller *caller)
{
	for (unsigned int i = 0; i < caller->n; i++)
		if (caller->lines[i].call)
			return true;
	return false;
}

void fleet_call_all(struct fleet_caller *caller, struct fleet_call *calls, size_t n,
		    void (*done)(struct fleet_call *call), const _Atomic int *stop)
{
	size_t begun = 0;
	int running;

	while (begun < n || busy(caller)) {
		if (stop && *stop) {
			cancel(caller, calls, begun, n, done);
			return;
		}
		while (begun < n && caller->idle)
			line_begin(caller, &calls[begun++], done);
		curl_multi_perform(caller->multi, &running);
		reap(caller, done);
		if (running && (begun == n || !caller->idle))
			curl_multi_poll(caller->multi, NULL, 0, POLL_MS, NULL);
	}
}

int fleet_caller_create(const char *munge_socket, unsigned int at_once, unsigned int keep,
			struct fleet_caller **out, struct larder_error *err)
{
	struct fleet_caller *caller = calloc(1, sizeof(*caller));

	*out = NULL;
	if (!caller)
		return larder_error_set(err, ENOMEM, "out of memory");
	caller->munge_socket = strdup(munge_socket);
	caller->multi = curl_multi_init();
	caller->lines = calloc(at_once, sizeof(*caller->lines));
	for (unsigned int i = 0; caller->lines && i < at_once; i++) {
		struct line *line = &caller->lines[i];

		line->curl = curl_easy_init();
		if (!line->curl)
			break;
		line->next = caller->idle;
		caller->idle = line;
		caller->n++;
	}
	if (!caller->munge_socket || !caller->multi || caller->n < at_once) {
		fleet_caller_destroy(caller);
		return larder_error_set(err, ENOMEM, "out of memory");
	}
	curl_multi_setopt(caller->multi, CURLMOPT_MAXCONNECTS, (long)keep);
	*out = caller;
	return 0;
}

void fleet_caller_destroy(struct fleet_caller *caller)
{
	if (!caller)
		return;
	for (unsigned int i = 0; i < caller->n; i++)
		curl_easy_cleanup(caller->lines[i].curl);
	if (caller->multi)
		curl_multi_cleanup(caller->multi);
	free(caller->lines);
	free(caller->munge_socket);
	free(caller);
}
