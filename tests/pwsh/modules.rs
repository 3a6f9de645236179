//! Kinds whose session a PowerShell module opens, with stub modules that record their arguments.

use serde_json::{Value, json};

use crate::world::World;

/// Records the calls of a module's commands. The parameters are those of the vendor's documentation.
const STUB: &str = r#"
function Write-Record([string]$Command, $Bound) {
    $seen = [ordered]@{ command = $Command }
    foreach ($key in @($Bound.Keys) | Sort-Object) {
        $value = $Bound[$key]
        $seen[$key] = if ($value -is [pscredential]) { "$($value.UserName):$($value.GetNetworkCredential().Password)" }
        elseif ($value -is [System.Security.Cryptography.X509Certificates.X509Certificate2]) {
            $rsa = [System.Security.Cryptography.X509Certificates.RSACertificateExtensions]::GetRSAPrivateKey($value)
            "$($value.Subject), $(if ($rsa.SignData([byte[]]1, 'SHA256', [System.Security.Cryptography.RSASignaturePadding]::Pss).Length) { 'signs' })"
        }
        elseif ($value -is [switch] -or $value -is [bool]) { [bool]$value }
        else { $value }
    }
    [System.IO.File]::AppendAllText($env:LYNCSH_TEST_RECORD, (ConvertTo-Json -Compress $seen) + "`n")
}
function Connect-MicrosoftTeams {
    [CmdletBinding()]
    param([switch]$UseDeviceAuthentication, [string]$TenantId, [string]$AccountId, [pscredential]$Credential,
        [string[]]$AccessTokens, [switch]$Identity, [string]$ApplicationId,
        [System.Security.Cryptography.X509Certificates.X509Certificate2]$Certificate)
    Write-Record Connect-MicrosoftTeams $PSBoundParameters
}
function Disconnect-MicrosoftTeams { [CmdletBinding()] param() Write-Record Disconnect-MicrosoftTeams @{} }
function Connect-ExchangeOnline {
    [CmdletBinding()]
    param([bool]$ShowBanner, [switch]$Device, [string]$Prefix, [string]$UserPrincipalName, [pscredential]$Credential,
        [string]$AccessToken, [string]$DelegatedOrganization, [string]$Organization, [string]$AppId,
        [switch]$ManagedIdentity, [string]$ManagedIdentityAccountId,
        [System.Security.Cryptography.X509Certificates.X509Certificate2]$Certificate)
    Write-Record Connect-ExchangeOnline $PSBoundParameters
}
function Disconnect-ExchangeOnline { [CmdletBinding(SupportsShouldProcess)] param() Write-Record Disconnect-ExchangeOnline @{} }
"#;

/// Creates the stub modules in a folder for `PSModulePath`.
fn stubs(world: &World) -> std::path::PathBuf {
    let folder = world.temp.path().join("modules");
    for name in ["MicrosoftTeams", "ExchangeOnlineManagement"] {
        std::fs::create_dir_all(folder.join(name)).unwrap();
        std::fs::write(folder.join(name).join(format!("{name}.psm1")), STUB).unwrap();
    }
    folder
}

#[test]
fn exec_runs_a_line_in_the_powershell_of_a_module() {
    let Some(world) = World::start("") else { return };
    let (folder, record) = (stubs(&world), world.temp.path().join("record"));
    let pwsh = world.pwsh.display();
    std::fs::write(world.folders.profile("t"), format!("kind = 'teams'\nshell = '{pwsh}'\n")).unwrap();
    let run = |arguments: &[&str]| {
        let program = world.lyncsh(&[&["exec"], arguments].concat()).env("PSModulePath", &folder);
        program.env("LYNCSH_TEST_RECORD", &record).env("NO_COLOR", "1").run()
    };
    let words = [
        "t",
        "--jsonl",
        "--",
        "Write-Output",
        "Ann O'Neil; $x",
        "|",
        "ForEach-Object",
        "-MemberName",
        "Length",
    ];
    assert_eq!(run(&words).success_output(), "14\n");
    let line = "[pscustomobject]@{ Day = [DayOfWeek]'Monday'; At = [datetime]'2026-01-02'; N = 1.5 }; Write-Host 'seen'";
    let ran = run(&["t", "--json", "--", line]);
    assert_eq!(ran.out, "[\n{\"Day\":\"Monday\",\"At\":\"2026-01-02T00:00:00\",\"N\":1.5}\n]\n", "{ran:?}");
    assert!(ran.err.contains("seen"), "{ran:?}");
    let ran = run(&["t", "--errors", "json", "--csv", "--", "1; Get-Item none.txt; throw 'over'"]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(1), "\"Value\"\n\"1\"\n"), "{ran:?}");
    let errors: Vec<Value> = ran.err.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    assert_eq!(errors[0]["category"], "ObjectNotFound", "{ran:?}");
    assert_eq!(errors[1]["message"], "over", "{ran:?}");
    let ran = run(&["t", "--", "Get-Item none.txt"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let ran = run(&["--profiles", "t", "--json", "--", "'x'"]);
    let one: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(one[0]["output"], json!(["x"]), "{ran:?}");
    let text = std::fs::read_to_string(&record).unwrap();
    assert_eq!(text.matches("Disconnect-MicrosoftTeams").count(), 5, "{text}");
    // Much output: PowerShell waits for its reader when the time is up.
    let ran = run(&["t", "--timeout", "6s", "--", "'x' * 200000; while ($true) { 'y' * 100000 }"]);
    assert_eq!(ran.code, Some(4), "{:?} {}", ran.code, ran.err);
    let text = std::fs::read_to_string(&record).unwrap();
    assert_eq!(text.matches("Disconnect-MicrosoftTeams").count(), 6, "{text}");
}

/// Creates an RSA certificate as PEM files, with and without a passphrase, and as PKCS#12.
fn certificates(world: &World) {
    let body = format!(
        "$rsa = [System.Security.Cryptography.RSA]::Create(2048)\n\
         $request = [System.Security.Cryptography.X509Certificates.CertificateRequest]::new('CN=app', $rsa, 'SHA256', \
         [System.Security.Cryptography.RSASignaturePadding]::Pkcs1)\n\
         $one = $request.CreateSelfSigned([datetimeoffset]::UtcNow.AddDays(-1), [datetimeoffset]::UtcNow.AddDays(1))\n\
         $how = [System.Security.Cryptography.PbeParameters]::new('Aes256Cbc', 'SHA256', 10000)\n\
         [System.IO.File]::WriteAllText('{0}.pem', $one.ExportCertificatePem())\n\
         [System.IO.File]::WriteAllText('{0}.key', $rsa.ExportPkcs8PrivateKeyPem())\n\
         [System.IO.File]::WriteAllText('{0}-locked.key', $rsa.ExportEncryptedPkcs8PrivateKeyPem('s3cret', $how))\n\
         [System.IO.File]::WriteAllBytes('{0}.pfx', $one.Export('Pfx', 's3cret'))",
        world.folders.profiles().join("app").display()
    );
    let output = world.output(&body);
    assert_eq!(output.code, Some(0), "{output:?}");
}

#[test]
fn modules_are_called_as_they_sign_in_and_out() {
    let Some(world) = World::start("") else { return };
    certificates(&world);
    let folder = stubs(&world);
    let secret = "credential = { command = \"echo s3cret\" }";
    let (teams, exchange) = ("Connect-MicrosoftTeams", "Connect-ExchangeOnline");
    let cases: Vec<(&str, String, Value)> = vec![
        ("teams", String::new(), json!({ "command": teams, "UseDeviceAuthentication": true })),
        (
            "teams",
            "authentication = 'browser'\nuser = 'a@b.c'\ntenant = 'it''s.test'".replace("''", "’"),
            json!({ "command": teams, "AccountId": "a@b.c", "TenantId": "it’s.test" }),
        ),
        (
            "teams",
            format!("authentication = 'credential'\nuser = 'a@b.c'\n{secret}"),
            json!({ "command": teams, "Credential": "a@b.c:s3cret" }),
        ),
        (
            "teams",
            "authentication = 'token'\ntenant = 'c.test'\ncredential = { command = \"echo s3cret,m0re\" }".into(),
            json!({ "command": teams, "AccessTokens": ["s3cret", "m0re"], "TenantId": "c.test" }),
        ),
        (
            "teams",
            "authentication = 'certificate'\nclient_id = 'id'\ntenant = 'c.test'\ncertificate = 'app.pem'\nkey = 'app.key'".into(),
            json!({ "command": teams, "ApplicationId": "id", "Certificate": "CN=app, signs", "TenantId": "c.test" }),
        ),
        (
            "teams",
            "authentication = 'managed-identity'".into(),
            json!({ "command": teams, "Identity": true }),
        ),
        (
            "exchange-online",
            "prefix = 'Ex'\norganization = 'c.test'".into(),
            json!({ "command": exchange, "Device": true, "Prefix": "Ex", "ShowBanner": false, "DelegatedOrganization": "c.test" }),
        ),
        (
            "exchange-online",
            "authentication = 'browser'\nuser = 'a@b.c'".into(),
            json!({ "command": exchange, "ShowBanner": false, "UserPrincipalName": "a@b.c" }),
        ),
        (
            "exchange-online",
            format!("authentication = 'credential'\nuser = 'a@b.c'\n{secret}"),
            json!({ "command": exchange, "ShowBanner": false, "Credential": "a@b.c:s3cret" }),
        ),
        (
            "exchange-online",
            format!("authentication = 'token'\nuser = 'a@b.c'\norganization = 'c.test'\n{secret}"),
            json!({ "command": exchange, "ShowBanner": false, "UserPrincipalName": "a@b.c", "AccessToken": "s3cret", "DelegatedOrganization": "c.test" }),
        ),
        (
            "exchange-online",
            format!("authentication = 'certificate'\nclient_id = 'id'\norganization = 'c.test'\ncertificate = 'app.pem'\nkey = 'app-locked.key'\n{secret}"),
            json!({ "command": exchange, "ShowBanner": false, "AppId": "id", "Certificate": "CN=app, signs", "Organization": "c.test" }),
        ),
        (
            "exchange-online",
            format!("authentication = 'certificate'\nclient_id = 'id'\norganization = 'c.test'\ncertificate = 'app.pfx'\n{secret}"),
            json!({ "command": exchange, "ShowBanner": false, "AppId": "id", "Certificate": "CN=app, signs", "Organization": "c.test" }),
        ),
        (
            "exchange-online",
            "authentication = 'managed-identity'\nclient_id = 'id'\norganization = 'c.test'".into(),
            json!({ "command": exchange, "ShowBanner": false, "ManagedIdentity": true, "ManagedIdentityAccountId": "id", "Organization": "c.test" }),
        ),
    ];
    let record = world.temp.path().join("record");
    let mut body = format!(
        "$env:PSModulePath = '{}' + [System.IO.Path]::PathSeparator + $env:PSModulePath\n$env:LYNCSH_TEST_RECORD = '{}'\n",
        folder.display(),
        record.display()
    );
    for (at, (kind, more, _)) in cases.iter().enumerate() {
        let name = format!("m{at}");
        std::fs::write(world.folders.profile(&name), format!("kind = '{kind}'\n{more}\n")).unwrap();
        body.push_str(&format!("{}\n", world.import(&name)));
        if at + 1 < cases.len() {
            body.push_str(&format!("Remove-Module lyncsh-{name}\n"));
        }
    }
    // The last one signs out when PowerShell exits.
    let output = world.output(&body);
    assert_eq!(output.code, Some(0), "{output:?}");
    let text = std::fs::read_to_string(&record).unwrap();
    let seen: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let expected = cases.iter().flat_map(|(_, _, call)| {
        let out = call["command"].as_str().unwrap().replace("Connect", "Disconnect");
        [call.clone(), json!({ "command": out })]
    });
    let expected: Vec<Value> = expected.collect();
    let calls = expected.len() - 1;
    for (seen, expected) in seen.iter().zip(&expected[..calls]) {
        assert_eq!(seen, expected);
    }
    // At the exit, PowerShell also runs the handlers of the removed modules.
    assert!(seen[calls..].contains(&expected[calls]), "{seen:?}");
    let cache = world.folders.cache.join("modules");
    let folders = std::fs::read_dir(cache).unwrap().map(|folder| folder.unwrap().path());
    let files: Vec<_> = folders.flat_map(|folder| std::fs::read_dir(folder).unwrap()).collect();
    assert!(!files.is_empty());
    for file in files {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        assert!(!text.contains("s3cret"), "{text}");
    }
}
