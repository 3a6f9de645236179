//! Shared state of the endpoint: shells, accounts, tokens.

use std::collections::HashMap;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::Query;
use axum::http::{HeaderMap, header};
use base64::Engine as _;
use serde::Serialize;
use uuid::Uuid;

use super::backend::Backends;
use super::engine::World;
use super::options::{Options, TenantFault};
use super::shell::Shell;
use crate::security::ntlm::Binding;

/// Account of `lyncsh demo`.
pub const USER: &str = "admin@litwareinc.com";
pub const PASSWORD: &str = "L1tware!";
pub const DOMAIN: &str = "litwareinc.com";
/// State shared by all requests.
pub struct Endpoint {
    pub base: String,
    pub options: Options,
    pub world: Arc<World>,
    pub backends: Backends,
    pub(super) shells: Mutex<HashMap<String, Arc<Shell>>>,
    pub(super) requests: AtomicUsize,
    /// Number of failed authentication attempts.
    pub(super) refusals: AtomicUsize,
    pub(super) has_kerberos: bool,
    /// The channel binding that clients should send.
    pub(super) binding: Binding,
    /// Issued tokens with their accounts.
    pub tokens: Mutex<HashMap<String, Account>>,
}

/// A signed-in user, in lower case, and the tenant.
#[derive(Clone, Debug)]
pub struct Account {
    pub user: String,
    pub domain: String,
}

/// A shell in the answer of `GET /sim/shells`.
#[derive(Clone, Debug, Serialize)]
pub struct Open {
    pub id: String,
    pub owner: String,
    pub age_seconds: u64,
    pub idle_seconds: u64,
    /// Number of running pipelines.
    pub commands: usize,
    pub is_disconnected: bool,
}

impl Endpoint {
    pub fn shells(&self) -> MutexGuard<'_, HashMap<String, Arc<Shell>>> {
        self.shells.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn shell(&self, id: &str) -> Option<Arc<Shell>> {
        self.shells().get(&id.to_uppercase()).cloned()
    }

    pub fn open(&self) -> Vec<Open> {
        let shells: Vec<_> = self.shells().values().cloned().collect();
        let mut open: Vec<Open> = shells
            .iter()
            .map(|shell| Open {
                id: shell.parameters.id.clone(),
                owner: shell.parameters.owner.clone(),
                commands: shell.pool.running().len(),
                is_disconnected: shell.is_disconnected(Uuid::nil()),
                age_seconds: shell.created.elapsed().as_secs(),
                idle_seconds: shell.idle().as_secs(),
            })
            .collect();
        open.sort_by_key(|shell| std::cmp::Reverse(shell.age_seconds));
        open
    }

    /// Returns the fault of an account's tenant.
    pub fn fault(&self, account: &Account) -> Option<TenantFault> {
        let mut faults = self.options.faults.iter();
        faults.find(|(domain, _)| *domain == account.domain).map(|(_, fault)| *fault)
    }

    /// Returns the account of the Authorization header.
    pub fn account(&self, headers: &HeaderMap, basic: bool) -> Option<Account> {
        let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
        let (scheme, proof) = value.split_once(' ')?;
        if scheme.eq_ignore_ascii_case("bearer") && !basic {
            return self.tokens.lock().unwrap_or_else(PoisonError::into_inner).get(proof).cloned();
        }
        if !scheme.eq_ignore_ascii_case("basic") || !basic {
            return None;
        }
        let decoded = base64::engine::general_purpose::STANDARD.decode(proof.trim()).ok()?;
        let text = String::from_utf8(decoded).ok()?;
        let (user, password) = text.split_once(':')?;
        let domain = self.world.sign_in(user, password)?;
        Some(Account { user: user.to_lowercase(), domain })
    }
}

/// Query of a discovery request.
#[derive(serde::Deserialize)]
pub struct DiscoveryQuery {
    #[serde(rename = "Domain", alias = "domain")]
    pub domain: Option<String>,
}

pub type DomainQuery = Query<DiscoveryQuery>;
