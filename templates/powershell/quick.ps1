    $kept = $answer.proxies
    # Nothing to choose, to rename or to report. lyncsh has looked at the names when it wrote the proxies; that there
    # are none of them in this PowerShell's own modules, too.
    $quick = $opening -and $answer.ready -eq 'true' -and -not $prefix -and -not $global:lyncsh
    if ($quick) {
        $functions = [System.IO.File]::ReadAllLines("$kept/names")
        $aliases = @()
        $known = [System.IO.FileInfo]"$kept/here-$version"
        $quick = $functions.Length -and ([System.IO.FileInfo]"$kept/targets").Length -eq 0 -and ($clobber -or ($known.Exists -and $known.Length -eq 0))
        # A name without a hyphen may be that of a program or an alias of the user: allow_clobber does not cover those.
        foreach ($one in $functions) { if ($one.IndexOf([char]'-') -lt 0) { $quick = $false; break } }
        foreach ($one in [System.IO.File]::ReadAllLines("$kept/refused")) { if ($restricted -notcontains $one) { $quick = $false; break } }
    }
    if ($quick -and -not $clobber) {
        $all = [System.Collections.Generic.HashSet[string]]::new($functions, [System.StringComparer]::OrdinalIgnoreCase)
        foreach ($one in $ExecutionContext.InvokeCommand.GetCommands('*', [System.Management.Automation.CommandTypes]'Alias, Function, Filter, Cmdlet', $true)) {
            if ($all.Contains($one.Name)) { $quick = $false; break }
        }
    }
    # The session opens meanwhile.
    $skip = $skipAliases = @()
    if ($quick) { . $bindProxies }
    if ($opening) { $opening.GetAwaiter().GetResult() }
    if (-not $quick) {
        if ($opening) { . (& $library) }
        . $importCommands
    }
