//! The console's history file. Lines that may hold a secret are not saved.

use reedline::{
    FileBackedHistory, History, HistoryItem, HistoryItemId, HistorySessionId, Result, SearchQuery,
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

/// Returns whether a line may hold a secret, by the words that PSReadLine looks for.
fn is_sensitive(line: &str) -> bool {
    let line = line.to_lowercase();
    ["password", "asplaintext", "token", "apikey", "secret", "pin "].iter().any(|word| line.contains(word))
}

impl History for CarefulHistory {
    fn save(&mut self, item: HistoryItem) -> Result<HistoryItem> {
        if is_sensitive(&item.command_line) { Ok(item) } else { self.inner.save(item) }
    }

    fn load(&self, id: HistoryItemId) -> Result<HistoryItem> {
        self.inner.load(id)
    }

    fn count(&self, query: SearchQuery) -> Result<i64> {
        self.inner.count(query)
    }

    fn search(&self, query: SearchQuery) -> Result<Vec<HistoryItem>> {
        self.inner.search(query)
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
    fn a_line_with_a_password_is_not_saved() {
        let text = kept(&["Get-CsTenant", "Set-CsUserAcp -Password hunter2", "Get-CsOnlineUser"]);
        assert!(text.contains("Get-CsTenant") && text.contains("Get-CsOnlineUser"));
        assert!(!text.contains("hunter2"));
    }
}
