/* build/exec/net.c - what network a step sees: the host's, none, or a private one through pasta (spec/executor.md 11).
 *
 * pasta is a child of the monitor, in the foreground, so it ends with the step. It is forked before the monitor enters the
 * step's network namespace, since nobody may go back to the host's; it is ready when a default route is there.
 */
#include "build/exec/box.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/proc.h"
#include "layers/snap_mnt.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define FORWARDER "169.254.1.1"
enum { READY_MS = 10000, POLL_MS = 5 };

static int lo_up(struct err **e)
{
	AUTO(fd_closep) int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq r = { .ifr_name = "lo" };

	if (fd < 0 || ioctl(fd, SIOCGIFFLAGS, &r) < 0)
		return err_errno(e, ERR_HOST, errno, "cannot look at the loopback interface");
	r.ifr_flags |= IFF_UP;
	if (ioctl(fd, SIOCSIFFLAGS, &r) < 0)
		return err_errno(e, ERR_HOST, errno, "cannot start the loopback interface");
	return 0;
}

/* The namespace as a file: pasta drops its capabilities before it opens it, so /proc/PID/ns/net would be refused. */
static int netns_file(struct box *b, char **ret, struct err **e)
{
	AUTO(mem_freep) char *name = mem_printf("n%u", b->nfile++);
	AUTO(fd_closep) int file = openat(b->files, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	AUTO(fd_closep) int mount = mnt_clone(AT_FDCWD, "/proc/self/ns/net", false, e);

	if (mount < 0)
		return -1;
	*ret = mem_printf("%s/%s", b->at, name);
	if (file < 0)
		return err_errno(e, ERR_HOST, errno, "cannot make a file for the network namespace");
	return mnt_attach(mount, file, "the network namespace", e);
}

static bool has_route(void)
{
	AUTO(fd_closep) int fd = openat(AT_FDCWD, "/proc/self/net/route", O_RDONLY | O_CLOEXEC);
	AUTO(buf_freep) struct buf text = BUF_MAX(64 << 10);

	return fd >= 0 && fd_read_all(fd, &text, NULL) == 0 && text.p && strstr(text.p, "\t00000000\t");
}

/* A real root makes pasta change to 'nobody', who cannot enter the namespace. */
static bool real_root(void)
{
	AUTO(fd_closep) int fd = openat(AT_FDCWD, "/proc/self/uid_map", O_RDONLY | O_CLOEXEC);
	AUTO(buf_freep) struct buf text = BUF_MAX(4096);

	return fd >= 0 && fd_read_all(fd, &text, NULL) == 0 && text.p && strstr(text.p, " 4294967295\n");
}

/* Waits for the name of the namespace's file, then becomes pasta. */
static void pasta_child(const char *program, int go, int said) __attribute__((noreturn));
static void pasta_child(const char *program, int go, int said)
{
	char netns[4096];
	const char *argv[24] = { program, "--foreground", "--config-net", "-t", "none", "-u", "none", "-T", "none", "-U", "none",
				 "--no-map-gw", "--dns-forward", FORWARDER, "--netns", netns, real_root() ? "--runas" : NULL, "0", NULL };
	char *env[] = { NULL };
	ssize_t n = fd_read(go, netns, sizeof(netns) - 1, NULL);

	signal(SIGPIPE, SIG_DFL);               /* versions of 2023 take an ignored one for an error */
	if (n > 0 && dup2(said, 1) >= 0 && dup2(said, 2) >= 0) {
		netns[n] = '\0';
		execve(program, (char *const *)argv, env);
	}
	_exit(127);
}

int net_prepare(struct box *b, struct err **e)
{
	AUTO(mem_freep) char *program = proc_find("pasta");
	pid_t self = getpid(), pid;
	int go[2];

	if (b->spec->net != RUN_NET_PRIVATE)
		return 0;
	if (!program) {
		err_set(e, ERR_HOST, "a private network needs 'pasta', which is not installed");
		return err_hint(e, "install the package passt, or use --network=host or --network=none");
	}
	if (fd_pipe(go, e) < 0)
		return -1;
	b->pasta_go = go[1];
	b->pasta_said = memfd_create("pasta", MFD_CLOEXEC);
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != self)
			_exit(127);
		close(go[1]);
		pasta_child(program, go[0], b->pasta_said);
	}
	close(go[0]);
	if (pid < 0)
		return err_errno(e, ERR_HOST, errno, "cannot start pasta");
	box_helper(b, pid);
	return 0;
}

static int pasta_failed(int said, struct err **e)
{
	AUTO(buf_freep) struct buf text = BUF_MAX(4096);
	AUTO(buf_freep) struct buf clean = BUF_MAX(1024);

	if (said >= 0 && lseek(said, 0, SEEK_SET) == 0)
		(void)fd_read_all(said, &text, NULL);
	buf_escaped(&clean, slice_trim(buf_view(&text), " \n"), 500);
	err_set(e, ERR_HOST, "pasta could not set up the private network%s%s", clean.n ? ": " : "", clean.n ? clean.p : "");
	return err_hint(e, "pasta needs a default route on the host; use --network=host or --network=none");
}

static int pasta_start(struct box *b, struct err **e)
{
	AUTO(mem_freep) char *netns = NULL;
	int64_t until = clock_ns() + (int64_t)READY_MS * 1000000;
	pid_t pid = b->helper[b->nhelper - 1];

	if (netns_file(b, &netns, e) < 0 || fd_write_all(b->pasta_go, netns, strlen(netns), e) < 0)
		return -1;
	fd_closep(&b->pasta_go);
	while (!has_route()) {
		int status;

		if (waitpid(pid, &status, WNOHANG) == pid) {
			b->nhelper--;
			return pasta_failed(b->pasta_said, e);
		}
		if (clock_ns() > until)
			return err_set(e, ERR_HOST, "pasta was not ready within %d seconds", READY_MS / 1000);
		if (box_cancelled(b, POLL_MS))
			return err_set(e, ERR_HOST, "cancelled while the network started");
	}
	return 0;
}

int net_start(struct box *b, struct err **e)
{
	if (b->spec->net == RUN_NET_HOST)
		return 0;
	if (lo_up(e) < 0)
		return -1;
	return b->spec->net == RUN_NET_PRIVATE ? pasta_start(b, e) : 0;
}

/* The host's lines, but those that something else takes the place of; in a private network its loopback servers are not there. */
static void resolv_lines(const struct run_spec *s, struct slice host, struct buf *out)
{
	while (host.n > 0) {
		struct slice line = host, rest = SLICE_NONE;

		if (!slice_cut(host, '\n', &line, &rest))
			rest = SLICE_NONE;
		host = rest;
		bool server = slice_starts(line, "nameserver"), search = slice_starts(line, "search ") || slice_starts(line, "domain ");
		bool options = slice_starts(line, "options ");

		if (s->net == RUN_NET_PRIVATE && !search && !options)
			continue;
		if ((server && s->dns[0]) || (search && s->dns_search[0]) || (options && s->dns_options[0]))
			continue;
		buf_slice(out, line);
		buf_char(out, '\n');
	}
}

static void resolv_list(const char *word, char *const *list, struct buf *out)
{
	for (size_t i = 0; list[i]; i++)
		buf_printf(out, "%s%s", i ? " " : word, list[i]);
	if (list[0])
		buf_char(out, '\n');
}

int net_resolv(const struct box *b, struct buf *out, struct err **e)
{
	AUTO(fd_closep) int fd = -1;
	AUTO(buf_freep) struct buf host = BUF_MAX(1 << 20);
	const struct run_spec *s = b->spec;

	if (s->net == RUN_NET_NONE)
		return 0;
	fd = openat(AT_FDCWD, "/etc/resolv.conf", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 && errno != ENOENT)
		return err_errno(e, ERR_HOST, errno, "cannot read '/etc/resolv.conf' of this host");
	if (fd >= 0 && fd_read_all(fd, &host, e) < 0)
		return -1;
	if (s->net == RUN_NET_HOST && !s->dns[0] && !s->dns_search[0] && !s->dns_options[0]) {
		buf_slice(out, buf_view(&host));
		return 0;
	}
	if (s->net == RUN_NET_PRIVATE && !s->dns[0])
		buf_str(out, "nameserver " FORWARDER "\n");
	for (size_t i = 0; s->dns[i]; i++)
		buf_printf(out, "nameserver %s\n", s->dns[i]);
	resolv_lines(s, buf_view(&host), out);
	/* "." is no domain. */
	if (s->dns_search[0] && strcmp(s->dns_search[0], ".") != 0)
		resolv_list("search ", s->dns_search, out);
	resolv_list("options ", s->dns_options, out);
	return 0;
}
