//! The template of `lyncsh status --format`.

use crate::agent::control::Status;
use crate::commands::usage::usage;
use crate::nearest::nearest;
use crate::screen::{clean_line, format_seconds};

/// Formats a field of an agent.
type Value = fn(&Status) -> String;

/// Fields and their values. A value that is not known is empty.
const FIELDS: [(&str, Value); 16] = [
    ("name", |status| status.profile.clone()),
    ("shells", |status| status.shells.len().to_string()),
    ("state", |status| if status.open.is_some() { "open" } else { "connecting" }.to_owned()),
    ("process", |status| status.process.to_string()),
    ("user", |status| status.user.clone().unwrap_or_default()),
    ("endpoint", |status| text(status.endpoint.as_ref())),
    ("session", |status| text(status.session)),
    ("since", |status| status.open.map(format_seconds).unwrap_or_default()),
    (USED, |status| text(status.used)),
    ("allowed", |status| text(status.allowed)),
    ("running", |status| status.traffic.running.to_string()),
    ("queued", |status| status.traffic.queued.to_string()),
    ("pipelines", |status| status.traffic.pipelines.to_string()),
    ("received", |status| status.traffic.received.to_string()),
    ("sent", |status| status.traffic.sent.to_string()),
    ("errors", |status| status.traffic.errors.to_string()),
];

/// The field whose value the agent requests from the endpoint.
const USED: &str = "used";

fn text(value: Option<impl std::fmt::Display>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    /// An index into [`FIELDS`].
    Field(usize),
}

/// Text with fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(Vec<Part>);

impl Template {
    /// Parses `{name}` as a field, and `{{` and `}}` as braces.
    pub fn parse(template: &str) -> miette::Result<Self> {
        let (mut parts, mut text) = (Vec::new(), String::new());
        let mut letters = template.chars().peekable();
        while let Some(letter) = letters.next() {
            match letter {
                '{' | '}' if letters.next_if_eq(&letter).is_some() => text.push(letter),
                '{' => {
                    let mut name = String::new();
                    let end = letters.by_ref().find(|letter| {
                        name.push(*letter);
                        *letter == '}'
                    });
                    if end.is_none() || name.pop().is_none() {
                        return Err(unbalanced('{'));
                    }
                    parts.extend([Part::Text(std::mem::take(&mut text)), Part::Field(field(&name)?)]);
                }
                '}' => return Err(unbalanced('}')),
                letter => text.push(letter),
            }
        }
        parts.push(Part::Text(text));
        Ok(Self(parts))
    }

    /// Returns whether the agent must query the endpoint for a field.
    pub fn queries_endpoint(&self) -> bool {
        self.0.iter().any(|part| matches!(part, Part::Field(at) if FIELDS[*at].0 == USED))
    }

    /// Formats an agent as one line.
    pub fn line(&self, status: &Status) -> String {
        self.format(|at| FIELDS[at].1(status))
    }

    /// Formats an agent that does not answer: only its profile and its process are known.
    pub fn silent(&self, profile: &str, process: Option<u32>) -> String {
        self.format(|at| match FIELDS[at].0 {
            "name" => profile.to_owned(),
            "process" => text(process),
            _ => String::new(),
        })
    }

    fn format(&self, value: impl Fn(usize) -> String) -> String {
        let part = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            // A prompt is displayed as it is.
            Part::Field(at) => clean_line(&value(*at)).into_string(),
        };
        self.0.iter().map(part).chain(["\n".to_owned()]).collect()
    }
}

fn field(name: &str) -> miette::Result<usize> {
    let names = || FIELDS.iter().map(|(name, _)| *name);
    names().position(|known| known == name).ok_or_else(|| {
        let help = match nearest(name, names()) {
            Some(near) => format!("did you mean '{near}'?"),
            None => format!("fields: {}", names().collect::<Vec<_>>().join(", ")),
        };
        usage!(help = help, "--format has no field '{name}'")
    })
}

fn unbalanced(brace: char) -> miette::Report {
    usage!(
        help = format!("write '{brace}{brace}' for a brace"),
        "expected a field such as '{{name}}', got a single '{brace}'"
    )
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::agent::control::{Attached, Traffic};

    fn status() -> Status {
        let shell = Attached { program: None, process: None, attached: None, commands: Vec::new() };
        Status {
            profile: "work".into(),
            version: None,
            process: 7,
            user: Some("a@b.c\u{1b}[2J".into()),
            endpoint: None,
            session: None,
            open: Some(std::time::Duration::from_secs(65)),
            shells: vec![shell.clone(), shell],
            used: Some(2),
            allowed: Some(3),
            holders: Vec::new(),
            traffic: Traffic { received: 9, ..Traffic::default() },
        }
    }

    #[test]
    fn fields_and_braces_are_formatted() {
        let line = |template: &str| Template::parse(template).unwrap().line(&status());
        assert_eq!(line("{name} {shells}"), "work 2\n");
        assert_eq!(line("{{{name}}} {since}|{used}/{allowed}|{session}|{received}"), "{work} 1m 5s|2/3||9\n");
        assert!(!line("{user}").contains('\u{1b}'));
        assert_eq!(line(""), "\n");
        let silent = Template::parse("{name}:{process}:{shells}").unwrap().silent("lab", Some(4));
        assert_eq!(silent, "lab:4:\n");
        assert!(Template::parse("{name}{used}").unwrap().queries_endpoint());
        assert!(!Template::parse("{name}{allowed}").unwrap().queries_endpoint());
    }

    #[test]
    fn a_mistake_in_a_template_is_explained() {
        let problem = |template: &str| {
            let error = Template::parse(template).unwrap_err();
            format!("{error} / {}", error.help().unwrap())
        };
        assert_eq!(problem("{shels}"), "--format has no field 'shels' / did you mean 'shells'?");
        assert!(problem("{}").starts_with("--format has no field '' / fields: name, shells, "));
        let single = "expected a field such as '{name}', got a single ";
        assert_eq!(problem("{name"), format!("{single}'{{' / write '{{{{' for a brace"));
        assert_eq!(problem("{"), problem("{name"));
        assert_eq!(problem("a}"), format!("{single}'}}' / write '}}}}' for a brace"));
    }

    #[test]
    fn the_help_lists_all_fields() {
        let mut command = crate::cli::Cli::command();
        let help = command.find_subcommand_mut("status").unwrap().render_long_help().to_string();
        for (name, _) in FIELDS {
            assert!(help.contains(name), "{name}");
        }
    }
}
