base_src := mem.c map.c arena.c slice.c err.c buf.c wire.c fd.c at.c rmtree.c tmp.c digest.c stream.c jdoc.c yaml.c glob.c clock.c \
            loop.c proc.c idmap.c job.c jobself.c zygote.c report.c
