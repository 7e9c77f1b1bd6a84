layers_src := entry.c listing.c listing_write.c view.c view_owner.c settle.c image.c config.c platform.c comp.c comp_gzip.c comp_zstd.c comp_xz.c comp_bzip2.c \
              tarin.c tarhead.c tarpax.c tarout.c owner.c diff.c diff_stat.c pick.c pick_tree.c pick_walk.c pick_near.c pick_dest.c \
              pick_archive.c pick_chmod.c pick_read.c chain.c fill.c mend.c relist.c squash.c pack.c snap.c snap_trial.c snap_freeze.c snap_mnt.c snap_overlay.c snap_fuse.c
