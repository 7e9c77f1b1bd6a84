#compdef kiln
# zsh completion for kiln: asks the program itself. To be placed as _kiln in a folder of $fpath.
_kiln() {
    local line files=0
    local -a items
    while IFS= read -r line; do
        if [[ $line == :files ]]; then
            files=1
        else
            # _describe separates a value from its description by ':'.
            items+=("${${line%%$'\t'*}//:/\\:}${${(M)line:#*$'\t'*}:+:${line#*$'\t'}}")
        fi
    done < <("${words[1]}" __complete "${(@)words[2,CURRENT]}" 2>/dev/null)
    ((${#items})) && _describe -o kiln items
    ((files)) && _files
}
_kiln "$@"
