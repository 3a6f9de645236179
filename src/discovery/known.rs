//! The last discovered endpoint of a profile, for the next connections.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use url::Url;

use crate::files::replace::{New, replace};
use crate::folders::Folders;
use crate::net::is_loopback;
use crate::platform;
use crate::profile::Profile;

/// Maximum age: an administrator may move a tenant.
const MAX_AGE: Duration = Duration::from_hours(24);

/// A discovered endpoint.
#[derive(Debug, Serialize, Deserialize)]
struct Known {
    domain: String,
    /// The first URI of the discovery.
    start: Url,
    uri: Url,
    found: SystemTime,
}

/// The file of a profile's last discovery.
#[derive(Debug)]
pub struct LastDiscovery(PathBuf);

impl LastDiscovery {
    pub fn of(folders: &Folders, profile: &str) -> Self {
        Self(folders.cache.join("discovery").join(format!("{profile}.json")))
    }

    /// Returns the endpoint of `domain`, and its age, if one of the first URIs led to it. Checks the endpoint again:
    /// the permitted hosts of the profile may have changed since.
    pub(super) fn read(
        &self,
        profile: &Profile,
        domain: &str,
        starts: &[Url],
        now: SystemTime,
    ) -> Option<(Url, Duration)> {
        let known: Known = serde_json::from_slice(&std::fs::read(&self.0).ok()?).ok()?;
        // A clock that was set back leaves times in the future.
        let age = now.duration_since(known.found).ok()?;
        let is_usable = age <= MAX_AGE
            && known.domain == domain
            && starts.contains(&known.start)
            && is_trusted(&known.start)
            && profile.hosts().check(&known.start, &known.uri).is_ok();
        is_usable.then_some((known.uri, age))
    }

    /// Writes an endpoint for the next connections, unless it was discovered over plain http.
    pub(super) fn write(&self, domain: &str, start: &Url, uri: &Url, now: SystemTime) {
        if !is_trusted(start) {
            return;
        }
        let known = Known { domain: domain.to_owned(), start: start.clone(), uri: uri.clone(), found: now };
        let written = || {
            if let Some(folder) = self.0.parent() {
                platform::private_folder(folder)?;
            }
            replace(&self.0, &serde_json::to_vec(&known)?, New::Private)
        };
        if let Err(error) = written() {
            tracing::debug!("cannot keep the discovered endpoint: {error}");
        }
    }

    /// Removes the endpoint.
    pub fn forget(&self) {
        if let Err(error) = std::fs::remove_file(&self.0)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::debug!("cannot drop the discovered endpoint: {error}");
        }
    }
}

/// Returns whether a result may be kept for later connections: anyone on the network can forge a response over plain
/// http.
fn is_trusted(start: &Url) -> bool {
    start.scheme() == "https" || is_loopback(start)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn profile(more: &str) -> Profile {
        let text = format!("kind = 'lync-online'\nuser = 'ken@litwareinc.com'\n{more}");
        crate::profile::parse("work", Path::new("work.toml"), &text).unwrap()
    }

    #[test]
    fn a_discovered_endpoint_is_kept_for_a_day_and_for_its_domain() {
        let (_folder, folders) = Folders::temporary();
        let last = LastDiscovery::of(&folders, "work");
        let starts: Vec<Url> =
            ["https://lyncdiscover.litwareinc.com/", "http://lyncdiscover.litwareinc.com/"]
                .map(|uri| uri.parse().unwrap())
                .into();
        let (now, uri) = (SystemTime::now(), "https://admin0d.online.lync.com/x".parse::<Url>().unwrap());
        let read = |domain: &str, starts: &[Url], after: u64| {
            let found = last.read(&profile(""), domain, starts, now + Duration::from_secs(after));
            found.map(|(uri, age)| (uri, age.as_secs()))
        };
        let domain = "litwareinc.com";
        assert_eq!(read(domain, &starts, 0), None);
        last.write(domain, &starts[0], &uri, now);
        assert_eq!(read(domain, &starts, 86_400), Some((uri.clone(), 86_400)));
        assert_eq!(read(domain, &starts, 86_401), None);
        assert_eq!(read("contoso.com", &starts, 0), None);
        assert_eq!(read(domain, &starts[1..], 0), None);
        assert!(last.read(&profile(""), domain, &starts, now - Duration::from_secs(9)).is_none());
        last.forget();
        assert_eq!(read(domain, &starts, 0), None);
        // An answer over plain http.
        last.write(domain, &starts[1], &uri, now);
        assert_eq!(read(domain, &starts, 0), None);
    }

    #[test]
    fn a_kept_endpoint_counts_only_on_permitted_hosts() {
        let (_folder, folders) = Folders::temporary();
        let last = LastDiscovery::of(&folders, "work");
        let start = ["https://lyncdiscover.litwareinc.com/".parse().unwrap()];
        let now = SystemTime::now();
        last.write("litwareinc.com", &start[0], &"https://ps.other.example/".parse().unwrap(), now);
        let read = |more: &str| last.read(&profile(more), "litwareinc.com", &start, now).is_some();
        assert!(!read("") && read("redirects = ['*.other.example']"));
        last.write("litwareinc.com", &start[0], &"http://lyncdiscover.litwareinc.com/".parse().unwrap(), now);
        assert!(!read(""));
    }
}
