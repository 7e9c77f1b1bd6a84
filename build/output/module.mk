build_output_src := output.c store.c registry.c archive.c tree.c
