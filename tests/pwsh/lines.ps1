# Runs each line, and prints its effects that a user or a script can observe.
$ErrorActionPreference = 'Continue'
$describe = {
    param($One)
    if ($null -eq $One) { return 'null' }
    if ($One -is [System.Management.Automation.ErrorRecord]) {
        return "error $($One.FullyQualifiedErrorId) $($One.CategoryInfo.Category) $($One.Exception.Message)"
    }
    if ($One -is [System.Management.Automation.InformationRecord]) { return "information $($One.MessageData)" }
    if ($One -is [ValueType]) { return "$($One.GetType().Name) $One" }
    if ($One -is [string]) { return "text $One" }
    $properties = foreach ($property in $One.PSObject.Properties) {
        # These name the session.
        if ($property.Name -notin 'RunspaceId', 'PSComputerName', 'PSShowComputerName', 'PSSourceJobInstanceId') { "$($property.Name)=$($property.Value)" }
    }
    "$($One.PSObject.TypeNames[0]) $($properties -join '; ')"
}
foreach ($line in $lines) {
    $ErrorActionPreference = 'Continue'
    $ok = $null
    $block = [scriptblock]::Create("$line`n`$script:ok = `$?")
    $got = @(try { . $block *>&1 } catch { "caught: $(& $describe $_)" })
    "## $line"
    foreach ($one in $got) { (& $describe $one) -replace '\r?\n', '\n' }
    "ok: $ok"
}
