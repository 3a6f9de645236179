# lyncsh: the running agents and their shells in the prompt, as in "(work:2) ". For the end of ~/.bashrc.
__lyncsh_prompt() {
    local code=$? agents
    agents=$(command lyncsh status --format '{name}:{shells}' 2>/dev/null)
    __lyncsh_agents=${agents:+"(${agents//$'\n'/ }) "}
    return "$code"
}
if [[ ${PROMPT_COMMAND-} != *__lyncsh_prompt* ]]; then
    PROMPT_COMMAND="__lyncsh_prompt${PROMPT_COMMAND:+; $PROMPT_COMMAND}"
    PS1='${__lyncsh_agents}'$PS1
fi
