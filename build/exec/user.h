/* build/exec/user.h - who a step runs as: the image's passwd and group files, never the host's (spec/executor.md 12.1,
 * spec/threats.md U1-U4).
 */
#pragma once
#include "base/at.h"

enum { USER_GROUPS = 65536 };

struct user {
	uint32_t uid, gid;
	uint32_t *group;                 /* supplementary, with the primary one; NULL: none */
	size_t ngroup;
	char *home;                      /* of the passwd line for uid; NULL: none */
};
/* text: "", user, uid, user:group, ... root: directory fd of the image's root. ERR_STEP names what is not found. */
int user_resolve(int root, const char *text, struct user *ret, struct err **e);
/* Further groups, by name or number; list ends with NULL. */
int user_add_groups(int root, char *const *list, struct user *u, struct err **e);
void user_clear(struct user *u);
