build_context_src := context.c dir.c tar.c git.c gitref.c gitrun.c gitask.c gitfetch.c gittree.c gitmodules.c gitsize.c http.c
