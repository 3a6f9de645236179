//! The lines of advice for a symptom.

/// The advice for one symptom: a line for each cause.
pub type Lines = &'static [&'static str];

/// Service behind an endpoint, derived from the path of its URI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Service {
    /// `/PowerShell/` of Exchange Server.
    Exchange,
    /// `/OcsPowershell` of Lync Server and Skype for Business Server.
    Lync,
    Other,
}

impl Service {
    pub fn of(endpoint: &str) -> Self {
        let after_scheme = endpoint.split_once("://").map_or(endpoint, |(_, rest)| rest);
        let path = after_scheme.split_once('/').map_or("", |(_, path)| path).to_ascii_lowercase();
        match path.as_str() {
            path if path.starts_with("powershell") => Self::Exchange,
            path if path.starts_with("ocspowershell") => Self::Lync,
            _ => Self::Other,
        }
    }
}

/// The causes of one status: at any endpoint, at Exchange and at Lync.
pub(super) struct Causes {
    pub any: Lines,
    pub exchange: Lines,
    pub lync: Lines,
}

impl Causes {
    pub const fn any(any: Lines) -> Self {
        Self { any, exchange: &[], lync: &[] }
    }

    pub fn at(&self, endpoint: &str) -> Vec<&'static str> {
        let more = match Service::of(endpoint) {
            Service::Exchange => self.exchange,
            Service::Lync => self.lync,
            Service::Other => &[],
        };
        [self.any, more].concat()
    }
}

pub(super) fn owned(lines: &[&str]) -> Vec<String> {
    lines.iter().map(|line| (*line).to_owned()).collect()
}
