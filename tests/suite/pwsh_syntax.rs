//! Check that scripts use only syntax and commands of Windows PowerShell 5.1, by an independent grammar and a
//! list.

/// Commands and parameters that the scripts may use, all of which Windows PowerShell 5.1 has.
const OF_5_1: [(&str, &str); 33] = [
    ("connect-exchangeonline", ""),
    ("connect-microsoftteams", ""),
    ("convertfrom-json", "inputobject"),
    ("convertto-securestring", "string asplaintext force"),
    ("disconnect-exchangeonline", "confirm erroraction"),
    ("disconnect-microsoftteams", "erroraction"),
    ("export-modulemember", "function alias"),
    ("export-pssession", "formattypename force"),
    ("get-command", "name commandtype listimported erroraction"),
    ("get-executionpolicy", "list"),
    ("get-module", "name all listavailable erroraction"),
    ("get-pssession", "instanceid erroraction"),
    ("get-variable", "name scope erroraction"),
    ("import-module", "name argumentlist disablenamechecking force passthru global erroraction"),
    ("import-pssession", "formattypename"),
    ("new-csonlinesession", ""),
    ("new-object", "typename argumentlist"),
    ("new-pssession", "connectionuri configurationname credential authentication allowredirection"),
    ("out-null", ""),
    ("register-engineevent", "sourceidentifier supportevent action"),
    ("remove-module", "moduleinfo force whatif confirm erroraction"),
    ("remove-pssession", "session whatif confirm erroraction"),
    ("remove-variable", "name scope whatif confirm erroraction"),
    ("select-object", "last first unique"),
    ("set-executionpolicy", "executionpolicy scope force erroraction"),
    ("set-item", "path value"),
    ("set-strictmode", "off"),
    ("set-variable", "name value scope"),
    ("update-formatdata", "appendpath erroraction"),
    ("where-object", ""),
    ("write-error", "errorrecord"),
    ("write-verbose", "message"),
    ("write-warning", "message"),
];

/// Returns commands, parameters and syntax that Windows PowerShell 5.1 does not support.
pub fn newer_than_5_1(text: &str) -> Vec<String> {
    let plain = text.replace(['\u{2018}', '\u{2019}', '\u{201a}', '\u{201b}'], "'");
    let mut parser = tree_sitter::Parser::new();
    parser.set_language(&tree_sitter_powershell::LANGUAGE.into()).unwrap();
    let tree = parser.parse(&plain, None).unwrap();
    let mut wrong = Vec::new();
    let mut nodes = vec![tree.root_node()];
    while let Some(node) = nodes.pop() {
        let mut cursor = node.walk();
        nodes.extend(node.children(&mut cursor));
        let words = &plain[node.byte_range()];
        match node.kind() {
            "command" => newer_command(node, &plain, &mut wrong),
            // `?.`, `?[`, `??`, `a ? b : c`, `&&`, `||`, a final `&`; `clean` blocks; `$IsWindows` and
            // similar variables.
            "??" | "??=" | "?." | "?[" | "&&" | "||" | "ternary_expression" => wrong.push(words.to_owned()),
            "variable" => {
                let name = words.to_lowercase();
                if ["$iswindows", "$islinux", "$ismacos", "$iscoreclr", "$psstyle"].contains(&name.as_str()) {
                    wrong.push(words.to_owned());
                }
            }
            _ => {}
        }
    }
    wrong
}

fn newer_command(command: tree_sitter::Node<'_>, text: &str, wrong: &mut Vec<String>) {
    let mut cursor = command.walk();
    let Some(name) = command.children(&mut cursor).find(|node| node.kind() == "command_name") else { return };
    let whole = text[name.byte_range()].to_lowercase();
    let name = whole.rsplit('\\').next().unwrap_or_default();
    let known = OF_5_1.iter().find(|(known, _)| *known == name);
    let Some((_, parameters)) = known else { return wrong.push(whole) };
    let mut cursor = command.walk();
    let mut elements: Vec<_> = command.children(&mut cursor).collect();
    while let Some(node) = elements.pop() {
        if node.kind() == "command_parameter" {
            let parameter =
                text[node.byte_range()].trim_start_matches('-').trim_end_matches(':').to_lowercase();
            if !parameters.split(' ').any(|known| known == parameter) {
                wrong.push(format!("{name} -{parameter}"));
            }
        } else if node.kind() == "command_elements" {
            let mut cursor = node.walk();
            elements.extend(node.children(&mut cursor));
        }
    }
}

#[test]
fn constructs_unknown_to_windows_powershell_are_found() {
    for newer in [
        "$a ?? 1",
        "$a ? 1 : 2",
        "a && b",
        "Get-Module -SkipEditionCheck",
        "$IsWindows",
        "Join-String",
        "1..3 | ForEach-Object -Parallel { 1 }",
        "ConvertFrom-Json -InputObject $a -AsHashtable",
    ] {
        let text = format!("{newer}\n");
        let mut parser = tree_sitter::Parser::new();
        parser.set_language(&tree_sitter_powershell::LANGUAGE.into()).unwrap();
        let tree = parser.parse(&text, None).unwrap();
        assert!(
            !newer_than_5_1(&text).is_empty() || tree.root_node().has_error(),
            "{newer}: {}",
            tree.root_node().to_sexp()
        );
    }
    assert_eq!(newer_than_5_1("Microsoft.PowerShell.Core\\Get-Module -All\n"), Vec::<String>::new());
}
