//! A shell as a job of this process: the shell has the terminal while it runs, and this process takes the
//! terminal back when the shell stops or ends.
//!
//! The crate `process-wrap` (10.0.1) starts and kills process groups, but neither hands over the terminal
//! (tcsetpgrp) nor reports that a child has stopped (WUNTRACED), which job control needs.

use std::io;

use super::Ending;

/// Exit of a shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit {
    /// The exit code; 128 plus the signal's number after a signal.
    pub code: u8,
    /// Whether a signal (on Windows, a system error) ended the shell, which then did not clean up.
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

    /// Resets the modes that a killed shell may have left: hidden cursor, application keys, bracketed paste,
    /// colours.
    const RESET_MODES: &[u8] = b"\x1b[?25h\x1b[?1l\x1b>\x1b[?2004l\x1b[0m";

    /// A shell in its own process group. It starts in the background, and stops when it reads from the
    /// terminal, until [`Job::hand_over`].
    #[derive(Debug)]
    pub struct Job(Arc<Shared>);

    #[derive(Debug)]
    struct Shared {
        group: Pid,
        is_handed_over: AtomicBool,
        has_ended: AtomicBool,
        terminal: Option<Terminal>,
    }

    /// The controlling terminal of this process.
    #[derive(Debug)]
    struct Terminal {
        file: File,
        own: Mutex<Own>,
    }

    #[derive(Debug)]
    struct Own {
        /// The terminal modes of this process.
        modes: Option<Termios>,
        /// The shell or one of its jobs has the terminal.
        lent: bool,
    }

    impl Job {
        /// Starts a shell. The receiver gets its exit.
        pub fn start(mut command: Command) -> io::Result<(Self, oneshot::Receiver<Exit>)> {
            // The modes before the shell changes them.
            let terminal = Terminal::open();
            let child = command.process_group(0).spawn()?;
            let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
            let group = group.ok_or_else(|| io::Error::other("the shell has no process id"))?;
            let shared = Arc::new(Shared {
                group,
                is_handed_over: AtomicBool::new(false),
                has_ended: AtomicBool::new(false),
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

        /// Returns the shell's process id.
        pub fn process(&self) -> u32 {
            self.0.group.as_raw_nonzero().get().unsigned_abs()
        }

        /// Gives the shell the terminal, and continues a shell that waits for it.
        pub fn hand_over(&self) {
            self.0.is_handed_over.store(true, Ordering::SeqCst);
            self.0.resume(None);
        }

        /// Forwards a signal of this process to the shell.
        pub fn send(&self, ending: Ending) {
            self.0.signal(match ending {
                Ending::Interrupt => Signal::INT,
                Ending::Terminate => Signal::TERM,
                Ending::Hangup => Signal::HUP,
                Ending::Quit => Signal::QUIT,
            });
            // A stopped shell does not handle signals.
            self.0.signal(Signal::CONT);
        }

        /// Kills the shell and the processes in its group.
        pub fn kill(&self) {
            self.0.signal(Signal::KILL);
        }
    }

    impl Shared {
        fn signal(&self, signal: Signal) {
            if !self.has_ended.load(Ordering::SeqCst) {
                // Fails if the shell just ended.
                let _ = kill_process_group(self.group, signal);
            }
        }

        /// Waits for the shell's exit, and stops and continues this process with the shell.
        fn watch(&self) -> Exit {
            loop {
                let status = match waitpid(Some(self.group), WaitOptions::UNTRACED) {
                    Ok(Some((_, status))) => status,
                    Err(rustix::io::Errno::INTR) | Ok(None) => continue,
                    // Another thread waited for the shell.
                    Err(_) => return self.take_back(Exit { code: 1, killed: true }),
                };
                if status.stopped() {
                    let reads = [Signal::TTIN.as_raw(), Signal::TTOU.as_raw()];
                    self.stopped(status.stopping_signal().is_some_and(|signal| reads.contains(&signal)));
                } else if let Some(signal) = status.terminating_signal() {
                    let code = u8::try_from(128 + signal).unwrap_or(u8::MAX);
                    return self.take_back(Exit { code, killed: true });
                } else if let Some(code) = status.exit_status() {
                    // The system keeps eight bits of the exit code.
                    let code = u8::try_from(code & 0xff).unwrap_or(u8::MAX);
                    return self.take_back(Exit { code, killed: false });
                }
            }
        }

        /// Handles a stopped shell. `reads`: the shell stopped because it accessed the terminal from the
        /// background (SIGTTIN, SIGTTOU).
        fn stopped(&self, reads: bool) {
            // The shell waits until the terminal is handed over.
            let Some(terminal) =
                self.terminal.as_ref().filter(|_| self.is_handed_over.load(Ordering::SeqCst))
            else {
                return;
            };
            if reads && (terminal.is_lent() || terminal.foreground() == Some(getpgrp())) {
                // The shell stopped before the terminal was handed over, or this process came to the
                // foreground.
                return self.resume(None);
            }
            let modes = tcgetattr(&terminal.file).ok();
            terminal.take_back();
            // Stops this process as well, so that the calling shell takes the terminal. In an orphaned process
            // group, where no shell could continue this process, the signal has no effect.
            let _ = raise(if reads { Raised::SIGTTIN } else { Raised::SIGTSTP });
            self.resume(modes);
        }

        /// Hands the terminal over if this process has it, and continues the shell.
        fn resume(&self, modes: Option<Termios>) {
            if let Some(terminal) = &self.terminal {
                terminal.lend(self.group, modes);
            }
            self.signal(Signal::CONT);
        }

        fn take_back(&self, exit: Exit) -> Exit {
            self.has_ended.store(true, Ordering::SeqCst);
            if let Some(terminal) = &self.terminal
                && terminal.take_back()
                && exit.killed
            {
                let _ = (&terminal.file).write_all(RESET_MODES);
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

        /// Gives the shell the terminal, if this process has it.
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

        /// Takes the terminal from the shell, which may have ended or stopped in any mode. Returns whether
        /// this process has the terminal.
        fn take_back(&self) -> bool {
            let mut own = self.own();
            let here = std::mem::take(&mut own.lent) || self.foreground() == Some(getpgrp());
            if here {
                self.give(getpgrp(), own.modes.as_ref());
            }
            here
        }

        /// Sets the terminal's modes and foreground process group. Errors are ignored, because the terminal may
        /// be closed.
        fn give(&self, group: Pid, modes: Option<&Termios>) {
            let mut signals = SigSet::empty();
            signals.add(Raised::SIGTTOU);
            // A background process may call tcsetattr and tcsetpgrp if SIGTTOU is blocked (POSIX, tcsetpgrp).
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

    /// A shell in the console of this process.
    #[derive(Debug)]
    pub struct Job {
        process: u32,
    }

    impl Job {
        /// Starts a shell. The receiver gets its exit.
        pub fn start(mut command: Command) -> io::Result<(Self, oneshot::Receiver<Exit>)> {
            let mut child = command.spawn()?;
            let process = child.id();
            let (ended, end) = oneshot::channel();
            std::thread::spawn(move || {
                let code = child.wait().ok().and_then(|status| status.code()).unwrap_or(1);
                // Other values are system status codes, such as 0xC000013A for Ctrl-C.
                let killed = u8::try_from(code).is_err();
                let _ = ended.send(Exit { code: u8::try_from(code).unwrap_or(1), killed });
            });
            Ok((Self { process }, end))
        }

        /// Returns the shell's process id.
        pub fn process(&self) -> u32 {
            self.process
        }

        /// Does nothing: the shell already has the console.
        pub fn hand_over(&self) {}

        /// Does nothing: the console sends its events to the shell.
        pub fn send(&self, _ending: Ending) {}

        /// Kills the shell.
        pub fn kill(&self) {
            let _ = crate::platform::kill(self.process);
        }
    }
}
