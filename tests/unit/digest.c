/* tests/unit/digest.c - sha256 with the vectors of spec/oci.md 8.1 and FIPS 180. */
#include "base/digest.h"
#include "tests/tap.h"

#define EMPTY "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static void parsing(void)
{
	static const struct {
		const char *name, *in;
		bool good;
	} cases[] = {
		{ "a digest", EMPTY, true },
		{ "upper case hex", "sha256:E3B0C44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", false },
		{ "one digit short", "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b85", false },
		{ "one digit more", EMPTY "0", false },
		{ "another algorithm", "sha512:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", false },
		{ "a path", "sha256:../../../../../../../../../../../../../../../../../../../../../etc/x", false },
		{ "nothing", "", false },
		{ "prefix only", "sha256:", false },
	};

	for (size_t i = 0; i < countof(cases); i++) {
		AUTO(err_freep) struct err *e = NULL;
		struct digest d;
		int rc = digest_parse(slice_of(cases[i].in), &d, ERR_SOURCE, &e);

		ok((rc == 0) == cases[i].good && (rc == 0 || err_kind(e) == ERR_SOURCE), "M1: %s", cases[i].name);
	}
}

static void hashing(void)
{
	struct digest d, again;

	digest_of("", 0, &d);
	is_str(digest_text(&d).s, EMPTY, "nothing");
	is_str(digest_short(&d).s, "e3b0c44298fc", "short form");
	digest_of("{}", 2, &d);
	is_str(digest_text(&d).s, "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
	       "the empty descriptor's content");

	struct hasher *h = hasher_new();
	for (int i = 0; i < 1000000; i += 1000) {
		char block[1000];

		memset(block, 'a', sizeof(block));
		hasher_add(h, block, sizeof(block));
	}
	hasher_end(h, &d);
	is_str(digest_text(&d).s, "sha256:cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0",
	       "a million times 'a'");
	hasher_add(h, "{}", 2);
	hasher_end(h, &d);
	digest_of("{}", 2, &again);
	ok(digest_equal(&d, &again), "a hasher starts afresh after its end");
	hasher_free(h);
}

static void chains(void)
{
	struct digest a, b, chain, want;
	char text[2 * DIGEST_TEXT + 2];

	digest_of("a", 1, &a);
	digest_of("b", 1, &b);
	digest_chain(NULL, &a, &chain);
	ok(digest_equal(&chain, &a), "the chain of one layer is its diff ID");
	digest_chain(&a, &b, &chain);
	snprintf(text, sizeof(text), "%s %s", digest_text(&a).s, digest_text(&b).s);
	digest_of(text, strlen(text), &want);
	ok(digest_equal(&chain, &want), "the chain of two is the digest of their texts");
	struct digest zero = { { 0 } };
	ok(digest_zero(&zero) && !digest_zero(&a) && digest_cmp(&zero, &a) < 0, "zero and order");
}

int main(void)
{
	parsing();
	hashing();
	chains();
	return done_testing();
}
