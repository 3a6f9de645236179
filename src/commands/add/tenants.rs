//! `lyncsh add --from`: creates a profile for each row of a CSV file. All rows are checked before anything is
//! written.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use miette::{Context as _, IntoDiagnostic as _};
use toml_edit::{Array, DocumentMut, Item};

use super::options::{Stored, key_at, report_file, settings, source, store};
use crate::cli::{self, Add};
use crate::commands::keyring;
use crate::commands::usage::usage;
use crate::credential::{self, CredentialError};
use crate::files::replace::{New, create_new};
use crate::files::text;
use crate::folders::Folders;
use crate::line::rows;
use crate::nearest::nearest;
use crate::profile::{self, CredentialSource, KEYS, Key, Profile, ProfileError, Value};

/// Column of the profiles' names.
const NAME: &str = "name";
/// Maximum number of mistakes that an error lists.
const LISTED: usize = 20;

/// A profile to write.
struct Row {
    path: PathBuf,
    text: String,
    profile: Profile,
}

impl Row {
    /// Returns whether the password of the profile is in this entry of the keyring.
    fn shares(&self, entry: &str) -> bool {
        self.profile.keyring_entry() == Some(entry) && credential::is_needed(&self.profile)
    }
}

/// A column: the names, or the values of a key.
#[derive(Clone, Copy)]
enum Column {
    Name,
    Key(&'static Key),
}

/// Checks all rows, stores the shared password and writes the profiles.
pub async fn run(folders: &Folders, add: &Add, file: &Path) -> miette::Result<()> {
    if add.password_stdin && add.keyring.is_none() {
        return Err(usage!(
            help = "pass --keyring ENTRY",
            "--password-stdin needs the entry of the keyring that the profiles share"
        ));
    }
    let text = text::read(file).map_err(|error| {
        let help = "pass the path of a CSV file; no profile was created";
        usage!(help = help, "cannot read {}: {error}", file.display())
    })?;
    let credential = source(add, None)?.filter(|credential| *credential != CredentialSource::Keyring);
    let defaults = settings(add, credential.clone()).apply("").into_diagnostic()?;
    let rows = rows(folders, &text, &defaults).map_err(|mistakes| {
        let more = mistakes.len().saturating_sub(LISTED);
        let more = if more > 0 { format!("\nand {more} more") } else { String::new() };
        let listed = mistakes.iter().take(LISTED).cloned().collect::<Vec<_>>().join("\n");
        let count =
            if mistakes.len() == 1 { "a mistake".to_owned() } else { format!("{} mistakes", mistakes.len()) };
        usage!(
            help = "correct the file; no profile was created",
            "{} has {count}:\n{listed}{more}",
            file.display()
        )
    })?;
    let own = |row: &&Row| {
        row.profile.credential == CredentialSource::Keyring && credential::is_needed(&row.profile)
    };
    if let Some(row) = rows.iter().find(own) {
        return Err(usage!(
            help = "pass --keyring ENTRY for one entry that all profiles share, or --prompt, --credential-command, \
                    --credential-file or --system; or add the column credential",
            "cannot ask for the password of each profile, such as '{}': expected a source of the passwords",
            row.profile.name
        ));
    }
    let stored = shared(add, &rows).await?;
    if let Err(error) = write(folders, &rows) {
        if let Some(entry) = &stored {
            let _ = credential::delete_all(folders, entry).await;
        }
        return Err(error);
    }
    if let Some(CredentialSource::File(file)) = &credential {
        report_file(file);
    }
    let what =
        if rows.len() == 1 { "1 profile is".to_owned() } else { format!("{} profiles are", rows.len()) };
    let shares = add.keyring.as_deref().filter(|entry| rows.iter().any(|row| row.shares(entry)));
    let shares = shares.map(|entry| format!(", with the keyring entry '{entry}'"));
    crate::outln!(
        "{what} written to {}{}.\nList them with: lyncsh list",
        folders.profiles().display(),
        shares.unwrap_or_default()
    );
    Ok(())
}

/// Stores the password of the shared entry, if it is missing or given. Returns the entry if it is new.
async fn shared(add: &Add, rows: &[Row]) -> miette::Result<Option<String>> {
    let Some(entry) = &add.keyring else { return Ok(None) };
    let Some(row) = rows.iter().find(|row| row.shares(entry)) else {
        if add.password_stdin {
            return Err(usage!(
                help = "remove --password-stdin, or change the rows; no profile was created",
                "no profile has its password in the keyring entry '{entry}'"
            ));
        }
        return Ok(None);
    };
    let is_missing = match credential::is_stored(entry).await {
        Ok(is_stored) => !is_stored,
        Err(CredentialError::Keyring { reason }) => {
            return Err(keyring::unusable(&row.profile.name, &reason, false));
        }
        Err(error) => return Err(error.into()),
    };
    if !is_missing && !add.password_stdin {
        return Ok(None);
    }
    match store(&row.profile, add, None).await? {
        Stored::Yes => Ok(is_missing.then(|| entry.clone())),
        Stored::Instead(_) => Err(usage!(
            help = "run the command again with --prompt, --credential-command or --credential-file",
            "cannot store the password in the keyring; no profile was created"
        )),
    }
}

/// Writes all profiles, or none.
fn write(folders: &Folders, rows: &[Row]) -> miette::Result<()> {
    std::fs::create_dir_all(folders.profiles())
        .into_diagnostic()
        .wrap_err_with(|| format!("cannot create {}", folders.profiles().display()))?;
    for (at, row) in rows.iter().enumerate() {
        if let Err(error) = create_new(&row.path, row.text.as_bytes(), New::Private) {
            let left: Vec<String> = rows[..at]
                .iter()
                .filter(|row| std::fs::remove_file(&row.path).is_err())
                .map(|row| row.path.display().to_string())
                .collect();
            let help = match left.as_slice() {
                [] => "no profile was created".to_owned(),
                left => format!("remove these files: {}", left.join(", ")),
            };
            return Err(miette::miette!(help = help, "cannot write {}: {error}", row.path.display()));
        }
    }
    Ok(())
}

/// Parses the file. Returns a profile for each row, or the mistakes, each with its line and column.
fn rows(folders: &Folders, text: &str, defaults: &str) -> Result<Vec<Row>, Vec<String>> {
    let (text, skipped) = without_hint(text);
    let read = rows::read(text, delimiter(text)).map_err(|error| vec![error.to_string()])?;
    if let Some(line) = read.unclosed {
        return Err(vec![format!("line {}: a quote is not closed", skipped + line)]);
    }
    let mut records = read.rows.into_iter();
    let header = records.next().unwrap_or(rows::Row { line: 1, fields: Vec::new() });
    let columns = columns(&header.fields).map_err(|mistakes| {
        let line = skipped + header.line;
        mistakes.into_iter().map(|mistake| format!("line {line}: {mistake}")).collect::<Vec<_>>()
    })?;
    let (mut rows, mut mistakes) = (Vec::new(), Vec::new());
    let mut lines: HashMap<String, usize> = HashMap::new();
    for rows::Row { line, fields } in records {
        let line = skipped + line;
        let fields: Vec<&str> = fields.iter().map(|field| field.trim()).collect();
        // A spreadsheet may end with empty rows.
        if fields.iter().all(|field| field.is_empty()) {
            continue;
        }
        if fields.len() != columns.len() {
            mistakes.push(format!("line {line}: expected {} fields, got {}", columns.len(), fields.len()));
            continue;
        }
        let cells: Vec<(Column, &str)> = columns.iter().copied().zip(fields).collect();
        match row(folders, &cells, defaults) {
            Ok(row) => {
                // File names may ignore case.
                let key = row.profile.name.to_lowercase();
                match lines.insert(key, line) {
                    Some(first) => mistakes.push(format!(
                        "line {line}, column name: '{}' is already in line {first}",
                        row.profile.name
                    )),
                    None => rows.push(row),
                }
            }
            Err(wrong) => mistakes.extend(wrong.into_iter().map(|(column, message)| match column {
                Some(column) => format!("line {line}, column {column}: {message}"),
                None => format!("line {line}: {message}"),
            })),
        }
    }
    if rows.is_empty() && mistakes.is_empty() {
        mistakes.push("it has no rows below the header".to_owned());
    }
    if mistakes.is_empty() { Ok(rows) } else { Err(mistakes) }
}

/// Returns the text without Excel's line `sep=;`, and the number of removed lines.
fn without_hint(text: &str) -> (&str, usize) {
    match text.split_once('\n') {
        Some((first, rest)) if first.trim().starts_with("sep=") => (rest, 1),
        _ => (text, 0),
    }
}

/// Returns the most frequent delimiter of the header: comma, semicolon (Excel), or tab.
fn delimiter(text: &str) -> u8 {
    let header = text.lines().next().unwrap_or_default();
    let count = |delimiter: &u8| header.bytes().filter(|byte| byte == delimiter).count();
    [b'\t', b';', b','].into_iter().max_by_key(count).unwrap_or(b',')
}

fn columns(header: &[String]) -> Result<Vec<Column>, Vec<String>> {
    let (mut columns, mut mistakes) = (Vec::new(), Vec::new());
    // A group is not a tenant.
    let known = || KEYS.iter().filter(|key| key.name != "connections");
    for (at, word) in header.iter().map(|word| word.trim()).enumerate() {
        let name = word.to_lowercase();
        let key = known().find(|key| key.name == name);
        if header.iter().take(at).any(|other| other.trim().to_lowercase() == name) {
            mistakes.push(format!("the column {word} appears twice"));
        } else if let Some(key) = key {
            columns.push(Column::Key(key));
        } else if name == NAME {
            columns.push(Column::Name);
        } else {
            let names = known().map(|key| key.name).chain([NAME]);
            let end = nearest(&name, names).map_or_else(
                || "expected name and keys of a profile".to_owned(),
                |near| format!("did you mean {near}?"),
            );
            mistakes.push(format!("unknown column '{word}'; {end}"));
        }
    }
    if mistakes.is_empty() && !columns.iter().any(|column| matches!(column, Column::Name)) {
        mistakes.push("the column name is missing".to_owned());
    }
    if mistakes.is_empty() { Ok(columns) } else { Err(mistakes) }
}

type Wrong = Vec<(Option<String>, String)>;

/// Returns the profile of a row, or its mistakes with their columns.
fn row(folders: &Folders, cells: &[(Column, &str)], defaults: &str) -> Result<Row, Wrong> {
    let of_name = |message: String| vec![(Some(NAME.to_owned()), message)];
    let name = cells.iter().find(|(column, _)| matches!(column, Column::Name)).map_or("", |(_, cell)| cell);
    if let Err(error) = profile::check_name(name, cli::taken()) {
        return Err(of_name(error.to_string()));
    }
    let existing = profile::path(folders, name);
    if std::fs::symlink_metadata(&existing).is_ok() {
        return Err(of_name(format!("profile '{name}' already exists: {}", existing.display())));
    }
    let mut document: DocumentMut = defaults.parse().unwrap_or_default();
    for (column, cell) in cells {
        let Column::Key(key) = column else { continue };
        if !cell.is_empty() {
            document.insert(key.name, value(key.value, cell));
        }
    }
    let (path, text) = (folders.profile(name), document.to_string());
    let parsed = profile::parse(name, &path, &text);
    parsed.map(|profile| Row { path, text: text.clone(), profile }).map_err(|error| {
        let is_column =
            |key: &str| cells.iter().any(|(column, _)| matches!(column, Column::Key(one) if one.name == key));
        let of_file = |file: &ProfileError| {
            if file.is_included {
                let place = |line: String| (None, format!("{}, {line}", file.path));
                return file.lines().into_iter().map(place).collect::<Wrong>();
            }
            let wrong = file.mistakes.iter().map(|mistake| {
                (key_at(&text, &mistake.span).filter(|key| is_column(key)), mistake.message.clone())
            });
            wrong.collect()
        };
        error.files().flat_map(of_file).collect()
    })
}

/// Converts a cell as the key declares it. The reader reports a cell that does not fit.
fn value(declared: Value, cell: &str) -> Item {
    let text = || toml_edit::value(cell);
    match declared {
        Value::Flag => match cell.to_lowercase().as_str() {
            "true" => toml_edit::value(true),
            "false" => toml_edit::value(false),
            _ => text(),
        },
        Value::Number(..) => cell.parse::<i64>().map_or_else(|_| text(), toml_edit::value),
        Value::List(_) => {
            let items = cell.split([';', ' ']).filter(|item| !item.is_empty());
            toml_edit::value(items.collect::<Array>())
        }
        // A table in TOML: { keyring = "…" }.
        Value::OneOf(_) | Value::Table(_) | Value::Choice(_) => {
            let is_toml = cell.starts_with('{') || ["true", "false"].contains(&cell);
            let parsed = is_toml.then(|| cell.parse::<toml_edit::Value>().ok()).flatten();
            parsed.map_or_else(text, toml_edit::value)
        }
        Value::Text | Value::Word(_) | Value::Uri | Value::Path | Value::Duration => text(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(text: &str, defaults: &str) -> (tempfile::TempDir, Folders, Result<Vec<Row>, Vec<String>>) {
        let (temp, folders) = Folders::temporary();
        std::fs::create_dir_all(folders.profiles()).unwrap();
        std::fs::write(folders.profile("there"), "").unwrap();
        let rows = rows(&folders, text, defaults);
        (temp, folders, rows)
    }

    const SHARED: &str = "credential = { keyring = \"partner\" }\n";

    #[test]
    fn every_delimiter_and_type_is_read() {
        for text in [
            "name,kind,user,organization,tags\na,teams,x@a.b,,eu;gold\nb,exchange-online,y@a.b,a.b,\n",
            "sep=;\r\nName;Kind;User;Organization;Tags\r\na;teams;x@a.b;;\"eu;gold\"\r\nb;exchange-online;y@a.b;a.b;\r\n;;;;\r\n",
            "name\tkind\tuser\torganization\ttags\na\tteams\tx@a.b\t\teu gold\nb\texchange-online\ty@a.b\ta.b\t\n",
        ] {
            let rows = checked(text, SHARED).2.unwrap_or_else(|mistakes| panic!("{text}: {mistakes:?}"));
            let names: Vec<&str> = rows.iter().map(|row| row.profile.name.as_str()).collect();
            assert_eq!(names, ["a", "b"]);
            assert_eq!(rows[0].profile.tags, ["eu", "gold"]);
            assert_eq!(rows[1].profile.organization.as_deref(), Some("a.b"));
            assert!(rows.iter().all(|row| row.profile.keyring_entry() == Some("partner")));
        }
        let typed = "name,user,keep_alive,max_runspaces,credential,timeouts,import\n\
                     a,x@a.b,false,3,\"{ file = \"\"pw\"\" }\",\"{ open = \"\"9s\"\" }\",Get-Cs* Set-Cs*\n";
        let rows =
            checked(typed, "kind = \"lync-online\"\n").2.unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
        let profile = &rows[0].profile;
        assert!(!profile.keep_alive && profile.max_runspaces == 3 && profile.limits.open.as_secs() == 9);
        assert!(matches!(profile.credential, CredentialSource::File(_)));
        assert_eq!(profile.import.commands.len(), 2);
    }

    #[test]
    fn each_mistake_has_its_line_and_column() {
        let text = "name,kind,user,tags,max_runspaces\n\
                    a,lync-online,x@a.b,,1\n\
                    \n\
                    status,teams,,,\n\
                    there,teams,,,\n\
                    A,teams,,,\n\
                    b,lync-onlin,x@a.b,,1\n\
                    c,lync-online,x@a.b,a!,many\n\
                    d,lync-online,,,\n\
                    e,teams\n\
                    f/g,teams,,,\n";
        let mistakes = checked(text, SHARED).2.err().unwrap();
        for (start, part) in [
            ("line 4, column name: invalid profile name 'status'", "lyncsh has a command of that name"),
            ("line 5, column name: profile 'there' already exists", "there.toml"),
            ("line 6, column name: 'A' is already in line 2", ""),
            ("line 7, column kind: invalid kind \"lync-onlin\"", "did you mean \"lync-online\"?"),
            ("line 8, column tags: expected a tag", ""),
            ("line 8, column max_runspaces: expected a whole number", ""),
            ("line 9, column kind: kind \"lync-online\" needs user", ""),
            ("line 10: expected 5 fields, got 2", ""),
            ("line 11, column name: invalid profile name 'f/g'", ""),
        ] {
            let is_there = mistakes.iter().any(|one| one.starts_with(start) && one.contains(part));
            assert!(is_there, "{start}: {mistakes:#?}");
        }
        assert_eq!(mistakes.len(), 9, "{mistakes:#?}");
        for (text, mistake) in [
            ("name,usr\na,b\n", "line 1: unknown column 'usr'; did you mean user?"),
            ("sep=,\nname,user,User\n", "line 2: the column User appears twice"),
            ("kind,user\nteams,x\n", "line 1: the column name is missing"),
            (
                "name,connections\n",
                "line 1: unknown column 'connections'; expected name and keys of a profile",
            ),
            ("name,kind\n", "it has no rows below the header"),
            ("sep=;\nname;kind\na;teams\nb;\"teams\nc;teams\n", "line 4: a quote is not closed"),
        ] {
            assert_eq!(checked(text, SHARED).2.err().unwrap(), [mistake]);
        }
    }

    #[test]
    fn a_failure_while_writing_removes_what_was_written() {
        let (_temp, folders, rows) = checked("name,kind\na,teams\nb,teams\nc,teams\n", SHARED);
        let rows = rows.unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
        // Another process creates one of them meanwhile.
        std::fs::write(folders.profile("c"), "kind = \"teams\"\n").unwrap();
        let error = write(&folders, &rows).unwrap_err();
        assert!(
            error.to_string().contains("c.toml")
                && error.help().unwrap().to_string() == "no profile was created"
        );
        assert_eq!(profile::names(&folders), ["c", "there"]);
    }
}
