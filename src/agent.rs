//! The agent: a process that owns one remote session. [`mux`] shares the session between any number of local
//! shells. The session is always removed, even if the shells, the launcher or the agent are killed.
//!
//! [`process`] holds the session behind a [`guard`] that removes it. The launcher ([`launch`]) watches the
//! agent and removes the session if the agent dies. If both have died, the next start of lyncsh removes it
//! from the [`journal`] ([`orphans`]).

pub mod command_check;
pub mod control;
pub mod control_client;
pub mod guard;
pub mod handover;
pub mod journal;
pub mod launch;
pub mod mux;
pub mod notes;
pub mod orphans;
pub mod outage;
pub mod owner;
pub mod paths;
pub mod presence;
pub mod process;
pub mod removal;
pub mod resolver;
pub mod serve;
pub mod shared;
pub mod slots;
pub mod socket;
