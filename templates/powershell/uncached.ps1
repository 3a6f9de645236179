# Nothing is cached: the proxies are in a temporary folder until they are loaded.
$kept = $fresh = if ($cache) { "$cache-$PID.new" } else { [System.IO.Path]::Combine([System.IO.Path]::GetTempPath(), "lyncsh-$PID-" + [System.IO.Path]::GetRandomFileName()) }
try {
    $null = [System.IO.Directory]::CreateDirectory($fresh)
    . $writeProxies
    . $bindExported
} finally {
    try { [System.IO.Directory]::Delete($fresh, $true) } catch { Microsoft.PowerShell.Utility\Write-Verbose -Message "lyncsh: $($_.Exception.Message)" }
}
