//! Views of the endpoint, and objects sent back to the endpoint.

use std::path::Path;

use crate::front::Options;
use crate::world::World;

fn endpoint(pwsh: &Path, folder: &Path) -> Options {
    let (views, file) = (folder.join("views.ps1xml"), folder.join("views.pssc"));
    std::fs::write(&views, include_str!("views.ps1xml")).unwrap();
    let text = include_str!("views.pssc").replace("VIEWS", views.to_str().unwrap());
    std::fs::write(&file, text).unwrap();
    Options::configured(pwsh, file)
}

/// Prints the columns that are empty in every row, and the number of columns.
const COLUMNS: &str = r#"
function Find-Empty {
    param($Name, $Objects, $Formatted)
    $values = [ordered]@{}
    $labels = @()
    foreach ($one in $Formatted) {
        if ($one.shapeInfo.tableColumnInfoList) { $labels = @($one.shapeInfo.tableColumnInfoList | ForEach-Object { if ($_.label) { $_.label } else { $_.propertyName } }) }
        if ($one.formatEntryInfo.formatPropertyFieldList) {
            $index = 0
            foreach ($field in $one.formatEntryInfo.formatPropertyFieldList) { $values[$labels[$index++]] += "$($field.propertyValue)".Trim() }
        }
        foreach ($field in $one.formatEntryInfo.listViewFieldList) {
            $label = if ($field.label) { $field.label } else { $field.propertyName }
            $values[$label] += "$($field.formatPropertyField.propertyValue)".Trim()
        }
    }
    foreach ($key in $values.Keys) {
        # Ignore properties that are empty on the endpoint.
        $is_empty = @($Objects | Where-Object { $_.PSObject.Properties[$key] -and -not "$($_.$key)".Trim() }).Count -eq @($Objects).Count
        if (-not $values[$key] -and -not $is_empty) { "$Name has nothing in $key" }
    }
    $script:columns += $values.Count
}
$columns = 0
"#;

#[test]
fn no_column_is_empty_in_every_row() {
    let Some(world) = World::start("") else { return };
    let lines = world.with_work(&format!(
        r#"{COLUMNS}
foreach ($command in Get-Command -Module lyncsh-work -Name Get-Cs*) {{
    $all = @(& $command -ErrorAction SilentlyContinue)
    # Text and numbers have no columns.
    $all = @($all | Where-Object {{ $_ -is [psobject] -and $_.PSObject.TypeNames[0] -like 'Deserialized.*' }})
    if (-not $all.Count) {{ continue }}
    $seen++
    Find-Empty "$command" $all ($all | Format-Table)
    Find-Empty "$command" $all ($all | Format-List)
}}
"$($seen -gt 3) $($columns -gt 20)"
(Get-CsOnlineUser | Format-Table | Out-String).Trim() -split "`n" | Select-Object -First 1"#
    ));
    let lines: Vec<_> = lines
        .into_iter()
        .filter(|line| !line.contains(" has nothing in ") || line.contains("| ft"))
        .collect();
    assert_eq!(lines.first().map(String::as_str), Some("True True"), "{lines:#?}");
    // The third column is computed.
    assert_eq!(lines.last().unwrap().split_whitespace().collect::<Vec<_>>(), ["Name", "EV"]);
}

#[test]
fn a_script_column_shows_its_property_or_is_omitted() {
    let Some(world) = World::real(endpoint, "format_data = [\"Front.*\"]") else { return };
    let lines = world.with_work(&format!(
        r#"{COLUMNS}
Find-Empty table (Get-FrontUser) (Get-FrontUser | Format-Table)
Find-Empty list (Get-FrontUser) (Get-FrontUser | Format-List)
Find-Empty computed (Get-FrontComputed) (Get-FrontComputed | Format-Table)
"$columns"
(Get-FrontUser | Out-String -Width 80).Trim() -split "`n" | ForEach-Object {{ $_.Trim() -replace '\s+', ' ' }}
(Get-FrontUser | Select-Object -First 1 | Format-List | Out-String).Trim()
(Get-FrontComputed | Format-Table | Out-String).Trim() -split "`n" | Select-Object -First 1 | ForEach-Object {{ $_.Trim() -replace '\s+', ' ' }}"#
    ));
    assert_eq!(
        lines,
        [
            "6",
            "Name SIP",
            "---- ---",
            "ken sip:ken@example.com",
            "pilar sip:pilar@example.com",
            "Sign-in : sip:ken@example.com",
            "Alias Address RunspaceId",
        ]
    );
}

/// Expected output for an object that is sent back to the endpoint.
const BACK: [&str; 2] = [
    "Deserialized.Front.User Alias,Address,Quota,Days,Odd,SerializationData",
    "Byte[] 0,1,2,254,255 5 1,2 True",
];
/// Properties added by Invoke-Command.
const ADDED: &str = ",PSComputerName,RunspaceId,PSShowComputerName";

#[test]
fn a_returned_object_keeps_every_property() {
    let Some(world) = World::real(endpoint, "format_data = [\"Front.*\"]") else { return };
    let lines = world.with_work(
        "Get-FrontUser | Where-Object { $_.Alias -eq 'ken' } | Set-FrontUser
         foreach ($user in Get-FrontUser) { if ($user.Alias -eq 'pilar') { Set-FrontUser -User $user } }",
    );
    let back = [format!("{}{ADDED}", BACK[0]), BACK[1].to_owned()];
    assert_eq!(lines, [back.clone(), back].concat());
    // The same in the console.
    let text = "Get-FrontUser | Where-Object { $_.Alias -eq 'ken' } | Set-FrontUser\n";
    let output = world.lyncsh(&["work", "--shell", "console"]).stdin(text).run();
    let lines: Vec<_> = output.out.lines().collect();
    assert_eq!(lines, BACK, "{output:?}");
}

#[test]
fn views_are_unloaded_with_the_module() {
    for cache in ["", "cache = false\n"] {
        let Some(world) = World::real(endpoint, &format!("{cache}format_data = [\"Front.*\"]")) else {
            return;
        };
        let other = world.temp.path().join("other");
        std::fs::create_dir(&other).unwrap();
        std::fs::write(
            other.join("other.format.ps1xml"),
            include_str!("views.ps1xml").replace("Front.", "Other."),
        )
        .unwrap();
        std::fs::write(
            other.join("other.psd1"),
            "@{ ModuleVersion = '1.0'; FormatsToProcess = 'other.format.ps1xml' }",
        )
        .unwrap();
        let lines = world.with_work(&format!(
            "$heading = {{ ($args[0] | Out-String -Width 80).Trim().Split(\"`n\")[0].Trim() -replace '\\s+', ' ' }}
             & $heading (Get-FrontUser)
             & $heading ([pscustomobject]@{{ PSTypeName = 'Front.User'; Alias = 'x'; Address = 'y'; More = 'z' }})
             Import-Module '{}'
             (Get-Module other).Name
             Remove-Module lyncsh-work
             @([runspace]::DefaultRunspace.InitialSessionState.Formats | Where-Object FileName -Like '*proxies.format.ps1xml').Count",
            other.join("other.psd1").display()
        ));
        assert_eq!(lines, ["Name SIP", "Alias Address More", "other", "0"], "{cache}");
    }
}
