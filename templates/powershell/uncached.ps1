# Nothing is written but what Import-PSSession itself keeps in the folder for temporary files as long as
# the session is there.
& $load
$import = @{ Session = $session; CommandName = $patterns; DisableNameChecking = $true; WarningAction = 'SilentlyContinue'; ErrorAction = 'SilentlyContinue'; ErrorVariable = 'skipped' }
if ({{ allow_clobber|ps }}) { $import.AllowClobber = $true }
if ($prefix) { $import.Prefix = $prefix }
{% if formats %}
try { $bound = Import-PSSession @import -FormatTypeName $formats } catch {
    # A name of format data that matches nothing is an error that ends it (tried).
    $bound = Import-PSSession @import
}
{% else %}
$bound = Import-PSSession @import
{% endif %}
# Whether the keys have the prefix already was not tried; a name that is not there exports nothing.
$functions = @(foreach ($one in $bound.ExportedFunctions.Keys) { $one; & $prefixed $one })
$aliases = @(foreach ($one in $bound.ExportedAliases.Keys) { $one; & $prefixed $one })
