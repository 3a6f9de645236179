//! Error codes of Kerberos and Windows' SSPI as one set of problems.

/// Reason why Kerberos or SSPI refuses to authenticate. Codes of different libraries with the same meaning are one
/// problem. The instructions for the user are in [`advice`](crate::advice).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum KerberosProblem {
    /// KDC_ERR_PREAUTH_FAILED (RFC 4120): the key of the password does not decrypt the timestamp.
    #[error("the KDC refused the password")]
    WrongPassword,
    /// SSPI's code for a wrong password and for an unknown, disabled or locked account.
    #[error("the logon was denied")]
    LogonDenied,
    /// KDC_ERR_C_PRINCIPAL_UNKNOWN: the realm has no account of this name.
    #[error("the KDC does not know the account")]
    UnknownClient,
    /// KDC_ERR_S_PRINCIPAL_UNKNOWN, SEC_E_TARGET_UNKNOWN: no account has the service principal `HTTP/HOST`.
    #[error("the KDC does not know the service principal")]
    UnknownService,
    /// KDC_ERR_CLIENT_REVOKED: the account is disabled, or locked after wrong passwords.
    #[error("the account is locked or disabled")]
    AccountRevoked,
    /// KDC_ERR_NAME_EXP, KDC_ERR_CLIENT_NOTYET: the date is outside of the account's validity.
    #[error("the account has expired or is not valid yet")]
    AccountExpired,
    /// KDC_ERR_KEY_EXPIRED: the user must change the password before the KDC issues a ticket.
    #[error("the password has expired")]
    PasswordExpired,
    /// KDC_ERR_SERVICE_EXP, KDC_ERR_SERVICE_REVOKED, KDC_ERR_SERVICE_NOTYET: concerns the account of the server.
    #[error("the service's account is disabled or has expired")]
    ServiceDisabled,
    /// KDC_ERR_POLICY, SEC_E_DELEGATION_POLICY, SEC_E_POLICY_NLTM_ONLY: for example on logon hours, computers or
    /// delegation.
    #[error("a KDC policy forbids the request")]
    Policy,
    /// KDC_ERR_BADOPTION: for example delegation, which the accounts do not permit.
    #[error("the KDC cannot grant the requested option")]
    Option,
    /// KRB_AP_ERR_TKT_EXPIRED, KDC_ERR_TGT_REVOKED, SEC_E_CONTEXT_EXPIRED: its end time has passed, or it was revoked.
    #[error("the ticket has expired")]
    TicketExpired,
    /// KRB_AP_ERR_TKT_NYV: the ticket is postdated, or the server's clock is behind the KDC's.
    #[error("the ticket is not valid yet")]
    TicketNotYetValid,
    /// KRB_AP_ERR_SKEW, KRB5_KDCREP_SKEW, SEC_E_TIME_SKEW: by default, 5 minutes are permitted.
    #[error("the clocks differ too much")]
    ClockSkew,
    /// The service cannot read the ticket.
    #[error("the service does not have the key of the ticket")]
    WrongServiceKey,
    /// KRB_AP_ERR_BAD_INTEGRITY (RFC 4120): from a KDC without pre-authentication, the password is wrong; from a
    /// service, the keys differ.
    #[error("the keys do not match")]
    KeyMismatch,
    /// KRB5_KDC_UNREACH, KDC_ERR_SVC_UNAVAILABLE, SEC_E_NO_AUTHENTICATING_AUTHORITY: network, DNS or port 88.
    #[error("no KDC answers")]
    KdcUnreachable,
    /// KRB5_REALM_UNKNOWN, KDC_ERR_WRONG_REALM: neither krb5.conf nor DNS has the KDCs of the realm.
    #[error("the realm is not known")]
    RealmUnknown,
    /// KRB5_CONFIG_NODEFREALM: the user name has no realm, and krb5.conf has no default_realm.
    #[error("there is no default realm")]
    NoDefaultRealm,
    /// KRB5_CONFIG_CANTOPEN, KRB5_CONFIG_BADFORMAT: krb5.conf is unreadable or malformed.
    #[error("the Kerberos configuration cannot be read")]
    Configuration,
    /// KRB5_CC_NOTFOUND, GSS_S_NO_CRED, SEC_E_NO_CREDENTIALS: the ticket cache is missing or empty.
    #[error("there is no Kerberos ticket")]
    NoTicket,
    /// KRB5_KT_NOTFOUND: the acceptor's keytab lacks the principal or the key version. Only for servers.
    #[error("the keytab has no key for this")]
    NoKey,
    /// KDC_ERR_ETYPE_NOSUPP, SEC_E_KDC_UNKNOWN_ETYPE: the account, the KDC and this computer share no type.
    #[error("the encryption type is not supported")]
    EncryptionType,
    /// KDC_ERR_PADATA_TYPE_NOSUPP: the account requires for example a smart card.
    #[error("the kind of pre-authentication is not supported")]
    Preauthentication,
    /// GSS_S_BAD_BINDINGS, SEC_E_BAD_BINDINGS: the client and the server see different TLS certificates (RFC 5929).
    #[error("the channel binding is wrong")]
    ChannelBinding,
    /// KRB_AP_ERR_REPEAT: the acceptor has already received this authenticator.
    #[error("a token was sent twice")]
    Replay,
    /// KRB_AP_ERR_BADORDER, SEC_E_OUT_OF_SEQUENCE, or a supplementary bit of GSSAPI (RFC 2743, 1.2.3).
    #[error("a message is old, repeated, missing or out of sequence")]
    Sequence,
    /// GSS_S_BAD_SIG, SEC_E_MESSAGE_ALTERED: the message was changed on its way, or has another key.
    #[error("a signature is wrong")]
    Signature,
    /// KRB5_MUTUAL_FAILED, SEC_E_MUTUAL_AUTH_FAILED: the answer does not prove that the server has the key.
    #[error("the peer failed to prove its identity")]
    MutualAuthentication,
    /// GSS_S_DEFECTIVE_TOKEN, SEC_E_INVALID_TOKEN: the peer or an intermediary sent other data.
    #[error("the token is not valid")]
    InvalidToken,
    /// SEC_E_DOWNGRADE_DETECTED: Windows detected a possible attempt to force a weaker method.
    #[error("the authentication was downgraded")]
    Downgrade,
    /// GSS_S_BAD_MECH, SEC_E_UNSUPPORTED_FUNCTION, SEC_E_SECPKG_NOT_FOUND: the library lacks the mechanism.
    #[error("the library cannot do this")]
    Unsupported,
    /// A status of GSSAPI without a more specific cause, such as GSS_S_FAILURE.
    #[error("Kerberos failed")]
    Other,
}

impl KerberosProblem {
    /// Every problem, for tables and tests.
    #[cfg(test)]
    pub(crate) const ALL: [Self; 32] = [
        Self::WrongPassword,
        Self::LogonDenied,
        Self::UnknownClient,
        Self::UnknownService,
        Self::AccountRevoked,
        Self::AccountExpired,
        Self::PasswordExpired,
        Self::ServiceDisabled,
        Self::Policy,
        Self::Option,
        Self::TicketExpired,
        Self::TicketNotYetValid,
        Self::ClockSkew,
        Self::WrongServiceKey,
        Self::KeyMismatch,
        Self::KdcUnreachable,
        Self::RealmUnknown,
        Self::NoDefaultRealm,
        Self::Configuration,
        Self::NoTicket,
        Self::NoKey,
        Self::EncryptionType,
        Self::Preauthentication,
        Self::ChannelBinding,
        Self::Replay,
        Self::Sequence,
        Self::Signature,
        Self::MutualAuthentication,
        Self::InvalidToken,
        Self::Downgrade,
        Self::Unsupported,
        Self::Other,
    ];

    /// Returns the problem of a krb5 error code from MIT's `krb5_err.et` (the same in Heimdal) or
    /// `gssapi_err_krb5.et`; `None` for other codes.
    ///
    /// The first 128 codes are those of RFC 4120 §7.5.9, counted from -1765328384.
    pub fn of_krb5(code: i64) -> Option<Self> {
        /// ERROR_TABLE_BASE_krb5.
        const PROTOCOL: i64 = -1_765_328_384;
        Some(match code - PROTOCOL {
            6 => Self::UnknownClient,
            7 => Self::UnknownService,
            1 | 21 => Self::AccountExpired,
            2 | 19 | 22 => Self::ServiceDisabled,
            12 => Self::Policy,
            13 => Self::Option,
            14 | 15 => Self::EncryptionType,
            // KDC_ERR_PADATA_TYPE_NOSUPP, for example if a smart card is required.
            16 => Self::Preauthentication,
            18 => Self::AccountRevoked,
            20 | 32 => Self::TicketExpired,
            23 => Self::PasswordExpired,
            24 => Self::WrongPassword,
            // The KDC's own service is unavailable.
            29 => Self::KdcUnreachable,
            31 => Self::KeyMismatch,
            33 => Self::TicketNotYetValid,
            34 => Self::Replay,
            // Ticket for another service; modified message; key version; no key.
            35 | 41 | 44 | 45 => Self::WrongServiceKey,
            37 => Self::ClockSkew,
            39 | 40 => Self::InvalidToken,
            42 | 49 => Self::Sequence,
            46 => Self::MutualAuthentication,
            68 => Self::RealmUnknown,
            _ => match code {
                // KRB5_KDCREP_SKEW.
                -1_765_328_236 => Self::ClockSkew,
                // KRB5_KDC_UNREACH.
                -1_765_328_228 => Self::KdcUnreachable,
                // KRB5_REALM_UNKNOWN, KRB5_REALM_CANT_RESOLVE, KRB5_ERR_HOST_REALM_UNKNOWN.
                -1_765_328_230 | -1_765_328_164 | -1_765_328_167 => Self::RealmUnknown,
                // KRB5_CONFIG_NODEFREALM.
                -1_765_328_160 => Self::NoDefaultRealm,
                // KRB5_CONFIG_CANTOPEN, KRB5_CONFIG_BADFORMAT.
                -1_765_328_249 | -1_765_328_248 => Self::Configuration,
                // KRB5_CC_NOTFOUND, KRB5_NO_TKT_SUPPLIED, KRB5_FCC_NOFILE, KRB5_CC_END.
                -1_765_328_243 | -1_765_328_241 | -1_765_328_189 | -1_765_328_242 => Self::NoTicket,
                // KG_CCACHE_NOMATCH, KG_TGT_MISSING, KG_EMPTY_CCACHE.
                39_756_032 | 39_756_034 | 39_756_044 => Self::NoTicket,
                // KRB5_KT_NOTFOUND, KRB5_KT_KVNONOTFOUND, KG_KEYTAB_NOMATCH.
                -1_765_328_203 | -1_765_328_154 | 39_756_033 => Self::NoKey,
                // KRB5_PROG_ETYPE_NOSUPP, KRB5_BAD_ENCTYPE, KRB5_CONFIG_ETYPE_NOSUPP.
                -1_765_328_234 | -1_765_328_196 | -1_765_328_147 => Self::EncryptionType,
                // KRB5_PREAUTH_BAD_TYPE, KRB5_PREAUTH_FAILED: no type that both sides support.
                -1_765_328_176 | -1_765_328_174 => Self::Preauthentication,
                // KRB5_MUTUAL_FAILED.
                -1_765_328_226 => Self::MutualAuthentication,
                // KRB5KRB_AP_WRONG_PRINC: "Wrong principal in request".
                -1_765_328_240 => Self::WrongServiceKey,
                // KG_BAD_SEQ.
                39_756_043 => Self::Sequence,
                _ => return None,
            },
        })
    }

    /// Returns the problem of a GSSAPI major status (RFC 2744 §3.9.1), if the minor status is unknown.
    pub fn of_gss(major: u32) -> Self {
        if major >> 16 == 0 {
            // The low bits (RFC 2743 §1.2.3): duplicate, old, unsequenced, gap.
            return if major & 0b1_1110 != 0 { Self::Sequence } else { Self::Other };
        }
        match major >> 16 & 0xff {
            4 => Self::ChannelBinding,
            6 => Self::Signature,
            7 => Self::NoTicket,
            9 => Self::InvalidToken,
            11 => Self::TicketExpired,
            // GSS_S_CONTEXT_EXPIRED: the ticket of an established context.
            12 => Self::TicketExpired,
            1 | 16 => Self::Unsupported,
            _ => Self::Other,
        }
    }

    /// Returns the problem of an SSPI status (winerror.h); `None` for other codes.
    pub fn of_sspi(code: u32) -> Option<Self> {
        Some(match code {
            // SEC_E_LOGON_DENIED.
            0x8009_030c => Self::LogonDenied,
            // SEC_E_TARGET_UNKNOWN.
            0x8009_0303 => Self::UnknownService,
            // SEC_E_WRONG_PRINCIPAL.
            0x8009_0322 => Self::WrongServiceKey,
            // SEC_E_NO_AUTHENTICATING_AUTHORITY.
            0x8009_0311 => Self::KdcUnreachable,
            // SEC_E_NO_CREDENTIALS.
            0x8009_030e => Self::NoTicket,
            // SEC_E_INVALID_TOKEN.
            0x8009_0308 => Self::InvalidToken,
            // SEC_E_BAD_BINDINGS.
            0x8009_0346 => Self::ChannelBinding,
            // SEC_E_TIME_SKEW.
            0x8009_0324 => Self::ClockSkew,
            // SEC_E_CONTEXT_EXPIRED.
            0x8009_0317 => Self::TicketExpired,
            // SEC_E_MESSAGE_ALTERED.
            0x8009_030f => Self::Signature,
            // SEC_E_OUT_OF_SEQUENCE.
            0x8009_0310 => Self::Sequence,
            // SEC_E_ALGORITHM_MISMATCH, SEC_E_KDC_UNKNOWN_ETYPE.
            0x8009_0331 | 0x8009_0342 => Self::EncryptionType,
            // SEC_E_DOWNGRADE_DETECTED.
            0x8009_0350 => Self::Downgrade,
            // SEC_E_DELEGATION_POLICY, SEC_E_POLICY_NLTM_ONLY.
            0x8009_035e | 0x8009_035f => Self::Policy,
            // SEC_E_UNSUPPORTED_FUNCTION, SEC_E_SECPKG_NOT_FOUND, SEC_E_QOP_NOT_SUPPORTED.
            0x8009_0302 | 0x8009_0305 | 0x8009_030a => Self::Unsupported,
            // SEC_E_MUTUAL_AUTH_FAILED.
            0x8009_0363 => Self::MutualAuthentication,
            _ => return None,
        })
    }

    /// Returns whether the account or its password was refused, so that another attempt may lock the account.
    /// Includes [`Self::KeyMismatch`], the only sign of a wrong password without pre-authentication.
    pub fn is_refused_credential(self) -> bool {
        matches!(
            self,
            Self::WrongPassword
                | Self::LogonDenied
                | Self::UnknownClient
                | Self::AccountRevoked
                | Self::AccountExpired
                | Self::PasswordExpired
                | Self::KeyMismatch
        )
    }

    /// Returns whether `negotiate` may fall back to NTLM, which needs no KDC, realm or service principal.
    ///
    /// Never after a refused credential, because a second attempt would count towards a lockout, and never after a
    /// failed proof of the peer's identity.
    pub fn allows_ntlm(self) -> bool {
        matches!(
            self,
            Self::KdcUnreachable
                | Self::RealmUnknown
                | Self::NoDefaultRealm
                | Self::UnknownService
                | Self::NoTicket
        )
    }
}

#[cfg(test)]
mod tests {
    use super::KerberosProblem as Problem;

    #[test]
    fn codes_map_to_their_documented_problems() {
        for (code, problem) in [
            (-1_765_328_360, Problem::WrongPassword),
            (-1_765_328_378, Problem::UnknownClient),
            (-1_765_328_377, Problem::UnknownService),
            (-1_765_328_352, Problem::TicketExpired),
            (-1_765_328_347, Problem::ClockSkew),
            (-1_765_328_349, Problem::WrongServiceKey),
            (-1_765_328_228, Problem::KdcUnreachable),
            (-1_765_328_230, Problem::RealmUnknown),
            (-1_765_328_243, Problem::NoTicket),
            (-1_765_328_160, Problem::NoDefaultRealm),
            (-1_765_328_366, Problem::AccountRevoked),
            (-1_765_328_361, Problem::PasswordExpired),
            (-1_765_328_370, Problem::EncryptionType),
        ] {
            assert_eq!(Problem::of_krb5(code), Some(problem), "{code}");
        }
        // A code of SPNEGO, a system error, and success.
        for code in [100_001, 2, 0] {
            assert_eq!(Problem::of_krb5(code), None, "{code}");
        }
        assert_eq!(Problem::of_sspi(0x8009_030c), Some(Problem::LogonDenied));
        assert_eq!(Problem::of_sspi(0), None);
        assert_eq!(Problem::of_gss(4 << 16), Problem::ChannelBinding);
        assert_eq!(Problem::of_gss(16), Problem::Sequence);
        assert_eq!(Problem::of_gss(13 << 16), Problem::Other);
    }

    #[test]
    fn a_refused_credential_never_falls_back_to_ntlm() {
        let both = |one: &Problem| one.is_refused_credential() && one.allows_ntlm();
        assert_eq!(Problem::ALL.into_iter().find(both), None);
    }
}
