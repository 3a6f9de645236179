# lyncsh: the running agents and their shells in the prompt, as in "(work:2) ". For the end of ~/.zshrc.
__lyncsh_prompt() {
    local agents
    agents=$(command lyncsh status --format '{name}:{shells}' 2>/dev/null)
    agents=${agents//$'\n'/ }
    # In a prompt, % begins an escape sequence.
    __lyncsh_agents=${agents:+"(${agents//\%/%%}) "}
}
if [[ ${precmd_functions[(r)__lyncsh_prompt]-} != __lyncsh_prompt ]]; then
    precmd_functions+=(__lyncsh_prompt)
    setopt prompt_subst
    PROMPT='${__lyncsh_agents}'$PROMPT
fi
