/* tests/bench/bare.c - bare LOWER SCRATCH N: what a step costs at least, in seconds for all N.
 *
 * For each: namespaces (mount, pid, ipc, uts), an overlay on LOWER with a new upper, /proc, pivot_root, exec of /bin/true,
 * wait. The user namespace is made once, as kiln does; root needs none.
 */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void map(const char *file, unsigned id)
{
	char text[64];
	int fd = open(file, O_WRONLY | O_CLOEXEC);
	int n = snprintf(text, sizeof text, "0 %u 1\n", id);

	if (fd < 0 || write(fd, text, (size_t)n) != n)
		die(file);
	close(fd);
}

static void enter_userns(void)
{
	unsigned uid = getuid(), gid = getgid();
	int fd;

	if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
		die("unshare");
	fd = open("/proc/self/setgroups", O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "deny", 4) != 4)
		die("setgroups");
	close(fd);
	map("/proc/self/uid_map", uid);
	map("/proc/self/gid_map", gid);
}

static void step(const char *lower, const char *dir)
{
	char opts[4096], target[1100];
	char *argv[] = { "true", NULL };

	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		die("private");
	snprintf(opts, sizeof opts, "lowerdir=%s,upperdir=%s/u,workdir=%s/w,userxattr,volatile", lower, dir, dir);
	snprintf(target, sizeof target, "%s/m", dir);
	if (mount("overlay", target, "overlay", 0, opts) < 0)
		die("overlay");
	if (chdir(target) < 0 || mount("proc", "proc", "proc", 0, NULL) < 0)
		die("proc");
	if (syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0)
		die("pivot_root");
	execv("/bin/true", argv);
	die("/bin/true");
}

int main(int argc, char **argv)
{
	const int flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | SIGCHLD;
	struct timespec a, b;
	int n;

	if (argc != 4)
		return 2;
	n = (int)strtol(argv[3], NULL, 10);
	clock_gettime(CLOCK_MONOTONIC, &a);
	if (geteuid() != 0)
		enter_userns();
	for (int i = 0; i < n; i++) {
		char dir[1024], sub[1100];
		int status = 0;
		pid_t pid;

		snprintf(dir, sizeof dir, "%s/%d", argv[2], i);
		if (mkdir(dir, 0700) < 0)
			die(dir);
		for (const char *s = "uwm"; *s; s++) {
			snprintf(sub, sizeof sub, "%s/%c", dir, *s);
			if (mkdir(sub, 0755) < 0)
				die(sub);
		}
		pid = (pid_t)syscall(SYS_clone, flags, NULL, NULL, NULL, NULL);
		if (pid == 0)
			step(argv[1], dir);
		if (pid < 0 || waitpid(pid, &status, 0) < 0 || status != 0)
			die("step");
	}
	clock_gettime(CLOCK_MONOTONIC, &b);
	printf("%.6f\n", (double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) / 1e9);
	return 0;
}
