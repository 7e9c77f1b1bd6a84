/* build/exec/exec.h - become the command: PATH search, environment, and why it did not work (spec/executor.md 12.2, 12.4). */
#pragma once
#include "base/buf.h"

/* The step's environment: spec's, with PATH and HOME when they are missing. New, NULL-terminated. */
char **exec_env(char *const *env, const char *home);
const char *exec_getenv(char *const *env, const char *name);
/* Only returns when it failed: the exit status 126 or 127, and the reason in words. */
int exec_command(char *const *argv, char *const *env, struct buf *reason);
