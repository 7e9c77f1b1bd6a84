/* base/utf8.h - one code point at a time.
 *
 * Data:   a byte that does not start a well-formed sequence (too short, overlong, surrogate, above U+10FFFF) is
 *         one character of width 1: U+FFFD.
 */
#pragma once
#include "base/slice.h"

enum { UTF8_BAD = 0xFFFD };

/* Decode the character at s.p (s.n > 0) and tell how many bytes it takes. */
static inline uint32_t utf8_decode(struct slice s, size_t *width)
{
	uint32_t c = UTF8_BAD;

	*width = slice_utf8(s, &c);
	if (*width == 0) {
		*width = 1;
		return UTF8_BAD;
	}
	return c;
}

/* The bytes of one character; returns how many. */
static inline size_t utf8_encode(uint32_t c, char out[4])
{
	if (c < 0x80) {
		out[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		out[0] = (char)(0xC0 | c >> 6);
		out[1] = (char)(0x80 | (c & 0x3F));
		return 2;
	}
	if (c < 0x10000) {
		out[0] = (char)(0xE0 | c >> 12);
		out[1] = (char)(0x80 | (c >> 6 & 0x3F));
		out[2] = (char)(0x80 | (c & 0x3F));
		return 3;
	}
	out[0] = (char)(0xF0 | c >> 18);
	out[1] = (char)(0x80 | (c >> 12 & 0x3F));
	out[2] = (char)(0x80 | (c >> 6 & 0x3F));
	out[3] = (char)(0x80 | (c & 0x3F));
	return 4;
}
