# Selects the names of the endpoint that become commands (src/exports/names.rs has the list and the reasons). PowerShell
# itself would call commands with reserved names and use their results, or the endpoint would receive calls meant for a
# local program or alias: such commands are left out even with allow_clobber.
$reserved = [System.Collections.Generic.HashSet[string]]::new([string[]]{{ reserved|ps }}, [System.StringComparer]::OrdinalIgnoreCase)
# Commands of PowerShell's own modules that are not loaded yet, if known.
$builtin = @()
$plain = [regex]::new({{ plain|ps }}, [System.Text.RegularExpressions.RegexOptions]::CultureInvariant)
# Matches a text in which each line is a plain name with a hyphen.
$hyphened = [regex]::new({{ hyphened|ps }}, [System.Text.RegularExpressions.RegexOptions]::CultureInvariant)
$isPlain = { param([string]$Name) $Name.Length -le {{ longest }} -and $plain.IsMatch($Name) }
# Commands that are left out: $refused always, $hidden because a command of that name exists.
$refused = [System.Collections.Generic.SortedSet[string]]::new([System.StringComparer]::OrdinalIgnoreCase)
$hidden = [System.Collections.Generic.SortedSet[string]]::new([System.StringComparer]::OrdinalIgnoreCase)
# Returns the names on the endpoint that are imported. No module may load automatically meanwhile, including this one:
# like Import-PSSession, this only checks loaded modules.
$select = {
    param([string[]]$Names)
    $taken = [System.Collections.Generic.HashSet[string]]::new([System.StringComparer]::OrdinalIgnoreCase)
    # Like Get-Command -ListImported, but faster.
    foreach ($one in $ExecutionContext.InvokeCommand.GetCommands('*', [System.Management.Automation.CommandTypes]'Alias, Function, Filter, Cmdlet', $true)) { $null = $taken.Add($one.Name) }
    foreach ($one in $builtin) { $null = $taken.Add($one) }
    # Commands of other profiles are replaced with a warning.
    foreach ($one in $global:lyncsh) { foreach ($name in $one.Commands) { $null = $taken.Remove($name) } }
    if (-not $prefix -and $Names.Count) {
        # Fast path, one match of all names: usually all are Verb-Noun, none exists here, and nothing is left out.
        $all = [System.Collections.Generic.HashSet[string]]::new($Names, [System.StringComparer]::OrdinalIgnoreCase)
        $text = [string]::Join("`n", $Names) + "`n"
        if (-not $all.Overlaps($reserved) -and ($clobber -or -not $all.Overlaps($taken)) -and $hyphened.IsMatch($text) -and
            $text.IndexOf({{ helper|ps }}, [System.StringComparison]::OrdinalIgnoreCase) -lt 0) { return $Names }
    }
    $programs = $null
    foreach ($one in $Names) {
        $here = if ($prefix) { & $prefixed $one } else { $one }
        if ($one.Length -gt {{ longest }} -or $here.Length -gt {{ longest }} -or -not $plain.IsMatch($one) -or -not $plain.IsMatch($here) -or $reserved.Contains($here) -or $one.IndexOf({{ helper|ps }}, [System.StringComparison]::OrdinalIgnoreCase) -ge 0) {
            $null = $refused.Add($here)
            continue
        }
        $hyphen = $here.IndexOf([char]'-') -ge 0
        if (-not $hyphen -and $null -eq $programs) {
            # Names of functions are not case-sensitive.
            $programs = [System.Collections.Generic.HashSet[string]]::new([System.StringComparer]::OrdinalIgnoreCase)
            foreach ($folder in "$env:PATH".Split([System.IO.Path]::PathSeparator)) {
                try {
                    foreach ($file in [System.IO.Directory]::GetFiles($folder)) {
                        $null = $programs.Add([System.IO.Path]::GetFileName($file))
                        $null = $programs.Add([System.IO.Path]::GetFileNameWithoutExtension($file))
                    }
                } catch { continue }
            }
        }
        if (-not $hyphen -and ($taken.Contains($here) -or $programs.Contains($here))) { $null = $refused.Add($here) }
        elseif ($hyphen -and -not $clobber -and $taken.Contains($here)) { $null = $hidden.Add($here) }
        else { $one }
    }
}
# Formats names as a line of text, with the endpoint's control characters replaced.
$listed = {
    param([string[]]$Names, [int]$Most)
    $shown = foreach ($one in $Names | Microsoft.PowerShell.Utility\Select-Object -First $Most) {
        $text = [regex]::Replace($one, '[^\p{L}\p{Nd}\p{P}\p{S} ]', '?')
        if ($text.Length -gt 60) { $text.Substring(0, 60) + '...' } else { $text }
    }
    $more = if ($Names.Count -gt $Most) { " and $($Names.Count - $Most) more" } else { '' }
    ($shown -join ', ') + $more
}
# Prints a line about commands that are left out.
$report = {
    param([int]$Left)
    $odd = @($refused | Microsoft.PowerShell.Core\Where-Object { $restricted -notcontains $_ })
    $parts = @(
        if ($odd.Count) { "$(& $listed @($odd + @($refused | Microsoft.PowerShell.Core\Where-Object { $restricted -contains $_ })) 50) (names that PowerShell, a program or an alias uses, or names with special characters)" }
        if ($hidden.Count) { "$(& $listed @($hidden) 10) (commands that already exist: set ``prefix`` or ``allow_clobber = true`` in the profile to import them)" }
    )
    if ($parts.Count) {
        $none = if ($Left) { '' } else { "no command is imported; `$$variable is the session. " }
        [Console]::Error.WriteLine("lyncsh: '$name': ${none}Left out: $($parts -join '; ')")
    } elseif (-not $Left) {
        [Console]::Error.WriteLine("lyncsh: '$name': $(if ($patterns -and "$patterns" -ne '*') { "no command of the endpoint matches import = $($patterns -join ', ')" } else { 'the endpoint has no command to import' }); `$$variable is the session")
    }
}
