# Written by lyncsh {{ version }}. The list of names is sufficient for completion and for loading this module on first
# use, if the parent of its folder is on PSModulePath (seen).
@{
    RootModule = {{ script|ps }}
    ModuleVersion = {{ version|ps }}
    Author = 'lyncsh'
    Description = {{ description|ps }}
    PowerShellVersion = '5.1'
{% if names is none %}
    # The names are not known before the first connection.
    FunctionsToExport = '*'
    AliasesToExport = '*'
{% else %}
    # With a pattern, PowerShell would read the whole module first (AnalysisCache.cs).
    FunctionsToExport = {{ names|ps }}
    AliasesToExport = {{ aliases|ps }}
{% endif %}
    CmdletsToExport = @()
    VariablesToExport = @()
}
