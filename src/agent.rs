//! The owner of one remote session, in a process of its own: [`mux`] lets any number of local shells
//! share it, and whatever happens to them, to the launcher or to the agent, the session is removed.
//!
//! The agent ([`process`]) holds the session behind a [`guard`] that removes it; the launcher
//! ([`launch`]) watches the agent and removes the session where the agent could not; the [`journal`]
//! lets the next start of lyncsh do it ([`orphans`]) where both have died.

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
