# fish completion for kiln: asks the program itself. To be placed in a completions folder of fish.
function __kiln_complete
    set -l words (commandline -opc) (commandline -ct)
    for line in ($words[1] __complete $words[2..-1] 2>/dev/null)
        if test "$line" = :files
            __fish_complete_path (commandline -ct)
        else
            echo $line
        end
    end
end
complete -c kiln -f -a '(__kiln_complete)'
