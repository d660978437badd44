//! A worker: this machine's devices, for models that are run elsewhere.

use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::cache::TensorCache;
use super::door::Door;
pub use super::door::Visit;
use super::ggml::{Device, Rpc};
use super::protocol::{Connection, HELLO_ANSWER};
use super::{RpcError, resolve};
use crate::memory::Machine;
use crate::nearest;
use crate::runner::log;

/// How long llama.cpp's server may take to begin.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a worker offers, and to whom.
#[derive(Clone, Debug)]
pub struct WorkerOptions {
    /// Where to listen; port 0 is any that is free.
    pub host: String,
    /// See `host`.
    pub port: u16,
    /// Whether other machines may reach it.
    pub open: bool,
    /// The most memory to offer of each device; `None` is what is free.
    pub memory: Option<u64>,
    /// The devices; none are all GPUs, or else the CPU.
    pub devices: Vec<String>,
    /// Threads to compute with on the CPU.
    pub threads: u32,
    /// The folder for large tensors.
    pub cache: Option<PathBuf>,
    /// Show llama.cpp's log on stderr.
    pub verbose: bool,
}

/// What a device offers.
#[derive(Clone, Debug)]
pub struct Offer {
    /// The device's short name.
    pub name: String,
    /// What it is.
    pub description: String,
    /// Bytes of memory.
    pub bytes: u64,
}

/// A worker that listens.
#[derive(Debug)]
pub struct Worker {
    listener: TcpListener,
    server: SocketAddrV4,
    greeting: [u8; HELLO_ANSWER],
    cache: Option<Arc<TensorCache>>,
    /// Where it listens.
    pub address: SocketAddrV4,
    /// What it offers.
    pub offers: Vec<Offer>,
    /// Bytes that are in its cache.
    pub cached: u64,
}

impl Worker {
    /// Begins to listen. Once in a program, whose stdout is llama.cpp's from then on, and goes nowhere.
    ///
    /// # Errors
    /// Where the address, the devices or the memory cannot be had.
    pub fn start(options: &WorkerOptions) -> Result<Self, RpcError> {
        log::install(options.verbose);
        let rpc = Rpc::find()?;
        let (listener, address) = listen(options)?;
        let devices = choose(&options.devices)?;
        let offers = devices
            .iter()
            .map(|device| offer(device, options.memory))
            .collect::<Result<Vec<_>, _>>()?;
        let cache = options.cache.as_deref().map(TensorCache::open);
        let cache = cache.transpose()?.map(Arc::new);
        let cached = cache.as_ref().map_or(0, |cache| cache.check());

        silence_stdout();
        if let Some(most) = options.memory
            && devices.iter().any(|device| !device.is_gpu)
        {
            limit_memory(most);
        }
        let server = free_address().map_err(|_| RpcError::Server)?;
        let threads = options.threads;
        let folder = cache.as_ref().map(|cache| cache.folder().to_owned());
        thread::spawn(move || rpc.serve(server, folder.as_deref(), threads, &devices));
        Ok(Self {
            greeting: greeting(server)?,
            listener,
            server,
            cache,
            address,
            offers,
            cached,
        })
    }

    /// Works until the program ends; `tell` is called when a client comes and goes.
    pub fn run(self, tell: impl Fn(Visit) + Send + Sync + 'static) -> ! {
        let cache = self.cache;
        let door = Door {
            server: self.server,
            greeting: self.greeting,
            before: Box::new(move || {
                if let Some(cache) = &cache {
                    cache.check();
                }
            }),
            tell: Box::new(tell),
        };
        door.keep(&self.listener)
    }
}

fn listen(options: &WorkerOptions) -> Result<(TcpListener, SocketAddrV4), RpcError> {
    let host = &options.host;
    let mut address = resolve(host, options.port)
        .ok()
        .flatten()
        .ok_or_else(|| RpcError::NoAddress { host: host.clone() })?;
    if !address.ip().is_loopback() && !options.open {
        return Err(RpcError::Open {
            host: options.host.clone(),
        });
    }
    let listener = TcpListener::bind(address).map_err(|error| RpcError::Listen {
        address,
        reason: match error.kind() {
            std::io::ErrorKind::AddrInUse => {
                "the port is in use, by another worker perhaps; choose one with `--port`".to_owned()
            }
            std::io::ErrorKind::AddrNotAvailable => {
                "this machine does not have that address".to_owned()
            }
            _ => error.to_string(),
        },
    })?;
    if let Ok(bound) = listener.local_addr() {
        address.set_port(bound.port());
    }
    Ok((listener, address))
}

/// The devices asked for; else the GPUs; else the CPU.
fn choose(names: &[String]) -> Result<Vec<Device>, RpcError> {
    let all = Device::all();
    if names.is_empty() {
        let (gpus, others): (Vec<_>, Vec<_>) = all.into_iter().partition(|device| device.is_gpu);
        return Ok(match gpus.is_empty() {
            true => others,
            false => gpus,
        });
    }
    let find = |name: &String| {
        let found = all
            .iter()
            .find(|device| device.name.eq_ignore_ascii_case(name));
        found.cloned().ok_or_else(|| RpcError::Device {
            name: name.clone(),
            meant: nearest::of(name, all.iter().map(|device| device.name.as_str()))
                .map(|meant| format!(", did you mean `{meant}`?"))
                .unwrap_or_default(),
            known: all
                .iter()
                .map(|device| format!("`{}`", device.name))
                .collect(),
        })
    };
    names.iter().map(find).collect()
}

/// Sets what a device tells its clients.
fn offer(device: &Device, wanted: Option<u64>) -> Result<Offer, RpcError> {
    let now: Option<fn() -> u64> = (!device.is_gpu).then_some(free_memory);
    let free = now.map_or_else(|| device.free_memory(), |now| now());
    let bytes = wanted.unwrap_or(free);
    if bytes > free {
        return Err(RpcError::Memory {
            wanted: bytes,
            free,
            device: device.name.clone(),
        });
    }
    device.limit_memory(bytes, now);
    Ok(Offer {
        name: device.name.clone(),
        description: device.description.clone(),
        bytes,
    })
}

/// Bytes of memory that the system could give us now.
fn free_memory() -> u64 {
    Machine::now(Vec::new()).free
}

/// Memory beyond what is offered: for tensors on their way, threads and the program itself.
#[cfg(target_os = "linux")]
const BESIDES: u64 = 1 << 30;

/// Lets the system refuse what a client takes beyond `most` bytes: llama.cpp's server then tells it that there
/// is no more, where otherwise the machine would begin to swap.
#[cfg(target_os = "linux")]
fn limit_memory(most: u64) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    // The pages of data that the program has now are the sixth number.
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').nth(5).and_then(|pages| pages.parse().ok());
    let Some(now) =
        pages.and_then(|pages: u64| pages.checked_mul(rustix::param::page_size() as u64))
    else {
        return;
    };
    let limit = Rlimit {
        current: Some(now.saturating_add(most).saturating_add(BESIDES)),
        ..getrlimit(Resource::Data)
    };
    // A stricter limit stands already, perhaps.
    let _ = setrlimit(Resource::Data, limit);
}

#[cfg(not(target_os = "linux"))]
fn limit_memory(_most: u64) {}

/// A port of this machine alone, for llama.cpp's server behind the door.
fn free_address() -> std::io::Result<SocketAddrV4> {
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
        .local_addr()?
        .port();
    Ok(SocketAddrV4::new(Ipv4Addr::LOCALHOST, port))
}

/// Waits for the server, and gives its answer to a greeting.
fn greeting(server: SocketAddrV4) -> Result<[u8; HELLO_ANSWER], RpcError> {
    let began = Instant::now();
    loop {
        match Connection::open(server, PATIENCE) {
            Ok(connection) => return Ok(connection.greeting),
            Err(_) if began.elapsed() < PATIENCE => thread::sleep(Duration::from_millis(10)),
            Err(_) => return Err(RpcError::Server),
        }
    }
}

/// llama.cpp's server tells its own story on stdout, of a port that is of no use to anybody.
#[cfg(unix)]
fn silence_stdout() {
    let null = std::fs::File::options().write(true).open("/dev/null");
    if let Ok(null) = null {
        // Where it cannot be silenced, it is heard.
        let _ = rustix::stdio::dup2_stdout(null);
    }
}

#[cfg(not(unix))]
fn silence_stdout() {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runner::rpc::protocol::VERSION;

    /// llama.cpp's server, which says what it is.
    #[test]
    fn the_protocol_is_that_of_the_linked_llama_cpp() {
        let rpc = Rpc::find().unwrap();
        let server = free_address().unwrap();
        let devices = choose(&["cpu".to_owned()]).unwrap();
        thread::spawn(move || rpc.serve(server, None, 1, &devices));
        let greeting = greeting(server).unwrap();
        assert_eq!(greeting[8..11], [VERSION.0, VERSION.1, VERSION.2]);
        let mut connection = Connection::open(server, PATIENCE).unwrap();
        assert_eq!(connection.devices().unwrap(), 1);
        assert!(connection.free_memory(0).unwrap() > 0);
    }

    #[test]
    fn a_device_that_was_meant_is_named() {
        Rpc::find().unwrap();
        let error = choose(&["cpuu".to_owned()]).unwrap_err().to_string();
        assert!(error.contains("did you mean `CPU`?"), "{error}");
    }
}
