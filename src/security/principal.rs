//! Kerberos principals of accounts and services.

/// Returns an account's principal. The realm is converted to upper case: realms are case-sensitive (RFC 4120
/// §6.1), and Active Directory uses the DNS name of the domain in upper case.
///
/// `DOMAIN\user` becomes `user@DOMAIN`. If the domain is the first label of the default realm (`CORP` and
/// `CORP.EXAMPLE.COM`), it is the domain's short name, by which no KDC is found; the default realm replaces it.
/// `user` without a domain is unchanged: the library adds the default realm.
pub fn account(user: &str, default_realm: Option<&str>) -> String {
    if let Some((domain, name)) = user.split_once('\\') {
        let domain = domain.to_uppercase();
        let full = default_realm
            .filter(|realm| !domain.contains('.') && realm.split('.').next() == Some(domain.as_str()));
        return format!("{}@{}", escape(name), full.unwrap_or(&domain));
    }
    match user.rsplit_once('@') {
        Some((name, realm)) => format!("{}@{}", escape(name), realm.to_uppercase()),
        None => user.to_owned(),
    }
}

/// Escapes the separators of a principal.
fn escape(name: &str) -> String {
    name.replace('\\', "\\\\").replace('@', "\\@")
}

/// Returns a service's principal. Without a realm it ends with `@`: as on Windows, the KDC of the account's realm
/// then refers the client to the service's realm (RFC 6806 §8). The default realm of krb5.conf would be wrong for
/// an account of another realm.
pub fn service(service: &str) -> String {
    match service.rsplit_once('@') {
        Some((name, realm)) => format!("{name}@{}", realm.to_uppercase()),
        None => format!("{service}@"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_become_principals() {
        for (user, realm, principal) in [
            ("alice", None, "alice"),
            ("alice@litware.example", None, "alice@LITWARE.EXAMPLE"),
            ("alice/admin@Litware.example", None, "alice/admin@LITWARE.EXAMPLE"),
            (r"litware\alice", None, "alice@LITWARE"),
            (r"litware\alice", Some("LITWARE.EXAMPLE"), "alice@LITWARE.EXAMPLE"),
            (r"litware\alice", Some("CONTOSO.EXAMPLE"), "alice@LITWARE"),
            (r"sales.litware.example\alice", Some("SALES.EXAMPLE"), "alice@SALES.LITWARE.EXAMPLE"),
            (r"litware\alice@home", None, r"alice\@home@LITWARE"),
            ("alice@home@litware.example", None, r"alice\@home@LITWARE.EXAMPLE"),
        ] {
            assert_eq!(account(user, realm), principal, "{user}");
        }
    }

    #[test]
    fn services_have_the_realm_of_the_referral() {
        assert_eq!(service("HTTP/www.litware.example"), "HTTP/www.litware.example@");
        assert_eq!(service("HTTP/www@litware.example"), "HTTP/www@LITWARE.EXAMPLE");
    }
}
