registry_src := ref.c http.c auth.c creds.c dist.c mirror.c pull.c push.c archive.c
