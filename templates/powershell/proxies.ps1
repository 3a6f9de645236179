# Written by lyncsh {{ version }}: one function for each command of an endpoint, for the module to run in its scope.
# They behave as those of the module that Export-PSSession writes, with a small fraction of its text: what all functions
# share is in the module, and the parameters are declared when a function is used or looked at.

# A line for each function: the endpoint's name of the command, and its parameters (src/shell/module/proxies.rs).
$table = @'

{% for function in functions %}
{{ function.declared }}
{% endfor %}

'@

{#- The pipeline of each call is made in the function itself: made in a function that it calls, it would not heed the
    caller's $ErrorActionPreference; made in a block that it dot-sources, it would not heed `2>&1`. There is no
    `try { } catch { throw }`, as in what Export-PSSession writes: it does not change what is seen, and is parsed in
    as much time as the rest. `trap { throw }` would end a pipeline that `Select-Object -First` ends (tried in 7.6.9). #}

{% for function in functions %}
function {{ function.here }}{[CmdletBinding()]param()dynamicparam{&$d {{ function.name|ps }}}begin{$a=&$c {{ function.name|ps }} $PSCmdlet;$p=$i.GetSteppablePipeline();$p.Begin($PSCmdlet)}process{$p.Process($_)}end{$p.End()}
# .ForwardHelpTargetName {{ function.name }}
# .ForwardHelpCategory {{ function.category }}
# .RemoteHelpRunspace Session
}
{% endfor %}
{% for alias in aliases %}
$null = $ExecutionContext.InvokeProvider.Item.Set({{ ("alias:" ~ alias.here)|ps }}, {{ alias.target|ps }})
{% endfor %}
