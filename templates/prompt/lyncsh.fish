# lyncsh: the running agents and their shells in the prompt, as in "(work:2) ". For the end of
# ~/.config/fish/config.fish.
if not functions --query __lyncsh_fish_prompt
    functions --copy fish_prompt __lyncsh_fish_prompt
    function __lyncsh_status
        return $argv[1]
    end
    function fish_prompt
        set -l code $status
        # fish reports a missing program even if its errors are discarded.
        if command --query lyncsh
            set -l agents (command lyncsh status --format '{name}:{shells}' 2>/dev/null)
            if set --query agents[1]
                printf '(%s) ' "$agents"
            end
        end
        # The prompt of the user may show the exit code.
        __lyncsh_status $code
        __lyncsh_fish_prompt
    end
end
