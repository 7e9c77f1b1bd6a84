build_output_src := output.c annotate.c store.c join.c registry.c archive.c tree.c
