cache_src := store.c key.c steps.c names.c lease.c gc.c statcache.c
