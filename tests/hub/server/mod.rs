//! A hub in the test binary: model information, `resolve` with its redirects, and a CDN on a port
//! of its own, which is another host to a client. It breaks as it is told to.
//!
//! Written on the bare socket, because its purpose is answers that an HTTP library would not send:
//! bodies that end early, resets, ranges that nobody asked for. Only heads are parsed by a crate. A
//! connection that is closed while bytes of the request are unread is reset by the system; so
//! heads are peeked at, and taken only when the answer is a proper one.

mod answer;
mod content;
mod fault;

use std::{
    collections::BTreeMap,
    io::Read,
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use swallow_gguf::synthetic::{self, Spec};

use answer::{Headers, answer};
pub(crate) use content::{Content, File};
pub(crate) use fault::{Fault, On};

/// The commit that `main` of every repository stands for at first.
pub(crate) const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// One request, as it came.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) at_cdn: bool,
    pub(crate) range: Option<String>,
    pub(crate) authorization: Option<String>,
}

/// A repository of the server.
#[derive(Clone, Default)]
struct Repo {
    files: BTreeMap<String, File>,
    token: Option<&'static str>,
    gated: bool,
}

struct State {
    repos: Mutex<BTreeMap<String, Repo>>,
    faults: Mutex<Vec<(On, usize, Fault)>>,
    seen: Mutex<Vec<Seen>>,
    /// Before each answer, in microseconds.
    latency: AtomicU64,
    /// Of each connection, in bytes a second; 0 is no limit.
    bandwidth: AtomicU64,
    /// The link that all connections share: bytes a second (0 is no limit), and when it is free.
    link: Mutex<(f64, Instant)>,
    /// Links of an earlier generation have expired.
    generation: AtomicUsize,
    connections: AtomicUsize,
    sent: AtomicU64,
    closed: AtomicBool,
    cdn: SocketAddr,
    /// What `main` of every repository stands for now.
    commit: Mutex<&'static str>,
}

/// The server; it ends when this is dropped.
pub(crate) struct Hub {
    state: Arc<State>,
    address: SocketAddr,
}

impl Hub {
    pub(crate) fn start() -> Self {
        let listen = || TcpListener::bind("127.0.0.1:0").unwrap();
        let (hub, cdn) = (listen(), listen());
        let address = hub.local_addr().unwrap();
        let state = Arc::new(State {
            repos: Mutex::default(),
            faults: Mutex::default(),
            seen: Mutex::default(),
            latency: AtomicU64::new(0),
            bandwidth: AtomicU64::new(0),
            link: Mutex::new((0.0, Instant::now())),
            generation: AtomicUsize::new(0),
            connections: AtomicUsize::new(0),
            sent: AtomicU64::new(0),
            closed: AtomicBool::new(false),
            cdn: cdn.local_addr().unwrap(),
            commit: Mutex::new(COMMIT),
        });
        for (listener, at_cdn) in [(hub, false), (cdn, true)] {
            let state = Arc::clone(&state);
            thread::spawn(move || {
                for stream in listener.incoming() {
                    if state.closed.load(Ordering::Relaxed) {
                        break;
                    }
                    let state = Arc::clone(&state);
                    state.connections.fetch_add(1, Ordering::Relaxed);
                    thread::spawn(move || serve(&state, stream.unwrap(), at_cdn));
                }
            });
        }
        Self { state, address }
    }

    /// What `HF_ENDPOINT` is set to.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Puts a file into a repository.
    pub(crate) fn put(&self, repo: &str, path: &str, file: File) {
        let mut repos = self.state.repos.lock().unwrap();
        let repo = repos.entry(repo.into()).or_default();
        repo.files.insert(path.into(), file);
    }

    /// Puts the files of a folder into a repository, shards into large-file storage.
    pub(crate) fn put_folder(&self, repo: &str, folder: &std::path::Path) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let bytes = std::fs::read(&path).unwrap();
            let file = match path.extension().is_some_and(|e| e == "safetensors") {
                true => File::large_of(Content::Bytes(Arc::new(bytes))),
                false => File::small(bytes),
            };
            self.put(repo, path.file_name().unwrap().to_str().unwrap(), file);
        }
    }

    /// Puts a generated checkpoint into a repository: its shards' headers are true, their weights
    /// [`Generated`].
    pub(crate) fn put_checkpoint(&self, repo: &str, spec: &Spec) {
        let dir = tempfile::tempdir().unwrap();
        synthetic::write(
            dir.path(),
            &Spec {
                sparse: true,
                ..*spec
            },
        )
        .unwrap();
        for (seed, entry) in std::fs::read_dir(dir.path()).unwrap().enumerate() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            let file = if name.ends_with(".safetensors") {
                let mut shard = std::fs::File::open(&path).unwrap();
                let mut len = [0; 8];
                shard.read_exact(&mut len).unwrap();
                let mut head = len.to_vec();
                shard
                    .take(u64::from_le_bytes(len))
                    .read_to_end(&mut head)
                    .unwrap();
                File::huge(head, path.metadata().unwrap().len(), seed as u64)
            } else {
                File::small(std::fs::read(&path).unwrap())
            };
            self.put(repo, name, file);
        }
    }

    #[allow(dead_code, reason = "examples/hub_server does")]
    /// Writes the files of a repository into a folder, which is made where it is missing.
    pub(crate) fn write_to(&self, repo: &str, dir: &std::path::Path) -> std::io::Result<()> {
        use std::io::Write as _;
        const PIECE: u64 = 16 << 20;
        std::fs::create_dir_all(dir)?;
        let files = self.state.repos.lock().unwrap()[repo].files.clone();
        for (path, File { content, .. }) in files {
            let mut file = std::fs::File::create(dir.join(path))?;
            let mut at = 0;
            while at < content.size() {
                let end = content.size().min(at + PIECE);
                file.write_all(&content.bytes(at..end))?;
                at = end;
            }
        }
        Ok(())
    }

    /// From here on `main` of every repository stands for another commit.
    #[allow(dead_code, reason = "examples/hub_server does not")]
    pub(crate) fn move_to(&self, commit: &'static str) {
        *self.state.commit.lock().unwrap() = commit;
    }

    /// A repository that only those with a token see, or that is gated.
    pub(crate) fn guard(&self, repo: &str, token: &'static str, gated: bool) {
        let mut repos = self.state.repos.lock().unwrap();
        let repo = repos.entry(repo.into()).or_default();
        repo.token = Some(token);
        repo.gated = gated;
    }

    /// Lets the next `times` requests of a kind go wrong.
    pub(crate) fn fail(&self, on: On, times: usize, fault: Fault) {
        self.state.faults.lock().unwrap().push((on, times, fault));
    }

    /// Nothing more goes wrong.
    pub(crate) fn stop_failing(&self) {
        self.state.faults.lock().unwrap().clear();
    }

    /// Whether all faults have happened.
    pub(crate) fn is_done_failing(&self) -> bool {
        self.state
            .faults
            .lock()
            .unwrap()
            .iter()
            .all(|(_, left, _)| *left == 0)
    }

    /// All links given so far expire.
    pub(crate) fn expire_links(&self) {
        self.state.generation.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn set_latency(&self, latency: Duration) {
        let micros = latency.as_micros() as u64;
        self.state.latency.store(micros, Ordering::Relaxed);
    }

    /// Bytes a second of all connections together.
    #[allow(dead_code, reason = "examples/hub_server does")]
    pub(crate) fn set_link(&self, bandwidth: u64) {
        self.state.link.lock().unwrap().0 = bandwidth as f64;
    }

    /// Bytes a second of each connection.
    pub(crate) fn set_bandwidth(&self, bandwidth: u64) {
        self.state.bandwidth.store(bandwidth, Ordering::Relaxed);
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.state.seen.lock().unwrap().clone()
    }

    pub(crate) fn connections(&self) -> usize {
        self.state.connections.load(Ordering::Relaxed)
    }

    /// Bytes sent, heads included.
    pub(crate) fn sent(&self) -> u64 {
        self.state.sent.load(Ordering::Relaxed)
    }
}

impl State {
    /// Waits until so many bytes have their turn on the link.
    fn wait_for_link(&self, bytes: usize) {
        let turn = {
            let mut link = self.link.lock().unwrap();
            if link.0 == 0.0 {
                return;
            }
            let turn = link.1.max(Instant::now());
            link.1 = turn + Duration::from_secs_f64(bytes as f64 / link.0);
            turn
        };
        thread::sleep(turn.saturating_duration_since(Instant::now()));
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        self.state.closed.store(true, Ordering::Relaxed);
        // Wakes the listeners, which then end.
        for address in [self.address, self.state.cdn] {
            let _ = TcpStream::connect(address);
        }
    }
}

/// One connection, request after request.
fn serve(state: &State, mut stream: TcpStream, at_cdn: bool) {
    let _ = stream.set_nodelay(true);
    while !state.closed.load(Ordering::Relaxed) {
        let Some((seen, head)) = peek_request(&stream, at_cdn) else {
            return;
        };
        state.seen.lock().unwrap().push(seen.clone());
        thread::sleep(Duration::from_micros(state.latency.load(Ordering::Relaxed)));
        let fault = take_fault(state, &seen);
        if let Some(Fault::Reset(None)) = fault {
            return;
        }
        let reset = matches!(fault, Some(Fault::Reset(_)));
        if !reset && stream.read_exact(&mut vec![0; head]).is_err() {
            return;
        }
        match answer(state, &mut stream, &seen, fault) {
            Ok(true) => {}
            Ok(false) if !reset => {
                let _ = stream.shutdown(Shutdown::Both);
                return;
            }
            _ => return,
        }
    }
}

/// The next request and the length of its head; `None` where the client has gone.
fn peek_request(stream: &TcpStream, at_cdn: bool) -> Option<(Seen, usize)> {
    let mut buf = vec![0; 16 << 10];
    loop {
        let n = stream.peek(&mut buf).ok().filter(|n| *n > 0)?;
        let mut headers = [httparse::EMPTY_HEADER; 32];
        let mut request = httparse::Request::new(&mut headers);
        if let Ok(httparse::Status::Complete(head)) = request.parse(&buf[..n]) {
            let header = |name: &str| {
                let header = request
                    .headers
                    .iter()
                    .find(|h| h.name.eq_ignore_ascii_case(name))?;
                Some(String::from_utf8_lossy(header.value).into_owned())
            };
            let seen = Seen {
                method: request.method?.into(),
                target: request.path?.into(),
                at_cdn,
                range: header("range"),
                authorization: header("authorization"),
            };
            return Some((seen, head));
        }
        thread::sleep(Duration::from_millis(1));
    }
}

fn take_fault(state: &State, seen: &Seen) -> Option<Fault> {
    let kind = match (seen.at_cdn, seen.method.as_str()) {
        (true, _) => On::Cdn,
        _ if seen.target.starts_with("/api/models/") => On::Info,
        (_, "HEAD") => On::Head,
        _ => On::Resolve,
    };
    let first = seen
        .range
        .as_ref()
        .and_then(|range| Some(parse_range(range)?.0));
    let mut faults = state.faults.lock().unwrap();
    let (_, left, fault) = faults.iter_mut().find(|(on, left, _)| {
        *left > 0
            && match on {
                On::CdnAt(offset) => kind == On::Cdn && first == Some(*offset),
                on => *on == kind,
            }
    })?;
    *left -= 1;
    Some(fault.clone())
}

/// First and last byte of `bytes=FIRST-LAST`.
fn parse_range(range: &str) -> Option<(u64, Option<u64>)> {
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    Some((first.parse().ok()?, last.parse().ok()))
}
