build_cmd_src := cmd.c table.c build.c build_table.c build_request.c build_steps.c build_image.c build_limits.c build_secret.c transfer.c image.c prune.c login.c context.c doctor.c complete.c
