//! Parsing, planning and refusal of lines as users type them.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use lyncsh::line::{self, PlanContext, Variables, Views};
use lyncsh::psrp::clixml::Value;
use proptest::prelude::*;
use tokio_util::sync::CancellationToken;

static STOP: LazyLock<CancellationToken> = LazyLock::new(CancellationToken::new);

fn context<'a>(variables: &'a Variables, views: &'a Views) -> PlanContext<'a> {
    PlanContext { variables, views, width: 80, to_screen: true, stop: &STOP }
}

/// Returns the remote commands with their arguments, and the local stages' output for `objects`.
fn planned(text: &str) -> Result<Vec<String>, String> {
    let statements = line::parse(text).map_err(|error| error.to_string())?;
    let [statement] = statements.as_slice() else { return Err(format!("{} statements", statements.len())) };
    let plan = line::plan(statement, context(&Variables::default(), &Views::default()))
        .map_err(|error| error.to_string())?;
    let commands = plan.remote.map(|remote| remote.commands).unwrap_or_default();
    Ok(commands
        .iter()
        .map(|command| {
            let arguments = command.arguments.iter().map(|argument| {
                let name = argument.name.as_ref().map(|name| format!(" -{name}")).unwrap_or_default();
                let value =
                    argument.value.as_ref().map(|value| format!(" {}", shown(value))).unwrap_or_default();
                format!("{name}{value}")
            });
            format!("{}{}", command.name, arguments.collect::<String>())
        })
        .collect())
}

/// Formats a value; a number with its typed text as `text:number`.
fn shown(value: &Value) -> String {
    if let Some(text) = value.as_object().and_then(|object| object.to_string.as_ref()) {
        return format!("{text}:{:?}", value.primitive());
    }
    match value.items() {
        Some(items) => format!("[{}]", items.iter().map(shown).collect::<Vec<_>>().join(" ")),
        None => format!("{value:?}"),
    }
}

/// Returns the output of a line that needs no endpoint.
fn local(text: &str) -> Vec<String> {
    try_local(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn try_local(text: &str) -> Result<Vec<String>, String> {
    let statements = line::parse(text).map_err(|error| error.to_string())?;
    let (variables, views) = (Variables::default(), Views::default());
    let mut plan =
        line::plan(&statements[0], context(&variables, &views)).map_err(|error| error.to_string())?;
    let mut out = Vec::new();
    for value in std::mem::take(&mut plan.input) {
        plan.local.push(value, &mut out).map_err(|error| error.to_string())?;
    }
    plan.local.finish(&mut out).map_err(|error| error.to_string())?;
    Ok(out.iter().map(Value::display_text).collect())
}

#[test]
fn the_endpoints_commands_run_there_and_the_rest_locally() {
    for (text, remote) in [
        ("Get-CsTenant", vec!["Get-CsTenant", "Out-Default"]),
        ("Get-CsTenant | Get-CsOnlineUser", vec!["Get-CsTenant", "Get-CsOnlineUser", "Out-Default"]),
        ("Get-CsOnlineUser | Select-Object DisplayName", vec!["Get-CsOnlineUser"]),
        ("$x = Get-CsTenant", vec!["Get-CsTenant"]),
        (
            "Set-CsUser ken -Enabled:$true -Tags a,'b c' -Force",
            vec![
                r#"Set-CsUser String("ken") -Enabled Bool(true) -Tags [String("a") String("b c")] -Force"#,
                "Out-Default",
            ],
        ),
        (
            "Get-CsBig \u{2013}Size 0x10 -Max 2kb # all",
            vec!["Get-CsBig -Size 0x10:I32(16) -Max 2kb:I32(2048)", "Out-Default"],
        ),
    ] {
        let spaced: Vec<String> = planned(text).unwrap().iter().map(|one| one.replace("  ", " ")).collect();
        assert_eq!(spaced, remote, "{text}");
    }
}

/// A parameter of type string gets the text, a numeric one the number, as from PowerShell.
#[test]
fn a_number_keeps_its_typed_text() {
    for (typed, sent) in [
        ("+14255551234", r#"String("+14255551234")"#),
        ("-5", r#"String("-5")"#),
        ("-1.50", r#"String("-1.50")"#),
        ("0049301234", "0049301234:I32(49301234)"),
        ("1.10", "1.10:Double(1.1)"),
        ("1e3", "1e3:Double(1000.0)"),
        ("5d", r#"5d:Decimal("5")"#),
        ("10l", "10l:I64(10)"),
        (".5", ".5:Double(0.5)"),
        ("1.", "1.:Double(1.0)"),
        ("1.5", "Double(1.5)"),
        ("12", "I32(12)"),
        ("9223372036854775807", "I64(9223372036854775807)"),
        ("1_000", r#"String("1_000")"#),
        ("1.2.3", r#"String("1.2.3")"#),
        ("12abc", r#"String("12abc")"#),
        ("'0049'", r#"String("0049")"#),
        ("(0049)", "I32(49)"),
        ("0010,+5,007", r#"[0010:I32(10) String("+5") 007:I32(7)]"#),
    ] {
        let sent = vec![format!("Set-It -Text {sent}"), "Out-Default".to_owned()];
        let planned: Vec<_> = planned(&format!("Set-It -Text {typed}")).unwrap();
        assert_eq!(planned.iter().map(|one| one.replace("  ", " ")).collect::<Vec<_>>(), sent, "{typed}");
    }
}

/// Results seen in PowerShell 7.6.9.
#[test]
fn numbers_are_computed_and_compared_as_powershell_does() {
    for (text, out) in [
        ("9007199254740993 -gt 9007199254740992", "True"),
        ("9007199254740993 -eq 9007199254740992", "False"),
        ("9007199254740993 + 1", "9007199254740994"),
        ("18446744073709551615 -gt 9223372036854775807", "True"),
        ("0.1d + 0.2d -eq 0.3d", "True"),
        ("10d * 1.10d", "11.00"),
        ("1d / 3", "0.3333333333333333333333333333"),
        ("1.10d", "1.10"),
        ("1.10", "1.1"),
        ("1e3", "1000"),
        ("1 / 3", "0.333333333333333"),
        ("2147483647 + 1", "2147483648"),
        ("9223372036854775807 + 1", "9.22337203685478E+18"),
        ("0xFF", "255"),
        ("-0xFF", "-255"),
        ("1kb", "1024"),
        ("5 -eq '5d'", "True"),
        ("1024 -eq '1kb'", "True"),
        ("5 -eq 'abc'", "False"),
        ("5 -eq '5.0'", "True"),
        ("'5.0' -eq 5", "False"),
        ("$null -lt 1", "True"),
        ("$null -gt -1", "True"),
        ("9007199254740993,9007199254740992 | Sort-Object", "9007199254740992|9007199254740993"),
        ("9007199254740993,9007199254740992 | Group-Object | % Name", "9007199254740992|9007199254740993"),
        ("10,'9',2 | Sort-Object", "2|10|9"),
        ("9007199254740993,1 | Measure-Object -Sum | % Sum", "9007199254740994"),
        ("9007199254740993,9007199254740992 | Measure-Object -Maximum | % Maximum", "9007199254740993"),
        ("0.1d,0.2d | Measure-Object -Sum | % Sum", "0.3"),
        ("2.5..4.5", "2|3|4"),
        ("'abc' | select Length | % Length", "3"),
        ("1..5 | select -First 0x2", "1|2"),
    ] {
        assert_eq!(local(text).join("|"), out, "{text}");
    }
    assert!(
        try_local("5 -gt 'abc'")
            .unwrap_err()
            .contains("Cannot convert value \"abc\" to type \"System.Int32\"")
    );
}

#[test]
fn constructs_that_need_a_script_engine_are_refused() {
    for text in [
        "if ($true) { Get-CsTenant }",
        "& { Get-CsTenant }",
        "[int]5",
        "$env:PATH",
        "$x++",
        "'a'.ToUpper()",
        "1 | where { Get-CsTenant }",
        "[datetime]::Now",
    ] {
        let said = planned(text).expect_err(text);
        assert!(said.contains("needs PowerShell's script engine"), "{text}: {said}");
    }
    assert_eq!(local("\"[$nothing]\", ($nothing -eq $null)"), ["[]", "True"]);
}

#[test]
fn an_incomplete_line_is_detected() {
    for text in
        ["Get-CsTenant |", "'abc", "\"abc", "@{ a = 1", "Get-CsTenant `", "where { $_.A", "(1, 2", "@'\nabc"]
    {
        assert!(line::is_incomplete(text), "{text}");
    }
    for text in ["Get-CsTenant", "", "if", "Get-CsTenant )"] {
        assert!(!line::is_incomplete(text), "{text}");
    }
}

#[test]
fn local_stages_process_values() {
    for (text, out) in [
        ("3,1,2 | sort", vec!["1", "2", "3"]),
        ("3,1,2 | Sort-Object -Descending | select -First 2", vec!["3", "2"]),
        ("1,2,3,4 | select -Last 2", vec!["3", "4"]),
        ("1,2,3 | select -Skip 1", vec!["2", "3"]),
        ("1..10 | select -First 2 -Last 3", vec!["1", "2", "8", "9", "10"]),
        ("1..4 | select -First 3 -Last 3", vec!["1", "2", "3", "4"]),
        ("1..10 | select -First 2 -Last 1 -Skip 1", vec!["2", "3", "10"]),
        ("1..10 | select -Skip 3 -Last 2", vec!["6", "7"]),
        ("1..10 | select -First 0 -Last 2", vec!["9", "10"]),
        ("1..10 | select -First 2 -Last 0", vec!["1", "2"]),
        ("1,2,3 | Measure-Object -Sum | % Sum", vec!["6"]),
        ("'b','a','b' | group | sort Count -Descending | % Name", vec!["b", "a"]),
        ("'b','a','b' | group | % Name", vec!["a", "b"]),
        ("2,'b',1 | group | % Name", vec!["2", "b", "1"]),
        ("1,2,3,4 | measure -StandardDeviation | % StandardDeviation", vec!["1.29099444873581"]),
        ("'3','','5' | measure -Sum | % Sum", vec!["8"]),
        ("'it''s', \"a`tb\"", vec!["it's", "a\tb"]),
        ("'abc' | where Length -eq 3 | measure | % Count", vec!["1"]),
    ] {
        assert_eq!(local(text), out, "{text}");
    }
}

/// Outputs seen in PowerShell 7.6.9.
#[test]
fn missing_properties_are_last_and_grouped_with_null() {
    let objects = r#"'[{"N":"x","V":3},{"N":"b"},{"N":"c","V":1},{"N":"d","V":null}]' | ConvertFrom-Json"#;
    for (stages, out) in [
        ("Sort-Object V | % N", "d|c|x|b"),
        ("Sort-Object V -Descending | % N", "x|c|d|b"),
        ("Sort-Object Nope, N -Descending | % N", "x|d|c|b"),
        ("Group-Object V | % { \"$($_.Name):$($_.Count)$($_.Group[0].N)\" }", ":2d|1:1c|3:1x"),
        ("Group-Object Nope | % Count", "4"),
        ("Measure-Object V -Sum -Minimum | % { $_.Count, $_.Sum, $_.Minimum }", "3|4|"),
        ("Measure-Object Nope -Sum", ""),
        ("Measure-Object V -Average | % Average", "1.33333333333333"),
    ] {
        assert_eq!(local(&format!("{objects} | {stages}")).join("|"), out, "{stages}");
    }
}

#[test]
fn expressions_have_powershells_precedence() {
    for (text, out) in [
        // -and and -or have the same precedence, from left to right.
        ("$true -or $true -and $false", vec!["False"]),
        ("$true -or ($true -and $false)", vec!["True"]),
        ("-not $false -eq $true", vec!["True"]),
        ("!(1 -eq 2)", vec!["True"]),
        ("2 + 3 * 4 - 1", vec!["13"]),
        ("(2 + 3) * 4", vec!["20"]),
        ("7 / 2, 6 / 2", vec![]),
        ("(7 / 2), (6 / 2)", vec!["3.5", "3"]),
        ("1..4 -gt 2", vec!["3", "4"]),
        ("'b' -in 'a','B'", vec!["True"]),
        ("'a','B' -ccontains 'b'", vec!["False"]),
        ("'Ken Myer' -like 'ken*' -and 'x' -notlike 'y*'", vec!["True"]),
        ("'abc' -match '^a.c$'", vec!["True"]),
        ("'sip:ken@x.com' -replace '^sip:','' -split '@'", vec!["ken", "x.com"]),
        ("'{0} of {1}' -f 1,'b'", vec!["1 of b"]),
        ("'a' -is [string]", vec!["True"]),
        ("10 -gt '9'", vec!["True"]),
        ("'10' -gt '9'", vec!["False"]),
        ("$null -eq $false", vec!["False"]),
        ("@{ a = @{ b = 5 } }.a.b", vec!["5"]),
        ("(3,4,5)[-1]", vec!["5"]),
        ("(3,4,5).Count", vec!["3"]),
        ("\"$(1 + 1) and $( 'x' )\"", vec!["2 and x"]),
        ("@(1) + 2", vec!["1", "2"]),
        ("5 -as", vec![]),
    ] {
        if out.is_empty() {
            assert!(line::parse(text).is_err() || try_local(text).is_err(), "{text}");
        } else {
            assert_eq!(local(text), out, "{text}");
        }
    }
}

#[test]
fn blocks_and_calculated_properties_are_computed_for_each_object() {
    for (text, out) in [
        ("1,2,3,4 | where { ($_ -gt 1 -and $_ -lt 4) -or $_ -eq 4 }", vec!["2", "3", "4"]),
        ("1,2,3 | ? { -not ($_ -eq 2) }", vec!["1", "3"]),
        (
            "'a','bb' | select @{n='Text';e={$_}}, @{Name='Twice';Expression={$_.Length * 2}} | % Twice",
            vec!["2", "4"],
        ),
        ("'a','bb' | select @{l='L';e='Length'} | % { \"$($_.L)!\" }", vec!["1!", "2!"]),
        ("'bb','a' | sort { $_.Length }", vec!["a", "bb"]),
        ("'bb','a' | sort @{e={$_.Length};Descending=$true}", vec!["bb", "a"]),
        ("'bb','a','c' | group { $_.Length } | % Name", vec!["1", "2"]),
        ("'a' | select @{n='x';e={$_}} | ConvertTo-Json -Compress", vec!["{\"x\":\"a\"}"]),
        ("1,2 | foreach { $_ * 10 }", vec!["10", "20"]),
    ] {
        assert_eq!(local(text), out, "{text}");
    }
    for (text, said) in [
        ("1 | select @{e={$_};q=1}", "key is not valid"),
        ("1 | select @{n='x'}", "expression of a calculated property is missing"),
        ("1 | where { $_ -eq abc }", "quotes"),
    ] {
        assert!(try_local(text).expect_err(text).contains(said), "{text}");
    }
}

#[test]
fn json_and_csv_read_as_powershell_7_writes_them() {
    for (text, out) in [
        ("2.0 | ConvertTo-Json", "2.0"),
        ("1 | ConvertTo-Json -AsArray -Compress", "[1]"),
        // On the screen, the lines of the text arrive one by one.
        ("@{ a = 1,2; b = @{} } | ConvertTo-Json", "{|  \"a\": [|    1,|    2|  ],|  \"b\": {}|}"),
        (
            "@{ a = @{ b = @{ c = @{ d = 1 } } } } | ConvertTo-Json -Compress",
            "{\"a\":{\"b\":{\"c\":\"System.Collections.Hashtable\"}}}",
        ),
        (
            "@{ a = @{ b = @{ c = @{ d = 1 } } } } | ConvertTo-Json -Compress -Depth 3",
            "{\"a\":{\"b\":{\"c\":{\"d\":1}}}}",
        ),
        ("'\"q\"' | select @{n='A b';e={$_}} | ConvertTo-Csv", "\"A b\"|\"\"\"q\"\"\""),
        ("'x' | select @{n='A';e={$_}},B | ConvertTo-Csv -UseQuotes AsNeeded", "A,B|x,"),
        ("'x;y' | select @{n='A';e={$_}} | ConvertTo-Csv -UseQuotes AsNeeded -Delimiter ';'", "A|\"x;y\""),
        ("'x' | select @{n='A';e={$_}} | ConvertTo-Csv -NoTypeInformation", "\"A\"|\"x\""),
    ] {
        assert_eq!(local(text).join("|"), out, "{text}");
    }
}

#[test]
fn numbers_are_right_aligned_in_tables() {
    assert_eq!(
        local("'a','bbb' | ft @{n='Text';e={$_}}, @{n='Long';e={$_.Length}}"),
        ["", "Text Long", "---- ----", "a       1", "bbb     3", ""]
    );
    assert_eq!(local("'a' | ft @{n='Text';e={$_}} -HideTableHeaders"), ["", "a", ""]);
}

#[test]
fn output_is_written_to_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out put.txt");
    let quoted = path.display();
    let read = || std::fs::read_to_string(&path).unwrap().replace("\r\n", "\n");
    assert!(local(&format!("'a','ü' > '{quoted}'")).is_empty());
    assert_eq!(read(), "a\nü\n");
    local(&format!("1,2,3 | select -First 1 >> '{quoted}'"));
    assert_eq!(read(), "a\nü\n1\n");
    assert!(
        try_local(&format!("1 | Out-File '{quoted}' -NoClobber")).unwrap_err().contains("already exists")
    );
    local(&format!("'a' | select @{{n='N';e={{$_}}}} | Export-Csv '{quoted}' -Encoding utf8BOM"));
    local(&format!("'b' | select Z,@{{n='N';e={{$_}}}} | Export-Csv '{quoted}' -Append"));
    assert_eq!(read(), "\u{feff}\"N\"\n\"a\"\n\"b\"\n");
    let said = try_local(&format!("'b' | select Z | Export-Csv '{quoted}' -Append")).unwrap_err();
    assert!(said.contains("column: N") && said.contains("-Force"), "{said}");
    local(&format!("'x' | Out-File '{quoted}' -Encoding unicode -NoNewline"));
    assert_eq!(std::fs::read(&path).unwrap(), [0xff, 0xfe, b'x', 0]);
    assert!(local("1,2 > $null").is_empty());
    let missing = folder.path().join("no/such/x.txt");
    assert!(
        try_local(&format!("1 > '{}'", missing.display())).unwrap_err().contains("Could not find a part")
    );
}

#[test]
fn invalid_redirections_are_explained() {
    for (text, said) in [
        ("Get-CsTenant >", "Missing file specification"),
        ("Get-CsTenant > a | sort", "put the redirection last"),
        ("Get-CsTenant 2>&3", "2>&1"),
        ("Get-CsTenant > a > b", "twice"),
    ] {
        assert!(line::parse(text).expect_err(text).message.contains(said), "{text}");
    }
    for text in
        ["Get-CsTenant 2>$null", "Get-CsTenant *> $null", "Get-CsTenant 2>&1 > x", "Get-CsTenant 3>&1 | sort"]
    {
        assert_eq!(planned(text).unwrap(), ["Get-CsTenant"], "{text}");
    }
}

#[test]
fn pipelines_in_parentheses_run_first() {
    for text in [
        "(Get-CsTenant).DisplayName",
        "Set-CsUser -Identity (Get-CsOnlineUser x).Identity",
        "\"name: $((Get-CsTenant).DisplayName)\"",
        "@{ a = Get-CsTenant }",
        "1 > (Get-CsTenant).Name",
        "Set-CsUser -Id:(Get-CsTenant)[0]",
    ] {
        let mut statement = line::parse(text).unwrap().remove(0);
        let mut found = 0;
        while let Some(place) = line::nested(&mut statement) {
            *place = line::Expr::text("done");
            found += 1;
        }
        assert_eq!(found, 1, "{text}");
    }
    let mut block = line::parse("1 | where { (Get-CsTenant) }").unwrap().remove(0);
    assert!(line::nested(&mut block).is_none());
}

/// Quotes a text. Every sign that PowerShell reads as a single quote ends a string unless doubled.
fn in_quotes(text: &str) -> String {
    let doubled = |letter: char| if "'\u{2018}\u{2019}\u{201a}\u{201b}".contains(letter) { 2 } else { 1 };
    let inner: String =
        text.chars().flat_map(|letter| std::iter::repeat_n(letter, doubled(letter))).collect();
    format!("'{inner}'")
}

proptest! {
    #[test]
    fn a_quoted_value_round_trips(text in "[^\0]*") {
        let quoted = in_quotes(&text);
        let read = line::parse(&quoted).unwrap();
        prop_assert_eq!(&read[0].pipeline, &vec![line::Element::Expression(line::Expr::text(&text))]);
        let argument = format!("Get-CsUser {quoted}");
        let read = line::parse(&argument).unwrap();
        let [line::Element::Command(command)] = read[0].pipeline.as_slice() else { panic!("{argument}") };
        prop_assert_eq!(&command.arguments, &vec![line::Arg::Value(line::Expr::text(&text))]);
    }

    #[test]
    fn deep_nesting_never_crashes_the_parser(depth in 1_usize..3000, sign in "[({@\\[!,-]|@\\(|\\$\\(|-not |@\\{a=|\"\\$\\(|1\\+|\\.a") {
        let _ = line::parse(&sign.repeat(depth));
        let _ = line::parse(&format!("1{}", sign.repeat(depth)));
    }

    #[test]
    fn any_text_parses_without_a_panic(text in "\\PC*") {
        let _ = line::parse(&text);
        let _ = line::complete::complete(&text, text.len());
    }

    #[test]
    fn any_syntax_parses_without_a_panic(text in "[-$@(){}'\"`|;,.:a1 \\n\\[\\]#=>&]{0,40}") {
        let _ = line::parse(&text);
        let _ = line::is_incomplete(&text);
    }
}

#[test]
fn a_question_mark_asks_for_help_and_runs_nothing() {
    for text in ["Set-CsUser -?", "Set-CsUser kenmyer -Enabled $true -?", "Set-CsUser -? -Confirm"] {
        assert_eq!(planned(text).unwrap(), planned("Get-Help Set-CsUser").unwrap(), "{text}");
    }
    assert_ne!(planned("Set-CsUser '-?'").unwrap(), planned("Get-Help Set-CsUser").unwrap());
}

/// Results seen in PowerShell 7.6.9 with the invariant culture.
#[test]
fn formats_follow_the_invariant_culture() {
    for (form, value, text) in [
        ("{0:N2}", "1234.567", "1,234.57"),
        ("{0:N2}", "2.675", "2.67"),
        ("{0:G3}", "0.00001", "1E-05"),
        ("{0:G3}", "0.0001", "0.0001"),
        ("{0:g3}", "0.0000123456", "1.23e-05"),
        ("{0:N2}", "0.125", "0.12"),
        ("{0:N0}", "2.5", "2"),
        ("{0:N}", "1234567", "1,234,567.00"),
        ("{0:n1}", "-0.04", "-0.0"),
        ("{0:F0}", "0.5", "0"),
        ("{0:D3}", "7", "007"),
        ("{0:D3}", "-7", "-007"),
        ("{0:X}", "255", "FF"),
        ("{0:x4}", "255", "00ff"),
        ("{0:X}", "-1", "FFFFFFFF"),
        ("{0:X2}", "10", "0A"),
        ("{0:B}", "5", "101"),
        ("{0:P}", "0.1234", "12.34 %"),
        ("{0:P0}", "0.125", "12 %"),
        ("{0:P1}", "-0.5", "-50.0 %"),
        ("{0:P}", "1", "100.00 %"),
        ("{0:C}", "12.5", "\u{a4}12.50"),
        ("{0:C0}", "-1234", "(\u{a4}1,234)"),
        ("{0:E}", "12345.678", "1.234568E+004"),
        ("{0:e2}", "0", "0.00e+000"),
        ("{0:E2}", "123456", "1.23E+005"),
        ("{0:G3}", "1234.5", "1.23E+03"),
        ("{0:G2}", "123", "1.2E+02"),
        ("{0:G}", "0.00001", "1E-05"),
        ("{0:G17}", "0.1", "0.10000000000000001"),
        ("{0:F20}", "0.1", "0.10000000000000000555"),
        ("{0:N2}", "123456789012345678", "123,456,789,012,345,678.00"),
        ("{0:0}", "2.5", "3"),
        ("{0:0.00}", "0.125", "0.13"),
        ("{0:0.00}", "2.675", "2.68"),
        ("{0:0.00}", "3.14159", "3.14"),
        ("{0:#,##0.00}", "1234567.891", "1,234,567.89"),
        ("{0:000}", "7", "007"),
        ("{0:0%}", "0.256", "26%"),
        ("{0:00;(00);zero}", "-5", "(05)"),
        ("{0:00;(00);zero}", "0", "zero"),
        ("{0:#}", "0", ""),
        ("{0:###-####}", "5551234", "555-1234"),
        ("{0:+0;-0}", "5", "+5"),
        ("{0:-0}", "-5", "--5"),
        ("{0:0.##}", "1.5", "1.5"),
        ("{0:0.#}", "5", "5"),
        ("{0:#,#}", "1234", "1,234"),
        ("{0:#,#}", "0", ""),
        ("{0:0,0}", "5", "05"),
        ("{0:0,}", "12345678", "12346"),
        ("{0:0.0.0}", "1.25", "1.25"),
        ("{0:0.##E+00}", "12345", "1.23E+04"),
        ("{0:0.###E+0}", "0.00012", "1.2E-4"),
        ("{0:0e0}", "1234", "1e3"),
        ("{0:0\u{2030}}", "0.5", "500\u{2030}"),
        ("{0:\\#0}", "5", "#5"),
        ("{0:0.0\"x\"}", "2", "2.0x"),
        ("{0:E+2}", "5", "E+2"),
        ("{0,10}|", "'a'", "         a|"),
        ("{0,-10}|", "'a'", "a         |"),
        ("{0,10:N2}|", "3.14159", "      3.14|"),
        ("{0 ,5}|", "5", "    5|"),
        ("{0:N2}", "'12.5'", "12.5"),
        ("{0:N2}", "$null", ""),
        ("{0}", "$true", "True"),
        ("{{{0}}}", "5", "{5}"),
        ("{0} {0}", "1", "1 1"),
        ("{0:0000}-{1:00}", "2024, 3", "2024-03"),
        ("{0,5}{1,-5}|", "1, 2", "    12    |"),
        ("{0:N2} GB", "(5368709120 / 1GB)", "5.00 GB"),
    ] {
        let line = format!("'{form}' -f {value}");
        assert_eq!(local(&line), [text], "{line}");
    }
    for (form, said) in [
        ("{0} {1}", "Index (zero based) must be"),
        ("{0:N", "near offset 4. Format item ends prematurely"),
        ("{a}", "near offset 1. Expected an ASCII digit"),
        ("}", "near offset 1. Format item ends prematurely"),
        ("{0:Q}", "Format specifier was invalid"),
        ("{0,}", "near offset 3. Expected an ASCII digit"),
    ] {
        let said_of_it = try_local(&format!("'{form}' -f 1")).expect_err(form);
        assert!(said_of_it.contains(said), "{form}: {said_of_it}");
    }
    assert!(try_local("'{0:D3}' -f 7.5").unwrap_err().contains("Format specifier was invalid"));
}

/// Results seen in PowerShell 7.6.9.
#[test]
fn named_arguments_are_bound_before_unnamed_ones() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().display();
    std::fs::write(folder.path().join("a.log"), "an error\n").unwrap();
    std::fs::write(folder.path().join("b.txt"), "").unwrap();
    for (line, out) in [
        (format!("Select-String '{root}/*.log' -Pattern error | % Line"), &["an error"][..]),
        (format!("Get-ChildItem *.txt -Path '{root}' | % Name"), &["b.txt"]),
        (format!("Get-Content '{root}/a.log' -TotalCount 1"), &["an error"]),
        ("1..3 | Select-Object -First 1".to_owned(), &["1"]),
    ] {
        assert_eq!(local(&line), out, "{line}");
    }
    for (line, reason) in [
        ("Get-ChildItem *.log -Path . -Filter b", "accepts argument '*.log'"),
        ("Get-ChildItem x -Path . -Path .", "'Path' is specified more than once"),
    ] {
        let refused = try_local(line).expect_err(line);
        assert!(refused.contains(reason), "{line}: {refused}");
    }
}

/// Results seen in PowerShell 7.6.9.
#[test]
fn hidden_items_are_listed_from_all_folders() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().display();
    for name in [".f.txt", "g.txt", ".hd/.b.txt", ".hd/a.txt", "vis/.e.txt", "vis/d.txt", "vis/.hv/.j.txt"] {
        let file = folder.path().join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, "").unwrap();
    }
    for (arguments, names) in [
        ("' -Hidden", &[".f.txt", ".hd"][..]),
        ("' -Hidden -Force", &[".f.txt", ".hd"]),
        ("' -Hidden -Recurse", &[".b.txt", ".e.txt", ".f.txt", ".hd", ".hv", ".j.txt"]),
        ("' -Hidden -Recurse -Force -File", &[".b.txt", ".e.txt", ".f.txt", ".j.txt"]),
        ("/*.txt' -Hidden", &[".f.txt"]),
        ("/*.txt' -Hidden -Recurse", &[".b.txt", ".e.txt", ".f.txt", ".j.txt"]),
        ("' -Recurse", &["d.txt", "g.txt", "vis"]),
    ] {
        let line = format!("Get-ChildItem '{root}{arguments} | Sort-Object Name | % Name");
        assert_eq!(local(&line), names, "{line}");
    }
}

/// Results seen in PowerShell 7.6.9.
#[test]
fn an_open_here_string_and_an_invalid_escape_are_named() {
    for (text, reason) in [
        ("@\"\nabc", "The string is missing the terminator: \"@."),
        ("@'\nabc", "The string is missing the terminator: '@."),
        ("@\"", "The string is missing the terminator: \"@."),
        ("\"`u{1234567}\"", "contains more than the maximum of six hex digits between braces."),
        ("\"`u{110000}\"", "value is out of range. The maximum value is 0x10FFFF."),
        ("\"`u{}\"", "The Unicode escape sequence is not valid."),
        ("\"`u{D800}\"", "A surrogate as a Unicode escape sequence needs PowerShell's script engine"),
        ("$IsMacOS = 1", "Cannot overwrite variable IsMacOS because it is read-only or constant."),
    ] {
        let refused = line::parse(text).expect_err(text).to_string();
        assert!(refused.contains(reason), "{text}: {refused}");
    }
}

/// Results seen in PowerShell 7.6.9.
#[test]
fn dates_and_times_are_formatted_as_dotnet_does() {
    let date = Value::DateTime("2024-01-02T15:04:05.1234567".into());
    let span = Value::Duration("P1DT2H3M4.5S".into());
    let id = Value::Guid("6f9619ff-8b86-d011-b42d-00cf4fc964ff".parse().unwrap());
    let mut variables = Variables::default();
    variables.set("d", date);
    variables.set("z", Value::DateTime("2024-01-02T03:04:05Z".into()));
    variables.set("o", Value::DateTime("2024-01-02T03:04:05+06:00".into()));
    variables.set("t", span);
    variables.set("g", id);
    for (form, name, text) in [
        ("", "d", "01/02/2024 15:04:05"),
        (":yyyy-MM-dd", "d", "2024-01-02"),
        (":yyyy-MM-dd HH:mm:ss.fff", "d", "2024-01-02 15:04:05.123"),
        (":d", "d", "01/02/2024"),
        (":D", "d", "Tuesday, 02 January 2024"),
        (":g", "d", "01/02/2024 15:04"),
        (":o", "d", "2024-01-02T15:04:05.1234567"),
        (":o", "z", "2024-01-02T03:04:05.0000000Z"),
        (":s", "d", "2024-01-02T15:04:05"),
        (":u", "d", "2024-01-02 15:04:05Z"),
        (":R", "d", "Tue, 02 Jan 2024 15:04:05 GMT"),
        (":U", "z", "Tuesday, 02 January 2024 03:04:05"),
        (":U", "o", "Monday, 01 January 2024 21:04:05"),
        (":t", "d", "15:04"),
        (":m", "d", "January 02"),
        (":y", "d", "2024 January"),
        (":ddd, dd MMM yyyy h:mm tt", "d", "Tue, 02 Jan 2024 3:04 PM"),
        (":yy-M-d H:m:s", "d", "24-1-2 15:4:5"),
        (":%d", "d", "2"),
        (":yyyyMMdd_HHmmss", "d", "20240102_150405"),
        (":yyyy-MM-ddTHH:mm:ssZ", "d", "2024-01-02T15:04:05Z"),
        (":c", "t", "1.02:03:04.5000000"),
        (":g", "t", "1:2:03:04.5"),
        (":G", "t", "1:02:03:04.5000000"),
        (":hh\\:mm", "t", "02:03"),
        (":d\\.hh\\:mm\\:ss", "t", "1.02:03:04"),
        (":N", "g", "6f9619ff8b86d011b42d00cf4fc964ff"),
    ] {
        let line = format!("'{{0{form}}}' -f ${name}");
        let statements = line::parse(&line).unwrap();
        let plan = line::plan(&statements[0], context(&variables, &Views::default())).unwrap();
        assert_eq!(plan.input.iter().map(Value::display_text).collect::<Vec<_>>(), [text], "{line}");
    }
}

/// Results seen in PowerShell 7.6.9.
#[test]
fn bits_and_repetitions_are_computed_as_in_powershell() {
    for (text, out) in [
        ("1 -bor 2 -eq 2", &["1"][..]),
        ("6 -band 3 -and $false", &["False"]),
        ("1 -shl 2 + 1", &["8"]),
        ("-bnot 5", &["-6"]),
        ("6 -band 3", &["2"]),
        ("6 -bxor 3", &["5"]),
        ("-1 -shr 1", &["-1"]),
        ("1 -shl 33", &["2"]),
        ("4294967296 -bxor 1", &["4294967297"]),
        ("-1 -band 0xFF", &["255"]),
        ("'7' -band 3", &["3"]),
        ("7.6 -band 255", &["8"]),
        ("2.5 -bor 0", &["2"]),
        ("2147483648 -bor 1", &["2147483649"]),
        ("-bnot 2147483648", &["-2147483649"]),
        ("$null -bor 2", &["2"]),
        ("$true -bor 2", &["3"]),
        ("'x' * 3", &["xxx"]),
        ("'x' * 0", &[""]),
        ("'ab' * 1.6", &["abab"]),
        ("'a' * $null", &[""]),
        ("'x' * '3'", &["xxx"]),
        ("(1, 2) * 2", &["1", "2", "1", "2"]),
        ("(1, 2) * 0", &[]),
    ] {
        assert_eq!(local(text), out, "{text}");
    }
    for (text, said) in [
        ("'abc' -band 3", "Cannot convert value \"abc\" to type \"System.Int32\""),
        ("1, 2 -band 3", "op_BitwiseAnd"),
        ("'x' * -1", "must be a non-negative value"),
        ("5 * 'x'", "Cannot convert value \"x\""),
        ("'x' * 100000000", "the console supports at most"),
    ] {
        assert!(try_local(text).expect_err(text).contains(said), "{text}");
    }
}

/// Results seen in PowerShell 7.6.9.
#[test]
fn a_recursion_looks_for_names_in_all_folders() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().display();
    std::fs::create_dir_all(folder.path().join("sub/deep")).unwrap();
    for name in ["one.txt", "sub/two.txt", "sub/deep/three.txt", "sub/deep/x.log"] {
        std::fs::write(folder.path().join(name), "").unwrap();
    }
    for (arguments, names) in [
        ("*.txt' -Recurse", &["one.txt", "three.txt", "two.txt"][..]),
        ("three.txt' -Recurse", &["three.txt"]),
        ("one.txt' -Recurse", &["one.txt"]),
        ("*.txt' -Depth 1", &["one.txt", "two.txt"]),
        ("*.txt' -Depth 0", &["one.txt"]),
        ("three.txt' -Depth 1", &[]),
        ("none.txt' -Recurse", &[]),
        ("none/*.txt' -Recurse", &[]),
        ("*.txt' -Recurse -Exclude t*", &["one.txt"]),
        ("*.txt'", &["one.txt"]),
        ("su*' -Recurse", &["deep", "three.txt", "two.txt", "x.log"]),
        ("su*/t*.txt' -Recurse", &["three.txt", "two.txt"]),
        ("d*' -Recurse", &["deep"]),
        ("sub' -Recurse", &["deep", "three.txt", "two.txt", "x.log"]),
    ] {
        let line = format!("Get-ChildItem '{root}/{arguments} | Sort-Object Name | % Name");
        assert_eq!(local(&line), names, "{line}");
    }
    let line = format!("Get-ChildItem '{root}/*.txt' -Recurse -Name");
    assert_eq!(local(&line), ["one.txt", "sub/two.txt", "sub/deep/three.txt"]);
    // Ctrl-C ends the recursion.
    let stop = CancellationToken::new();
    stop.cancel();
    let (variables, views) = (Variables::default(), Views::default());
    let statements = line::parse(&format!("Get-ChildItem '{root}' -Recurse")).unwrap();
    let plan =
        line::plan(&statements[0], PlanContext { stop: &stop, ..context(&variables, &views) }).unwrap();
    assert!(plan.input.is_empty());
}

/// Results seen in PowerShell 7.6.9.
#[test]
fn a_date_gets_its_parts_in_order() {
    for (arguments, date) in [
        ("2026-01-31 -Month 2 -Day 1", "2026-02-01T00:00:00"),
        ("2026-01-31 -Month 2", "2026-02-28T00:00:00"),
        ("2026-03-31 -Month 2", "2026-02-28T00:00:00"),
        ("2024-02-29 -Year 2023", "2023-02-28T00:00:00"),
        ("2024-02-29 -Year 2023 -Day 29", "2023-03-01T00:00:00"),
        ("2026-01-15 -Day 31 -Month 2", "2026-03-03T00:00:00"),
        ("2026-01-31T10:00:00.123 -Hour 5 -Minute 4", "2026-01-31T05:04:00"),
    ] {
        assert_eq!(local(&format!("Get-Date -Date {arguments} -Format s")), [date], "{arguments}");
    }
}

/// Results seen in PowerShell 7.6.9, except for bytes that are not UTF-8.
#[test]
fn reader_and_writer_know_the_same_encodings() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("f.txt");
    let path = file.display();
    for (encoding, bytes) in [
        ("ansi", &b"a\x80\xe4?"[..]),
        ("latin1", b"a?\xe4?"),
        ("ascii", b"a???"),
        ("default", "a€ä一".as_bytes()),
        ("utf8NoBOM", "a€ä一".as_bytes()),
    ] {
        assert!(local(&format!("'a€ä一' | Set-Content '{path}' -Encoding {encoding} -NoNewline")).is_empty());
        assert_eq!(std::fs::read(&file).unwrap(), bytes, "{encoding}");
    }
    std::fs::write(&file, b"\x80\xe4A").unwrap();
    for (encoding, text) in [("latin1", "\u{80}äA"), ("ansi", "€äA")] {
        assert_eq!(local(&format!("Get-Content '{path}' -Encoding {encoding}")), [text]);
    }
    let refused = try_local(&format!("Import-Csv '{path}' -Encoding default")).unwrap_err();
    assert!(refused.contains("is not UTF-8"), "{refused}");
    std::fs::write(&file, b"\xff\xfeA\0").unwrap();
    assert_eq!(local(&format!("Get-Content '{path}' -Encoding latin1")), ["A"]);
    let refused = try_local(&format!("Import-Csv '{path}' -Encoding nope")).unwrap_err();
    assert!(refused.contains("\"nope\" is not one of ansi, ascii, "), "{refused}");
}

/// Results seen in PowerShell 7.6.9.
#[test]
fn a_quiet_search_of_files_answers_false() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("f.txt");
    std::fs::write(&file, "a\n").unwrap();
    let path = file.display();
    for (line, out) in [
        (format!("Select-String zzz '{path}' -Quiet"), &["False"][..]),
        (format!("Select-String a '{path}', '{path}' -Quiet"), &["True"]),
        (format!("Select-String a '{path}' -Quiet -NotMatch"), &["False"]),
        (format!("Get-ChildItem '{path}', '{path}' | Select-String zzz -Quiet"), &["False", "False"]),
        (format!("Get-ChildItem '{path}' | Select-String a -Quiet"), &["True"]),
        ("'x' | Select-String zzz -Quiet".to_owned(), &[]),
        ("'x', 'x' | Select-String x -Quiet".to_owned(), &["True"]),
    ] {
        assert_eq!(local(&line), out, "{line}");
    }
}

#[test]
fn endless_files_and_many_keys_have_an_end() {
    let refused = try_local("Import-Csv /dev/zero").unwrap_err();
    assert!(refused.contains("is larger than 256 MiB"), "{refused}");
    let refused = try_local("Get-ChildItem /dev/zero | Get-Content -ErrorAction Stop").unwrap_err();
    assert!(refused.contains("'/dev/zero' is a pipe or a device: pass it with -Path."), "{refused}");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("many.json");
    let keys: Vec<String> = (0..100_000).map(|number| format!("\"key{number}\":1")).collect();
    std::fs::write(&file, format!("{{{}}}", keys.join(","))).unwrap();
    let begun = Instant::now();
    let line = format!("Get-Content '{}' -Raw | ConvertFrom-Json -AsHashtable | % Count", file.display());
    assert_eq!(local(&line), ["100000"]);
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    assert_eq!(local("ConvertFrom-Json '{\"a\":1,\"b\":2,\"a\":3}' | % { \"$($_.a) $($_.b)\" }"), ["3 2"]);
    let refused = try_local("ConvertFrom-Json '{\"a\":1,\"A\":2}'").unwrap_err();
    assert!(refused.contains("keys with different casing"), "{refused}");
}
