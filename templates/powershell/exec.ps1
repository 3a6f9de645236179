# Written by lyncsh {{ version }}: runs a line of `lyncsh exec`, which reads each line of the output
[Console]::OutputEncoding = [System.Text.UTF8Encoding]::new($false)
[Console]::Out.WriteLine({{ open|ps }})
# Short names could be those of variables in the line.
$lyncshFailed = $false
$lyncshWrite = {
    $bytes = [System.Text.Encoding]::UTF8.GetBytes([System.Management.Automation.PSSerializer]::Serialize($args[1]))
    [Console]::Out.WriteLine($args[0] + [System.Convert]::ToBase64String($bytes))
}
try {
    . ([scriptblock]::Create({{ line|ps }})) 2>&1 | ForEach-Object {
        if ($_ -is [System.Management.Automation.ErrorRecord]) {
            $lyncshFailed = $true
            & $lyncshWrite {{ error|ps }} $_
        } else {
            {% if is_data %}& $lyncshWrite {{ object|ps }} $_{% else %}$_{% endif %}

        }
    } | Out-Default
} catch {
    $lyncshFailed = $true
    & $lyncshWrite {{ error|ps }} $_
}
exit [int]$lyncshFailed
