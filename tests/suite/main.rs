//! Tests of the whole program as users and peers see it, in one binary to link only once. Uses Unix sockets,
//! signals, terminals and file modes; `tests/windows/run` tests the Windows counterparts.
#![allow(clippy::disallowed_macros, clippy::disallowed_methods, reason = "nothing of an endpoint is shown")]
#![cfg(unix)]

mod access;
mod agent_bounds;
mod agent_lost_answers;
mod agent_mux;
mod agent_process;
mod agent_reconnect;
mod agent_replay;
mod agent_simulator;
mod agent_way;
mod agent_world;
mod clixml_powershell;
mod connections;
mod credential;
mod demo;
mod docs;
mod edit;
mod everyday;
mod files;
#[path = "../front/mod.rs"]
mod front;
mod guard;
mod hook;
mod hostile;
mod kill_matrix;
mod layers;
mod line;
mod listing;
mod omi;
mod outage;
mod own_session;
mod passwords;
mod piped;
mod profile;
mod psrp_pools;
mod psrp_psrpcore;
mod psrp_recordings;
mod psrp_replay;
mod psrp_transcripts;
mod pwsh_module;
mod pwsh_syntax;
mod removal;
mod script;
mod service;
mod shortcut;
mod simulator;
mod simulator_peers;
mod simulator_replay;
mod simulator_rules;
mod simulator_stream;
mod simulator_strict;
mod simulator_tls;
mod slots_terminal;
mod stand_in;
mod stream;
mod supervision;
mod trouble;
mod wsman_client_envelopes;
mod wsman_client_faults;
mod wsman_client_http;
mod wsman_client_lost;
mod wsman_client_outcomes;
mod wsman_client_psrpcore;
mod wsman_client_replay;
