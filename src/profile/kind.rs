//! Kinds of connection: each is data here, an example in `profiles/`, and at most one template.

/// What a profile connects to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    LyncOnline,
    SkypeServer,
    ExchangeServer,
    Wsman,
    Ssh,
}
