/* layers/platform.h - os/arch/variant: parse, normalise, match (spec/oci.md 1.8, spec/dockerfile.md Appendix E). */
#pragma once
#include "base/buf.h"

enum { PLATFORM_WORD = 64 };
struct platform {
	char os[32], arch[32], variant[32], os_version[PLATFORM_WORD];
	char os_features[PLATFORM_WORD];         /* as written: "a+b", each percent-encoded. Only of what was asked for */
};
/* ERR_USAGE; the caller of a FROM --platform makes it ERR_INPUT. "local" is the host's. */
int platform_parse(struct slice text, struct platform *ret, struct err **e);
/* Of the running kernel, normalised. */
void platform_host(struct platform *ret);
/* "linux/arm/v7". */
struct platform_text {
	char s[400];
};
struct platform_text platform_text(const struct platform *p);
/* The i-th feature of the operating system; false: there is none. */
bool platform_feature(const struct platform *p, size_t i, char ret[PLATFORM_WORD]);
/* Rank of a candidate for a wanted platform: 0 no, higher is better. */
int platform_rank(const struct platform *want, const struct platform *have);
/* Case, aliases, variants that say nothing: "aarch64" + "v8" is "arm64". */
void platform_normalise(struct platform *p);
