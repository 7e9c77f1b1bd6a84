cache_src := store.c store_blob.c store_layer.c store_info.c store_sync.c sealed.c lease.c key.c steps.c why.c remotes.c mark.c \
             names.c gc.c du.c check.c statcache.c
