//! Warnings and their kin come twice: as a record, and as the host call that shows it
//! (MshCommandRuntime.WriteWarning). The screen takes the host call, redirections and variables take the
//! record; here the two are matched, so that nothing is shown twice, and nothing not at all where a
//! server sends one of them alone.

use std::collections::HashMap;

use super::terminal::Tone;
use crate::psrp::host::{HostCall, HostMethod};

/// A line of one stream.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Line {
    pub stream: Stream,
    pub text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stream {
    Warning,
    Verbose,
    Debug,
    Information,
}

/// What one pipeline has sent of these streams.
#[derive(Debug, Default)]
pub struct Echoes {
    /// Host calls less records, of the same line.
    balance: HashMap<Line, i32>,
    /// A record that is shown unless its host call is the next thing that comes.
    pending: Option<Line>,
}

impl Stream {
    pub fn tone(self) -> Tone {
        match self {
            Self::Warning => Tone::Warning,
            Self::Verbose => Tone::Verbose,
            Self::Debug => Tone::Debug,
            Self::Information => Tone::Plain,
        }
    }
}

impl Line {
    /// The line that a host call shows.
    pub fn of(call: &HostCall) -> Option<Self> {
        let (stream, at) = match call.method {
            HostMethod::WriteWarningLine => (Stream::Warning, 0),
            HostMethod::WriteVerboseLine => (Stream::Verbose, 0),
            HostMethod::WriteDebugLine => (Stream::Debug, 0),
            HostMethod::Write1 | HostMethod::WriteLine2 => (Stream::Information, 0),
            HostMethod::Write2 | HostMethod::WriteLine3 => (Stream::Information, 2),
            _ => return None,
        };
        Some(Self { stream, text: call.parameters.get(at)?.display_text() })
    }

    /// As it stands on the screen.
    pub fn shown(&self) -> String {
        match self.stream {
            Stream::Warning => format!("WARNING: {}", self.text),
            Stream::Verbose => format!("VERBOSE: {}", self.text),
            Stream::Debug => format!("DEBUG: {}", self.text),
            Stream::Information => self.text.clone(),
        }
    }
}

impl Echoes {
    /// Takes a record. `shown`: its stream is not redirected. What a host call shows of an information
    /// record has a form of its own, so that one is never shown for it.
    pub fn record(&mut self, line: Line, shown: bool) {
        if shown && line.stream == Stream::Information {
            return;
        }
        let balance = self.balance.entry(line.clone()).or_default();
        *balance -= 1;
        if shown && *balance < 0 {
            self.pending = Some(line);
        }
    }

    /// Whether a host call's line is to be shown; not where its record went elsewhere or was shown.
    pub fn call(&mut self, line: &Line) -> bool {
        let is_echo = self.pending.take_if(|pending| pending == line).is_some();
        let balance = self.balance.get(line).copied().unwrap_or_default();
        // Only a record that comes can match a line that any command may write.
        if line.stream != Stream::Information || balance < 0 {
            self.balance.insert(line.clone(), balance + 1);
        }
        is_echo || balance >= 0
    }

    /// A record whose host call did not come: something else has.
    pub fn alone(&mut self) -> Option<Line> {
        self.pending.take()
    }

    /// Whether `line` is the host call of the record that waits for it.
    pub fn waits_for(&self, line: &Line) -> bool {
        self.pending.as_ref() == Some(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Line {
        Line { stream: Stream::Warning, text: text.into() }
    }

    #[test]
    fn a_line_is_shown_once_however_it_comes() {
        let mut both = Echoes::default();
        for _ in 0..2 {
            both.record(line("a"), true);
            assert!(both.call(&line("a")));
            assert_eq!(both.alone(), None);
        }
        let mut turned = Echoes::default();
        assert!(turned.call(&line("a")));
        turned.record(line("a"), true);
        assert_eq!(turned.alone(), None);
        let mut late = Echoes::default();
        late.record(line("a"), true);
        assert_eq!(late.alone(), Some(line("a")));
        assert!(!late.call(&line("a")));
        let mut alone = Echoes::default();
        assert!(alone.call(&line("a")) && alone.call(&line("a")));
    }

    #[test]
    fn what_is_redirected_is_not_shown() {
        let mut echoes = Echoes::default();
        echoes.record(line("a"), false);
        assert_eq!(echoes.alone(), None);
        assert!(!echoes.call(&line("a")));
        assert!(echoes.call(&line("b")));
        let hosted = Line { stream: Stream::Information, text: "x".into() };
        assert!(echoes.call(&hosted));
        echoes.record(hosted.clone(), false);
        assert!(!echoes.call(&hosted));
        assert!(echoes.call(&hosted));
    }
}
