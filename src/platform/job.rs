//! A shell as a job of this process: it has the terminal while it is used, and this process has it back
//! when the shell stops or is gone.
//!
//! The crate `process-wrap` (10.0.1) starts and kills process groups, but neither hands over the terminal
//! (tcsetpgrp) nor reports that a child has stopped (WUNTRACED), which job control needs.

use std::io;

use super::Ending;

/// How a shell ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit {
    /// The exit code; 128 and the signal's number where one ended it.
    pub code: u8,
    /// Whether a signal ended it: it has cleaned nothing up.
    pub killed: bool,
}

#[cfg(unix)]
pub use unix::Job;
#[cfg(windows)]
pub use windows::Job;

#[cfg(unix)]
mod unix {
    use std::fs::File;
    use std::io::Write as _;
    use std::os::unix::process::CommandExt as _;
    use std::process::Command;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

    use nix::sys::signal::{SigSet, Signal as Raised, raise};
    use rustix::process::{Pid, Signal, WaitOptions, getpgrp, kill_process_group, waitpid};
    use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetpgrp, tcsetattr, tcsetpgrp};
    use tokio::sync::oneshot;

    use super::{Ending, Exit, io};

    /// What a shell that was killed may have left switched on: a hidden cursor, application keys,
    /// bracketed paste, colours.
    const AS_USUAL: &[u8] = b"\x1b[?25h\x1b[?1l\x1b>\x1b[?2004l\x1b[0m";

    /// A shell in a process group of its own. In the background it may start, and stops by itself
    /// where it wants to read from the terminal, until [`Job::hand_over`].
    #[derive(Debug)]
    pub struct Job(Arc<Shared>);

    #[derive(Debug)]
    struct Shared {
        group: Pid,
        handed: AtomicBool,
        over: AtomicBool,
        terminal: Option<Terminal>,
    }

    /// The terminal that controls this process.
    #[derive(Debug)]
    struct Terminal {
        file: File,
        own: Mutex<Own>,
    }

    #[derive(Debug)]
    struct Own {
        /// As this process had them.
        modes: Option<Termios>,
        /// The shell has it, or what the shell has given it to.
        lent: bool,
    }

    impl Job {
        /// Starts a shell. The receiver hears how it ended; dropped, it is told of nobody.
        pub fn start(mut command: Command) -> io::Result<(Self, oneshot::Receiver<Exit>)> {
            // Before the shell can change them.
            let terminal = Terminal::open();
            let child = command.process_group(0).spawn()?;
            let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
            let group = group.ok_or_else(|| io::Error::other("the system gave it no process id"))?;
            let shared = Arc::new(Shared {
                group,
                handed: AtomicBool::new(false),
                over: AtomicBool::new(false),
                terminal,
            });
            let (ended, end) = oneshot::channel();
            let watched = shared.clone();
            std::thread::spawn(move || {
                let exit = watched.watch();
                let _ = ended.send(exit);
            });
            Ok((Self(shared), end))
        }

        /// The shell's process.
        pub fn process(&self) -> u32 {
            self.0.group.as_raw_nonzero().get().unsigned_abs()
        }

        /// Gives the shell the terminal, and lets it go on where it waits for that.
        pub fn hand_over(&self) {
            self.0.handed.store(true, Ordering::SeqCst);
            self.0.go_on(None);
        }

        /// Passes on what this process was told.
        pub fn send(&self, ending: Ending) {
            self.0.signal(match ending {
                Ending::Interrupt => Signal::INT,
                Ending::Terminate => Signal::TERM,
                Ending::Hangup => Signal::HUP,
                Ending::Quit => Signal::QUIT,
            });
            // One that is stopped hears nothing.
            self.0.signal(Signal::CONT);
        }

        /// Ends the shell and what it has started in its group, at once.
        pub fn kill(&self) {
            self.0.signal(Signal::KILL);
        }
    }

    impl Shared {
        fn signal(&self, signal: Signal) {
            if !self.over.load(Ordering::SeqCst) {
                // It may end just now.
                let _ = kill_process_group(self.group, signal);
            }
        }

        /// Waits for the shell's end, and stops and goes on with it.
        fn watch(&self) -> Exit {
            loop {
                let status = match waitpid(Some(self.group), WaitOptions::UNTRACED) {
                    Ok(Some((_, status))) => status,
                    Err(rustix::io::Errno::INTR) | Ok(None) => continue,
                    // Somebody else has waited for it.
                    Err(_) => return self.take_back(Exit { code: 1, killed: true }),
                };
                if status.stopped() {
                    let reads = [Signal::TTIN.as_raw(), Signal::TTOU.as_raw()];
                    self.stopped(status.stopping_signal().is_some_and(|signal| reads.contains(&signal)));
                } else if let Some(signal) = status.terminating_signal() {
                    let code = u8::try_from(128 + signal).unwrap_or(u8::MAX);
                    return self.take_back(Exit { code, killed: true });
                } else if let Some(code) = status.exit_status() {
                    // The system keeps eight bits of it.
                    let code = u8::try_from(code & 0xff).unwrap_or(u8::MAX);
                    return self.take_back(Exit { code, killed: false });
                }
            }
        }

        /// The shell has stopped. `reads`: because it wants the terminal.
        fn stopped(&self, reads: bool) {
            // Before the terminal is handed over, it waits for that.
            let Some(terminal) = self.terminal.as_ref().filter(|_| self.handed.load(Ordering::SeqCst)) else {
                return;
            };
            if reads && (terminal.is_lent() || terminal.foreground() == Some(getpgrp())) {
                // It stopped before it was handed over, or this process was brought to the front.
                return self.go_on(None);
            }
            let modes = tcgetattr(&terminal.file).ok();
            terminal.take_back();
            // Stops here as the shell has, for the shell that this one was called from; without one
            // that could let it go on (an orphaned process group), the signal does nothing.
            let _ = raise(if reads { Raised::SIGTTIN } else { Raised::SIGTSTP });
            self.go_on(modes);
        }

        /// Hands the terminal over where it is this process's to give, and lets the shell go on.
        fn go_on(&self, modes: Option<Termios>) {
            if let Some(terminal) = &self.terminal {
                terminal.lend(self.group, modes);
            }
            self.signal(Signal::CONT);
        }

        fn take_back(&self, exit: Exit) -> Exit {
            self.over.store(true, Ordering::SeqCst);
            if let Some(terminal) = &self.terminal
                && terminal.take_back()
                && exit.killed
            {
                let _ = (&terminal.file).write_all(AS_USUAL);
            }
            exit
        }
    }

    impl Terminal {
        fn open() -> Option<Self> {
            let file = File::options().read(true).write(true).open("/dev/tty").ok()?;
            let own = Own { modes: tcgetattr(&file).ok(), lent: false };
            Some(Self { file, own: Mutex::new(own) })
        }

        fn foreground(&self) -> Option<Pid> {
            tcgetpgrp(&self.file).ok()
        }

        fn own(&self) -> MutexGuard<'_, Own> {
            self.own.lock().unwrap_or_else(PoisonError::into_inner)
        }

        fn is_lent(&self) -> bool {
            self.own().lent
        }

        /// Lends the terminal, where it is this process's to lend.
        fn lend(&self, group: Pid, modes: Option<Termios>) {
            let mut own = self.own();
            if !own.lent {
                if self.foreground() != Some(getpgrp()) {
                    return;
                }
                own.modes = tcgetattr(&self.file).ok();
                own.lent = true;
            }
            self.give(group, modes.as_ref());
        }

        /// Takes the terminal from the shell, which may have ended or stopped in any mode. Says whether
        /// this process has it now.
        fn take_back(&self) -> bool {
            let mut own = self.own();
            let here = std::mem::take(&mut own.lent) || self.foreground() == Some(getpgrp());
            if here {
                self.give(getpgrp(), own.modes.as_ref());
            }
            here
        }

        /// The terminal may be gone altogether: nothing of this can fail in a way that matters.
        fn give(&self, group: Pid, modes: Option<&Termios>) {
            let mut signals = SigSet::empty();
            signals.add(Raised::SIGTTOU);
            // Blocked in this thread, it lets a background process do this (POSIX, tcsetpgrp).
            let blocked = signals.thread_block().is_ok();
            if let Some(modes) = modes {
                let _ = tcsetattr(&self.file, OptionalActions::Drain, modes);
            }
            let _ = tcsetpgrp(&self.file, group);
            if blocked {
                let _ = signals.thread_unblock();
            }
        }
    }
}

#[cfg(windows)]
mod windows {
    use std::process::Command;

    use tokio::sync::oneshot;

    use super::{Ending, Exit, io};

    /// A shell in this process's console, which both share.
    #[derive(Debug)]
    pub struct Job {
        process: u32,
    }

    impl Job {
        /// Starts a shell. The receiver hears how it ended; dropped, it is told of nobody.
        pub fn start(mut command: Command) -> io::Result<(Self, oneshot::Receiver<Exit>)> {
            let mut child = command.spawn()?;
            let process = child.id();
            let (ended, end) = oneshot::channel();
            std::thread::spawn(move || {
                let code = child.wait().ok().and_then(|status| status.code()).unwrap_or(1);
                // What doesn't fit is a status of the system's, such as 0xC000013A for Ctrl-C.
                let killed = u8::try_from(code).is_err();
                let _ = ended.send(Exit { code: u8::try_from(code).unwrap_or(1), killed });
            });
            Ok((Self { process }, end))
        }

        /// The shell's process.
        pub fn process(&self) -> u32 {
            self.process
        }

        /// The console is the shell's already.
        pub fn hand_over(&self) {}

        /// The console tells the shell by itself.
        pub fn send(&self, _ending: Ending) {}

        /// Ends the shell at once.
        pub fn kill(&self) {
            let _ = crate::platform::kill(self.process);
        }
    }
}
