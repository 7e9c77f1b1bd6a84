/* build/sshagent.c - see sshagent.h. */
#include "build/sshagent.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/proc.h"
#include "build/wait.h"

enum { KEY_MAX = 64 << 10, START_MS = 5000, POLL_MS = 10, ADD_MS = 20000 };

struct ssh_agent {
	struct ssh_agent *next;
	char *dir, *socket;
	pid_t pid;                       /* of the shell; 0: it did not start */
	int hold;                        /* the shell reads the other end */
};

static void agent_free(struct ssh_agent *g)
{
	int status;

	fd_closep(&g->hold);
	if (g->pid > 0)
		(void)proc_wait(g->pid, &status, NULL);
	if (g->socket)
		unlink(g->socket);
	if (g->dir)
		rmdir(g->dir);
	free(g->socket);
	free(g->dir);
	free(g);
}

static void agent_freep(struct ssh_agent **g)
{
	if (*g)
		agent_free(*g);
}

void ssh_agents_end(struct app *a)
{
	while (a->agents) {
		struct ssh_agent *next = a->agents->next;

		agent_free(a->agents);
		a->agents = next;
	}
}

static int make_dir(struct ssh_agent *g, struct err **e)
{
	const char *run = getenv("XDG_RUNTIME_DIR");
	struct stat st;

	/* The name of a socket has at most 107 bytes. */
	if (!run || run[0] != '/' || strlen(run) > 60 || stat(run, &st) < 0 || !S_ISDIR(st.st_mode))
		run = "/tmp";
	char *dir = mem_printf("%s/kiln-agent.XXXXXX", run);
	if (!mkdtemp(dir)) {
		int code = errno;

		free(dir);
		return err_errno(e, ERR_HOST, code, "cannot make a directory for an ssh agent in '%s'", run);
	}
	g->dir = dir;
	g->socket = mem_printf("%s/agent", dir);
	return 0;
}

static void agent_child(char *const *argv, char *const *env, int in) __attribute__((noreturn));
static void agent_child(char *const *argv, char *const *env, int in)
{
	int null = fd_open_host("/dev/null", O_WRONLY, 0, NULL);
	sigset_t none;

	/* Not at the user's terminal: an interrupt ends the build, which ends this. */
	setsid();
	for (int sig = 1; sig < NSIG; sig++)
		signal(sig, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (null >= 0 && dup2(in, 0) >= 0 && dup2(null, 1) >= 0 && dup2(null, 2) >= 0)
		execve(argv[0], argv, env);
	_exit(127);
}

static int start(struct ssh_agent *g, const char *program, struct err **e)
{
	AUTO(mem_freep) char *path = proc_env("PATH");
	char *const argv[] = { (char *)program, (char *)"-a", g->socket, (char *)"/bin/sh", (char *)"-c",
			       (char *)"read line; kill \"$SSH_AGENT_PID\"", NULL };
	char *const env[] = { path, NULL };
	struct stat st;
	int go[2];

	if (fd_pipe(go, e) < 0)
		return -1;
	g->hold = go[1];
	g->pid = fork();
	if (g->pid == 0)
		agent_child(argv, env, go[0]);
	close(go[0]);
	if (g->pid < 0)
		return err_errno(e, ERR_HOST, errno, "cannot start ssh-agent");
	for (unsigned ms = 0; ms < START_MS; ms += POLL_MS) {
		if (stat(g->socket, &st) == 0)
			return 0;
		poll(NULL, 0, POLL_MS);
	}
	return err_set(e, ERR_HOST, "ssh-agent did not start within %d seconds", START_MS / 1000);
}

static int add(struct app *a, const struct ssh_agent *g, const char *program, const char *key, struct err **e)
{
	AUTO(buf_freep) struct buf bytes = BUF_MAX(KEY_MAX);
	AUTO(buf_freep) struct buf said = BUF_MAX(4096);
	AUTO(buf_freep) struct buf clean = BUF_MAX(2048);
	AUTO(mem_freep) char *socket = mem_printf("SSH_AUTH_SOCK=%s", g->socket);
	AUTO(mem_freep) char *path = proc_env("PATH");
	/* Nobody is asked for a passphrase. */
	const char *const env[] = { socket, path, "SSH_ASKPASS=/bin/false", "SSH_ASKPASS_REQUIRE=force", "DISPLAY=none", NULL };
	const char *const argv[] = { program, "-q", "-", NULL };
	struct proc_run r = { .argv = argv, .env = env, .dir = -1, .timeout_ms = ADD_MS, .err = &said };

	if (wait_read_file(a, key, &bytes, e) < 0) {
		err_kind_set(e, ERR_LIMIT);
		return err_wrap(e, "cannot read the key '%s'", key);
	}
	r.input = buf_view(&bytes);
	int status = proc_run(&r, e);
	if (bytes.p)
		mem_wipe(bytes.p, bytes.cap);
	if (status == 0)
		return 0;
	buf_escaped(&clean, slice_trim(buf_view(&said), " \r\n"), 300);
	if (status > 0)
		err_set(e, ERR_LIMIT, "cannot use '%s' as a key%s%s", key, clean.n ? ": " : "", clean.n ? clean.p : "");
	return err_hint(e, "a key with a passphrase is added to an agent with ssh-add; then give the agent's socket");
}

int ssh_agent_start(struct app *a, char *const *keys, size_t n, const char **ret_socket, struct err **e)
{
	AUTO(mem_freep) char *agent = proc_find("ssh-agent");
	AUTO(mem_freep) char *adder = proc_find("ssh-add");
	AUTO(agent_freep) struct ssh_agent *g = mem_zalloc(sizeof(*g));

	g->hold = -1;
	if (!agent || !adder) {
		err_set(e, ERR_HOST, "keys are given to steps by ssh-agent and ssh-add, which are not installed");
		return err_hint(e, "install the package openssh-client");
	}
	if (make_dir(g, e) < 0 || start(g, agent, e) < 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		if (add(a, g, adder, keys[i], e) < 0)
			return -1;
	*ret_socket = g->socket;
	g->next = a->agents;
	a->agents = take(&g);
	return 0;
}
