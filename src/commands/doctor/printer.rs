//! Output of findings: one line each, or JSON.

use miette::IntoDiagnostic as _;
use serde::Serialize;

use super::finding::{Finding, State};
use crate::output;
use crate::screen::{RESET, without_colours};

/// Widths of the columns for the state and the check.
const STATE: usize = 7;
const CHECK: usize = 11;
/// Indentation of the text, for continuation lines.
const HANG: usize = STATE + CHECK + 4;

/// The findings of one connection, or of this computer for a group.
pub struct Section {
    /// The connection's profile; `None` for findings of the group.
    pub connection: Option<String>,
    pub findings: Vec<Finding>,
}

/// Output of `--json`.
#[derive(Serialize)]
struct Report<'a> {
    profile: &'a str,
    would_connect: bool,
    findings: Vec<Row<'a>>,
}

#[derive(Serialize)]
struct Row<'a> {
    connection: Option<&'a str>,
    #[serde(flatten)]
    finding: &'a Finding,
}

/// Prints findings as JSON.
pub fn json(profile: &str, would_connect: bool, sections: &[Section]) -> miette::Result<()> {
    let rows = sections.iter().flat_map(|section| {
        let connection = section.connection.as_deref();
        section.findings.iter().map(move |finding| Row { connection, finding })
    });
    let report = Report { profile, would_connect, findings: rows.collect() };
    output::print_data(&format!("{}\n", serde_json::to_string_pretty(&report).into_diagnostic()?));
    Ok(())
}

/// Prints a line for each finding, a heading for each connection of a group, and the result.
pub fn text(profile: &str, would_connect: bool, sections: &[Section]) {
    let is_group = sections.len() > 1 || sections.iter().any(|section| section.connection.is_none());
    for section in sections {
        if is_group {
            let of_group = || format!("{profile} (group)");
            crate::outln!("{}:", section.connection.clone().unwrap_or_else(of_group));
        }
        section.findings.iter().for_each(|finding| output::message(&line(finding), HANG));
        if is_group {
            crate::outln!();
        }
    }
    let all = || sections.iter().flat_map(|section| &section.findings);
    let count = |state| all().filter(|finding| finding.state == state).count();
    let counted = |count: usize, word: &str| match count {
        0 => None,
        1 => Some(format!("1 {word}")),
        more => Some(format!("{more} {word}s")),
    };
    let parts = [
        counted(count(State::Failed), "failed check"),
        counted(count(State::Warning), "warning"),
        counted(count(State::Skipped), "skipped check"),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    let details = if parts.is_empty() { String::new() } else { format!(": {}", parts.join(", ")) };
    let verdict = if would_connect { "would connect" } else { "would not connect" };
    crate::outln!("'{profile}' {verdict}{details}");
}

/// Returns the line of a finding, without the colours in texts of endpoints and programs.
fn line(finding: &Finding) -> String {
    let Finding { check, state, found, advice } = finding;
    let colour = match state {
        State::Ok => "\u{1b}[32m",
        State::Warning => "\u{1b}[33m",
        State::Failed => "\u{1b}[31m",
        State::Skipped => "\u{1b}[2m",
    };
    let word = state.name();
    let advice = advice.as_deref().map(|advice| format!("; help: {}", flat(advice))).unwrap_or_default();
    let found = flat(found);
    format!("{colour}{word}{RESET}{:1$}  {check:CHECK$}  {found}{advice}\n", "", STATE - word.len())
}

/// Returns a text as one line.
fn flat(text: &str) -> String {
    without_colours(text).split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_one_line_with_its_state_as_a_word() {
        let text = |finding: &Finding| without_colours(&line(finding));
        let found = Finding::failed("tls", "not\u{1b}[31m trusted", Some("Renew it.\nOr pin it.".to_owned()));
        assert_eq!(text(&found), "failed   tls          not trusted; help: Renew it. Or pin it.\n");
        assert!(line(&found).starts_with("\u{1b}[31mfailed\u{1b}[0m"));
        assert_eq!(text(&Finding::ok("completions", "x")), "ok       completions  x\n");
        assert_eq!(text(&Finding::skipped("tcp", "of y")), "skipped  tcp          because of y\n");
    }

    #[test]
    fn continuation_lines_have_the_indentation_of_the_text() {
        let found = Finding::warning("folders", "one two three four five six", "seven eight");
        let lines = crate::screen::wrap(line(&found).trim_end(), 40, HANG);
        assert!(lines.len() > 1 && lines[1..].iter().all(|line| line.starts_with(&" ".repeat(HANG / 2))));
    }
}
