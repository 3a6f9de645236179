//! Lines as people type them: what they are parsed to, where they run, what is refused.

use lyncsh::line::{self, Variables};
use lyncsh::psrp::clixml::Value;
use proptest::prelude::*;

fn offers(name: &str) -> bool {
    name.to_lowercase().starts_with("get-cs") || name.eq_ignore_ascii_case("Select-Object")
}

/// The remote commands with their arguments, and what the local stages make of `objects`.
fn planned(text: &str) -> Result<Vec<String>, String> {
    let statements = line::parse(text).map_err(|error| error.to_string())?;
    let [statement] = statements.as_slice() else { return Err(format!("{} statements", statements.len())) };
    let plan =
        line::plan(statement, &offers, &Variables::default(), 80).map_err(|error| error.to_string())?;
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

fn shown(value: &Value) -> String {
    match value.items() {
        Some(items) => format!("[{}]", items.iter().map(shown).collect::<Vec<_>>().join(" ")),
        None => format!("{value:?}"),
    }
}

/// What comes out of a line that needs no endpoint.
fn local(text: &str) -> Vec<String> {
    let statements = line::parse(text).unwrap();
    let mut plan = line::plan(&statements[0], &offers, &Variables::default(), 80).unwrap();
    let mut out = Vec::new();
    for value in std::mem::take(&mut plan.input) {
        plan.local.push(value, &mut out).unwrap();
    }
    plan.local.finish(&mut out).unwrap();
    out.iter().map(Value::display_text).collect()
}

#[test]
fn what_the_endpoint_offers_runs_there_and_the_rest_here() {
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
            vec!["Get-CsBig -Size I32(16) -Max I32(2048)", "Out-Default"],
        ),
    ] {
        let spaced: Vec<String> = planned(text).unwrap().iter().map(|one| one.replace("  ", " ")).collect();
        assert_eq!(spaced, remote, "{text}");
    }
}

#[test]
fn what_needs_a_script_engine_says_so() {
    for text in [
        "if ($true) { Get-CsTenant }",
        "& Get-CsTenant",
        "$x + 1",
        "[int]5",
        "\"$(Get-CsTenant)\"",
        "$env:PATH",
        "(Get-CsTenant).Name",
    ] {
        let said = planned(text).expect_err(text);
        assert!(said.contains("pwsh"), "{text}: {said}");
    }
    assert!(planned("1,2 | Get-CsOnlineUser").unwrap_err().contains("runs on the endpoint"));
    assert!(planned("$nothing | sort").unwrap_err().contains("has not been set"));
}

#[test]
fn a_line_that_is_not_whole_asks_for_more() {
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
fn values_go_through_the_stages() {
    for (text, out) in [
        ("3,1,2 | sort", vec!["1", "2", "3"]),
        ("3,1,2 | Sort-Object -Descending | select -First 2", vec!["3", "2"]),
        ("1,2,3,4 | select -Last 2", vec!["3", "4"]),
        ("1,2,3 | select -Skip 1", vec!["2", "3"]),
        ("1,2,3 | Measure-Object -Sum | % Sum", vec!["6"]),
        ("'b','a','b' | group | sort Count -Descending | % Name", vec!["b", "a"]),
        ("'it''s', \"a`tb\"", vec!["it's", "a\tb"]),
        ("'abc' | where Length -eq 3 | measure | % Count", vec!["0"]),
    ] {
        assert_eq!(local(text), out, "{text}");
    }
}

proptest! {
    #[test]
    fn no_text_breaks_the_parser(text in "\\PC*") {
        let _ = line::parse(&text);
        let _ = line::complete::complete(&text, text.len());
    }

    #[test]
    fn no_line_of_the_languages_own_signs_breaks_it(text in "[-$@(){}'\"`|;,.:a1 \\n\\[\\]#=>&]{0,40}") {
        let _ = line::parse(&text);
        let _ = line::is_incomplete(&text);
    }
}
