    $kept = $answer.proxies
    # The fast path, if there is nothing to choose, rename or report. lyncsh checked the names when it wrote the
    # proxies; an empty $known means that PowerShell's own modules have none of them.
    # The folder may have been removed meanwhile.
    if (-not [System.IO.File]::Exists("$kept/names")) { $answer.ready = 'false' }
    $quick = $opening -and $answer.ready -eq 'true' -and -not $prefix -and -not $global:lyncsh
    if ($quick) {
        $functions = [System.IO.File]::ReadAllLines("$kept/names")
        $aliases = @()
        $known = [System.IO.FileInfo]"$kept/here-$version"
        $quick = $functions.Length -and ([System.IO.FileInfo]"$kept/targets").Length -eq 0 -and ($clobber -or ($known.Exists -and $known.Length -eq 0))
        # A name without a hyphen may be a program or an alias of the user, which allow_clobber does not replace.
        foreach ($one in $functions) { if ($one.IndexOf([char]'-') -lt 0) { $quick = $false; break } }
        foreach ($one in [System.IO.File]::ReadAllLines("$kept/refused")) { if ($restricted -notcontains $one) { $quick = $false; break } }
    }
    if ($quick -and -not $clobber) {
        $all = [System.Collections.Generic.HashSet[string]]::new($functions, [System.StringComparer]::OrdinalIgnoreCase)
        foreach ($one in $ExecutionContext.InvokeCommand.GetCommands('*', [System.Management.Automation.CommandTypes]'Alias, Function, Filter, Cmdlet', $true)) {
            if ($all.Contains($one.Name)) { $quick = $false; break }
        }
    }
    # The session opens in parallel.
    $skip = $skipAliases = @()
    if ($quick) { . $bindProxies }
    if ($opening) {
        # Waits in small steps, because a wait in .NET ignores Ctrl-C. Does not wait for an agent that was killed.
        while (-not $opening.Wait(100)) {
            try { $null = [System.Diagnostics.Process]::GetProcessById([int]$answer.agent) } catch {
                throw "lyncsh: the agent of '$name' (process $($answer.agent)) is gone; import it again"
            }
        }
    }
    if (-not $quick) {
        if ($opening) { . (& $library) }
        . $importCommands
    }
