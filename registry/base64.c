/* registry/base64.c - see base64.h. */
#include "registry/base64.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_put(struct buf *out, struct slice s)
{
	for (size_t i = 0; i < s.n; i += 3) {
		size_t left = s.n - i;
		uint32_t v = (uint32_t)(unsigned char)s.p[i] << 16;

		if (left > 1)
			v |= (uint32_t)(unsigned char)s.p[i + 1] << 8;
		if (left > 2)
			v |= (unsigned char)s.p[i + 2];
		buf_char(out, alphabet[v >> 18]);
		buf_char(out, alphabet[v >> 12 & 63]);
		buf_char(out, left > 1 ? alphabet[v >> 6 & 63] : '=');
		buf_char(out, left > 2 ? alphabet[v & 63] : '=');
	}
}

bool base64_get(struct slice s, struct buf *out)
{
	uint32_t v = 0;
	unsigned bits = 0;

	s = slice_trim(s, " \t\r\n");
	while (s.n && s.p[s.n - 1] == '=')
		s.n--;
	if (s.n % 4 == 1)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		const char *at = s.p[i] ? strchr(alphabet, s.p[i]) : NULL;

		if (!at)
			return false;
		v = v << 6 | (uint32_t)(at - alphabet);
		bits += 6;
		if (bits >= 8) {
			bits -= 8;
			buf_char(out, (char)(v >> bits & 0xFF));
		}
	}
	return !out->over;
}
