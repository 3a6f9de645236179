//! Advice for the error codes of token services (RFC 6749, 4.1.2.1 and 5.2; RFC 8628, 3.5; OpenID Connect Core 1.0,
//! 3.1.2.6). The code selects the advice, because Microsoft's numbers (AADSTS) are only in the text of an error, and
//! change. Comments list the AADSTS numbers of a row; the causes are those of
//! learn.microsoft.com/entra/identity-platform/reference-error-codes.

use super::lines::Lines;
use crate::credential::oauth::TokenError;

/// A row of the table: the codes of one symptom, and its causes.
pub(super) struct Row {
    pub(super) codes: &'static [&'static str],
    pub(super) advice: Lines,
}

const QUOTE: &str = "Ask the administrator of the token service, and quote the message.";
const POLICY: &str =
    "Ask the owner of the conditional access policy, if the text names a policy, a device or a location.";
const CONSENT: &str = "Ask the tenant's administrator to consent to the application, and quote the message.";
const OTHER_FLOW: &str = "Set sign_in = \"browser\" or \"device-code\" in the profile, if the account needs a second factor or the tenant \
     blocks the sign-in with a password alone.";

pub(super) const ROWS: &[Row] = &[
    // 7000215, 7000222, 700027, 7000218.
    Row {
        codes: &["invalid_client"],
        advice: &[
            "Check client_id in the profile, and the secret, certificate or federated token of the application, which may \
             have expired.",
            "Permit public client flows for the application in the token service, if a user signs in.",
        ],
    },
    // 700016.
    Row {
        codes: &["unauthorized_client"],
        advice: &[
            "Check client_id and the tenant in authority: the application may be unknown there.",
            "Permit this flow for the application in the token service, or set another sign_in in the profile.",
        ],
    },
    Row {
        codes: &["unsupported_grant_type", "unsupported_response_type"],
        advice: &["Set another sign_in in the profile: the token service does not support this flow."],
    },
    // 90002.
    Row {
        codes: &["invalid_request"],
        advice: &["Check authority in the profile: its tenant may not exist.", QUOTE],
    },
    // 500011, 650052, 70011.
    Row {
        codes: &["invalid_scope", "invalid_resource", "invalid_target"],
        advice: &[
            "Check scope in the profile; without it, lyncsh requests all permissions of the application on the endpoint.",
            "Ask the tenant's administrator whether the tenant has subscribed to the service of the endpoint.",
        ],
    },
    // 50076, 50079, 50074, 53000, 53001, 53003.
    Row { codes: &["interaction_required"], advice: &[OTHER_FLOW, POLICY] },
    // 70043, 700082, 50173: the sign-in is too old, was not used, or was revoked.
    Row {
        codes: &["invalid_grant", "login_required"],
        advice: &[
            "Run the command again, and sign in: the earlier sign-in has expired or was revoked.",
            "Set another sign_in in the profile, if the tenant blocks this flow.",
            QUOTE,
        ],
    },
    // 65001.
    Row { codes: &["consent_required"], advice: &[CONSENT] },
    // 53003, 500021.
    Row {
        codes: &["access_denied", "authorization_declined"],
        advice: &[
            "Run the command again, sign in, and accept the request.",
            CONSENT,
            POLICY,
            "Ask the administrator of the network, if the text says that the proxy restricts tenants.",
        ],
    },
    Row {
        codes: &["expired_token", "code_expired", "bad_verification_code"],
        advice: &["Run the command again, and enter the code before it expires."],
    },
    Row { codes: &["temporarily_unavailable", "server_error", "slow_down"], advice: &["Try again later."] },
];

/// Advice for a refused password: AADSTS50126, 50034, 530035.
const PASSWORD: Lines =
    &["Check the account and its tenant, and store its password with `lyncsh login`.", OTHER_FLOW, POLICY];

fn of(code: &str) -> Lines {
    ROWS.iter().find(|row| row.codes.contains(&code)).map_or(&[QUOTE], |row| row.advice)
}

impl TokenError {
    /// Returns the instructions for the user.
    pub fn advice(&self) -> Option<String> {
        match self {
            Self::Refused { .. } => Some(PASSWORD.join("\n")),
            Self::Rejected { code, .. } => Some(of(code).join("\n")),
            error => miette::Diagnostic::help(error).map(|help| help.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credential::oauth::Operation;

    fn rejected(operation: Operation, code: &str) -> String {
        let (authority, code) = ("https://login.example".to_owned(), code.to_owned());
        TokenError::Rejected { operation, authority, code, detail: ": AADSTS1: text".to_owned() }
            .advice()
            .unwrap()
    }

    #[test]
    fn the_code_decides_and_not_the_number() {
        for (operation, code, part) in [
            (Operation::Application, "invalid_client", "client_id in the profile"),
            (Operation::Application, "unauthorized_client", "tenant in authority"),
            (Operation::DeviceToken, "expired_token", "before it expires"),
            (Operation::DeviceToken, "access_denied", "restricts tenants"),
            (Operation::Password, "interaction_required", "second factor"),
            (Operation::Code, "invalid_grant", "expired or was revoked"),
            (Operation::Browser, "consent_required", "consent to the application"),
            (Operation::Application, "invalid_resource", "has subscribed"),
            (Operation::Application, "unknown_code", "quote the message"),
        ] {
            let advice = rejected(operation, code);
            assert!(advice.contains(part), "{code}: {advice}");
        }
    }
}
