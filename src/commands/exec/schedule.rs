//! Schedule of many profiles: limits how many run at the same time, not counting slow ones, and keeps to the session
//! limits of accounts and tenants.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use crate::profile::Profile;

/// Time after which a running profile no longer takes a place.
pub const SLOW: Duration = Duration::from_secs(5);
/// Maximum number of running profiles, as a multiple of the places.
const MOST: usize = 4;

/// Waiting and running profiles, by index.
pub struct Schedule {
    places: usize,
    waiting: VecDeque<usize>,
    /// With their start; `None`: the command has ended, and the session is being removed.
    running: HashMap<usize, Option<Instant>>,
    /// Accounts and tenants of each profile.
    limits: Vec<Vec<Limit>>,
    in_use: HashMap<String, SessionCount>,
}

/// A session that was open before.
pub struct OpenSession {
    pub profile: Profile,
    /// It belongs to the profile's agent: commands of the profile use it.
    pub has_agent: bool,
}

/// Sessions of an account or a tenant.
#[derive(Clone, Copy, Debug, Default)]
struct SessionCount {
    /// Sessions of open shells.
    shells: usize,
    /// Sessions of running profiles.
    own: usize,
}

/// Maximum number of sessions of an account or a tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Limit {
    owner: String,
    sessions: usize,
}

impl Schedule {
    pub fn new(profiles: &[Profile], open: &[OpenSession], places: usize) -> Self {
        let mut in_use: HashMap<String, SessionCount> = HashMap::new();
        for limit in open.iter().flat_map(|one| limits(&one.profile)) {
            in_use.entry(limit.owner).or_default().shells += 1;
        }
        let limits_of_new = |profile: &Profile| {
            let has_agent = open.iter().any(|one| one.has_agent && one.profile.name == profile.name);
            if has_agent { Vec::new() } else { limits(profile) }
        };
        Self {
            places,
            waiting: (0..profiles.len()).collect(),
            running: HashMap::new(),
            limits: profiles.iter().map(limits_of_new).collect(),
            in_use,
        }
    }

    /// Takes the next profile that may start now.
    pub fn next(&mut self, now: Instant) -> Option<usize> {
        let since = self.running.values().flatten();
        let quick = since.filter(|since| now.duration_since(**since) < SLOW).count();
        if quick >= self.places || self.running.len() >= self.places * MOST {
            return None;
        }
        // If shells hold all sessions of an account, nothing that this command does frees one: the endpoint decides.
        let is_free = |limit: &Limit| {
            let used = self.in_use.get(&limit.owner).copied().unwrap_or_default();
            used.own == 0 || used.shells + used.own < limit.sessions
        };
        let at = self.waiting.iter().position(|one| self.limits[*one].iter().all(is_free))?;
        let one = self.waiting.remove(at)?;
        for limit in &self.limits[one] {
            self.in_use.entry(limit.owner.clone()).or_default().own += 1;
        }
        self.running.insert(one, Some(now));
        Some(one)
    }

    /// Notes the end of a profile's command: another profile gets its place while its session is being removed.
    pub fn leave(&mut self, one: usize) {
        if let Some(since) = self.running.get_mut(&one) {
            *since = None;
        }
    }

    /// Records the end of a profile, whose session is removed.
    pub fn end(&mut self, one: usize) {
        self.running.remove(&one);
        for limit in &self.limits[one] {
            if let Some(used) = self.in_use.get_mut(&limit.owner) {
                used.own = used.own.saturating_sub(1);
            }
        }
    }

    /// Returns the time at which the next running profile becomes slow.
    pub fn wakes(&self, now: Instant) -> Option<Instant> {
        self.running.values().flatten().map(|since| *since + SLOW).filter(|at| *at > now).min()
    }

    /// Takes the profiles that have not started.
    pub fn cancel(&mut self) -> Vec<usize> {
        self.waiting.drain(..).collect()
    }

    pub fn is_over(&self) -> bool {
        self.waiting.is_empty() && self.running.is_empty()
    }
}

/// Returns the session limits that apply to a profile.
fn limits(profile: &Profile) -> Vec<Limit> {
    let sessions = profile.kind.traits().sessions;
    let user = profile.user.as_deref().unwrap_or_default().to_lowercase();
    // Discovery and `uri` find the same service.
    let uri = profile.uri.as_ref().filter(|_| !profile.kind.traits().discovers);
    let place = uri.map(|uri| uri.origin().ascii_serialization()).unwrap_or_default();
    let tenant =
        profile.domain.clone().or_else(|| user.rsplit_once('@').map(|(_, domain)| domain.to_owned()));
    let of = |owner: String, sessions: Option<usize>| sessions.map(|sessions| Limit { owner, sessions });
    let account = of(format!("account {user} {place}"), sessions.of_account);
    let tenant =
        tenant.and_then(|tenant| of(format!("tenant {} {place}", tenant.to_lowercase()), sessions.of_tenant));
    account.into_iter().chain(tenant).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(name: &str, text: &str) -> Profile {
        let path = std::path::Path::new("x.toml");
        crate::profile::parse(name, path, text).expect(text)
    }

    fn lync(user: &str) -> Profile {
        profile("x", &format!("kind = \"lync-online\"\nuser = \"{user}\""))
    }

    fn wsman(user: &str) -> Profile {
        profile("x", &format!("kind = \"wsman\"\nuri = \"https://h/wsman\"\nuser = \"{user}\""))
    }

    fn started(schedule: &mut Schedule, now: Instant) -> Vec<usize> {
        std::iter::from_fn(|| schedule.next(now)).collect()
    }

    #[test]
    fn session_limits_of_accounts_and_tenants_are_respected() {
        let mut profiles = vec![lync("a@t.example"); 5];
        profiles.push(lync("a@other.example"));
        let now = Instant::now();
        let mut schedule = Schedule::new(&profiles, &[], 16);
        assert_eq!(started(&mut schedule, now), [0, 1, 2, 5]);
        schedule.end(1);
        assert_eq!(started(&mut schedule, now), [3]);
        // Two of its sessions are open: that of the profile `here` is used, the other counts.
        let opened = |profile: &Profile, has_agent| OpenSession { profile: profile.clone(), has_agent };
        let text = |name: &str, more: &str| {
            profile(name, &format!("kind = \"lync-online\"\nuser = \"a@t.example\"\n{more}"))
        };
        let (here, shell) = (text("here", ""), text("shell", "uri = \"https://h/\""));
        let profiles = [here.clone(), text("b", ""), text("c", "uri = \"https://h/\""), text("d", "")];
        let mut schedule = Schedule::new(&profiles, &[opened(&here, true), opened(&shell, true)], 16);
        assert_eq!(started(&mut schedule, now), [0, 1]);
        // A standalone session is not used.
        let open = [opened(&here, false), opened(&shell, true)];
        assert_eq!(started(&mut Schedule::new(&profiles, &open, 16), now), [0]);
        schedule.end(1);
        assert_eq!(started(&mut schedule, now), [2]);
        // Nothing of this command holds a session: the endpoint decides.
        let full = ["x", "y", "z"].map(|name| opened(&text(name, ""), true));
        let mut schedule = Schedule::new(&profiles[1..], &full, 16);
        assert_eq!(started(&mut schedule, now), [0]);
        schedule.end(0);
        assert_eq!(started(&mut schedule, now), [1]);
        let many: Vec<Profile> = (0..12).map(|at| lync(&format!("u{at}@t.example"))).collect();
        assert_eq!(started(&mut Schedule::new(&many, &[], 16), now).len(), 9);
    }

    #[test]
    fn a_profile_whose_session_is_being_removed_takes_no_place() {
        let now = Instant::now();
        let mut schedule = Schedule::new(&vec![wsman("a"); 12], &[], 2);
        assert_eq!(started(&mut schedule, now), [0, 1]);
        schedule.leave(0);
        assert_eq!(started(&mut schedule, now), [2]);
        schedule.end(0);
        assert!(started(&mut schedule, now).is_empty());
        (1..7).for_each(|one| {
            schedule.leave(one);
            started(&mut schedule, now);
        });
        // No more than four times the places.
        assert_eq!(schedule.running.len(), 8);
        schedule.leave(7);
        assert!(started(&mut schedule, now).is_empty());
        // The session still counts.
        let mut schedule = Schedule::new(&vec![lync("a@t.example"); 4], &[], 16);
        assert_eq!(started(&mut schedule, now), [0, 1, 2]);
        schedule.leave(0);
        assert!(started(&mut schedule, now).is_empty());
        schedule.end(0);
        assert_eq!(started(&mut schedule, now), [3]);
    }

    #[test]
    fn a_slow_profile_takes_no_place() {
        let profiles = vec![wsman("a"); 20];
        let start = Instant::now();
        let mut schedule = Schedule::new(&profiles, &[], 2);
        assert_eq!(started(&mut schedule, start), [0, 1]);
        assert_eq!(schedule.wakes(start), Some(start + SLOW));
        assert_eq!(started(&mut schedule, start + SLOW), [2, 3]);
        assert_eq!(started(&mut schedule, start + 2 * SLOW), [4, 5]);
        assert_eq!(started(&mut schedule, start + 3 * SLOW), [6, 7]);
        assert!(started(&mut schedule, start + 9 * SLOW).is_empty());
        (0..8).for_each(|one| schedule.end(one));
        assert_eq!(started(&mut schedule, start), [8, 9]);
        assert_eq!(schedule.cancel().len(), 10);
        (8..10).for_each(|one| schedule.end(one));
        assert!(schedule.is_over());
    }
}
