/* registry/ref.c - references: grammar and normalisation of spec/oci.md 2.1.
 *
 *     reference  name [":" tag] ["@" digest]
 *     name       [domain "/"] component ("/" component)*
 *     domain     the part before the first "/" if it has a '.', ':' or upper-case letter, or is "localhost"
 */
#include "registry/ref.h"

#include "base/mem.h"

#include <stdlib.h>
#include <strings.h>

enum { REPO_MAX = 255, TAG_MAX = 128, DOMAIN_MAX = 255, SHOWN_MAX = 200 };

static bool lower_digit(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool upper(char c)
{
	return c >= 'A' && c <= 'Z';
}

static bool alnum(char c)
{
	return lower_digit(c) || upper(c);
}

/* [a-z0-9]+ runs, separated by one '.', one or two '_', or any number of '-'. */
static bool component_ok(struct slice s)
{
	size_t i = 0;

	while (i < s.n) {
		size_t from = i;

		while (i < s.n && lower_digit(s.p[i]))
			i++;
		if (i == from)
			return false;
		if (i == s.n)
			return true;
		char sep = s.p[i];
		from = i;
		while (i < s.n && s.p[i] == sep)
			i++;
		if (!(sep == '-' || (sep == '.' && i - from == 1) || (sep == '_' && i - from <= 2)))
			return false;
	}
	return false;                    /* empty, or a separator at the end */
}

static bool repo_ok(struct slice s)
{
	struct slice head;

	while (slice_cut(s, '/', &head, &s)) {
		if (!component_ok(head))
			return false;
	}
	return component_ok(head);
}

static bool host_ok(struct slice s)
{
	struct slice label;
	bool more = true;

	while (more) {
		more = slice_cut(s, '.', &label, &s);
		if (label.n == 0 || !alnum(label.p[0]) || !alnum(label.p[label.n - 1]))
			return false;
		for (size_t i = 0; i < label.n; i++) {
			if (!alnum(label.p[i]) && label.p[i] != '-')
				return false;
		}
	}
	return true;
}

static bool ipv6_ok(struct slice s)
{
	if (s.n < 2)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'f') && !(c >= 'A' && c <= 'F') && c != ':' && c != '.')
			return false;
	}
	return true;
}

static bool domain_ok(struct slice s)
{
	struct slice host = s, port = SLICE_NONE;
	uint64_t n = 0;

	if (s.n == 0 || s.n > DOMAIN_MAX)
		return false;
	if (s.p[0] == '[') {
		if (!slice_cut(slice_skip(s, 1), ']', &host, &port) || !ipv6_ok(host))
			return false;
		if (port.n == 0)
			return true;
		if (port.p[0] != ':')
			return false;
		port = slice_skip(port, 1);
	} else {
		bool has_port = slice_cut(s, ':', &host, &port);

		if (!host_ok(host))
			return false;
		if (!has_port)
			return true;
	}
	return slice_u64(port, &n) && n > 0 && n <= 65535;
}

static bool tag_ok(struct slice s)
{
	if (s.n == 0 || s.n > TAG_MAX || s.p[0] == '.' || s.p[0] == '-')
		return false;
	for (size_t i = 0; i < s.n; i++) {
		if (!alnum(s.p[i]) && s.p[i] != '_' && s.p[i] != '.' && s.p[i] != '-')
			return false;
	}
	return true;
}

static bool is_domain(struct slice s)
{
	if (slice_is(s, "localhost"))
		return true;
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '.' || s.p[i] == ':' || upper(s.p[i]))
			return true;
	}
	return false;
}

static int bad(struct slice text, const char *why, struct err **e)
{
	if (text.n > SHOWN_MAX)
		text.n = SHOWN_MAX;
	return err_set(e, ERR_INPUT, "invalid reference format: '%.*s': %s", SLICE_F(text), why);
}

/* Cut ":tag" off the end of *name; the last ':' is one only when no '/' follows it (a port otherwise). */
static bool cut_tag(struct slice *name, struct slice *tag)
{
	for (size_t i = name->n; i > 0 && name->p[i - 1] != '/'; i--) {
		if (name->p[i - 1] == ']')
			return false;
		if (name->p[i - 1] == ':') {
			*tag = slice_skip(*name, i);
			name->n = i - 1;
			return true;
		}
	}
	return false;
}

static int name_split(struct slice text, struct slice name, struct slice *domain, struct slice *repo, struct err **e)
{
	struct digest d;

	if (digest_parse_hex(name, &d) == 0)
		return bad(text, "64 hexadecimal digits are an image id, not a name", e);
	if (!slice_cut(name, '/', domain, repo) || !is_domain(*domain)) {
		*domain = SLICE_LIT("docker.io");
		*repo = name;
	}
	if (slice_is_nocase(*domain, "index.docker.io") || slice_is_nocase(*domain, "docker.io"))
		*domain = SLICE_LIT("docker.io");
	if (!domain_ok(*domain)) {
		bad(text, "the registry's host name is malformed", e);
		return memmem(text.p, text.n, "://", 3) ? err_hint(e, "write it without 'https://'") : -1;
	}
	if (repo->n == 0)
		return bad(text, "the repository is empty", e);
	for (size_t i = 0; i < repo->n; i++) {
		if (upper(repo->p[i]))
			return bad(text, "the repository must be lower case", e);
	}
	if (!repo_ok(*repo))
		return bad(text, "the repository is malformed", e);
	return 0;
}

int ref_parse(struct slice text, struct ref *ret, struct err **e)
{
	struct slice name = text, digest = SLICE_NONE, tag = SLICE_NONE, domain = SLICE_NONE, repo = SLICE_NONE;
	struct ref r = { 0 };
	bool has_tag = false;

	if (text.n == 0)
		return bad(text, "it is empty", e);
	r.has_digest = slice_cut(text, '@', &name, &digest);
	has_tag = cut_tag(&name, &tag);
	if (has_tag && tag.n == 0)
		return bad(text, "the tag is empty", e);
	if (has_tag && !tag_ok(tag))
		return bad(text, tag.n > TAG_MAX ? "the tag is longer than 128 characters" : "the tag is malformed", e);
	if (name_split(text, name, &domain, &repo, e) < 0)
		return -1;
	if (r.has_digest && digest_parse(digest, &r.digest, ERR_INPUT, NULL) < 0)
		return bad(text, "the digest is not 'sha256:' and 64 lower-case hexadecimal digits", e);

	bool library = slice_is(domain, "docker.io") && !slice_find(repo, '/');
	if (repo.n + (library ? 8 : 0) > REPO_MAX)
		return bad(text, "the repository is longer than 255 characters", e);
	r.domain = mem_strn(domain.p, domain.n);
	r.repo = mem_printf("%s%.*s", library ? "library/" : "", SLICE_F(repo));
	if (has_tag)
		r.tag = mem_strn(tag.p, tag.n);
	else if (!r.has_digest)
		r.tag = mem_str("latest");
	*ret = r;
	return 0;
}

void ref_clear(struct ref *r)
{
	free(r->domain);
	free(r->repo);
	free(r->tag);
	*r = (struct ref){ 0 };
}

void ref_copy(struct ref *to, const struct ref *from)
{
	*to = (struct ref){
		.domain = mem_str(from->domain), .repo = mem_str(from->repo), .tag = mem_str(from->tag),
		.has_digest = from->has_digest, .digest = from->digest,
	};
}

static void print_rest(const struct ref *r, bool latest, struct buf *out)
{
	if (r->tag && (latest || r->has_digest || strcmp(r->tag, "latest") != 0))
		buf_printf(out, ":%s", r->tag);
	if (r->has_digest)
		buf_printf(out, "@%s", digest_text(&r->digest).s);
}

void ref_print(const struct ref *r, struct buf *out)
{
	buf_printf(out, "%s/%s", r->domain, r->repo);
	print_rest(r, true, out);
}

void ref_familiar(const struct ref *r, struct buf *out)
{
	struct slice repo = slice_of(r->repo), first = repo, rest = SLICE_NONE;
	bool hub = strcmp(r->domain, "docker.io") == 0, path = slice_cut(repo, '/', &first, &rest);
	bool official = hub && path && slice_is(first, "library") && !slice_find(rest, '/');

	/* Only what would be read as the same name again is left out. */
	if (!hub || is_domain(first))
		buf_printf(out, "%s/", r->domain);
	buf_slice(out, official && !is_domain(rest) ? rest : repo);
	print_rest(r, false, out);
}

bool ref_equal(const struct ref *a, const struct ref *b)
{
	const char *ta = a->tag ? a->tag : "", *tb = b->tag ? b->tag : "";

	return strcasecmp(a->domain, b->domain) == 0 && strcmp(a->repo, b->repo) == 0 && strcmp(ta, tb) == 0 &&
	       a->has_digest == b->has_digest && (!a->has_digest || digest_equal(&a->digest, &b->digest));
}
