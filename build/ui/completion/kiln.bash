# bash completion for kiln: asks the program itself. To be placed in a bash-completion folder, or sourced.
_kiln() {
    local words=() files='' line i word
    # bash splits at '=' and ':'; the program wants words as they were written.
    for ((i = 1; i <= COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        if ((${#words[@]} && i > 1)) && [[ $word == [=:]* || ${COMP_WORDS[i - 1]} == *[=:] ]] &&
            [[ ${COMP_LINE:0:COMP_POINT} != *" $word" ]]; then
            words[-1]+=$word
        else
            words+=("$word")
        fi
    done
    local last=${words[-1]:-} cut=''
    [[ $last == *[=:]* ]] && cut=${last%"${last##*[=:]}"}
    COMPREPLY=()
    while IFS= read -r line; do
        if [[ $line == :files ]]; then
            files=1
        else
            line=${line%%$'\t'*}
            COMPREPLY+=("${line#"$cut"}")
        fi
    done < <("${COMP_WORDS[0]}" __complete "${words[@]}" 2>/dev/null)
    if [[ $files ]]; then
        compopt -o filenames 2>/dev/null
        while IFS= read -r line; do
            COMPREPLY+=("$line")
        done < <(compgen -f -- "${last#"$cut"}")
    fi
}
complete -F _kiln kiln
