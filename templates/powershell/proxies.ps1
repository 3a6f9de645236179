# Written by lyncsh {{ version }}: one function for each command of an endpoint. The module runs this file in its scope.
# The functions behave like those that Export-PSSession writes, in a fraction of the text: shared code is in the module,
# and parameters are declared when a function is called or inspected.

# A line for each function: the endpoint's name of the command, and its parameters (src/shell/module/proxies.rs). No
# parameter's name begins with an underscore, so the variables below are safe from parameters that a function declares.
$table = @'

{% for function in functions %}
{{ function.declared }} AsJob:switch
{% endfor %}

'@

{#- Each function creates its own pipeline: created in a function that it calls, the pipeline would ignore the caller's
    $ErrorActionPreference; created in a dot-sourced block, it would ignore `2>&1`. The `try { } catch { throw }` that
    Export-PSSession writes is missing: results are the same in all compared lines, and it would double the time to
    parse. `trap { throw }` would break `Select-Object -First` (all seen in 7.6.9). #}

{% for function in functions %}
function {{ function.here }}{[CmdletBinding({% if function.own %}PositionalBinding=$false{% endif %})]param({% for one in function.own %}{% if one.position is not none %}[Parameter(Position={{ one.position }})]{% endif %}{% if one.aliases %}[Alias({% for alias in one.aliases %}{{ alias|ps }}{% if not loop.last %},{% endif %}{% endfor %})]{% endif %}{% if one.constraint %}[{{ one.constraint }}]{% endif %}${{ "{" }}{{ one.name }}{{ "}" }}{% if not loop.last %},{% endif %}{% endfor %})dynamicparam{&$__d {{ function.name|ps }}}begin{$__a=&$__c {{ function.name|ps }} $PSCmdlet;$__p=$__i.GetSteppablePipeline();$__p.Begin($PSCmdlet)}process{$__p.Process($_)}end{$__p.End()}
# .ForwardHelpTargetName {{ function.name }}
# .ForwardHelpCategory {{ function.category }}
# .RemoteHelpRunspace Session
}
{% endfor %}
{% for alias in aliases %}
$null = $ExecutionContext.InvokeProvider.Item.Set({{ ("alias:" ~ alias.here)|ps }}, {{ alias.target|ps }})
{% endfor %}
