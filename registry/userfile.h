/* registry/userfile.h - configuration files of the user and of the machine, by host path. */
#pragma once
#include "base/buf.h"

#include <sys/stat.h>

enum { USERFILE_MISSING = 1 };           /* also: not readable for us */

/* Whole regular file, at most out->max; st may be NULL. */
int userfile_read(const char *path, struct buf *out, struct stat *st, struct err **e);
/* $HOME, else from the user database; NULL. New text. */
char *userfile_home(void);
/* $XDG_CONFIG_HOME/rest, else ~/.config/rest; NULL. New text. */
char *userfile_config(const char *rest);
/* The names in a directory that end so, sorted; "" all. 0 names when it is missing. Free each and the array. */
char **userfile_list(const char *dir, const char *suffix, size_t *n);
