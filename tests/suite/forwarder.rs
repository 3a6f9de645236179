//! A connection to the endpoint that can be cut, closed for a while, or redirected to another server.

use std::sync::atomic::{AtomicBool, AtomicU16, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::agent_world::World;

/// Modifications of forwarded requests.
#[derive(Default)]
struct Faults {
    /// The action whose next request is forwarded and whose response is lost with its connection.
    lost: Mutex<Option<Vec<u8>>>,
    /// Whether Delete is answered with HTTP 500, and how often it was.
    refuses: AtomicBool,
    refused: AtomicUsize,
}

const REFUSAL: &[u8] = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n";

/// A TCP forwarder to the endpoint that can be cut.
pub struct Forwarder {
    port: u16,
    /// The target port.
    pub to: Arc<AtomicU16>,
    listening: Option<tokio::task::JoinHandle<()>>,
    cut: watch::Sender<u32>,
    faults: Arc<Faults>,
}

impl Forwarder {
    pub async fn to(port: u16) -> Self {
        let mut forwarder = Self {
            port: 0,
            to: Arc::new(port.into()),
            listening: None,
            cut: watch::Sender::new(0),
            faults: Arc::default(),
        };
        forwarder.open().await;
        forwarder
    }

    /// Returns the listening port.
    pub fn port(&self) -> u16 {
        self.port
    }

    pub async fn open(&mut self) {
        let listener = TcpListener::bind(("127.0.0.1", self.port)).await.unwrap();
        self.port = listener.local_addr().unwrap().port();
        let (cuts, to, faults) = (self.cut.clone(), self.to.clone(), self.faults.clone());
        self.listening = Some(tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let mut cut = cuts.subscribe();
                let faults = faults.clone();
                let port = to.load(Ordering::Relaxed);
                tokio::spawn(async move {
                    let mut far = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                    tokio::select! {
                        _ = pass(&mut near, &mut far, &faults) => {}
                        _ = cut.changed() => {}
                    }
                });
            }
        }));
    }

    /// Ends every connection.
    pub fn cut(&self) {
        self.cut.send_modify(|cuts| *cuts += 1);
    }

    /// Drops the response to the next request with this action; the request is forwarded.
    pub fn lose_answer(&self, action: &str) {
        *self.faults.lost.lock().unwrap() = Some(format!("/shell/{action}</").into_bytes());
    }

    /// Returns whether a response was dropped.
    pub fn has_lost(&self) -> bool {
        self.faults.lost.lock().unwrap().is_none()
    }

    /// Answers Delete with HTTP 500 without forwarding it, or stops doing so.
    pub fn refuse_delete(&self, refuses: bool) {
        self.faults.refuses.store(refuses, Ordering::Relaxed);
    }

    /// Returns how often Delete was refused.
    pub fn refused(&self) -> usize {
        self.faults.refused.load(Ordering::Relaxed)
    }

    /// Ends every connection and refuses new ones.
    pub async fn close(&mut self) {
        if let Some(listening) = self.listening.take() {
            listening.abort();
            let _ = listening.await;
        }
        self.cut();
    }

    /// Creates a forwarder to a world's endpoint and puts it into the world's profile.
    pub async fn of(world: &World) -> Self {
        let endpoint: url::Url = world.uri.parse().unwrap();
        let forwarder = Self::to(endpoint.port().unwrap()).await;
        let text = std::fs::read_to_string(world.folders.profile("work")).unwrap();
        let text = text.replace(&world.uri, &format!("http://127.0.0.1:{}/wsman", forwarder.port));
        std::fs::write(world.folders.profile("work"), text).unwrap();
        forwarder
    }
}

/// Forwards both directions until one side ends or a response must be dropped.
async fn pass(near: &mut TcpStream, far: &mut TcpStream, faults: &Faults) -> std::io::Result<()> {
    let mut losing = false;
    let (mut asked, mut answered) = (vec![0; 65_536], vec![0; 65_536]);
    loop {
        tokio::select! {
            count = near.read(&mut asked) => {
                let some = &asked[..count?];
                if some.is_empty() {
                    return Ok(());
                }
                if faults.refuses.load(Ordering::Relaxed) && holds(some, b"/transfer/Delete</") {
                    faults.refused.fetch_add(1, Ordering::Relaxed);
                    near.write_all(REFUSAL).await?;
                    continue;
                }
                losing |= faults.lost.lock().unwrap().take_if(|action| holds(some, action)).is_some();
                far.write_all(some).await?;
            }
            count = far.read(&mut answered) => {
                let some = &answered[..count?];
                if some.is_empty() || losing {
                    return Ok(());
                }
                near.write_all(some).await?;
            }
        }
    }
}

fn holds(text: &[u8], action: &[u8]) -> bool {
    text.windows(action.len()).any(|part| part == action)
}
