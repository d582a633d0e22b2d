/*
 * Owns what only a look at this machine tells about a configuration.
 * Must not change anything, and looks at local paths only (the catalog has a function of its own).
 * Called by main.c at start and for --check-config.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <linux/magic.h>

#include "fleet/address.h"
#include "larder/catalog.h"
#include "larder/cleanup.h"
#include "origin/s3_profile.h"
#include "server/config_inspect.h"
#include "server/config_value.h"

#define MUNGED_SOCKET "/run/munge/munge.socket.2"

void config_finding(struct config_look *look, bool fatal, const char *fmt, ...)
{
	char text[LARDER_ERROR_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	look->fatal += fatal;
	look->tell(fatal, larder_text_printable(text), look->arg);
}

/* With symbolic links followed, as far as the path exists; else as it stands. PATH_MAX bytes. */
static const char *real(const char *path, char *buf)
{
	if (!realpath(path, buf))
		snprintf(buf, PATH_MAX, "%s", path);
	return buf;
}

/* \040 and its like, as /proc/self/mountinfo writes them. In place. */
static char *unescape(char *text)
{
	char *to = text;

	for (const char *p = text; *p; to++) {
		if (p[0] == '\\' && p[1] >= '0' && p[1] <= '3' && p[2] && p[3]) {
			*to = (char)((p[1] - '0') * 64 + (p[2] - '0') * 8 + (p[3] - '0'));
			p += 4;
		} else {
			*to = *p++;
		}
	}
	*to = '\0';
	return text;
}

/* By mountinfo, not by st_dev: a bind mount of the same file system is one too. */
static bool is_mount_point(const char *path)
{
	auto_file FILE *f = fopen("/proc/self/mountinfo", "re");
	auto_free char *line = NULL;
	char *point;
	size_t room = 0;

	while (f && getline(&line, &room, f) > 0) {
		char *save = NULL;

		strtok_r(line, " ", &save);
		for (int i = 0; i < 3; i++)
			strtok_r(NULL, " ", &save);
		point = strtok_r(NULL, " ", &save);
		if (point && strcmp(unescape(point), path) == 0)
			return true;
	}
	return false;
}

static bool is_empty(const char *path)
{
	auto_close_dir DIR *dir = opendir(path);
	const struct dirent *entry;

	while (dir && (entry = readdir(dir)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			return false;
	return dir != NULL;
}

static void inspect_view_root(struct config_look *look, const struct config *config)
{
	const char *path = config->view_root;
	struct stat st;

	if (lstat(path, &st) < 0) {
		config_finding(look, errno != ENOENT, "view_root %s: %s%s", path, strerror(errno),
			       errno == ENOENT ? "; larderd makes it when it starts" : "");
		return;
	}
	if (!S_ISDIR(st.st_mode)) {
		config_finding(
			look, true,
			"view_root %s is %s: it must be an empty directory that nobody else uses",
			path, S_ISLNK(st.st_mode) ? "a symbolic link" : "no directory");
		return;
	}
	if (is_mount_point(path))
		config_finding(
			look, true,
			"view_root %s is a mount point: a job's view would hide what is mounted there; "
			"choose another, empty directory",
			path);
	else if (!is_empty(path))
		config_finding(
			look, true,
			"view_root %s is not empty: a job's view would hide what is in it; choose "
			"another, empty directory",
			path);
	if ((st.st_mode & 0005) != 0005)
		config_finding(look, true,
			       "view_root %s has mode %04o: users cannot enter it; chmod 0755 %s",
			       path, st.st_mode & 07777, path);
}

static void inspect_nesting(struct config_look *look, const struct config *config,
			    const struct config_tier *tier)
{
	char tier_real[PATH_MAX], other[PATH_MAX];

	real(tier->path, tier_real);
	if (config_path_within(tier_real, real(config->view_root, other)))
		config_finding(look, true,
			       "tier \"%s\" (%s) lies beneath view_root %s, where views hide it",
			       tier->name, tier_real, other);
	if (config_path_within(other, tier_real))
		config_finding(look, true, "view_root %s lies in tier \"%s\" (%s)", other,
			       tier->name, tier_real);
	if (config_path_within(real(config->state_dir, other), tier_real))
		config_finding(
			look, true,
			"state_dir %s lies in tier \"%s\" (%s): the inventory must survive the loss of a tier",
			other, tier->name, tier_real);
}

/* Two tiers on one file system count its space twice. */
static void inspect_neighbours(struct config_look *look, const struct config *config,
			       unsigned int i)
{
	struct stat mine, other;

	if (stat(config->tiers[i].path, &mine) < 0)
		return;
	for (unsigned int j = 0; j < i; j++)
		if (stat(config->tiers[j].path, &other) == 0 && other.st_dev == mine.st_dev)
			config_finding(
				look, false,
				"tiers \"%s\" and \"%s\" share one file system: their capacities are parts of "
				"the same space",
				config->tiers[j].name, config->tiers[i].name);
}

static void inspect_tier(struct config_look *look, const struct config_tier *tier)
{
	struct statvfs vfs;
	struct statfs fs;
	struct stat st;

	if (lstat(tier->path, &st) < 0) {
		config_finding(look, true,
			       "tier \"%s\": %s: %s; make the directory, or mount its disk",
			       tier->name, tier->path, strerror(errno));
		return;
	}
	if (S_ISLNK(st.st_mode) || !S_ISDIR(st.st_mode)) {
		config_finding(look, true, "tier \"%s\": %s is %s; name the directory itself",
			       tier->name, tier->path,
			       S_ISLNK(st.st_mode) ? "a symbolic link" : "no directory");
		return;
	}
	if (statvfs(tier->path, &vfs) == 0 && (vfs.f_flag & ST_RDONLY))
		config_finding(look, true,
			       "tier \"%s\": the file system of %s is mounted read-only",
			       tier->name, tier->path);
	if (statfs(tier->path, &fs) == 0 && (fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC))
		config_finding(look, false,
			       "tier \"%s\": %s is in memory, and is lost with every boot",
			       tier->name, tier->path);
}

static void inspect_state_dir(struct config_look *look, const struct config *config)
{
	struct statfs fs;

	if (statfs(config->state_dir, &fs) < 0) {
		config_finding(look, errno != ENOENT, "state_dir %s: %s%s", config->state_dir,
			       strerror(errno),
			       errno == ENOENT ? "; larderd makes it when it starts" : "");
		return;
	}
	if ((fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC) && !config->allow_tmpfs_state)
		config_finding(
			look, true,
			"state_dir %s is in memory (tmpfs): the inventory would be lost with every boot; put "
			"it on a disk, for example in /var/lib/larder",
			config->state_dir);
}

static void inspect_helper(struct config_look *look, const struct config *config)
{
	char path[PATH_MAX];

	if (snprintf(path, sizeof(path), "%s/larder-slurm-helper", config->helper_dir) >= PATH_MAX)
		return;
	if (access(path, X_OK) < 0)
		config_finding(
			look, false,
			"%s: %s; without it slurmctld cannot be asked, and leases of jobs that vanished are "
			"kept for ever: set helper_dir",
			path, strerror(errno));
	if (*config->slurm_conf && access(config->slurm_conf, R_OK) < 0)
		config_finding(look, false, "slurm_conf %s: %s", config->slurm_conf,
			       strerror(errno));
}

static void inspect_boot_id(struct config_look *look, const struct config *config)
{
	auto_fd int fd = open(config->boot_id_file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	char byte;

	if (fd < 0 || read(fd, &byte, 1) != 1)
		config_finding(
			look, true,
			"boot_id_file %s cannot be read or is empty: leases of an earlier boot could not be "
			"told from those of this one",
			config->boot_id_file);
}

static void inspect_parent(struct config_look *look, const char *key, const char *path)
{
	char dir[PATH_MAX];
	char *slash;

	snprintf(dir, sizeof(dir), "%s", path);
	slash = strrchr(dir, '/');
	if (!slash || slash == dir)
		return;
	*slash = '\0';
	if (access(dir, F_OK) < 0)
		config_finding(look, false, "%s %s: its directory: %s", key, path, strerror(errno));
}

/* Whether it takes threads shows when larderd tries: that is said in its log. */
static void inspect_cgroup(struct config_look *look, const struct config *config)
{
	const char *cgroup = config->transfer_cgroup;
	char threads[PATH_MAX], tasks[PATH_MAX];

	if (!*cgroup)
		return;
	snprintf(threads, sizeof(threads), "%s/cgroup.threads", cgroup);
	snprintf(tasks, sizeof(tasks), "%s/tasks", cgroup); /* v1 */
	if (access(threads, W_OK) < 0 && access(tasks, W_OK) < 0)
		config_finding(
			look, false,
			"transfer_cgroup %s: %s; make it: with cgroup v2 below larderd's own and with "
			"\"threaded\" written into its cgroup.type, with v1 below cpu or cpuset; or copying "
			"is not limited by it",
			cgroup, strerror(errno));
}

static void inspect_fleet(struct config_look *look, const struct config *config)
{
	struct sockaddr_storage address;
	struct larder_error err = {0};
	char buf[16384];
	struct passwd user, *found;
	socklen_t len;

	for (unsigned int i = 0; i < config->fleet_users.count; i++) {
		found = NULL;
		getpwnam_r(config->fleet_users.items[i], &user, buf, sizeof(buf), &found);
		if (!found)
			config_finding(look, false, "fleet_users: nobody here is called %s",
				       config->fleet_users.items[i]);
	}
	if (!*config->fleet_listen)
		return;
	if (fleet_address_parse(config->fleet_listen, &address, &len, &err))
		config_finding(look, true, "fleet_listen: %s", err.text);
	if (access(*config->munge_socket ? config->munge_socket : MUNGED_SOCKET, F_OK) < 0)
		config_finding(
			look, false,
			"munged is not at %s: no machine's request can be verified; start it, or set munge_socket",
			*config->munge_socket ? config->munge_socket : MUNGED_SOCKET);
}

static void inspect_s3(struct config_look *look, const struct config *config)
{
	struct larder_error err = {0};

	if (*config->s3_credentials && s3_credentials_check(config->s3_credentials, &err))
		config_finding(look, true, "%s", err.text);
}

int config_inspect(const struct config *config, config_tell_fn tell, void *arg)
{
	struct config_look look = {.tell = tell, .arg = arg};

	inspect_view_root(&look, config);
	for (unsigned int i = 0; i < config->n_tiers; i++) {
		inspect_tier(&look, &config->tiers[i]);
		inspect_nesting(&look, config, &config->tiers[i]);
		inspect_neighbours(&look, config, i);
	}
	inspect_state_dir(&look, config);
	inspect_helper(&look, config);
	inspect_boot_id(&look, config);
	inspect_cgroup(&look, config);
	inspect_fleet(&look, config);
	inspect_parent(&look, "socket", config->socket);
	if (*config->metrics_file)
		inspect_parent(&look, "metrics_file", config->metrics_file);
	inspect_s3(&look, config);
	config_inspect_container(&look, config);
	return look.fatal;
}

struct catalog_look {
	struct config_look look;
	char view_root[PATH_MAX];
};

static int inspect_row(const struct larder_catalog_row *row, void *arg)
{
	struct catalog_look *c = arg;
	char origin[PATH_MAX];

	if (!row->head)
		config_finding(&c->look, false, "catalog: %s:%s cannot be used: %s", row->name,
			       row->version, row->problem ? row->problem : "it cannot be read");
	for (unsigned int i = 0; row->head && !row->alias_of && i < row->head->n_origins; i++)
		if (*row->head->origins[i] == '/' &&
		    config_path_within(real(row->head->origins[i], origin), c->view_root))
			config_finding(
				&c->look, true,
				"the origin of %s:%s (%s) lies beneath view_root %s: a job's view would hide it",
				row->name, row->version, row->head->origins[i], c->view_root);
	return 0;
}

int config_inspect_catalog(const struct config *config, config_tell_fn tell, void *arg)
{
	struct catalog_look c = {.look = {.tell = tell, .arg = arg}};
	struct larder_error err = {0};

	real(config->view_root, c.view_root);
	if (larder_catalog_each(config->catalog, NULL, 0, 0, inspect_row, &c, &err) < 0)
		config_finding(&c.look, false, "catalog %s: %s", config->catalog, err.text);
	return c.look.fatal;
}
