/* layers/pick_chmod.c - --chmod: octal or symbolic, relative to a file's own mode (spec/dockerfile.md 9.7). */
#include "layers/pick_parts.h"

enum { SETUID = 04000, SETGID = 02000, STICKY = 01000 };

static uint32_t who_bits(char c)
{
	switch (c) {
	case 'u':
		return SETUID | 0700;
	case 'g':
		return SETGID | 0070;
	case 'o':
		return 0007;
	case 'a':
		return SETUID | SETGID | 0777;
	default:
		return 0;
	}
}

/* One letter after an operator, for all three classes. -1: not a letter of this grammar. */
static int perm_bits(char c, uint32_t mode, bool dir)
{
	switch (c) {
	case 'r':
		return 0444;
	case 'w':
		return 0222;
	case 'x':
		return 0111;
	case 'X':
		return dir || mode & 0111 ? 0111 : 0;
	case 's':
		return SETUID | SETGID;
	case 't':
		return STICKY;
	case 'u':
		return (int)(mode >> 6 & 7) * 0111;
	case 'g':
		return (int)(mode >> 3 & 7) * 0111;
	case 'o':
		return (int)(mode & 7) * 0111;
	default:
		return -1;
	}
}

static bool is_op(const char *p)
{
	return *p == '+' || *p == '-' || *p == '=';
}

/* The operators of one clause. NULL: bad letter. */
static const char *clause(const char *p, uint32_t who, uint32_t *mode, bool dir)
{
	/* The sticky bit follows `t` for everybody but others alone; without a class everybody is meant, whatever the umask. */
	uint32_t mask = who == 0007 ? who : (who ? who : who_bits('a')) | STICKY;

	while (is_op(p)) {
		char op = *p++;
		uint32_t bits = 0;

		for (; *p && *p != ',' && !is_op(p); p++) {
			int b = perm_bits(*p, *mode, dir);

			if (b < 0)
				return NULL;
			bits |= (uint32_t)b;
		}
		bits &= mask;
		if (op == '=')
			*mode &= ~(mask & ~(uint32_t)STICKY);
		*mode = op == '-' ? *mode & ~bits : *mode | bits;
	}
	return p;
}

static int bad_syntax(const char *text, struct err **e)
{
	err_set(e, ERR_INPUT, "invalid syntax in chmod parameter '%s'", text);
	return err_hint(e, "give an octal mode such as 0755, or clauses such as u=rwX,go=rX");
}

int pick_chmod(const char *text, uint32_t mode, bool dir, uint32_t *ret, struct err **e)
{
	uint64_t octal = 0;

	if (text[0] >= '0' && text[0] <= '9') {
		if (!slice_octal(slice_of(text), 07777, &octal))
			return err_set(e, ERR_INPUT,
				       "invalid chmod parameter: '%s'. it should be octal string and between 0 and 07777", text);
		*ret = (uint32_t)octal;
		return 0;
	}
	for (const char *p = text;; p++) {
		uint32_t who = 0;

		while (who_bits(*p))
			who |= who_bits(*p++);
		if (!is_op(p))
			return bad_syntax(text, e);
		p = clause(p, who, &mode, dir);
		if (!p || (*p && *p != ','))
			return bad_syntax(text, e);
		if (!*p)
			break;
	}
	*ret = mode;
	return 0;
}

int pick_chmod_check(const char *text, struct err **e)
{
	uint32_t mode;

	return pick_chmod(text, 0, false, &mode, e);
}
