//! Targets of redirects, and the hosts to which the credential may follow.

use url::Url;

use crate::net::{HostRefusal, Hosts, display, without_user};
use crate::transport::error::{Error, RedirectRefusal};

/// Checks whether the credential for `from` may be sent to the target of a redirect, and returns its URI.
///
/// # Errors
/// The target is not a URI, or the credential may not be sent to it.
pub fn check_redirect(from: &Url, target: &str, hosts: &Hosts) -> Result<Url, Error> {
    let refused = |refusal| refused_redirect(from, target, refusal);
    let uri = from.join(target).map_err(|_| refused(RedirectRefusal::NotUri))?;
    match hosts.check(from, &uri) {
        Ok(()) => Ok(without_user(uri)),
        Err(HostRefusal::NotHttps) => Err(refused(RedirectRefusal::NotHttps)),
        Err(HostRefusal::Foreign) => Err(refused(RedirectRefusal::Foreign)),
    }
}

/// Returns the error of a refused redirect. The target is shown without its user and its query, which may contain
/// tickets.
pub(super) fn refused_redirect(from: &Url, target: &str, refusal: RedirectRefusal) -> Error {
    let without_secrets = || {
        let path = target.split(['?', '#']).next().unwrap_or_default();
        path.rsplit('@').next().unwrap_or_default().to_owned()
    };
    let target = from.join(target).map_or_else(|_| without_secrets(), |uri| display(&uri));
    Error::Redirect { endpoint: display(from), target, refusal }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_shown_without_user_and_query() {
        let from: Url = "https://pool.example/wsman?x".parse().unwrap();
        let check = |target: &str| check_redirect(&from, target, &Hosts::of(&["*.example"]));
        for target in ["/other?ticket=1", "https://bob:secret@pool.example/other?ticket=1#x"] {
            assert_eq!(check(target).unwrap().as_str(), "https://pool.example/other?ticket=1");
        }
        for (target, shown) in [
            ("https://a:secret@evil.test/x?ticket=1#y", "to https://evil.test/x: the credential may not"),
            (
                "http://a:secret@pool.example/x?ticket=1",
                "to http://pool.example/x: the target is not an https",
            ),
            ("https://a:secret@[?ticket=1", "to [: the target is not a URI"),
        ] {
            let error = check(target).unwrap_err().to_string();
            assert!(error.contains(shown) && error.contains("from https://pool.example/wsman to"), "{error}");
        }
    }
}
