/* base/digest.c - sha256. */
#include "base/digest.h"
#include "base/mem.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

struct hasher {
	EVP_MD *md;              /* fetched once: looking it up costs more than hashing a small record */
	EVP_MD_CTX *ctx;
};

static bool hex_value(char c, unsigned *ret)
{
	if (c >= '0' && c <= '9')
		*ret = (unsigned)(c - '0');
	else if (c >= 'a' && c <= 'f')
		*ret = (unsigned)(c - 'a') + 10;
	else
		return false;
	return true;
}

int digest_parse_hex(struct slice hex, struct digest *ret)
{
	struct digest d;

	if (hex.n != DIGEST_HEX)
		return -1;
	for (size_t i = 0; i < sizeof(d.b); i++) {
		unsigned high = 0, low = 0;

		if (!hex_value(hex.p[2 * i], &high) || !hex_value(hex.p[2 * i + 1], &low))
			return -1;
		d.b[i] = (unsigned char)(high << 4 | low);
	}
	*ret = d;
	return 0;
}

int digest_parse(struct slice text, struct digest *ret, enum err_kind kind, struct err **e)
{
	if (!slice_starts(text, "sha256:") || digest_parse_hex(slice_skip(text, 7), ret) < 0)
		return err_set(e, kind, "'%.*s' is not a sha256 digest", (int)(text.n < 200 ? text.n : 200),
			       text.p ? text.p : "");
	return 0;
}

void digest_hex(const struct digest *d, char ret[DIGEST_HEX + 1])
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < sizeof(d->b); i++) {
		ret[2 * i] = digits[d->b[i] >> 4];
		ret[2 * i + 1] = digits[d->b[i] & 15];
	}
	ret[DIGEST_HEX] = '\0';
}

struct digest_text digest_text(const struct digest *d)
{
	struct digest_text t = { "sha256:" };

	digest_hex(d, t.s + 7);
	return t;
}

struct digest_text digest_short(const struct digest *d)
{
	struct digest_text t;

	digest_hex(d, t.s);
	t.s[12] = '\0';
	return t;
}

bool digest_equal(const struct digest *a, const struct digest *b)
{
	return digest_cmp(a, b) == 0;
}

bool digest_zero(const struct digest *d)
{
	static const struct digest zero;

	return digest_equal(d, &zero);
}

int digest_cmp(const struct digest *a, const struct digest *b)
{
	return memcmp(a->b, b->b, sizeof(a->b));
}

void digest_of(const void *p, size_t n, struct digest *ret)
{
	AUTO(hasher_freep) struct hasher *h = hasher_new();

	hasher_add(h, p, n);
	hasher_end(h, ret);
}

void digest_chain(const struct digest *parent, const struct digest *diff, struct digest *ret)
{
	char text[2 * DIGEST_TEXT + 1];

	if (!parent) {
		*ret = *diff;
		return;
	}
	memcpy(text, digest_text(parent).s, DIGEST_TEXT);
	text[DIGEST_TEXT] = ' ';
	memcpy(text + DIGEST_TEXT + 1, digest_text(diff).s, DIGEST_TEXT);
	digest_of(text, sizeof(text), ret);
}

/* sha256 over memory fails only when there is none left. */
static void must(int ok)
{
	if (ok != 1)
		mem_out(0);
}

static struct hasher *hasher_of(const char *algorithm)
{
	struct hasher *h = mem_zalloc(sizeof(*h));

	h->md = EVP_MD_fetch(NULL, algorithm, NULL);
	h->ctx = EVP_MD_CTX_new();
	must(h->md && h->ctx);
	must(EVP_DigestInit_ex2(h->ctx, h->md, NULL));
	return h;
}

struct hasher *hasher_new(void)
{
	return hasher_of("SHA256");
}

struct hasher *hasher_new_checksum(const struct checksum *want)
{
	return hasher_of(want->algorithm);
}

bool hasher_matches(struct hasher *h, const struct checksum *want)
{
	unsigned char have[EVP_MAX_MD_SIZE];
	unsigned n = 0;

	must(EVP_DigestFinal_ex(h->ctx, have, &n));
	return n == want->n && memcmp(have, want->b, n) == 0;
}

int checksum_parse(struct slice text, struct checksum *ret, struct err **e)
{
	static const struct {
		const char *prefix, *algorithm;
		size_t n;
	} known[] = { { "sha256:", "SHA256", 32 }, { "sha384:", "SHA384", 48 }, { "sha512:", "SHA512", 64 } };

	for (size_t i = 0; i < countof(known); i++) {
		struct slice hex = slice_skip(text, strlen(known[i].prefix));
		bool bad = !slice_starts(text, known[i].prefix) || hex.n != 2 * known[i].n;

		for (size_t k = 0; k < known[i].n && !bad; k++) {
			unsigned high = 0, low = 0;

			bad = !hex_value(hex.p[2 * k], &high) || !hex_value(hex.p[2 * k + 1], &low);
			ret->b[k] = (unsigned char)(high << 4 | low);
		}
		if (bad)
			continue;
		ret->algorithm = known[i].algorithm;
		ret->n = known[i].n;
		return 0;
	}
	return err_set(e, ERR_INPUT, "'%.*s' is not a sha256, sha384 or sha512 digest", (int)(text.n < 200 ? text.n : 200), text.p ? text.p : "");
}

void hasher_add(struct hasher *h, const void *p, size_t n)
{
	if (n)
		must(EVP_DigestUpdate(h->ctx, p, n));
}

void hasher_end(struct hasher *h, struct digest *ret)
{
	must(EVP_DigestFinal_ex(h->ctx, ret->b, NULL));
	must(EVP_DigestInit_ex2(h->ctx, h->md, NULL));
}

void hasher_free(struct hasher *h)
{
	if (!h)
		return;
	EVP_MD_CTX_free(h->ctx);
	EVP_MD_free(h->md);
	free(h);
}

void hasher_freep(struct hasher **h)
{
	hasher_free(*h);
	*h = NULL;
}
