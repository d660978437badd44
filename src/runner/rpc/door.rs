//! The door of a worker: what the network sees of llama.cpp's server.
//!
//! It answers greetings at any time, so that a client knows that the worker is alive; the first request after
//! a greeting is the beginning of a visit, which is handed through to the server, one after the other. A
//! client that is silent at the door does not keep others out, one that vanished from the network is
//! noticed, and one that finds the server taken is sent away.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};

use super::protocol::{Connection, HELLO_ANSWER, HELLO_REQUEST, is_hello};

/// How long a client may take for its greeting, and for its first request.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a client waits for the visit before it to end: its own, as a rule, made to ask what there is.
const WAIT: Duration = Duration::from_secs(3);

/// Clients at the door at the same time.
const MOST_CLIENTS: usize = 32;

/// Bytes handed on at once.
const BUFFER: usize = 256 << 10;

/// A visit is told about when it has sent so many bytes: not where a client only asks what there is.
const WORTH_TELLING: usize = 4 << 10;

/// A client that does not answer is taken for gone after 10 s and three times 5 s.
fn keepalive() -> TcpKeepalive {
    let keepalive = TcpKeepalive::new()
        .with_time(Duration::from_secs(10))
        .with_interval(Duration::from_secs(5));
    #[cfg(not(windows))]
    let keepalive = keepalive.with_retries(3);
    keepalive
}

/// A client comes or goes.
#[derive(Clone, Copy, Debug)]
pub enum Visit {
    /// It has begun to use the worker.
    Begins(SocketAddr),
    /// It is gone, and its memory is free.
    Ends(SocketAddr),
}

/// What happens at the door.
pub(super) struct Door {
    /// Where llama.cpp's server is.
    pub(super) server: SocketAddrV4,
    /// Its answer to a greeting.
    pub(super) greeting: [u8; HELLO_ANSWER],
    /// Called before a client is let in.
    pub(super) before: Box<dyn Fn() + Send + Sync>,
    /// Called when a client comes and goes.
    pub(super) tell: Box<dyn Fn(Visit) + Send + Sync>,
}

/// Whether the server has a client.
#[derive(Default)]
struct Place {
    taken: Mutex<bool>,
    left: Condvar,
}

/// The server's one place, for as long as this lives.
struct Taken<'a>(&'a Place);

impl Place {
    fn take(&self) -> Option<Taken<'_>> {
        let taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.left.wait_timeout_while(taken, WAIT, |taken| *taken);
        let (mut taken, _) = waited.unwrap_or_else(PoisonError::into_inner);
        // Not `then_some`, which would make a place only to give it up again.
        (!std::mem::replace(&mut *taken, true)).then(|| Taken(self))
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        *self.0.taken.lock().unwrap_or_else(PoisonError::into_inner) = false;
        self.0.left.notify_one();
    }
}

impl Door {
    /// Lets clients in until the program ends.
    pub(super) fn keep(self, listener: &TcpListener) -> ! {
        let door = Arc::new(self);
        let place = Arc::new(Place::default());
        let clients = Arc::new(AtomicUsize::new(0));
        loop {
            let Ok((client, address)) = listener.accept() else {
                // No file handle is left, or the client is gone already: not worth ending for.
                thread::sleep(Duration::from_millis(100));
                continue;
            };
            if clients.load(Ordering::SeqCst) >= MOST_CLIENTS {
                continue;
            }
            clients.fetch_add(1, Ordering::SeqCst);
            let (door, place, count) =
                (Arc::clone(&door), Arc::clone(&place), Arc::clone(&clients));
            let visit = move || {
                // Whatever goes wrong with one client concerns nobody else.
                let _ = door.meet(client, address, &place);
                count.fetch_sub(1, Ordering::SeqCst);
            };
            if thread::Builder::new().spawn(visit).is_err() {
                clients.fetch_sub(1, Ordering::SeqCst);
            }
        }
    }

    /// One client, from its greeting to its end.
    fn meet(&self, mut client: TcpStream, address: SocketAddr, place: &Place) -> io::Result<()> {
        client.set_nodelay(true)?;
        client.set_read_timeout(Some(PATIENCE))?;
        client.set_write_timeout(Some(PATIENCE))?;
        let mut greeting = [0; HELLO_REQUEST];
        client.read_exact(&mut greeting)?;
        if !is_hello(&greeting) {
            return Ok(());
        }
        client.write_all(&self.greeting)?;
        let mut command = [0];
        client.read_exact(&mut command)?;
        let Some(_taken) = place.take() else {
            return Ok(());
        };
        client.set_read_timeout(None)?;
        client.set_write_timeout(None)?;
        SockRef::from(&client).set_tcp_keepalive(&keepalive())?;
        (self.before)();
        let connection = Connection::open(self.server, PATIENCE);
        let connection = connection.map_err(|_| io::ErrorKind::ConnectionRefused)?;
        let mut server = connection.into_stream()?;
        server.write_all(&command)?;
        let begun = self.hand_through(&client, &server, address);
        if begun {
            (self.tell)(Visit::Ends(address));
        }
        Ok(())
    }

    /// Hands on what comes in both directions, until one side ends; whether the visit was told about.
    fn hand_through(&self, client: &TcpStream, server: &TcpStream, address: SocketAddr) -> bool {
        let mut begun = false;
        thread::scope(|scope| {
            scope.spawn(|| hand_on(server, client, || ()));
            hand_on(client, server, || {
                begun = true;
                (self.tell)(Visit::Begins(address));
            });
        });
        begun
    }
}

/// Hands on what comes from `from`; then both are closed. `worth_telling` is called when it was much.
fn hand_on(mut from: &TcpStream, mut to: &TcpStream, mut worth_telling: impl FnMut()) {
    let mut buffer = vec![0; BUFFER];
    let mut handed = 0_usize;
    let mut told = false;
    while let Ok(n @ 1..) = from.read(&mut buffer) {
        if to.write_all(&buffer[..n]).is_err() {
            break;
        }
        handed = handed.saturating_add(n);
        if !told && handed >= WORTH_TELLING {
            told = true;
            worth_telling();
        }
    }
    // One that is closed already needs no closing.
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
