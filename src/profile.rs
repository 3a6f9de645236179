//! Profiles: one TOML file `NAME.toml` each, in the profiles folder of the configuration directory.

mod authentication;
mod connections;
pub mod import;
pub mod kind;
mod limits;
mod name;
mod nearest;
mod read;
mod selection;
pub mod service;
mod store;
mod types;
mod write;

pub use authentication::{Authentication, TokenFlow};
pub use connections::{Connections, connections, same_names};
pub use import::{Attach, Import};
pub use kind::Kind;
pub use limits::Limits;
pub use nearest::nearest;
pub use read::{KEYS, Mistake, ProfileError, Read, parse, read};
pub use selection::{Selected, Selection, SelectionError, select};
pub use service::Service;
pub use store::{StoreError, check_name, load, names};
pub use types::{CONSOLE, CREDENTIALS_DIRECTORY, CredentialSource, Profile};
pub use write::{NotToml, Renamed, Settings};
