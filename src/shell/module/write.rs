//! Writing of the proxy files that PowerShell imports, from the endpoint's answers.

use super::error::ModuleError;
use super::offered::{self, Offered};
use super::proxies::Proxies;
use super::render::Templates;
use super::views;
use crate::exports::kept::{ExportedModule, State};
use crate::exports::names::NameCheck;
use crate::exports::{Exports, prefixed};
use crate::folders::Folders;
use crate::platform;
use crate::profile::Profile;
use crate::screen;
use crate::transport;
use crate::transport::session::Session;

/// Maximum columns of a name in a note.
const MAX_NAME_COLUMNS: usize = 60;

/// Proxies on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    pub folder: std::path::PathBuf,
    /// Set if the folder is kept for the next start; otherwise PowerShell removes it.
    pub is_kept: bool,
    /// Notes for the user, one line each.
    pub notes: Vec<String>,
}

/// Error of writing the proxies.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum WriteError {
    /// The endpoint did not describe its commands, and no proxies of an earlier session exist.
    #[error("cannot import the commands of '{name}': {error}")]
    Ask { name: String, error: transport::Error },
    /// The proxies could not be rendered or written: see `ModuleError`.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Module(#[from] ModuleError),
}

/// Returns the proxies of a profile for the endpoint that it is connected to, written or not.
pub fn kept(
    folders: &Folders,
    profile: &Profile,
    endpoint: &url::Url,
) -> Result<ExportedModule, ModuleError> {
    let stem = Exports::of(folders, &profile.name).stem(profile, endpoint);
    // The files depend on version, templates and prefix.
    let source = Templates::of(folders)?.proxies_source()?;
    let form = format!("{}\0{:?}\0{source}", env!("CARGO_PKG_VERSION"), profile.import.prefix);
    Ok(ExportedModule::of(&stem, &format!("{:08x}", platform::hash(form.as_bytes()) >> 32)))
}

/// Writes the proxies if they are missing or out of date. The endpoint is queried only if its answers are not
/// cached; if the query fails, the existing proxies are used.
pub async fn write(
    folders: &Folders,
    profile: &Profile,
    endpoint: &url::Url,
    session: impl AsyncFnOnce() -> Result<Session, transport::Error>,
) -> Result<Written, WriteError> {
    Exports::of(folders, &profile.name).prepare().map_err(ModuleError::from)?;
    let kept = kept(folders, profile, endpoint)?;
    let is_kept = profile.import.cache;
    let state = if is_kept { kept.state() } else { State::Missing };
    let mut notes = Vec::new();
    let name = &profile.name;
    let there = |notes| Written { folder: kept.folder().to_owned(), is_kept: true, notes };
    let known = match state {
        State::Current => {
            kept.select().map_err(ModuleError::from)?;
            return Ok(there(notes));
        }
        State::Missing if is_kept => remembered(&kept),
        State::Changed => {
            notes.push(format!("the commands of '{name}' have changed; importing them again"));
            None
        }
        _ => None,
    };
    let name_check = NameCheck::on(std::env::var_os("PATH").as_deref());
    let asked = match known {
        Some(known) => Ok(known),
        None => ask(profile, &name_check, session).await,
    };
    let offered = match asked {
        Ok(offered) => offered,
        Err(error) if is_kept && kept.is_complete() => {
            notes.push(format!("cannot update the commands of '{name}'; using the cached ones: {error}"));
            return Ok(there(notes));
        }
        Err(error) => return Err(WriteError::Ask { name: name.clone(), error }),
    };
    let (files, without) = files(folders, profile, &offered, &name_check)?;
    if !without.is_empty() {
        let shown = without.iter().take(5).map(|one| screen::cut(one, MAX_NAME_COLUMNS).0.to_owned());
        let shown = shown.collect::<Vec<_>>().join(", ");
        let more = if without.len() > 5 { format!(" and {} more", without.len() - 5) } else { String::new() };
        notes.push(format!("'{name}': parameters without a plain name are left out: {shown}{more}"));
    }
    if !is_kept {
        let folder = kept.put_once(&files).map_err(ModuleError::from)?;
        return Ok(Written { folder, is_kept, notes });
    }
    if kept.state() == State::Current {
        // Another process has written them meanwhile.
        return Ok(there(notes));
    }
    match serde_json::to_vec(&offered) {
        Ok(content) => kept.set_source(&content).map_err(ModuleError::from)?,
        Err(error) => tracing::debug!(%error, "cannot cache the endpoint's answers"),
    }
    kept.put(&files).map_err(ModuleError::from)?;
    kept.select().map_err(ModuleError::from)?;
    Ok(there(notes))
}

/// Returns the cached answers of the endpoint, unless its commands have changed.
fn remembered(kept: &ExportedModule) -> Option<Offered> {
    let offered: Offered = serde_json::from_slice(&std::fs::read(kept.source()).ok()?).ok()?;
    (!kept.has_changed(&kept.source(), Some(lines(&offered.names).as_bytes()))).then_some(offered)
}

async fn ask(
    profile: &Profile,
    name_check: &NameCheck,
    session: impl AsyncFnOnce() -> Result<Session, transport::Error>,
) -> Result<Offered, transport::Error> {
    let session = session().await?;
    let offered = offered::ask(&session, &profile.import, name_check).await;
    // Closing fails only if the pool has already ended.
    let _ = session.close().await;
    offered
}

/// The files of the folder by name, and the parameters left out.
type Files = (Vec<(&'static str, String)>, Vec<String>);

fn files(
    folders: &Folders,
    profile: &Profile,
    offered: &Offered,
    name_check: &NameCheck,
) -> Result<Files, ModuleError> {
    let prefix = profile.import.prefix.as_deref();
    let here = |name: &str| prefixed(name, prefix);
    let proxies = Proxies::of(&offered.commands, |name| name_check.allows(name, &here(name)));
    let templates = Templates::of(folders)?;
    let (functions, aliases) = proxies.context(here);
    let version = env!("CARGO_PKG_VERSION");
    let asked = offered.names.iter().filter(|name| offered::is_covered(&profile.import, name));
    let mut refused: Vec<_> = asked
        .filter(|name| !name_check.allows(name, &here(name)))
        .chain(&proxies.left_out)
        .map(|name| here(name))
        .collect();
    // The file has one name per line.
    refused.iter_mut().for_each(|name| *name = name.replace(['\r', '\n'], "?"));
    refused.sort_unstable();
    refused.dedup();
    let names: Vec<_> = proxies.functions.iter().map(|one| one.name.clone()).collect();
    let linked: Vec<_> = proxies.aliases.iter().map(|one| one.name.clone()).collect();
    let targets: Vec<_> = proxies.aliases.iter().map(|one| format!("{} {}", one.name, one.target)).collect();
    let commands = if offered.names.is_empty() { None } else { Some(lines(&offered.names)) };
    let mut files = vec![
        ("proxies/proxies.ps1", format!("\u{feff}{}", templates.proxies(functions, aliases, version)?)),
        ("refused", lines(&refused)),
        ("aliases", lines(&linked)),
        ("targets", lines(&targets)),
        ("names", lines(&names)),
    ];
    let drawn = views::context(&offered.views);
    if drawn.len().is_some_and(|views| views > 0) {
        files.push(("proxies/proxies.format.ps1xml", templates.views(drawn, version)?));
    }
    files.extend(commands.map(|commands| ("commands", commands)));
    Ok((files, proxies.without))
}

fn lines(all: &[String]) -> String {
    if all.is_empty() { String::new() } else { format!("{}\n", all.join("\n")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::psrp::command_metadata::{CommandMetadata, ParameterMetadata};
    use crate::psrp::format_data::{Column, ColumnSource, FormatData, FormatView, Layout};

    const HOSTILE: [&str; 9] = [
        "x'; EVIL; '",
        "x’; EVIL; ’",
        "$(EVIL)",
        "`nEVIL",
        "} EVIL {",
        "a\nEVIL\n",
        "a\0EVIL",
        "<EVIL/>",
        "\u{201e}EVIL",
    ];

    fn offered() -> Offered {
        let parameter = |name: &str| ParameterMetadata {
            name: name.to_owned(),
            type_name: format!("System.{name}"),
            aliases: HOSTILE.map(str::to_owned).to_vec(),
            is_switch: false,
        };
        let command = |name: &str, alias_of: Option<&str>| CommandMetadata {
            name: name.to_owned(),
            alias_of: alias_of.map(str::to_owned),
            is_cmdlet: true,
            parameters: HOSTILE
                .iter()
                .chain(&["Host", "Größe", "Identity"])
                .map(|name| parameter(name))
                .collect(),
        };
        let column =
            |source| Column { label: Some("<EVIL/>\0".to_owned()), source, width: Some(5), alignment: None };
        let columns = vec![
            column(ColumnSource::Property("</PropertyName>EVIL".to_owned())),
            column(ColumnSource::Script("$_.Name".to_owned())),
            column(ColumnSource::Script("EVIL".to_owned())),
        ];
        let layout = Layout::Table { columns, auto_size: true, hide_headers: false, wrap: true };
        Offered {
            names: HOSTILE.map(str::to_owned).to_vec(),
            commands: HOSTILE
                .iter()
                .flat_map(|name| {
                    [command(name, None), command("Get-Link", Some(name)), command(name, Some("Get-Good"))]
                })
                .chain([command("Get-Good", None), command("Get-Other", Some("Get-Good"))])
                .collect(),
            views: vec![FormatData {
                type_names: HOSTILE.map(str::to_owned).to_vec(),
                views: vec![FormatView { name: "<EVIL/>".to_owned(), layout, group: None }],
            }],
        }
    }

    /// Returns the text of one file.
    fn written(name: &str) -> String {
        let (_temp, folders) = Folders::temporary();
        let text = "kind = \"wsman\"\nuser = \"a@example.com\"\nuri = \"https://example.com/wsman\"\n";
        let profile = crate::profile::parse("work", &folders.profile("work"), text).unwrap();
        let (files, without) = files(&folders, &profile, &offered(), &NameCheck::on(None)).unwrap();
        assert!(!without.is_empty());
        files.into_iter().find(|(file, _)| *file == name).unwrap().1
    }

    #[test]
    fn hostile_metadata_produces_no_code() {
        let script = written("proxies/proxies.ps1");
        assert!(!script.contains("EVIL"), "{script}");
        for part in ["function Get-Good{[", " Größe ", " Host:", "'alias:Get-Other'"] {
            assert!(script.contains(part), "{part}: {script}");
        }
        assert_eq!(written("names"), "Get-Good\n");
        assert_eq!(written("refused").lines().count(), HOSTILE.len() + 1, "{}", written("refused"));
    }

    #[test]
    fn views_contain_no_scripts_or_foreign_markup() {
        let views = written("proxies/proxies.format.ps1xml");
        assert!(!views.contains("<EVIL/>") && !views.contains("</PropertyName>EVIL"), "{views}");
        assert_eq!(views.matches("<TableColumnItem>").count(), 2, "{views}");
        assert!(views.contains("<PropertyName>Name</PropertyName>"), "{views}");
        let mut reader = quick_xml::Reader::from_str(&views);
        while reader.read_event().unwrap() != quick_xml::events::Event::Eof {}
    }
}
