build_op_src := ops.c env.c meta.c expose.c workdir.c run.c run_mounts.c run_spec.c run_devices.c cdi.c copy.c copy_work.c copy_fetch.c add.c
