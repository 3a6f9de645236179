# Written by lyncsh {{ version }}: one function for each command of an endpoint. The module runs this file in its scope.
# The functions behave like those that Export-PSSession writes, in a fraction of the text: shared code is in the module,
# and parameters are declared when a function is called or inspected.

# A line for each function: the endpoint's name of the command, and its parameters (src/shell/module/proxies.rs).
$table = @'

{% for function in functions %}
{{ function.declared }} AsJob:switch
{% endfor %}

'@

{#- Each function creates its own pipeline: created in a function that it calls, the pipeline would ignore the caller's
    $ErrorActionPreference; created in a dot-sourced block, it would ignore `2>&1`. The `try { } catch { throw }` that
    Export-PSSession writes is missing: results are the same in all compared lines, and it would double the time to
    parse. `trap { throw }` would break `Select-Object -First` (all tried in 7.6.9). #}

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
