/* build/exec/exec.h - become the command: PATH search, environment, and why it did not work (spec/executor.md 12.2, 12.4). */
#pragma once
#include "base/buf.h"

/* The step's environment: spec's, with PATH and HOME when they are missing. New, NULL-terminated. */
char **exec_env(char *const *env, const char *home);
const char *exec_getenv(char *const *env, const char *name);
/* Would the command be the program that this process runs: by /proc/self/exe, a link to it, a '#!' line that leads there?
 * Then code of the image ran with the builder's file as its own executable, which it could change: it is the host user's
 * (spec/threats.md C14, C15). Asked in the step's root and working directory, while every file can still be read. */
bool exec_is_self(char *const *argv, char *const *env);
/* Only returns when it failed: the exit status 126 or 127, and the reason in words. */
int exec_command(char *const *argv, char *const *env, struct buf *reason);
