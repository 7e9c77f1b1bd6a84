/* tests/mapped.h - root of a user namespace with the user's subordinate ids, for tests of what workers do there. */
#pragma once
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* As root: nothing. Else the program starts again through unshare(1); where that cannot work the tests are skipped. */
static inline void mapped_root(char **argv)
{
	if (geteuid() == 0)
		return;
	if (!getenv("KILN_TEST_MAPPED")) {
		setenv("KILN_TEST_MAPPED", "1", 1);
		execlp("unshare", "unshare", "--user", "--map-auto", "--map-root-user", argv[0], (char *)NULL);
	}
	printf("1..0 # SKIP needs root, in a user namespace or outside\n");
	exit(0);
}
