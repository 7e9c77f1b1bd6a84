/* base/banned.h - functions we never call become compile errors (style.md 1, spec/threats.md P4, X3, X8).
 *
 * A declaration with the `unavailable` attribute, not a macro: a member called `open` stays usable, and the
 * system headers, which come first, are not rewritten. A file that implements the wrapper of a banned
 * function says `#define BANNED_ALLOW_OPEN` before its first include; only base/ does.
 */
#pragma once
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BANNED(fn, instead) extern __typeof__(fn) fn __attribute__((unavailable(instead)))

/* No bound on what they write. With _FORTIFY_SOURCE clang has them inline, where an attribute comes too late; gcc sees every file, too. */
#if !defined(__clang__) || !defined(_FORTIFY_SOURCE)
BANNED(strcpy, "use mem_str, buf_str or memcpy with a known size");
BANNED(strcat, "use buf_str");
BANNED(strncat, "use buf_add");
BANNED(sprintf, "use snprintf, buf_printf or mem_printf");
BANNED(vsprintf, "use vsnprintf or buf_vprintf");
#endif

/* Hidden state, or no way to see a failure. */
BANNED(strtok, "use slice_cut");
BANNED(gmtime, "use clock_rfc3339 or gmtime_r");
BANNED(localtime, "use localtime_r");
BANNED(ctime, "use clock_rfc3339");
BANNED(asctime, "use clock_rfc3339");

/* Inline in stdlib.h, where an attribute comes too late: an undeclared name instead. */
#define atoi(s) atoi_is_banned_use_slice_u64
#define atol(s) atol_is_banned_use_slice_u64
#define atoll(s) atoll_is_banned_use_slice_u64

/* A shell, or a name without its file. */
BANNED(system, "use proc_run");
BANNED(popen, "use proc_run");
BANNED(tmpnam, "use tmp_open");
BANNED(tempnam, "use tmp_open");
BANNED(mktemp, "use tmp_open");

#ifndef BANNED_ALLOW_OPEN
/* Not close-on-exec, or the path is resolved outside base/at. */
BANNED(open, "use at_open, or openat with O_CLOEXEC for paths of the host");
BANNED(creat, "use tmp_open");
BANNED(dup, "use fd_dup");
#endif

#undef BANNED
