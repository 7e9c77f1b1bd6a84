build_context_src := context.c dir.c tar.c git.c gitref.c http.c
