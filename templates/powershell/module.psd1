# Written by lyncsh {{ version }}. The list of names alone makes the commands complete, and load this
# module on first use, wherever its folder's parent is on PSModulePath (tried).
@{
    RootModule = {{ script|ps }}
    ModuleVersion = {{ version|ps }}
    Author = 'lyncsh'
    Description = {{ description|ps }}
    PowerShellVersion = '5.1'
{% if names is none %}
    # They are not known before the first connection.
    FunctionsToExport = '*'
    AliasesToExport = '*'
{% else %}
    # A pattern among them would have PowerShell read the whole module first (AnalysisCache.cs).
    FunctionsToExport = {{ names|ps }}
    AliasesToExport = {{ aliases|ps }}
{% endif %}
    CmdletsToExport = @()
    VariablesToExport = @()
}
