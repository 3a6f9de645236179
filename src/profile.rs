//! Profiles. Each is a TOML file `NAME.toml` in `profiles` of the configuration folder, or in the folder of a team.

mod authentication;
mod connections;
pub mod import;
mod keys;
pub mod kind;
mod limits;
mod name;
mod places;
mod read;
mod schema;
mod selection;
pub mod service;
mod store;
mod types;
mod write;

pub use authentication::{Authentication, TokenFlow};
pub use connections::{Connections, connections, same_names};
pub use import::{Attach, Import};
pub use keys::{KEYS, Key, List, Value};
pub use kind::Kind;
pub use limits::Limits;
pub use places::{ConfigError, hidden_files, of_team, team_folders};
pub use read::{Mistake, Parsed, ProfileError, Source, parse, parse_sources, read, read_with, sources};
pub use schema::schema;
pub use selection::{Selected, Selection, SelectionError, select};
pub use service::Service;
pub use store::{StoreError, check_name, entries, load, names, own_names, path, unreadable_folders};
pub use types::{CONSOLE, CREDENTIALS_DIRECTORY, CredentialSource, Profile, own_proxy_entry};
pub use write::{NotToml, Renamed, Settings};
