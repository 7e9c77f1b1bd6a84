/* tests/unit/auth.c - header values that decide about logins and ranges (spec/oci.md 8.6, 2.10, 2.12). */
#include "registry/header.h"
#include "registry/base64.h"

#include "../tap.h"

#include <stdlib.h>

static const struct {
	const char *name, *header[2];
	bool basic, bearer;
	const char *realm, *service, *scope, *error;
} challenges[] = {
	{ "three parameters; a comma inside quotes is data", { "Bearer realm=\"https://a/t\",service=\"s\",scope=\"repository:a/b:pull,push\"" },
	  false, true, "https://a/t", "s", "repository:a/b:pull,push", NULL },
	{ "schemes and names in any case, a value without quotes, an escape", { "bearer Realm=https://a/t, SERVICE=\"s\\\"x\"" },
	  false, true, "https://a/t", "s\"x", NULL, NULL },
	{ "two challenges in one header: Bearer", { "Basic realm=\"x\", Bearer realm=\"https://a/t\"" }, true, true, "https://a/t", NULL, NULL, NULL },
	{ "two headers", { "Basic realm=\"x\"", "Bearer realm=\"https://a/t\",error=\"insufficient_scope\"" }, true, true, "https://a/t", NULL, NULL,
	  "insufficient_scope" },
	{ "Basic alone", { "Basic realm=\"x\"" }, true, false, NULL, NULL, NULL, NULL },
	{ "Basic without parameters", { "Basic" }, true, false, NULL, NULL, NULL, NULL },
	{ "missing commas", { "Bearer realm=\"https://a/t\" service=\"s\"" }, false, true, "https://a/t", "s", NULL, NULL },
	{ "empty parameters", { "Bearer realm=\"https://a/t\",,, ,service=s" }, false, true, "https://a/t", "s", NULL, NULL },
	{ "blanks around the equals sign", { "Bearer realm = \"https://a/t\"" }, false, true, "https://a/t", NULL, NULL, NULL },
	{ "a Bearer without realm does not count", { "Bearer service=\"s\", Basic realm=x" }, true, false, NULL, NULL, NULL, NULL },
	{ "the first of two values stays", { "Bearer realm=\"https://a/t\",realm=\"https://evil/t\"" }, false, true, "https://a/t", NULL, NULL, NULL },
	{ "an unknown scheme is neither", { "Negotiate abcd==" }, false, false, NULL, NULL, NULL, NULL },
	{ "an open quote ends with the header", { "Bearer realm=\"https://a/t" }, false, true, "https://a/t", NULL, NULL, NULL },
	{ "nothing", { "" }, false, false, NULL, NULL, NULL, NULL },
};

static void challenge_cases(void)
{
	for (size_t i = 0; i < countof(challenges); i++) {
		struct challenge c = { 0 };

		for (size_t k = 0; k < 2 && challenges[i].header[k]; k++)
			challenge_parse(slice_of(challenges[i].header[k]), &c);
		ok(c.basic == challenges[i].basic && c.bearer == challenges[i].bearer, "%s: scheme", challenges[i].name);
		is_str(c.realm, challenges[i].realm, challenges[i].name);
		is_str(c.service, challenges[i].service, challenges[i].name);
		is_str(c.scope, challenges[i].scope, challenges[i].name);
		is_str(c.error, challenges[i].error, challenges[i].name);
		challenge_clear(&c);
	}
}

static void ranges(void)
{
	int64_t a = -1, b = -1, n = -2;

	ok(content_range_parse(SLICE_LIT("bytes 100-109/110"), &a, &b, &n) && a == 100 && b == 109 && n == 110, "a range with its total");
	ok(content_range_parse(SLICE_LIT("bytes 0-9/*"), &a, &b, &n) && n == -1, "a total that is not known");
	ok(!content_range_parse(SLICE_LIT("bytes 9-0/10"), &a, &b, &n), "a range that runs backwards is none");
	ok(!content_range_parse(SLICE_LIT("bytes 0-10/10"), &a, &b, &n), "nor one beyond its total");
	ok(!content_range_parse(SLICE_LIT("bytes */10"), &a, &b, &n), "nor the answer of a 416");
	ok(!content_range_parse(SLICE_LIT("bytes -1-5/10"), &a, &b, &n) && !content_range_parse(SLICE_LIT(""), &a, &b, &n), "nor a sign, nor nothing");
	ok(upload_range_parse(SLICE_LIT("0-0"), &a, &b) && a == 0 && b == 0, "the range of a fresh upload");
	ok(upload_range_parse(SLICE_LIT("bytes=0-41"), &a, &b) && b == 41, "a unit is accepted");
	ok(!upload_range_parse(SLICE_LIT("0"), &a, &b) && !upload_range_parse(SLICE_LIT("0-99999999999999999999"), &a, &b), "no half, no overflow");
	ok(retry_after_parse(SLICE_LIT("120"), 0, &n) && n == 120, "seconds to wait");
	ok(retry_after_parse(SLICE_LIT("Tue, 15 Nov 1994 08:12:31 GMT"), 784887121, &n) && n == 30, "a date to wait for");
	ok(retry_after_parse(SLICE_LIT("Tue, 15 Nov 1994 08:12:31 GMT"), 984887121, &n) && n == 0, "a date that is past");
	ok(!retry_after_parse(SLICE_LIT("soon"), 0, &n) && !retry_after_parse(SLICE_LIT("-1"), 0, &n), "neither");
	ok(http_date_parse(SLICE_LIT("Sun, 06 Nov 1994 08:49:37 GMT"), &n) && n == 784111777, "the date of RFC 9110");
	ok(!http_date_parse(SLICE_LIT("Sun, 06 Foo 1994 08:49:37 GMT"), &n) && !http_date_parse(SLICE_LIT("Sun, 06 Nov 1994 25:49:37 GMT"), &n),
	   "no such month, no such hour");
}

static const struct {
	const char *plain, *text;
} codes[] = { { "", "" }, { "f", "Zg==" }, { "fo", "Zm8=" }, { "foo", "Zm9v" }, { "foob", "Zm9vYg==" }, { "me:se\xC3\xA9", "bWU6c2XDqQ==" } };

static void base64(void)
{
	AUTO(buf_freep) struct buf b = BUF_MAX(100);

	for (size_t i = 0; i < countof(codes); i++) {
		buf_reset(&b);
		base64_put(&b, slice_of(codes[i].plain));
		ok(slice_is(buf_view(&b), codes[i].text), "base64 of '%s'", codes[i].plain);
		buf_reset(&b);
		ok(base64_get(slice_of(codes[i].text), &b) && slice_is(buf_view(&b), codes[i].plain), "and back");
	}
	buf_reset(&b);
	ok(base64_get(SLICE_LIT("Zm8"), &b) && slice_is(buf_view(&b), "fo"), "padding may be missing");
	ok(!base64_get(SLICE_LIT("Zm9*"), &b) && !base64_get(SLICE_LIT("Z"), &b), "other characters and lengths are refused");
}

int main(void)
{
	challenge_cases();
	ranges();
	base64();
	return done_testing();
}
