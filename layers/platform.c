/* layers/platform.c - os/arch/variant: parse, normalise, match.
 *
 * A text is os, arch, os/arch or os/arch/variant; os may carry a version and features in parentheses. What is left out comes
 * from the host. Ranking follows the ordered candidate lists of spec/oci.md 1.8.
 */
#include "layers/platform.h"

#include <sys/utsname.h>

static const char known_os[][12] = {
	"aix",   "android", "darwin", "dragonfly", "freebsd", "hurd",    "illumos", "ios",
	"js",    "linux",   "nacl",   "netbsd",    "openbsd", "plan9",   "solaris", "windows", "zos",
};
static const char known_arch[][14] = {
	"386",    "amd64",    "amd64p32",   "arm",  "armbe", "arm64",   "arm64be", "ppc64", "ppc64le", "loong64",
	"mips",   "mipsle",   "mips64",     "mips64le", "mips64p32", "mips64p32le", "ppc", "riscv", "riscv64", "s390",
	"s390x",  "sparc",    "sparc64",    "wasm",
};
/* Other spellings, with the variant they imply (NULL: the given one stays). */
static const struct {
	const char *from, *arch, *variant;
} alias[] = {
	{ "i386", "386", "" },        { "x86_64", "amd64", NULL }, { "x86-64", "amd64", NULL },
	{ "aarch64", "arm64", NULL }, { "armhf", "arm", "v7" },    { "armel", "arm", "v6" },
};
/* uname -m where it is neither an alias nor the same word. */
static const struct {
	const char *machine, *arch, *variant;
} machines[] = {
	{ "i486", "386", "" },        { "i586", "386", "" },         { "i686", "386", "" },
	{ "armv5l", "arm", "v5" },    { "armv5tel", "arm", "v5" },   { "armv6l", "arm", "v6" },
	{ "armv7l", "arm", "v7" },    { "armv7ml", "arm", "v7" },    { "armv8l", "arm", "v8" },
	{ "loongarch64", "loong64", "" },
};

static void text_set(char *to, size_t size, const char *s)
{
	snprintf(to, size, "%s", s);
}

/* A component fits, and holds only the characters of Appendix E. */
static int part(char *to, size_t size, struct slice s, bool dots, struct err **e)
{
	if (s.n == 0)
		return err_set(e, ERR_USAGE, "a part of it is empty");
	if (s.n >= size)
		return err_set(e, ERR_USAGE, "a part of it is longer than %zu characters", size - 1);
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if (c >= 'A' && c <= 'Z')
			c = (char)(c - 'A' + 'a');
		if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || (c == '.' && dots)))
			return err_set(e, ERR_USAGE, c == '*' ? "wildcards are not supported" : "only letters, digits, '_', '-' and '.' may stand in it");
		to[i] = c;
	}
	to[s.n] = '\0';
	return 0;
}

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int decode(struct slice s, char *to, size_t size, struct err **e)
{
	size_t n = 0;

	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if (c == '%') {
			if (i + 2 >= s.n || hex(s.p[i + 1]) < 0 || hex(s.p[i + 2]) < 0)
				return err_set(e, ERR_USAGE, "'%%' is not followed by two hex digits");
			c = (char)(hex(s.p[i + 1]) << 4 | hex(s.p[i + 2]));
			i += 2;
		}
		if ((unsigned char)c <= ' ' || (unsigned char)c >= 0x7f)
			return err_set(e, ERR_USAGE, "the version of the operating system holds a character that cannot be printed");
		if (n + 1 >= size)
			return err_set(e, ERR_USAGE, "the version of the operating system is too long");
		to[n++] = c;
	}
	to[n] = '\0';
	return 0;
}

bool platform_feature(const struct platform *p, size_t i, char ret[PLATFORM_WORD])
{
	struct slice one = SLICE_NONE, rest = slice_of(p->os_features);
	bool more = rest.n > 0;

	for (size_t k = 0; more && k < i; k++)
		more = slice_cut(rest, '+', &one, &rest);
	if (!more)
		return false;
	slice_cut(rest, '+', &one, &rest);
	return decode(one, ret, PLATFORM_WORD, NULL) == 0;
}

/* "os" or "os(version+feature+feature)", each percent-encoded. */
static int part_os(struct platform *p, struct slice s, struct err **e)
{
	struct slice name = s, version = SLICE_NONE, features = SLICE_NONE, one = SLICE_NONE;
	char feature[PLATFORM_WORD];

	if (!slice_cut(s, '(', &name, &version))
		return part(p->os, sizeof(p->os), s, false, e);
	if (!slice_ends(version, ")"))
		return err_set(e, ERR_USAGE, "')' is missing after the version of the operating system");
	version.n--;
	bool more = slice_cut(version, '+', &version, &features);
	if (decode(version, p->os_version, sizeof(p->os_version), e) < 0)
		return -1;
	if (features.n >= sizeof(p->os_features))
		return err_set(e, ERR_USAGE, "the features of the operating system are too long");
	if (more)
		memcpy(p->os_features, features.p, features.n);
	while (more) {
		more = slice_cut(features, '+', &one, &features);
		if (!one.n)
			return err_set(e, ERR_USAGE, "a feature of the operating system is empty");
		if (decode(one, feature, sizeof(feature), e) < 0)
			return -1;
	}
	return part(p->os, sizeof(p->os), name, false, e);
}

static bool is_known_os(const char *os)
{
	for (size_t i = 0; i < countof(known_os); i++)
		if (strcmp(os, known_os[i]) == 0)
			return true;
	return strcmp(os, "macos") == 0;
}

static bool is_known_arch(const char *arch)
{
	for (size_t i = 0; i < countof(known_arch); i++)
		if (strcmp(arch, known_arch[i]) == 0)
			return true;
	for (size_t i = 0; i < countof(alias); i++)
		if (strcmp(arch, alias[i].from) == 0)
			return true;
	return false;
}

static int parse_one(struct slice text, struct platform *p, struct err **e)
{
	struct platform host;

	if (part_os(p, text, e) < 0)
		return -1;
	platform_host(&host);
	if (is_known_os(p->os)) {
		text_set(p->arch, sizeof(p->arch), host.arch);
		text_set(p->variant, sizeof(p->variant), host.variant);
		return 0;
	}
	if (!is_known_arch(p->os) || p->os_version[0] || p->os_features[0])
		return err_set(e, ERR_USAGE, "unknown operating system or architecture");
	memcpy(p->arch, p->os, sizeof(p->arch));
	memcpy(p->os, host.os, sizeof(p->os));
	return 0;
}

static int parse(struct slice text, struct platform *p, struct err **e)
{
	struct slice os, arch, variant;

	if (slice_is(text, "local")) {
		platform_host(p);
		return 0;
	}
	if (!slice_cut(text, '/', &os, &arch))
		return parse_one(text, p, e);
	bool has_variant = slice_cut(arch, '/', &arch, &variant);
	if (has_variant && slice_find(variant, '/'))
		return err_set(e, ERR_USAGE, "it has more than three parts");
	if (part_os(p, os, e) < 0 || part(p->arch, sizeof(p->arch), arch, true, e) < 0)
		return -1;
	return has_variant ? part(p->variant, sizeof(p->variant), variant, true, e) : 0;
}

int platform_parse(struct slice text, struct platform *ret, struct err **e)
{
	struct platform p = { 0 };

	if (parse(text, &p, e) < 0) {
		err_hint(e, "write it as os/arch or os/arch/variant, for example linux/amd64 or linux/arm/v7");
		return err_wrap(e, "invalid platform '%.*s'", SLICE_F(text));
	}
	platform_normalise(&p);
	*ret = p;
	return 0;
}

/* A 32-bit kernel says what the processor is; the variant is in its machine name. */
void platform_host(struct platform *ret)
{
	struct utsname u = { 0 };

	*ret = (struct platform){ .os = "linux" };
	if (uname(&u) < 0)
		text_set(u.machine, sizeof(u.machine), "unknown");
	for (size_t i = 0; i < countof(machines); i++)
		if (strcmp(u.machine, machines[i].machine) == 0) {
			text_set(ret->arch, sizeof(ret->arch), machines[i].arch);
			text_set(ret->variant, sizeof(ret->variant), machines[i].variant);
			return;
		}
	snprintf(ret->arch, sizeof(ret->arch), "%.31s", u.machine);
	platform_normalise(ret);
}

struct platform_text platform_text(const struct platform *p)
{
	AUTO(buf_freep) struct buf b = BUF_MAX(sizeof(struct platform_text) - 1);
	struct platform_text t = { "" };

	buf_str(&b, p->os);
	if (p->os_version[0] || p->os_features[0])
		buf_char(&b, '(');
	for (const char *v = p->os_version; *v; v++) {
		bool plain = (*v >= 'a' && *v <= 'z') || (*v >= 'A' && *v <= 'Z') || (*v >= '0' && *v <= '9') || strchr(".-_", *v);

		buf_printf(&b, plain ? "%c" : "%%%02X", (unsigned char)*v);
	}
	if (p->os_features[0])
		buf_printf(&b, "+%s", p->os_features);
	if (p->os_version[0] || p->os_features[0])
		buf_char(&b, ')');
	buf_printf(&b, "/%s%s%s", p->arch, p->variant[0] ? "/" : "", p->variant);
	text_set(t.s, sizeof(t.s), b.p);
	return t;
}

static void lower(char *s)
{
	for (; *s; s++)
		if (*s >= 'A' && *s <= 'Z')
			*s = (char)(*s - 'A' + 'a');
}

static bool any_of(const char *s, const char *a, const char *b, const char *c)
{
	return strcmp(s, a) == 0 || strcmp(s, b) == 0 || strcmp(s, c) == 0;
}

void platform_normalise(struct platform *p)
{
	lower(p->os);
	lower(p->arch);
	lower(p->variant);
	if (strcmp(p->os, "macos") == 0)
		text_set(p->os, sizeof(p->os), "darwin");
	for (size_t i = 0; i < countof(alias); i++)
		if (strcmp(p->arch, alias[i].from) == 0) {
			text_set(p->arch, sizeof(p->arch), alias[i].arch);
			if (alias[i].variant)
				text_set(p->variant, sizeof(p->variant), alias[i].variant);
			break;
		}
	if (strcmp(p->arch, "amd64") == 0 && strcmp(p->variant, "v1") == 0) {
		p->variant[0] = '\0';
	} else if (strcmp(p->arch, "arm64") == 0) {
		if (any_of(p->variant, "8", "v8", "v8.0"))
			p->variant[0] = '\0';
		else if (any_of(p->variant, "9", "9.0", "v9.0"))
			text_set(p->variant, sizeof(p->variant), "v9");
	} else if (strcmp(p->arch, "arm") == 0) {
		if (p->variant[0] == '\0' || strcmp(p->variant, "7") == 0)
			text_set(p->variant, sizeof(p->variant), "v7");
		else if (any_of(p->variant, "5", "6", "8"))
			snprintf(p->variant, sizeof(p->variant), "v%c", p->variant[0]);
	}
}

/* "vN" or "vN.M" as N * 100 + M; empty is dflt, anything else -1. */
static int level(const char *variant, int dflt)
{
	struct slice major = slice_of(variant), minor = SLICE_NONE;
	uint64_t a = 0, b = 0;

	if (!*variant)
		return dflt;
	if (*variant != 'v')
		return -1;
	bool dot = slice_cut(slice_skip(major, 1), '.', &major, &minor);
	if (!slice_u64(major, &a) || (dot && !slice_u64(minor, &b)) || a > 99 || b > 99)
		return -1;
	return (int)(a * 100 + b);
}

static int rank_arm64(const struct platform *want, const struct platform *have)
{
	int w = level(want->variant, 800), h = 0;

	if (strcmp(have->arch, "arm") == 0) {
		h = level(have->variant, 700);
		return h >= 500 && h <= 800 ? h : 0;
	}
	if (strcmp(have->arch, "arm64") != 0)
		return 0;
	if (strcmp(want->variant, have->variant) == 0)
		return 100000;
	h = level(have->variant, 800);
	if (w < 0 || h < 0)
		return 0;
	/* v9.y also runs v8.(y+5) and below. */
	if (h <= w && (h / 100 == w / 100 || (w >= 900 && h <= 800 + w % 100 + 5)))
		return 10000 + h;
	return 0;
}

int platform_rank(const struct platform *want, const struct platform *have)
{
	struct platform w = *want, h = *have;

	platform_normalise(&w);
	platform_normalise(&h);
	if (strcmp(w.os, h.os) != 0)
		return 0;
	if (strcmp(w.arch, "arm64") == 0)
		return rank_arm64(&w, &h);
	if (strcmp(w.arch, h.arch) != 0)
		return 0;
	if (strcmp(w.variant, h.variant) == 0)
		return 100000;
	bool amd64 = strcmp(w.arch, "amd64") == 0;
	if (!amd64 && strcmp(w.arch, "arm") != 0)
		return 0;
	int wl = level(w.variant, amd64 ? 100 : 700), hl = level(h.variant, amd64 ? 100 : 700);
	return hl >= (amd64 ? 100 : 500) && hl <= wl ? 10000 + hl : 0;
}
