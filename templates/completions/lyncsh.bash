# lyncsh: completion for bash. lyncsh itself returns the words.
_clap_complete_lyncsh() {
    local IFS=$'\013' nospace=true
    if compopt +o nospace 2>/dev/null; then
        nospace=false
    fi
    local words=("${COMP_WORDS[@]}")
    # The current word up to the cursor, without the quote that it begins with.
    if [[ ${BASH_VERSINFO[0]} -ge 4 ]]; then
        words[COMP_CWORD]=$2
    fi
    COMPREPLY=($(
        _CLAP_IFS=$IFS _CLAP_COMPLETE_INDEX=$COMP_CWORD \
            LYNCSH_COMPLETE_QUOTE=${COMP_WORDS[COMP_CWORD]:0:1} LYNCSH_COMPLETE=bash \
            lyncsh -- "${words[@]}"
    ))
    if [[ $? != 0 ]]; then
        unset COMPREPLY
    elif [[ $nospace == false && ${COMPREPLY-} =~ [=/:]$ ]]; then
        compopt -o nospace
    fi
}
if [[ ${BASH_VERSINFO[0]} -eq 4 && ${BASH_VERSINFO[1]} -ge 4 || ${BASH_VERSINFO[0]} -gt 4 ]]; then
    complete -o nospace -o bashdefault -o nosort -F _clap_complete_lyncsh lyncsh
else
    complete -o nospace -o bashdefault -F _clap_complete_lyncsh lyncsh
fi
