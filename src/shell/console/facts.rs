//! Version tables of the endpoints: `$PSVersionTable`, sent when a session begins.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::psrp::clixml::Value;

/// Maximum wait of a line that reads the table.
const FACTS_TIMEOUT: Duration = Duration::from_secs(3);

/// Version tables by profile. Clones share them.
#[derive(Clone, Debug)]
pub struct Facts(Arc<watch::Sender<HashMap<String, Value>>>);

impl Default for Facts {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(HashMap::new())))
    }
}

impl Facts {
    /// Stores the table from the private data of a profile's session (MS-PSRP 2.2.2.13).
    pub fn learn(&self, profile: &str, private_data: &Value) {
        let table = crate::line::member(private_data, "PSVersionTable").filter(|table| !table.is_null());
        if let Some(table) = table {
            self.0.send_modify(|known| drop(known.insert(profile.to_owned(), table)));
        }
    }

    /// Returns the table of a profile's endpoint; null if the endpoint sent none.
    pub async fn versions(&self, profile: &str) -> Value {
        let mut changes = self.0.subscribe();
        let known = changes.wait_for(|known| known.contains_key(profile));
        match tokio::time::timeout(FACTS_TIMEOUT, known).await {
            Ok(Ok(known)) => known.get(profile).cloned().unwrap_or_default(),
            _ => Value::Null,
        }
    }
}
