# Which of the endpoint's names become commands here (src/exports/names.rs has the list, and the reasons). What a
# command of these names returns would be used by PowerShell itself, or what is meant for a program or an alias
# would reach the endpoint: these are left out whatever allow_clobber says.
$reserved = [System.Collections.Generic.HashSet[string]]::new([string[]]{{ reserved|ps }}, [System.StringComparer]::OrdinalIgnoreCase)
# Commands of PowerShell's own modules that are not loaded yet, where that is known.
$builtin = @()
$plain = [regex]::new({{ plain|ps }}, [System.Text.RegularExpressions.RegexOptions]::CultureInvariant)
# Lines with such names, each with a hyphen.
$hyphened = [regex]::new({{ hyphened|ps }}, [System.Text.RegularExpressions.RegexOptions]::CultureInvariant)
$isPlain = { param([string]$Name) $Name.Length -le {{ longest }} -and $plain.IsMatch($Name) }
# What was left out: always, and because a command of that name exists here.
$refused = [System.Collections.Generic.SortedSet[string]]::new([System.StringComparer]::OrdinalIgnoreCase)
$hidden = [System.Collections.Generic.SortedSet[string]]::new([System.StringComparer]::OrdinalIgnoreCase)
# The names of those that are left, as the endpoint has them. No module may load by itself meanwhile, such as the one
# that this is: only what is loaded is looked at, as Import-PSSession does.
$select = {
    param([string[]]$Names)
    $taken = [System.Collections.Generic.HashSet[string]]::new([System.StringComparer]::OrdinalIgnoreCase)
    # As Get-Command -ListImported, in a fraction of the time.
    foreach ($one in $ExecutionContext.InvokeCommand.GetCommands('*', [System.Management.Automation.CommandTypes]'Alias, Function, Filter, Cmdlet', $true)) { $null = $taken.Add($one.Name) }
    foreach ($one in $builtin) { $null = $taken.Add($one) }
    # What other profiles have brought is replaced, and that is said.
    foreach ($one in $global:lyncsh) { foreach ($name in $one.Commands) { $null = $taken.Remove($name) } }
    if (-not $prefix -and $Names.Count) {
        # Mostly nothing is left out, which one look at all names tells: Verb-Noun, none of them known here.
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
            # Whatever the case of the letters: a function's name is the same in all of them.
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
# Names in a line of text: whatever the endpoint has put into one, it stays on the line and moves nothing.
$listed = {
    param([string[]]$Names, [int]$Most)
    $shown = foreach ($one in $Names | Microsoft.PowerShell.Utility\Select-Object -First $Most) {
        $text = [regex]::Replace($one, '[^\p{L}\p{Nd}\p{P}\p{S} ]', '?')
        if ($text.Length -gt 60) { $text.Substring(0, 60) + '...' } else { $text }
    }
    $more = if ($Names.Count -gt $Most) { " and $($Names.Count - $Most) more" } else { '' }
    ($shown -join ', ') + $more
}
# One line, where there is something that a user could miss.
$report = {
    param([int]$Left)
    $odd = @($refused | Microsoft.PowerShell.Core\Where-Object { $restricted -notcontains $_ })
    $parts = @(
        if ($odd.Count) { "$(& $listed @($odd + @($refused | Microsoft.PowerShell.Core\Where-Object { $restricted -contains $_ })) 50) (names that PowerShell, a program or an alias has here, or that are no plain names)" }
        if ($hidden.Count) { "$(& $listed @($hidden) 10) (commands that exist here: set ``prefix`` or ``allow_clobber = true`` in the profile to have them)" }
    )
    if ($parts.Count) {
        $none = if ($Left) { '' } else { "no command is imported; `$$variable is the session. " }
        [Console]::Error.WriteLine("lyncsh: '$name': ${none}Left out: $($parts -join '; ')")
    } elseif (-not $Left) {
        [Console]::Error.WriteLine("lyncsh: '$name': $(if ($patterns -and "$patterns" -ne '*') { "no command of the endpoint matches import = $($patterns -join ', ')" } else { 'the endpoint has no command to import' }); `$$variable is the session")
    }
}
