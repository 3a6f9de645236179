//! Journal entry of one session: the data for its removal, and the rules for when to try the removal.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::agent::control::Guarded;
use crate::agent::notes::Notes;
#[cfg(doc)]
use crate::folders::Folders;
use crate::platform;
use crate::profile::Profile;
use crate::transport::wsman::StoredAffinity;

/// Delay before a failed removal is retried, and how often the delay is doubled.
const FIRST_PAUSE: Duration = Duration::from_secs(30);
const MAX_DOUBLINGS: u32 = 5;
/// Maximum delay between the idle timeout and the removal by the endpoint.
const MAX_REMOVAL_DELAY: Duration = Duration::from_mins(1);
/// Maximum time for which an endpoint keeps an unused session.
const MAX_LIFETIME: Duration = Duration::from_hours(24);
/// Maximum lifetime of a session whose Create was not answered: WinRM keeps an idle session for two hours
/// unless a shorter timeout was requested.
const MAX_LIFETIME_UNCREATED: Duration = Duration::from_hours(3);

/// Journal entry of one session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    pub profile: String,
    pub user: Option<String>,
    #[serde(flatten)]
    pub session: Guarded,
    pub process: u32,
    /// [`platform::start_time`] of that process.
    pub started: Option<u64>,
    pub written: SystemTime,
    /// Create was answered: a Delete can no longer overtake it.
    pub created: bool,
    /// Time limit of Create.
    #[serde(default)]
    pub open_limit: Duration,
    /// [`Profile::credential_target`] at that time.
    #[serde(default)]
    pub target: Option<String>,
    /// Idle timeout that the endpoint returned with the session.
    #[serde(default)]
    pub idle_timeout: Option<Duration>,
    /// Pool member of the session. [`Notes`] have the current one, but their file is not synced.
    #[serde(default, skip_serializing_if = "StoredAffinity::is_empty")]
    pub affinity: StoredAffinity,
    /// [`Folders::runtime`] of the owner, which has its socket.
    #[serde(default)]
    pub runtime: PathBuf,
    /// Time of the first failed removal.
    #[serde(default)]
    pub first_tried: Option<SystemTime>,
    /// Time of the last failed removal; `tries` counts them.
    #[serde(default)]
    pub tried: Option<SystemTime>,
    #[serde(default)]
    pub tries: u32,
    /// The endpoint or the proxy refused the password for the removal: it is not retried with the same password.
    #[serde(default)]
    pub refused: bool,
}

impl Entry {
    /// Creates the entry of a session that is about to be created by this process.
    pub fn new(profile: &Profile, session: Guarded) -> Self {
        let process = std::process::id();
        Self {
            profile: profile.name.clone(),
            user: profile.user.clone(),
            session,
            process,
            started: platform::start_time(process),
            written: SystemTime::now(),
            created: false,
            open_limit: profile.limits.open,
            target: Some(profile.credential_target()),
            idle_timeout: None,
            affinity: StoredAffinity::default(),
            runtime: PathBuf::new(),
            first_tried: None,
            tried: None,
            tries: 0,
            refused: false,
        }
    }

    /// Reads the notes on the session. The entry replaces what they lack.
    pub(super) fn notes(&self, path: PathBuf) -> Notes {
        Notes::read(path).with_fallback(self.idle_timeout, &self.affinity)
    }

    /// Returns the entry for a report, without cookies.
    pub fn without_cookies(self) -> Self {
        Self { affinity: StoredAffinity::default(), ..self }
    }

    /// Returns whether Create may still be in progress on the endpoint, which works on it for at most `limit` after
    /// its client has disconnected: at the first removal, else at the time limit of Create.
    pub fn may_be_in_progress(&self, limit: Duration) -> bool {
        let now = SystemTime::now();
        let disconnected = self.first_tried.or_else(|| self.written.checked_add(self.open_limit));
        let until = disconnected.and_then(|disconnected| disconnected.checked_add(limit));
        // A time in the future: the clock was set back.
        !self.created && self.written <= now && until.is_some_and(|until| now < until)
    }

    /// Returns whether the removal should be tried now. The delay grows with each failure, so that an
    /// unreachable endpoint does not slow down every start.
    pub fn is_due(&self) -> bool {
        if self.refused {
            return false;
        }
        let pause = FIRST_PAUSE * 2u32.pow(self.tries.saturating_sub(1).min(MAX_DOUBLINGS));
        // A time in the future: the clock was set back.
        self.tried.and_then(|tried| tried.elapsed().ok()).is_none_or(|ago| ago >= pause)
    }

    /// Returns whether the endpoint must have removed the session by itself. The time counts from the first failed
    /// removal, because the agent may have used the session for days before; and from the unanswered Delete of the
    /// notes, if the endpoint returned an idle timeout.
    pub fn is_expired(&self, notes: &Notes) -> bool {
        let with_delay = |idle: Duration| idle.saturating_add(MAX_REMOVAL_DELAY);
        let lifetime = match self.idle_timeout.map(with_delay) {
            Some(idle) if self.created => idle.min(MAX_LIFETIME),
            None if self.created => MAX_LIFETIME,
            _ => MAX_LIFETIME_UNCREATED,
        };
        let has_passed = |since: Option<SystemTime>, limit: Option<Duration>| {
            let elapsed = since.and_then(|since| since.elapsed().ok());
            elapsed.zip(limit).is_some_and(|(elapsed, limit)| elapsed > limit)
        };
        has_passed(self.first_tried, Some(lifetime))
            || has_passed(notes.unanswered_delete(), notes.idle_timeout().map(with_delay))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Returns an entry of a session that is about to be created.
    pub fn entry() -> Entry {
        let text = "kind = \"wsman\"\nuri = \"http://localhost:1/wsman\"\nuser = \"a@b.c\"";
        let profile = crate::profile::parse("work", std::path::Path::new("work.toml"), text).unwrap();
        let session = Guarded {
            endpoint: "http://localhost:1/OcsPowershellLiveId".parse().unwrap(),
            configuration: "c".into(),
            shell: uuid::Uuid::new_v4(),
        };
        Entry::new(&profile, session)
    }

    #[test]
    fn a_late_create_is_awaited() {
        let limit = Duration::from_mins(1);
        let ago = |seconds| SystemTime::now().checked_sub(Duration::from_secs(seconds)).unwrap();
        let uncreated = |written, first_tried: Option<u64>| {
            let open_limit = Duration::from_mins(1);
            Entry { written: ago(written), first_tried: first_tried.map(ago), open_limit, ..entry() }
        };
        // The owner was killed at any time until the limit of Create.
        assert!(uncreated(10, None).may_be_in_progress(limit));
        assert!(uncreated(110, None).may_be_in_progress(limit));
        assert!(!uncreated(130, None).may_be_in_progress(limit));
        // The owner gave up.
        assert!(uncreated(110, Some(50)).may_be_in_progress(limit));
        assert!(!uncreated(110, Some(70)).may_be_in_progress(limit));
        assert!(!Entry { created: true, ..uncreated(10, None) }.may_be_in_progress(limit));
        let later = SystemTime::now() + Duration::from_hours(1);
        assert!(!Entry { written: later, ..entry() }.may_be_in_progress(limit), "the clock was set back");
    }

    #[test]
    fn an_unconfirmed_session_expires_after_its_idle_timeout() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("x.json");
        let ago = |seconds| SystemTime::now() - Duration::from_secs(seconds);
        let write = |since: u64, idle_timeout: Option<Duration>| {
            let notes = serde_json::json!({ "doubtful": ago(since), "idle_timeout": idle_timeout });
            std::fs::write(&path, notes.to_string()).unwrap();
        };
        let created = Entry { created: true, ..entry() };
        let is_expired = |entry: &Entry| entry.is_expired(&entry.notes(path.clone()));
        for (idle, since, expired) in [(Some(60), 100, false), (Some(60), 130, true), (None, 7_400, false)] {
            write(since, idle.map(Duration::from_secs));
            assert_eq!(is_expired(&created), expired, "{idle:?} {since}");
        }
        // The notes of a crashed machine may be lost; the journal has the timeout and the pool member.
        write(130, None);
        let front_end = Some("EX1".to_owned());
        let affinity = StoredAffinity { front_end, ..StoredAffinity::default() };
        let idle_timeout = Some(Duration::from_mins(1));
        let entry = Entry { idle_timeout, affinity: affinity.clone(), ..created };
        assert!(is_expired(&entry) && entry.notes(path.clone()).stored_affinity() == affinity);
        std::fs::write(&path, "{").unwrap();
        assert!(!is_expired(&entry));
        // Without notes, the time counts from the first failed removal.
        std::fs::remove_file(&path).unwrap();
        assert!(!is_expired(&Entry { first_tried: Some(ago(100)), ..entry.clone() }));
        assert!(is_expired(&Entry { first_tried: Some(ago(130)), ..entry }));
    }
}
