//! The console's history file. Lines that may hold a secret are not saved.

use reedline::{
    CommandLineSearch, FileBackedHistory, History, HistoryItem, HistoryItemId, HistorySessionId, Result,
    SearchQuery,
};

/// Maximum number of lines.
const CAPACITY: usize = 5_000;

/// A history that drops lines that may hold a secret.
pub struct CarefulHistory {
    /// In memory if there is no file.
    inner: FileBackedHistory,
}

impl CarefulHistory {
    /// Opens or creates the file. Without a usable file, the history is kept in memory.
    pub fn open(file: Option<std::path::PathBuf>) -> Result<Self> {
        let inner = match file {
            Some(file) => match FileBackedHistory::with_file(CAPACITY, file) {
                Ok(history) => history,
                Err(error) => {
                    tracing::debug!(%error, "cannot open the history file; keeping the history in memory");
                    FileBackedHistory::new(CAPACITY)?
                }
            },
            None => FileBackedHistory::new(CAPACITY)?,
        };
        Ok(Self { inner })
    }
}

/// Words that mark a line with a secret: those of PSReadLine (History.cs, `s_sensitivePattern`), and more.
const SENSITIVE: [&str; 13] = [
    "password",
    "passphrase",
    "asplaintext",
    "convertto-securestring",
    "token",
    "apikey",
    "secret",
    "pin ",
    "-pin:",
    // Abbreviations of -Password and -Passphrase, but not of -PassThru.
    "-pass ",
    "-pass:",
    "-passw",
    "-passp",
];

/// Returns whether a line may hold a secret: it has a sensitive word, or a literal value after -Credential.
pub fn may_hold_secret(line: &str) -> bool {
    let line = line.to_lowercase().replace(['\t', '\r', '\n', '`'], " ");
    SENSITIVE.iter().any(|word| line.contains(word)) || has_literal_credential(&line)
}

/// Returns whether `-Credential` or its abbreviation is followed by a value that is neither a variable nor an
/// expression.
fn has_literal_credential(line: &str) -> bool {
    line.match_indices("-cred").any(|(at, _)| {
        let rest = line[at + 1..].trim_start_matches(|letter: char| letter.is_alphanumeric());
        let value = rest.trim_start_matches([' ', ':']);
        !value.is_empty() && !value.starts_with(['$', '(', '-', '|', ';', '@'])
    })
}

impl History for CarefulHistory {
    fn save(&mut self, item: HistoryItem) -> Result<HistoryItem> {
        if may_hold_secret(&item.command_line) { Ok(item) } else { self.inner.save(item) }
    }

    fn load(&self, id: HistoryItemId) -> Result<HistoryItem> {
        self.inner.load(id)
    }

    fn count(&self, query: SearchQuery) -> Result<i64> {
        self.inner.count(query)
    }

    /// Ignores case, as PSReadLine does (HistorySearchCaseSensitive is False by default, seen in PowerShell 7.6.9).
    fn search(&self, mut query: SearchQuery) -> Result<Vec<HistoryItem>> {
        let (wanted, is_prefix) = match query.filter.command_line.take() {
            Some(CommandLineSearch::Prefix(text)) => (text.to_lowercase(), true),
            Some(CommandLineSearch::Substring(text)) => (text.to_lowercase(), false),
            other => {
                query.filter.command_line = other;
                return self.inner.search(query);
            }
        };
        let limit = query.limit.take().and_then(|limit| usize::try_from(limit).ok());
        let mut found = self.inner.search(query)?;
        found.retain(|item| {
            let line = item.command_line.to_lowercase();
            if is_prefix { line.starts_with(&wanted) } else { line.contains(&wanted) }
        });
        found.truncate(limit.unwrap_or(usize::MAX));
        Ok(found)
    }

    fn update(&mut self, id: HistoryItemId, updater: &dyn Fn(HistoryItem) -> HistoryItem) -> Result<()> {
        self.inner.update(id, updater)
    }

    fn clear(&mut self) -> Result<()> {
        self.inner.clear()
    }

    fn delete(&mut self, id: HistoryItemId) -> Result<()> {
        self.inner.delete(id)
    }

    fn sync(&mut self) -> std::io::Result<()> {
        self.inner.sync()
    }

    fn session(&self) -> Option<HistorySessionId> {
        self.inner.session()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(lines: &[&str]) -> String {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("history");
        let mut history = CarefulHistory::open(Some(file.clone())).unwrap();
        for line in lines {
            history.save(HistoryItem::from_command_line(*line)).unwrap();
        }
        history.sync().unwrap();
        std::fs::read_to_string(file).unwrap()
    }

    #[test]
    fn the_search_ignores_case() {
        let mut history = CarefulHistory::open(None).unwrap();
        for line in ["Get-CsTenant", "Get-CsUser", "get-cstenant | select Name"] {
            history.save(HistoryItem::from_command_line(line)).unwrap();
        }
        let found = |query| -> Vec<String> {
            history.search(query).unwrap().into_iter().map(|item| item.command_line).collect()
        };
        let both = ["get-cstenant | select Name", "Get-CsTenant"];
        assert_eq!(found(SearchQuery::all_that_contain_rev("TENANT".to_owned())), both);
        let prefix = || SearchQuery::last_with_prefix("GET-cst".to_owned(), None);
        assert_eq!(found(SearchQuery { limit: Some(2), ..prefix() }), both);
        assert_eq!(found(prefix()), both[..1]);
    }

    #[test]
    fn a_line_with_a_secret_is_not_saved() {
        let kept_lines = [
            "Get-CsTenant",
            "Get-CsOnlineUser",
            "New-CsX -Credential $cred",
            "Get-CsX -Cred (Get-Y)",
            "cd /tmp -PassThru",
        ];
        let secret = [
            "Set-CsUserAcp -Password hunter2",
            "$p = ConvertTo-SecureString hunter2",
            "Set-X -Passphrase hunter2",
            "Set-CsClientPin ken -Pin hunter2",
            "Set-CsClientPin ken -Pin:hunter2",
            "Set-X -ApiKey hunter2",
            "$token = 'hunter2'",
            "New-CsX -Credential hunter2",
            "New-CsX -Cred:'hunter2'",
            "Set-X -Pass hunter2",
            "Set-X -PASS:hunter2",
            "Set-X -Passw:hunter2",
            "Set-X -Passp hunter2",
            "Set-X -Pass\thunter2",
            "Set-CsClientPin ken -Pin\thunter2",
            "Set-CsClientPin ken -Pin`\nhunter2",
            "New-CsX -Credential`\n'hunter2'",
        ];
        let text = kept(&[kept_lines.as_slice(), &secret].concat());
        assert_eq!(text.lines().collect::<Vec<_>>(), kept_lines);
    }
}
