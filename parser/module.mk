parser_src := source.c lines.c words.c jsonform.c heredoc.c instr.c draft.c args.c check.c flags.c mount.c value.c \
              file.c expand.c subst.c ignore.c diag.c lint.c lint_ours.c lint_secret.c
