build_ui_src := ui.c tty.c plain.c json.c human.c redact.c
