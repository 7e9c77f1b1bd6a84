/* build/cmd/build_secret.c - --secret and --ssh: what steps may use and nobody may keep (spec/cli-flags.md 9.3, spec/threats.md S3). */
#include "base/mem.h"
#include "build/cmd/build.h"
#include "build/sshagent.h"
#include "build/ui/ui.h"
#include "build/wait.h"
#include "parser/flags.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

enum { SECRET_MAX = 500 << 10 };

struct spec {
	const char *id, *src, *env;
	bool from_env;                   /* type=env */
};

static int spec_field(const char *field, struct spec *s, struct err **e)
{
	struct slice key, value;

	if (!slice_cut(slice_of(field), '=', &key, &value))
		return err_set(e, ERR_USAGE, "'%s' is not of the form KEY=VALUE", field);
	if (slice_is(key, "id")) {
		s->id = value.p;
	} else if (slice_is(key, "src") || slice_is(key, "source")) {
		s->src = value.p;
	} else if (slice_is(key, "env")) {
		s->env = value.p;
	} else if (slice_is(key, "type")) {
		if (!slice_is(value, "file") && !slice_is(value, "env"))
			return err_set(e, ERR_USAGE, "type is '%s', neither file nor env", value.p);
		s->from_env = slice_is(value, "env");
	} else {
		return err_set(e, ERR_USAGE, "there is no key '%.*s', only id, src, env and type", SLICE_F(key));
	}
	return 0;
}

/* The bytes of a file, which may be a pipe of the shell's. */
static int read_secret(struct app *a, const char *path, struct buf *out, struct err **e)
{
	if (wait_read_file(a, path, out, e) == 0)
		return 0;
	return err_kind(*e) == ERR_LIMIT ? err_wrap(e, "it is too big") : err_kind_set(e, ERR_LIMIT);
}

static void wipe(struct buf *b)
{
	if (b->p)
		mem_wipe(b->p, b->cap);
	buf_free(b);
}

static int load(struct app *a, struct spec *s, struct buf *out, struct err **e)
{
	/* With neither: the environment variable of that name, else the file of that name. */
	if (s->from_env && !s->env) {
		s->env = s->src ? s->src : s->id;
		s->src = NULL;
	}
	if (!s->src && !s->env) {
		if (getenv(s->id))
			s->env = s->id;
		else
			s->src = s->id;
	}
	if (s->src)
		return read_secret(a, s->src, out, e);
	const char *value = getenv(s->env);
	if (!value) {
		err_set(e, ERR_LIMIT, "there is no variable '%s' in the environment", s->env);
		return err_hint(e, "export it, or give the secret as a file with src=FILE");
	}
	buf_str(out, value);
	return buf_ok(out, "the secret", e);
}

static int secret_add(struct app *a, struct spec *s, struct build_req *r, struct err **e)
{
	AUTO(wipe) struct buf value = BUF_MAX(SECRET_MAX);

	if (!s->id)
		s->id = s->src ? s->src : s->env;
	if (!s->id || !*s->id)
		return err_set(e, ERR_USAGE, "id= is missing");
	for (size_t i = 0; i < r->nsecret; i++)
		if (strcmp(r->secret[i].id, s->id) == 0)
			return err_set(e, ERR_USAGE, "the id '%s' was given twice", s->id);
	/* All at once: what a growing buffer leaves behind would not be wiped. */
	(void)buf_room(&value, SECRET_MAX);
	if (load(a, s, &value, e) < 0)
		return err_wrap(e, "cannot read the secret '%s'", s->id);
	ui_redact(a->report, buf_view(&value));
	r->secret = mem_grow(r->secret, r->nsecret + 1, sizeof(*r->secret));
	r->secret[r->nsecret++] = (struct secret){ mem_str(s->id), mem_secret(value.p, value.n), value.n };
	return 0;
}

int build_secret(struct app *a, const char *text, struct build_req *r, struct err **e)
{
	struct spec s = { 0 };
	char **field = NULL;
	size_t n = 0;
	int rc = 0;

	if (csv_split(slice_of(text), &field, &n, e) < 0)
		return err_kind_set(e, ERR_USAGE);
	for (size_t i = 0; i < n && rc == 0; i++)
		rc = spec_field(field[i], &s, e);
	if (rc == 0)
		rc = secret_add(a, &s, r, e);
	csv_free(field, n);
	return rc < 0 ? err_wrap(e, "--secret is '%s'", text) : 0;
}

/* The files that it names are keys, for an agent of our own. */
static int own_agent(struct app *a, struct slice list, const char **ret, struct err **e)
{
	struct strs keys = { 0 };
	struct slice one = SLICE_NONE;
	bool more = true;

	while (more) {
		more = slice_cut(list, ',', &one, &list);
		AUTO(mem_freep) char *path = mem_strn(one.p, one.n);

		strs_add(&keys, path);
	}
	int rc = ssh_agent_start(a, keys.v, keys.n, ret, e);
	strs_clear(&keys);
	return rc;
}

int build_ssh(struct app *a, const char *spec, struct build_req *r, struct err **e)
{
	struct slice id, value;
	struct stat st;
	bool given = slice_cut(slice_of(spec), '=', &id, &value);
	const char *socket = given ? value.p : getenv("SSH_AUTH_SOCK");

	if (id.n == 0)
		return err_set(e, ERR_USAGE, "--ssh is '%s': the id is empty", spec);
	if (!socket || !*socket) {
		err_set(e, ERR_LIMIT, "--ssh is '%s', but there is no ssh agent: SSH_AUTH_SOCK is not set", spec);
		return err_hint(e, "start one with 'eval $(ssh-agent)' and ssh-add, or give its socket or a key with --ssh %.*s=PATH", SLICE_F(id));
	}
	bool there = fstatat(AT_FDCWD, socket, &st, 0) == 0;
	if (!there && !strchr(socket, ',')) {
		err_errno(e, ERR_LIMIT, errno, "cannot use '%s'", socket);
		return err_wrap(e, "--ssh is '%s'", spec);
	}
	if (!(there && S_ISSOCK(st.st_mode)) && own_agent(a, slice_of(socket), &socket, e) < 0)
		return err_wrap(e, "--ssh is '%s'", spec);
	AUTO(mem_freep) char *pair = mem_printf("%.*s=%s", SLICE_F(id), socket);
	strs_add(&r->ssh, pair);
	return 0;
}
