//! The answer of a token service.

use std::time::{Duration, Instant};

use oauth2::basic::BasicTokenType;
use oauth2::{AccessToken, RefreshToken, Scope, TokenResponse};
use secrecy::SecretString;
use secrecy::zeroize::Zeroizing;
use serde::{Deserialize, Deserializer, Serialize};

/// Maximum lifetime that is assumed for a token, whatever the service announces.
const MAX_LIFETIME: Duration = Duration::from_hours(24 * 30);

/// Minimum remaining lifetime of a token for a new connection.
const MIN_REMAINING_LIFETIME: Duration = Duration::from_mins(1);

/// A token for an endpoint.
#[derive(Clone, Debug)]
pub struct Token {
    pub secret: SecretString,
    /// The end of its lifetime, if the service announced it.
    pub expires: Option<Instant>,
}

impl Token {
    /// Returns whether the token is valid long enough for a new connection ([`MIN_REMAINING_LIFETIME`]).
    pub fn is_fresh(&self) -> bool {
        self.expires.is_some_and(|expires| expires > Instant::now() + MIN_REMAINING_LIFETIME)
    }
}

/// An answer with a token (RFC 6749, 5.1).
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Granted {
    access_token: AccessToken,
    #[serde(default = "bearer")]
    token_type: BasicTokenType,
    #[serde(default, deserialize_with = "seconds")]
    expires_in: Option<u64>,
    #[serde(default)]
    refresh_token: Option<RefreshToken>,
}

impl TokenResponse for Granted {
    type TokenType = BasicTokenType;

    fn access_token(&self) -> &AccessToken {
        &self.access_token
    }

    fn token_type(&self) -> &BasicTokenType {
        &self.token_type
    }

    fn expires_in(&self) -> Option<Duration> {
        self.expires_in.map(Duration::from_secs)
    }

    fn refresh_token(&self) -> Option<&RefreshToken> {
        self.refresh_token.as_ref()
    }

    fn scopes(&self) -> Option<&Vec<Scope>> {
        None
    }
}

impl Granted {
    /// Takes the refresh token from the answer.
    pub fn take_refresh_token(&mut self) -> Option<SecretString> {
        self.refresh_token.take().map(|refresh| wiped(refresh.into_secret()))
    }

    /// Returns the token.
    ///
    /// # Errors
    /// The answer cannot be used.
    pub fn token(self) -> Result<Token, &'static str> {
        let secret = wiped(self.access_token.into_secret());
        if !self.token_type.as_ref().eq_ignore_ascii_case("bearer") {
            return Err("its token is not a bearer token (token_type)");
        }
        let Some(seconds) = self.expires_in else {
            return Err("its token has no expiry (expires_in)");
        };
        Ok(Token { secret, expires: expiry(seconds) })
    }
}

fn wiped(text: String) -> SecretString {
    SecretString::from(Zeroizing::new(text).as_str())
}

/// Returns the end of a lifetime that begins now.
fn expiry(seconds: u64) -> Option<Instant> {
    Instant::now().checked_add(Duration::from_secs(seconds).min(MAX_LIFETIME))
}

fn bearer() -> BasicTokenType {
    BasicTokenType::Bearer
}

/// Reads a number, also from a string: version 1.0 of Microsoft's token service sends a string.
fn seconds<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Number {
        Whole(u64),
        Text(String),
        Other(serde::de::IgnoredAny),
    }
    Ok(match Option::<Number>::deserialize(from)? {
        Some(Number::Whole(number)) => Some(number),
        Some(Number::Text(text)) => text.trim().parse().ok(),
        Some(Number::Other(_)) | None => None,
    })
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    fn granted(rest: &str) -> Granted {
        serde_json::from_str(&format!(r#"{{"access_token":"abc"{rest}}}"#)).unwrap()
    }

    fn read(rest: &str) -> Result<Token, &'static str> {
        granted(rest).token()
    }

    #[test]
    fn an_answer_has_a_bearer_token_with_an_expiry() {
        let left = |rest: &str| {
            let expires = read(rest).unwrap().expires.unwrap();
            expires.duration_since(Instant::now()).as_secs_f64().round() as u64
        };
        assert_eq!(left(r#","token_type":"Bearer","expires_in":3600"#), 3600);
        assert_eq!(left(r#","expires_in":"3599""#), 3599);
        assert_eq!(left(&format!(r#","expires_in":{}"#, u64::MAX)), MAX_LIFETIME.as_secs());
        for rest in ["", r#","expires_in":null"#, r#","expires_in":"soon""#, r#","expires_in":-1"#] {
            assert_eq!(read(rest).unwrap_err(), "its token has no expiry (expires_in)", "{rest}");
        }
        let refused = read(r#","token_type":"mac","expires_in":1"#).unwrap_err();
        assert_eq!(refused, "its token is not a bearer token (token_type)");
        let refresh = granted(r#","refresh_token":"r""#).take_refresh_token();
        assert_eq!(refresh.unwrap().expose_secret(), "r");
    }

    #[test]
    fn secrets_are_not_in_debug_output() {
        let text = r#"{"access_token":"s3cret","refresh_token":"s3cret","expires_in":1}"#;
        let granted: Granted = serde_json::from_str(text).unwrap();
        assert!(!format!("{granted:?}").contains("s3cret"));
        assert!(!format!("{:?}", granted.token()).contains("s3cret"));
    }
}
