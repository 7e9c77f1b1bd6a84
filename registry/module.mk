registry_src := ref.c url.c hide.c header.c base64.c userfile.c toml.c proxy.c http.c certs.c helper.c authfile.c creds.c login.c \
                auth.c request.c refusal.c fetch.c mirror.c dist.c pull.c upload.c tail.c push.c \
                archive.c archive_read.c tree.c
