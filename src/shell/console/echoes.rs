//! Matching of records and host calls. A warning arrives twice: as a record and as the host call that shows
//! it (MshCommandRuntime.WriteWarning). The screen uses the host call, redirections and variables use the
//! record. Matching them shows each line once, also if a server sends only one of the two.

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

/// Lines of these streams that one pipeline has sent.
#[derive(Debug, Default)]
pub struct Echoes {
    /// Number of host calls minus number of records, by line.
    balance: HashMap<Line, i32>,
    /// A record that is shown unless its host call is the next event.
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
    /// Returns the line that a host call shows.
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

    /// Formats the line for the screen.
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
    /// Adds a record. `shown`: its stream is not redirected. An information record is never shown, because
    /// its host call formats it differently.
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

    /// Returns whether to show a host call's line: not if its record was redirected or shown.
    pub fn call(&mut self, line: &Line) -> bool {
        let is_echo = self.pending.take_if(|pending| pending == line).is_some();
        let balance = self.balance.get(line).copied().unwrap_or_default();
        // Any command may write such lines, so only a record that came before can match.
        if line.stream != Stream::Information || balance < 0 {
            self.balance.insert(line.clone(), balance + 1);
        }
        is_echo || balance >= 0
    }

    /// Takes the pending record when another event came instead of its host call.
    pub fn alone(&mut self) -> Option<Line> {
        self.pending.take()
    }

    /// Returns whether `line` is the host call of the pending record.
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
    fn a_record_and_host_call_show_one_line() {
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
    fn a_redirected_line_is_not_shown() {
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
