//! `lyncsh list`: lists profiles.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use chrono::{DateTime, Local, SecondsFormat, Utc};
use futures_util::future::join_all;
use miette::IntoDiagnostic as _;
use serde::Serialize;

use super::{last_used, names};
use crate::agent::control_client;
use crate::agent::paths::AgentPaths;
use crate::folders::Folders;
use crate::output;
use crate::profile::{self, Profile};
use crate::screen::{Stream, cut, width};

/// Time limit for the answer of an agent.
const AGENT_TIMEOUT: Duration = Duration::from_secs(2);
/// Columns of the table.
const COLUMNS: [&str; 7] = ["name", "kind", "user", "endpoint", "tags", "shells", "last used"];
/// Columns that can be cut, with their minimum widths; in this order.
const FLEXIBLE: [(usize, usize); 3] = [(3, 20), (4, 12), (2, 16)];
/// Space between columns.
const GAP: usize = 2;

/// A listed profile.
#[derive(Debug, Serialize)]
struct Row {
    name: String,
    kind: Option<&'static str>,
    user: Option<String>,
    endpoint: Option<String>,
    tags: Vec<String>,
    /// Number of attached shells; `None` if the agent does not answer.
    shells: Option<usize>,
    last_used: Option<String>,
    /// The profiles of a group.
    connections: Vec<String>,
    file: PathBuf,
    /// Files of teams with the same name, which are not used.
    hides: Vec<PathBuf>,
    /// Error of an invalid profile.
    error: Option<String>,
    #[serde(skip)]
    used: Option<SystemTime>,
}

/// Prints the profiles as a table, with the errors of invalid profiles.
pub async fn run(folders: &Folders, json: bool) -> miette::Result<()> {
    let names = profile::names(folders);
    let shells = join_all(names.iter().map(|name| shells(folders, name))).await;
    let rows: Vec<Row> = names.iter().zip(shells).map(|(name, shells)| row(folders, name, shells)).collect();
    for line in profile::unreadable_folders(folders) {
        crate::errln!("{line}");
    }
    if json {
        output::print_data(&format!("{}\n", serde_json::to_string(&rows).into_diagnostic()?));
        return Ok(());
    }
    if rows.is_empty() {
        crate::outln!("There are no profiles. Create one: `lyncsh add NAME --kind KIND --user USER@DOMAIN`");
        return Ok(());
    }
    output::message(&table(&rows, Stream::Output.columns()), GAP);
    for row in &rows {
        for file in &row.hides {
            crate::outln!("The profile '{}' hides the team's {}.", row.name, file.display());
        }
        if let Some(line) = names::hidden(folders, &row.name) {
            crate::outln!("{line}");
        }
    }
    Ok(())
}

/// Returns the number of shells that are attached to the agent of a profile; `None` if it does not answer.
async fn shells(folders: &Folders, name: &str) -> Option<usize> {
    if AgentPaths::of(folders, name).holder().is_none() {
        return Some(0);
    }
    let status = control_client::brief_status(folders, name, AGENT_TIMEOUT).await;
    status.ok()?.map(|status| status.shells.len())
}

fn row(folders: &Folders, name: &str, shells: Option<usize>) -> Row {
    let used = last_used::of(folders, name);
    let mut row = Row {
        name: name.to_owned(),
        kind: None,
        user: None,
        endpoint: None,
        tags: Vec::new(),
        shells,
        last_used: used.map(|time| DateTime::<Utc>::from(time).to_rfc3339_opts(SecondsFormat::Secs, true)),
        connections: Vec::new(),
        file: profile::path(folders, name),
        hides: profile::hidden_files(folders, name),
        error: None,
        used,
    };
    match profile::connections(folders, name).map(|found| found.alone()) {
        Ok(Err(several)) => row.connections = several.names().into_iter().map(str::to_owned).collect(),
        Ok(Ok(profile)) => {
            row.kind = Some(profile.kind.traits().name);
            row.endpoint = endpoint(&profile);
            row.user = profile.user;
            row.tags = profile.tags;
        }
        Err(error) => row.error = Some(error.to_string()),
    }
    row
}

fn endpoint(profile: &Profile) -> Option<String> {
    let uri = profile.uri.as_ref().or(profile.discovery.as_ref()).map(ToString::to_string);
    let discovered = || {
        let domain = profile.domain.as_ref().filter(|_| profile.kind.traits().discovers)?;
        Some(format!("lyncdiscover.{domain}"))
    };
    uri.or_else(discovered)
}

/// Returns the cells of a valid profile.
fn cells(row: &Row) -> [String; 7] {
    let or_none = |text: String| if text.is_empty() { "-".to_owned() } else { text };
    let used = row.used.map(|time| DateTime::<Local>::from(time).format("%Y-%m-%d %H:%M").to_string());
    let is_group = !row.connections.is_empty();
    [
        row.name.clone(),
        if is_group { "connections" } else { row.kind.unwrap_or_default() }.to_owned(),
        or_none(row.user.clone().unwrap_or_default()),
        or_none(if is_group { row.connections.join(", ") } else { row.endpoint.clone().unwrap_or_default() }),
        or_none(row.tags.join(", ")),
        row.shells.map_or("?".to_owned(), |count| count.to_string()),
        or_none(used.unwrap_or_default()),
    ]
}

/// Returns the table; on a terminal that is too narrow for it, a paragraph for each profile.
fn table(rows: &[Row], columns: Option<usize>) -> String {
    let all: Vec<[String; 7]> = rows.iter().map(cells).collect();
    let is_valid = |row: &Row| row.error.is_none();
    let mut widths = COLUMNS.map(width);
    for (row, cells) in rows.iter().zip(&all) {
        // An invalid profile has only a name.
        for (at, cell) in cells.iter().enumerate().filter(|(at, _)| *at == 0 || is_valid(row)) {
            widths[at] = widths[at].max(width(cell));
        }
    }
    let fits = columns.is_none_or(|columns| fit(&mut widths, columns));
    if !fits {
        return paragraphs(rows, &all);
    }
    let line = |cells: [&str; 7]| {
        let padded = cells.iter().zip(widths).map(|(cell, wanted)| {
            let text = if width(cell) > wanted {
                format!("{}…", cut(cell, wanted - 1).0)
            } else {
                (*cell).to_owned()
            };
            format!("{text}{}", " ".repeat(wanted - width(&text)))
        });
        format!("{}\n", padded.collect::<Vec<_>>().join(&" ".repeat(GAP)).trim_end())
    };
    let mut text = line(COLUMNS);
    for (row, cells) in rows.iter().zip(&all) {
        text.push_str(&match &row.error {
            None => line(cells.each_ref().map(String::as_str)),
            Some(error) => {
                let gap = " ".repeat(widths[0] - width(&row.name) + GAP);
                format!("{}{gap}{}\n", row.name, invalid(&row.name, error))
            }
        });
    }
    text
}

/// Cuts columns until the table fits. Returns `false` if it does not.
fn fit(widths: &mut [usize; 7], columns: usize) -> bool {
    for (at, least) in FLEXIBLE {
        let whole = widths.iter().sum::<usize>() + GAP * (COLUMNS.len() - 1);
        let excess = whole.saturating_sub(columns);
        widths[at] = widths[at].saturating_sub(excess).max(least.min(widths[at]));
    }
    widths.iter().sum::<usize>() + GAP * (COLUMNS.len() - 1) <= columns
}

fn paragraphs(rows: &[Row], all: &[[String; 7]]) -> String {
    let label = COLUMNS.iter().copied().map(width).max().unwrap_or_default();
    let one = |(row, cells): (&Row, &[String; 7])| {
        if let Some(error) = &row.error {
            return format!("{}\n  {}\n", row.name, invalid(&row.name, error));
        }
        let lines = COLUMNS.iter().zip(cells).skip(1).filter(|(_, cell)| *cell != "-");
        let lines = lines.map(|(name, cell)| format!("  {name:label$}  {cell}\n"));
        format!("{}\n{}", row.name, lines.collect::<String>())
    };
    rows.iter().zip(all).map(one).collect()
}

fn invalid(name: &str, error: &str) -> String {
    format!("{error}; see `lyncsh show {name}`")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<Row> {
        let (_temp, folders) = Folders::temporary();
        std::fs::create_dir_all(folders.profiles()).unwrap();
        for (name, text) in [
            (
                "contoso",
                "kind='wsman'\nuser='admin@contoso.example'\nuri='https://server.contoso.example:5986/wsman'\ntags=['eu','gold']",
            ),
            ("cloud", "kind='lync-online'\nuser='a@b.c'"),
            ("both", "connections=['cloud','contoso']"),
            ("torn", "kind="),
        ] {
            std::fs::write(folders.profile(name), text).unwrap();
        }
        last_used::touch(&folders, "cloud");
        profile::names(&folders).iter().map(|name| row(&folders, name, Some(0))).collect()
    }

    #[test]
    fn a_table_is_cut_to_the_terminal_or_becomes_paragraphs() {
        let rows = rows();
        let wide = table(&rows, None);
        let lines: Vec<&str> = wide.lines().collect();
        assert!(lines[0].starts_with("name     kind         user                   endpoint"), "{wide}");
        assert!(
            lines[1].starts_with("both     connections  -                      cloud, contoso"),
            "{wide}"
        );
        assert!(lines[2].contains("lyncdiscover.b.c") && !lines[2].ends_with('-'), "{wide}");
        assert!(lines[3].contains("eu, gold") && lines[3].ends_with("0       -"), "{wide}");
        assert!(
            lines[4].starts_with("torn     the profile ") && lines[4].ends_with("see `lyncsh show torn`")
        );
        for columns in [130, 100, 97] {
            let cut = table(&rows, Some(columns));
            let valid = cut.lines().filter(|line| !line.starts_with("torn"));
            assert!(valid.clone().all(|line| width(line) <= columns), "{cut}");
            assert_eq!(cut.lines().count(), 5, "{cut}");
        }
        assert!(table(&rows, Some(97)).contains("https://server.cont"), "{}", table(&rows, Some(97)));
        let narrow = table(&rows, Some(50));
        assert!(
            narrow.contains("contoso\n  kind       wsman\n  user       admin@contoso.example\n"),
            "{narrow}"
        );
    }

    #[test]
    fn json_has_the_columns_of_the_table() {
        let json = serde_json::to_value(rows()).unwrap();
        let contoso = &json[2];
        assert_eq!(contoso["tags"], serde_json::json!(["eu", "gold"]));
        assert_eq!((&contoso["kind"], &contoso["shells"]), (&"wsman".into(), &0.into()));
        assert!(contoso["last_used"].is_null() && json[1]["last_used"].as_str().unwrap().ends_with('Z'));
        assert!(json[3]["error"].as_str().unwrap().contains("has a mistake"));
        for column in COLUMNS {
            assert!(contoso.get(column.replace(' ', "_")).is_some(), "{column}");
        }
    }
}
