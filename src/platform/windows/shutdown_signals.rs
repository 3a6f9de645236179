//! Shutdown signals: console events, and the end of the user's session, which is only sent to windows.

use std::io;
use std::ptr::null_mut;
use std::sync::OnceLock;

use tokio::signal::windows;
use tokio::sync::watch;
use windows_sys::Win32::Foundation::{HWND, LPARAM, LRESULT, WPARAM};
use windows_sys::Win32::System::Shutdown::ShutdownBlockReasonCreate;
use windows_sys::Win32::UI::WindowsAndMessaging::{
    CreateWindowExW, DefWindowProcW, DispatchMessageW, ENDSESSION_LOGOFF, GetMessageW, MSG, RegisterClassW,
    WM_ENDSESSION, WM_QUERYENDSESSION, WNDCLASSW,
};

use super::super::Ending;
use super::wide;

/// Sender of the end of the user's session.
static SESSION: OnceLock<watch::Sender<Option<Ending>>> = OnceLock::new();

/// Handler of the events that end a process.
#[derive(Debug)]
pub struct ShutdownSignals {
    quit: windows::CtrlBreak,
    interrupt: windows::CtrlC,
    close: windows::CtrlClose,
    logoff: windows::CtrlLogoff,
    shutdown: windows::CtrlShutdown,
    session: watch::Receiver<Option<Ending>>,
}

impl ShutdownSignals {
    pub fn catch() -> io::Result<Self> {
        let session = SESSION.get_or_init(|| {
            std::thread::spawn(watch_session);
            watch::Sender::new(None)
        });
        Ok(Self {
            quit: windows::ctrl_break()?,
            interrupt: windows::ctrl_c()?,
            close: windows::ctrl_close()?,
            logoff: windows::ctrl_logoff()?,
            shutdown: windows::ctrl_shutdown()?,
            session: session.subscribe(),
        })
    }

    /// Waits for the next event. Cancel safe.
    pub async fn next(&mut self) -> Ending {
        tokio::select! {
            _ = self.quit.recv() => Ending::Quit,
            _ = self.interrupt.recv() => Ending::Interrupt,
            _ = self.close.recv() => Ending::Hangup,
            _ = self.logoff.recv() => Ending::Hangup,
            _ = self.shutdown.recv() => Ending::Terminate,
            ending = session_end(&mut self.session) => ending,
        }
    }
}

async fn session_end(session: &mut watch::Receiver<Option<Ending>>) -> Ending {
    loop {
        if session.changed().await.is_err() {
            // The sender is never dropped.
            std::future::pending::<()>().await;
        }
        if let Some(ending) = *session.borrow_and_update() {
            return ending;
        }
    }
}

/// Number of attempts to create the window, and the pause between them.
const DESKTOP_TRIES: u32 = 60;
const DESKTOP_PAUSE: std::time::Duration = std::time::Duration::from_secs(1);

/// Waits for the end of the session with a hidden window, as the documentation of SetConsoleCtrlHandler
/// recommends: a process without a console, or with user32 loaded, gets no console event for it.
fn watch_session() {
    let class = wide("lyncsh");
    // SAFETY: the class's name lives as long as the thread; null is valid for all null arguments; the
    // window belongs to this thread, which dispatches its messages.
    unsafe {
        let window =
            WNDCLASSW { lpfnWndProc: Some(message), lpszClassName: class.as_ptr(), ..WNDCLASSW::default() };
        RegisterClassW(&window);
        let none = null_mut();
        let make = || {
            CreateWindowExW(0, class.as_ptr(), class.as_ptr(), 0, 0, 0, 0, 0, none, none, none, none.cast())
        };
        // The desktop may be created after this process.
        let mut tries = 0;
        while make().is_null() {
            tries += 1;
            if tries == DESKTOP_TRIES {
                // In a session without a desktop, only console events are available.
                tracing::debug!("cannot watch the end of the user's session: {}", io::Error::last_os_error());
                return;
            }
            std::thread::sleep(DESKTOP_PAUSE);
        }
        let mut next = MSG::default();
        while GetMessageW(&mut next, null_mut(), 0, 0) > 0 {
            DispatchMessageW(&next);
        }
    }
}

/// Handles the messages of the window: sends the end of the user's session to [`SESSION`].
unsafe extern "system" fn message(window: HWND, kind: u32, what: WPARAM, how: LPARAM) -> LRESULT {
    match kind {
        // More time for the shutdown must be requested before this message is answered.
        WM_QUERYENDSESSION => {
            let reason = wide("The remote session is being removed.");
            // SAFETY: `window` is this window; the reason ends with a zero and is copied.
            unsafe { ShutdownBlockReasonCreate(window, reason.as_ptr()) };
            1
        }
        WM_ENDSESSION if what != 0 => {
            let logoff = how as u32 & ENDSESSION_LOGOFF != 0;
            let ending = if logoff { Ending::Hangup } else { Ending::Terminate };
            if let Some(session) = SESSION.get() {
                session.send_replace(Some(ending));
            }
            // The system may end the process at any time after the answer.
            loop {
                std::thread::park();
            }
        }
        // SAFETY: all arguments are passed on unchanged.
        _ => unsafe { DefWindowProcW(window, kind, what, how) },
    }
}
