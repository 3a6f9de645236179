//! Challenges in `WWW-Authenticate` and `Proxy-Authenticate` headers (RFC 9110 11.6.1 and 11.7.1, RFC 4559).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::ContextError;

/// Maximum length of a token; http.sys accepts only 64 KB in all headers.
const MAX_TOKEN: usize = 1 << 20;
/// Maximum number of challenges; further ones are ignored.
const MAX_OFFERS: usize = 64;

/// One challenge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The scheme as the server wrote it; case-insensitive.
    pub scheme: String,
    /// The token of a security context, for `Negotiate`, `Kerberos` and `NTLM`.
    pub token: Option<Vec<u8>>,
}

impl Offer {
    pub fn is(&self, scheme: &str) -> bool {
        self.scheme.eq_ignore_ascii_case(scheme)
    }
}

fn malformed(reason: String) -> ContextError {
    ContextError::Malformed { what: "challenge", reason }
}

/// Reads the challenges of a response, in their order, from the values of these headers.
///
/// # Errors
/// A token is not base64 or longer than 1 MB.
pub fn offers<V: AsRef<[u8]>>(headers: impl IntoIterator<Item = V>) -> Result<Vec<Offer>, ContextError> {
    let mut offers: Vec<Offer> = Vec::new();
    for header in headers {
        let mut rest = Cursor(header.as_ref());
        // Parameters belong to a challenge that begins in the same header.
        let first = offers.len();
        while offers.len() < MAX_OFFERS {
            rest.skip(|byte| matches!(byte, b' ' | b'\t' | b','));
            if rest.0.is_empty() {
                break;
            }
            let name = rest.take(is_token);
            // A token without a letter is not a scheme.
            if !name.iter().any(u8::is_ascii_alphabetic) {
                // Invalid syntax: continue after the next comma.
                rest.skip_element();
                continue;
            }
            let after = rest;
            rest.skip(is_space);
            if rest.0.first() == Some(&b'=') && offers.len() > first {
                rest.skip_element();
                continue;
            }
            let scheme = String::from_utf8_lossy(name).into_owned();
            let mut offer = Offer { scheme, token: None };
            if after.0.first().copied().is_some_and(is_space)
                && let Some(token) = rest.token68()
                && ["Negotiate", "Kerberos", "NTLM"].iter().any(|scheme| offer.is(scheme))
            {
                offer.token = Some(decode(&offer.scheme, token)?);
            }
            offers.push(offer);
        }
    }
    Ok(offers)
}

/// Returns the schemes of challenges.
pub fn names(offers: &[Offer]) -> Vec<String> {
    offers.iter().map(|offer| offer.scheme.clone()).collect()
}

fn decode(scheme: &str, token: &[u8]) -> Result<Vec<u8>, ContextError> {
    if token.len() > MAX_TOKEN {
        return Err(malformed(format!("the token of {scheme} has {} bytes, over {MAX_TOKEN}", token.len())));
    }
    STANDARD.decode(token).map_err(|error| malformed(format!("the token of {scheme} is not base64: {error}")))
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[derive(Clone, Copy)]
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, wanted: impl Fn(u8) -> bool) -> &'a [u8] {
        let end = self.0.iter().position(|byte| !wanted(*byte)).unwrap_or(self.0.len());
        let (taken, rest) = self.0.split_at(end);
        self.0 = rest;
        taken
    }

    fn skip(&mut self, unwanted: impl Fn(u8) -> bool) {
        self.take(unwanted);
    }

    /// Skips to the next comma that is not in a quoted string.
    fn skip_element(&mut self) {
        while let Some(&byte) = self.0.first() {
            match byte {
                b',' => return,
                b'"' => self.skip_quoted(),
                _ => self.0 = &self.0[1..],
            }
        }
    }

    /// Parses a `token68` that ends at the next comma.
    fn token68(&mut self) -> Option<&'a [u8]> {
        let mut ahead = *self;
        let start = ahead.0;
        let letters = ahead.take(|byte| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte)).len();
        let padding = ahead.take(|byte| byte == b'=').len();
        ahead.skip(is_space);
        if letters == 0 || !matches!(ahead.0.first(), None | Some(b',')) {
            return None;
        }
        *self = ahead;
        Some(&start[..letters + padding])
    }

    /// Skips a quoted string; an unterminated string ends with the header.
    fn skip_quoted(&mut self) {
        let mut bytes = self.0.iter().copied().enumerate().skip(1);
        while let Some((at, byte)) = bytes.next() {
            match byte {
                b'"' => {
                    self.0 = &self.0[at + 1..];
                    return;
                }
                b'\\' => drop(bytes.next()),
                _ => {}
            }
        }
        self.0 = &[];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(headers: &[&str]) -> Vec<String> {
        offers(headers).unwrap().into_iter().map(|offer| offer.scheme).collect()
    }

    #[test]
    fn schemes_are_found_in_lists_and_in_several_headers() {
        assert_eq!(
            names(&["Negotiate", "Kerberos", "Basic realm=\"WSMAN\""]),
            ["Negotiate", "Kerberos", "Basic"]
        );
        assert_eq!(
            names(&["Negotiate, NTLM,Basic realm=x, charset=\"UTF-8\""]),
            ["Negotiate", "NTLM", "Basic"]
        );
        assert_eq!(names(&[", ,Negotiate ,, "]), ["Negotiate"]);
        assert_eq!(names(&[""]), Vec::<String>::new());
    }

    #[test]
    fn text_in_quotes_is_not_an_offer() {
        let found = offers(["Basic realm=\"a \\\"b\\\", Negotiate YII=\", Kerberos"]).unwrap();
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].scheme, "Basic");
        assert_eq!(found[1].scheme, "Kerberos");
        assert_eq!(names(&["Basic realm=\"no end, Negotiate"]), ["Basic"]);
        assert_eq!(names(&["Digest nonce=\"a,b\" , qop = \"auth,int\", Negotiate"]), ["Digest", "Negotiate"]);
    }

    #[test]
    fn tokens_are_decoded() {
        let found = offers(["Basic realm=\"x\", negotiate TlRMTVNTUAA=, Bearer abc.def"]).unwrap();
        assert_eq!(found[1].token.as_deref(), Some(b"NTLMSSP\0".as_slice()));
        assert!(found[1].is("Negotiate"));
        assert_eq!((found[2].scheme.as_str(), &found[2].token), ("Bearer", &None));
    }

    #[test]
    fn wrong_and_long_tokens_are_errors() {
        assert!(offers(["Negotiate ab"]).is_err());
        let long = format!("Negotiate {}", "A".repeat(MAX_TOKEN + 4));
        let error = offers([long]).unwrap_err();
        assert!(error.to_string().contains("1048580 bytes"), "{error}");
        assert!(offers([format!("Negotiate {}", "A".repeat(MAX_TOKEN))]).is_ok());
    }

    #[test]
    fn invalid_challenges_are_skipped() {
        assert_eq!(names(&["\u{e9}\u{e9} @, Negotiate"]), ["Negotiate"]);
        assert_eq!(names(&["realm=\"x\", Negotiate"]).last().map(String::as_str), Some("Negotiate"));
        let many = "Negotiate,".repeat(1000);
        assert_eq!(names(&[&many]).len(), MAX_OFFERS);
    }

    proptest::proptest! {
        #[test]
        fn any_header_is_read_without_panic(header: Vec<u8>) {
            let _ = offers([header]);
        }

        #[test]
        fn any_list_is_read_without_panic(header in "([A-Za-z]{1,3}|[ ,=\"\\\\])*") {
            let _ = offers([header]);
        }
    }
}
