build_ui_src := ui.c tty.c plain.c json.c rawjson.c human.c redact.c
