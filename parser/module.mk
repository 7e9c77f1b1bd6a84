parser_src := source.c lines.c words.c instr.c flags.c file.c expand.c ignore.c diag.c lint.c
