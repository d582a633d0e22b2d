/*
 * Users' own URLs: which addresses they lead to, whose login is shown to whom, and what a user's
 * files may have in them.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "scratch.h"

#include "origin/http_filter.h"
#include "origin/http_login.h"
#include "server/own_remote.h"

/* --- addresses */

static struct sockaddr_storage address_of(const char *text)
{
	struct sockaddr_storage storage = {0};
	struct sockaddr_in in = {.sin_family = AF_INET};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};

	if (inet_pton(AF_INET, text, &in.sin_addr) == 1)
		memcpy(&storage, &in, sizeof(in));
	else if (inet_pton(AF_INET6, text, &in6.sin6_addr) == 1)
		memcpy(&storage, &in6, sizeof(in6));
	else
		fail_msg("%s", text);
	return storage;
}

static int judge(const struct source_filter *filter, const char *host, const char *address)
{
	struct sockaddr_storage storage = address_of(address);
	struct larder_error err = {0};
	int rc = http_filter_address(filter, host, (const struct sockaddr *)&storage, &err);

	if (rc && (err.code != EPERM || !strstr(err.text, address)))
		fail_msg("%d %s", err.code, err.text);
	return rc;
}

static void test_addresses_refused_by_themselves(void **state)
{
	static const char *const bad[] = {
		"127.0.0.1",	  "127.255.1.2",     "0.0.0.0",		   "0.1.2.3",
		"169.254.169.254", "224.0.0.1",	     "255.255.255.255",	   "240.0.0.1",
		"100.100.100.200", "168.63.129.16",  "::",		   "::1",
		"fe80::1",	  "febf::1",	     "ff02::1",		   "fd00:ec2::254",
		"fec0::1",	  "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1",
		"64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::1",
	};
	static const char *const good[] = {"10.1.2.3",	    "192.168.0.1",   "172.16.0.1",
					   "8.8.8.8",	    "126.255.255.255", "128.0.0.1",
					   "2001:db8::1",   "fd00::1",	     "::ffff:10.1.2.3",
					   "64:ff9b::a01:203", "fe00::1", "2002:a00:1::1"};
	const struct source_filter none = {0};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (judge(&none, "h.example", bad[i]) != -EPERM)
			fail_msg("%s is let through", bad[i]);
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		if (judge(&none, "h.example", good[i]))
			fail_msg("%s is refused", good[i]);
}

static void test_allowed_and_denied(void **state)
{
	static const char *const allow[] = {"127.0.0.1", "fe80::/64", "meta.example", ".lab.example"};
	static const char *const deny[] = {"10.0.0.0/8", "fd00::/8", "bad.example", "127.0.0.64/26"};
	const struct source_filter filter = {
		.allow = allow, .n_allow = 4, .deny = deny, .n_deny = 4};

	(void)state;
	assert_int_equal(judge(&filter, "x", "127.0.0.1"), 0);
	assert_int_equal(judge(&filter, "x", "127.0.0.2"), -EPERM);
	assert_int_equal(judge(&filter, "x", "fe80::7"), 0);
	assert_int_equal(judge(&filter, "x", "fe80:0:0:1::7"), -EPERM);
	assert_int_equal(judge(&filter, "META.example", "169.254.169.254"), 0);
	assert_int_equal(judge(&filter, "meta.example.", "169.254.169.254"), 0);
	assert_int_equal(judge(&filter, "ameta.example", "169.254.169.254"), -EPERM);
	assert_int_equal(judge(&filter, "a.lab.example", "127.9.9.9"), 0);
	assert_int_equal(judge(&filter, "lab.example", "127.9.9.9"), -EPERM);
	assert_int_equal(judge(&filter, "x", "10.255.0.1"), -EPERM);
	assert_int_equal(judge(&filter, "x", "11.0.0.1"), 0);
	assert_int_equal(judge(&filter, "x", "64:ff9b::a00:1"), -EPERM);
	assert_int_equal(judge(&filter, "x", "::ffff:10.0.0.1"), -EPERM);
	assert_int_equal(judge(&filter, "x", "fdff::1"), -EPERM);
	assert_int_equal(judge(&filter, "bad.example", "8.8.8.8"), -EPERM);
	/* denied wins over allowed */
	assert_int_equal(judge(&filter, "a.lab.example", "127.0.0.65"), -EPERM);
}

static void test_other_families_are_refused(void **state)
{
	const struct source_filter filter = {0};
	struct sockaddr_un un = {.sun_family = AF_UNIX};

	(void)state;
	assert_int_equal(http_filter_address(&filter, "h", (const struct sockaddr *)&un, NULL),
			 -EPERM);
}

static void test_items(void **state)
{
	static const char *const good[] = {"10.0.0.0/8", "::1", "fd00::/8", "h", "a-b.example",
					   ".example.org"};
	static const char *const bad[] = {"", "10.0.0.0/33", "10.0.0", "::1/129", "10.0.0.0/x",
					  "http://h", "h/8", "*.x", ".", "a b", "10.0.0.0/-1"};

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_int_equal(http_filter_item_check(good[i], NULL), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (http_filter_item_check(bad[i], NULL) != -EINVAL)
			fail_msg("%s", bad[i]);
}

/* --- logins */

static const char logins[] = "# mine\r\n"
			     "[data.example]\n bearer = T0 k=en \n\n"
			     "[other.example:8443]\nuser=a:b\npassword = s # e\n"
			     "[default]\naws_access_key_id = X\n";

static void test_a_login_is_found_for_its_server(void **state)
{
	struct http_login login = {0};

	(void)state;
	assert_int_equal(http_login_find(logins, "https://Data.example/x", &login, NULL), 0);
	assert_string_equal(login.bearer, "T0 k=en");
	assert_null(login.user);
	http_login_fini(&login);
	assert_int_equal(http_login_find(logins, "https://data.example:443/x", &login, NULL), 0);
	assert_non_null(login.bearer);
	http_login_fini(&login);
	assert_int_equal(http_login_find(logins, "https://other.example:8443", &login, NULL), 0);
	assert_string_equal(login.user, "a:b");
	assert_string_equal(login.password, "s # e");
	http_login_fini(&login);
	assert_int_equal(http_login_find(logins, "https://other.example/", &login, NULL), 0);
	assert_null(login.user);
	assert_int_equal(http_login_find(logins, "https://x.data.example/", &login, NULL), 0);
	assert_null(login.bearer);
}

static void test_bad_logins(void **state)
{
	static const char *const bad[] = {
		"[h]\nbearer\n",	 "[h]\ntoken = x\n",	  "[h]\nbearer = \n",
		"[h]\nuser = a\n",	 "[h]\npassword = a\n",	  "[h]\nbearer = a\nbearer = b\n",
		"[h]\nbearer = a\x01b\n", "[h]\nbearer = a\nuser = b\npassword = c\n"};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct http_login login = {0};
		struct larder_error err = {0};

		if (http_login_find(bad[i], "https://h/", &login, &err) != -EINVAL)
			fail_msg("%s", bad[i]);
		assert_null(login.bearer);
		assert_null(strstr(err.text, "= a"));
	}
}

static void test_where_a_login_is_shown(void **state)
{
	(void)state;
	assert_true(http_same_server("https://h/a", "https://H:443/b"));
	assert_true(http_same_server("https://h", "https://h/b?x"));
	assert_false(http_same_server("https://h/a", "http://h/a"));
	assert_false(http_same_server("https://h/a", "https://h:444/a"));
	assert_false(http_same_server("https://h/a", "https://h.evil/a"));
	assert_false(http_same_server("https://h.evil/a", "https://h/a"));
}

/* --- settings and files */

static void test_settings_come_back(void **state)
{
	char *deny[] = {(char[]){"10.0.0.0/8"}, (char[]){"a\nallow 127.0.0.1"}, (char[]){"b"}};
	char *allow[] = {(char[]){"127.0.0.1"}};
	char *redirect[] = {(char[]){"m1"}, (char[]){"m2"}};
	struct config config = {
		.http_connections = 3,
		.http_connect_timeout = 1000,
		.http_stall_timeout = 2000,
		.http_retries = 4,
		.http_retry_budget = 5,
		.http_ca_file = (char[]){"/etc/my ca.pem"},
		.own_hosts_deny = {.items = deny, .count = 3},
		.own_hosts_allow = {.items = allow, .count = 1},
		.http_redirect_hosts = {.items = redirect, .count = 2},
	};
	char *text = own_remote_settings(&config);
	struct own_remote *remote = own_remote_create(text, "L", "");

	(void)state;
	free(text);
	assert_non_null(remote);
	assert_int_equal(remote->options.connections, 3);
	assert_int_equal(remote->options.connect_timeout_ms, 1000);
	assert_int_equal(remote->options.stall_timeout_ms, 2000);
	assert_int_equal(remote->options.retries, 4);
	assert_int_equal(remote->options.retry_budget, 5);
	assert_string_equal(remote->options.ca_file, "/etc/my ca.pem");
	assert_int_equal(remote->options.n_redirect_hosts, 2);
	assert_string_equal(remote->options.redirect_hosts[1], "m2");
	assert_ptr_equal(remote->options.filter, &remote->filter);
	assert_int_equal(remote->filter.n_deny, 2); /* what would be two lines is none */
	assert_string_equal(remote->filter.deny[1], "b");
	assert_int_equal(remote->filter.n_allow, 1);
	assert_string_equal(remote->options.login_text, "L");
	assert_null(remote->profiles);
	own_remote_unref(own_remote_ref(remote));
	own_remote_unref(remote);
}

static void put_file(const char *home, const char *name, const char *text, size_t len, mode_t mode)
{
	char path[700];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", home, name);
	unlink(path);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, len), len);
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

static int read_both(const char *home, bool s3, char **login_text, char **profiles,
		     struct larder_error *err)
{
	*login_text = *profiles = NULL;
	return own_credentials_read(home, s3, login_text, profiles, err);
}

static void test_files_of_credentials(void **state)
{
	char *home = scratch_create(), *l, *p, path[700];
	struct larder_error err = {0};
	static char big[OWN_CREDENTIALS_MAX + 1];

	(void)state;
	assert_int_equal(read_both(home, true, &l, &p, &err), 0);
	assert_string_equal(p, "");
	own_credentials_free(l);
	own_credentials_free(p);
	snprintf(path, sizeof(path), "%s/.aws", home);
	assert_int_equal(mkdir(path, 0700), 0);
	put_file(home, ".aws/credentials", "[default]\n", 10, 0600);
	put_file(home, ".aws/config", "region=x", 8, 0644);
	assert_int_equal(read_both(home, true, &l, &p, &err), 0);
	assert_string_equal(p, "[default]\n\nregion=x\n");
	assert_string_equal(l, "");
	own_credentials_free(l);
	own_credentials_free(p);
	put_file(home, ".aws/credentials", "[default]\n", 10, 0640);
	assert_int_equal(read_both(home, true, &l, &p, &err), -EACCES);
	assert_non_null(strstr(err.text, "chmod 600"));
	own_credentials_free(l);
	own_credentials_free(p);
	put_file(home, ".aws/credentials", "a\x01", 2, 0600);
	assert_int_equal(read_both(home, true, &l, &p, &err), -EINVAL);
	own_credentials_free(l);
	own_credentials_free(p);
	memset(big, 'x', sizeof(big));
	put_file(home, ".aws/credentials", big, sizeof(big), 0600);
	assert_int_equal(read_both(home, true, &l, &p, &err), -E2BIG);
	own_credentials_free(l);
	own_credentials_free(p);
	snprintf(path, sizeof(path), "%s/.aws/credentials", home);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkfifo(path, 0600), 0); /* must not hang */
	assert_int_equal(read_both(home, true, &l, &p, &err), -EINVAL);
	own_credentials_free(l);
	own_credentials_free(p);
	scratch_destroy(home);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addresses_refused_by_themselves),
		cmocka_unit_test(test_allowed_and_denied),
		cmocka_unit_test(test_other_families_are_refused),
		cmocka_unit_test(test_items),
		cmocka_unit_test(test_a_login_is_found_for_its_server),
		cmocka_unit_test(test_bad_logins),
		cmocka_unit_test(test_where_a_login_is_shown),
		cmocka_unit_test(test_settings_come_back),
		cmocka_unit_test(test_files_of_credentials),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
