/* tests/unit/platform.c - platform texts, their normal form, and which image serves which host. */
#include "layers/platform.h"
#include "tests/tap.h"

static const struct {
	const char *name, *in, *want, *err;
} parses[] = {
	{ "os and architecture", "linux/amd64", "linux/amd64", NULL },
	{ "the first amd64 level says nothing", "linux/amd64/v1", "linux/amd64", NULL },
	{ "a higher amd64 level stays", "linux/amd64/v3", "linux/amd64/v3", NULL },
	{ "arm without variant is v7", "linux/arm", "linux/arm/v7", NULL },
	{ "a bare number is a variant of arm", "linux/arm/6", "linux/arm/v6", NULL },
	{ "arm64 v8 is plain arm64", "linux/arm64/v8", "linux/arm64", NULL },
	{ "arm64 9.0 is v9", "linux/arm64/9.0", "linux/arm64/v9", NULL },
	{ "aliases of kernels", "Linux/X86_64", "linux/amd64", NULL },
	{ "x86-64 with a dash", "linux/x86-64", "linux/amd64", NULL },
	{ "aarch64", "linux/aarch64", "linux/arm64", NULL },
	{ "armhf implies v7", "linux/armhf", "linux/arm/v7", NULL },
	{ "armel implies v6", "linux/armel", "linux/arm/v6", NULL },
	{ "i386 drops its variant", "linux/i386/v9", "linux/386", NULL },
	{ "macos is darwin", "macos/arm64", "darwin/arm64", NULL },
	{ "an architecture alone is linux", "s390x", "linux/s390x", NULL },
	{ "unknown words are fine in two parts", "plan10/z80", "plan10/z80", NULL },
	{ "a version of the os", "windows(10.0.17763.1)/amd64", "windows(10.0.17763.1)/amd64", NULL },
	{ "a percent-encoded version", "windows(10%2e0)/amd64", "windows(10.0)/amd64", NULL },
	{ "what has to be encoded stays so", "linux(a%2fb%2Bc)/amd64", "linux(a%2Fb%2Bc)/amd64", NULL },
	{ "features of the os", "windows(10.0+win32k+x%2B)/amd64", "windows(10.0+win32k+x%2B)/amd64", NULL },
	{ "features alone", "windows(+f)/amd64", "windows(+f)/amd64", NULL },
	{ "an empty feature is refused", "windows(1+)/amd64", NULL, "a feature of the operating system is empty" },
	{ "an architecture has no features", "amd64(+f)", NULL, "unknown operating system or architecture" },
	{ "an unknown single word is refused", "linus", NULL, "unknown operating system or architecture" },
	{ "four parts are refused", "linux/arm/v7/x", NULL, "it has more than three parts" },
	{ "an empty part is refused", "linux//v7", NULL, "a part of it is empty" },
	{ "nothing is refused", "", NULL, "a part of it is empty" },
	{ "a wildcard is refused", "linux/*", NULL, "wildcards are not supported" },
	{ "a dot in the os is refused", "li.nux/amd64", NULL, "only letters, digits, '_', '-' and '.' may stand in it" },
	{ "an open parenthesis is refused", "windows(10/amd64", NULL, "')' is missing after the version of the operating system" },
	{ "a cut percent code is refused", "windows(1%2)/amd64", NULL, "'%' is not followed by two hex digits" },
	{ "a long part is refused", "linux/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", NULL, "a part of it is longer than 31 characters" },
};

/* In each row the candidates are in the order in which they must rank; after "|" those that never serve. */
static const struct {
	const char *want, *best[6], *never[4];
} ranks[] = {
	{ "linux/amd64", { "linux/amd64" }, { "linux/amd64/v2", "linux/386", "windows/amd64" } },
	{ "linux/amd64/v3", { "linux/amd64/v3", "linux/amd64/v2", "linux/amd64" }, { "linux/amd64/v4" } },
	{ "linux/arm/v7", { "linux/arm/v7", "linux/arm/v6", "linux/arm/v5" }, { "linux/arm/v8", "linux/arm64" } },
	{ "linux/arm/v6", { "linux/arm/v6", "linux/arm/v5" }, { "linux/arm" } },
	{ "linux/arm64", { "linux/arm64", "linux/arm/v8", "linux/arm/v7" }, { "linux/arm64/v9", "linux/amd64" } },
	{ "linux/arm64/v9.2", { "linux/arm64/v9.2", "linux/arm64/v9.1", "linux/arm64/v9", "linux/arm64/v8.7", "linux/arm64" },
	  { "linux/arm64/v9.3", "linux/arm64/v8.8" } },
	{ "linux/riscv64", { "linux/riscv64" }, { "linux/riscv64/rva22u64" } },
};

static void parse_cases(void)
{
	for (size_t i = 0; i < countof(parses); i++) {
		AUTO(err_freep) struct err *e = NULL;
		struct platform p;
		int rc = platform_parse(slice_of(parses[i].in), &p, &e);

		if (parses[i].err)
			is_str(rc < 0 ? err_cause(e) : "accepted", parses[i].err, parses[i].name);
		else
			is_str(rc < 0 ? err_cause(e) : platform_text(&p).s, parses[i].want, parses[i].name);
	}
}

static int rank_of(const char *want, const char *have)
{
	struct platform w, h;

	if (platform_parse(slice_of(want), &w, NULL) < 0 || platform_parse(slice_of(have), &h, NULL) < 0)
		return -1;
	return platform_rank(&w, &h);
}

static void rank_cases(void)
{
	for (size_t i = 0; i < countof(ranks); i++) {
		int last = INT32_MAX;

		for (size_t k = 0; k < countof(ranks[i].best) && ranks[i].best[k]; k++) {
			int r = rank_of(ranks[i].want, ranks[i].best[k]);

			ok(r > 0 && r < last, "%s takes %s as choice %zu", ranks[i].want, ranks[i].best[k], k + 1);
			last = r;
		}
		for (size_t k = 0; k < countof(ranks[i].never) && ranks[i].never[k]; k++)
			ok(rank_of(ranks[i].want, ranks[i].never[k]) == 0, "%s never takes %s", ranks[i].want, ranks[i].never[k]);
	}
}

int main(void)
{
	struct platform host, again;

	parse_cases();
	rank_cases();
	platform_host(&host);
	is_str(host.os, "linux", "the host is linux");
	ok(platform_parse(slice_of(platform_text(&host).s), &again, NULL) == 0 && memcmp(&host, &again, sizeof(host)) == 0,
	   "the host's text parses to itself: %s", platform_text(&host).s);
	return done_testing();
}
