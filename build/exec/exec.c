/* build/exec/exec.c - execve with the container's eyes; see exec.h. Runs as the step's user inside the step's root. */
#include "build/exec/exec.h"

#include "base/fd.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

const char *exec_getenv(char *const *env, const char *name)
{
	const char *found = NULL;
	size_t len = strlen(name);

	for (size_t i = 0; env[i]; i++)
		if (strncmp(env[i], name, len) == 0 && env[i][len] == '=')
			found = env[i] + len + 1;
	return found;
}

char **exec_env(char *const *env, const char *home)
{
	const char *given = exec_getenv(env, "HOME");
	size_t n = 0, k = 0;
	char **v;

	while (env[n])
		n++;
	v = mem_array(n + 3, sizeof(*v));
	for (size_t i = 0; i < n; i++) {
		bool empty_home = given && !*given && strncmp(env[i], "HOME=", 5) == 0;

		if (!empty_home)
			v[k++] = mem_str(env[i]);
	}
	if (!exec_getenv(env, "PATH"))
		v[k++] = mem_str("PATH=" DEFAULT_PATH);
	if (!given || !*given)
		v[k++] = mem_printf("HOME=%s", home ? home : "/");
	return v;
}

static bool is_elf(const char *path, int *machine)
{
	AUTO(fd_closep) int fd = openat(AT_FDCWD, path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	unsigned char h[20];

	if (fd < 0 || read(fd, h, sizeof(h)) != sizeof(h) || memcmp(h, "\177ELF", 4) != 0)
		return false;
	*machine = h[5] == 2 ? h[18] << 8 | h[19] : h[19] << 8 | h[18];
	return true;
}

static bool is_script(const char *path, char interpreter[256])
{
	AUTO(fd_closep) int fd = openat(AT_FDCWD, path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	char line[256];
	ssize_t n = fd < 0 ? -1 : read(fd, line, sizeof(line) - 1);
	size_t from, len;

	if (n < 3 || line[0] != '#' || line[1] != '!')
		return false;
	line[n] = '\0';
	from = 2 + strspn(line + 2, " \t");
	len = strcspn(line + from, " \t\n");
	memcpy(interpreter, line + from, len);
	interpreter[len] = '\0';
	return true;
}

static size_t total_size(char *const *v)
{
	size_t sum = 0;

	for (size_t i = 0; v[i]; i++)
		sum += strlen(v[i]) + 1 + sizeof(char *);
	return sum;
}

/* execve failed with `code`: what does that mean to the user? */
static int explain(const char *path, int code, char *const *argv, char *const *env, struct buf *reason)
{
	char interpreter[256];
	struct stat st;
	int machine = 0;

	if ((code == ENOENT || code == ENOTDIR) && stat(path, &st) == 0) {
		if (is_script(path, interpreter))
			buf_printf(reason, "'%s' needs the interpreter '%s', which the image does not have", path, interpreter);
		else
			buf_printf(reason, "'%s' needs a program loader that the image does not have", path);
		return 127;
	}
	if (code == ENOENT || code == ENOTDIR) {
		buf_printf(reason, strcmp(path, "/bin/sh") == 0 ? "the image has no %s" : "the image has no '%s'", path);
		return 127;
	}
	const char *program = is_script(path, interpreter) ? interpreter : path;
	if (code == ENOEXEC && is_elf(program, &machine)) {
		buf_printf(reason, "'%s' is a program for another architecture (machine %d) that this host cannot run; install "
				   "qemu-user-static with binfmt support, or build for this platform", program, machine);
	} else if (code == ENOEXEC) {
		buf_printf(reason, "'%s' is neither a program nor a script with a '#!' line", path);
	} else if (code == E2BIG) {
		buf_printf(reason, "the arguments and the environment of '%s' are too long (%zu bytes); put the commands into a "
				   "here-document or a file", path, total_size(argv) + total_size(env));
	} else if (stat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
		buf_printf(reason, "'%s' is a directory", path);
	} else {
		buf_printf(reason, "cannot execute '%s': %s", path, strerror(code));
	}
	return 126;
}

enum { SCRIPTS_MAX = 6 };       /* one '#!' in the other: the kernel stops after five */

/* Does the kernel, started with this path, end at our own program? */
static bool is_self(const char *path, const struct stat *self)
{
	char at[256] = "", next[256];
	struct stat st;

	for (int i = 0; i < SCRIPTS_MAX; i++) {
		if (stat(path, &st) < 0)
			return false;
		if (st.st_dev == self->st_dev && st.st_ino == self->st_ino)
			return true;
		if (!S_ISREG(st.st_mode) || !is_script(path, next))
			return false;
		memcpy(at, next, sizeof(at));
		path = at;
	}
	return false;
}

bool exec_is_self(char *const *argv, char *const *env)
{
	const char *path = exec_getenv(env, "PATH");
	struct slice rest = slice_of(path ? path : DEFAULT_PATH);
	struct stat self;
	bool more = true;

	if (!argv[0] || stat("/proc/self/exe", &self) < 0)
		return false;
	if (strchr(argv[0], '/'))
		return is_self(argv[0], &self);
	while (more) {
		struct slice dir = rest;

		more = slice_cut(rest, ':', &dir, &rest);
		AUTO(mem_freep) char *file = mem_printf("%.*s%s%s", SLICE_F(dir), dir.n ? "/" : "./", argv[0]);

		if (is_self(file, &self))
			return true;
	}
	return false;
}

int exec_command(char *const *argv, char *const *env, struct buf *reason)
{
	const char *path = exec_getenv(env, "PATH");
	struct slice rest = slice_of(path ? path : DEFAULT_PATH);
	bool refused = false, more = true;

	if (!argv[0] || !*argv[0]) {
		buf_str(reason, "there is no command");
		return 127;
	}
	if (strchr(argv[0], '/')) {
		execve(argv[0], argv, env);
		return explain(argv[0], errno, argv, env, reason);
	}
	while (more) {
		struct slice dir = rest;

		more = slice_cut(rest, ':', &dir, &rest);
		AUTO(mem_freep) char *file = mem_printf("%.*s%s%s", SLICE_F(dir), dir.n ? "/" : "./", argv[0]);
		struct stat st;

		if (stat(file, &st) < 0 || !S_ISREG(st.st_mode))
			continue;
		execve(file, argv, env);
		if (errno != EACCES)
			return explain(file, errno, argv, env, reason);
		refused = true;
	}
	buf_printf(reason, refused ? "'%s' is in PATH, but may not be executed" : "'%s' is not in PATH", argv[0]);
	return refused ? 126 : 127;
}
