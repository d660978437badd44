//! The words of llama.cpp's protocol that we speak ourselves.
//!
//! A request is a command of one byte, the length of what follows in eight, and so many bytes; an
//! answer is a length and so many bytes; numbers are little-endian. The first request is a greeting, and
//! its answer has the version of the protocol.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, SocketAddrV4, TcpStream};
use std::time::Duration;

/// The greeting, which has this number in all versions.
pub(super) const HELLO: u8 = 14;
const DEVICE_COUNT: u8 = 15;
const GET_DEVICE_MEMORY: u8 = 11;

/// What a client can do beyond TCP, in its greeting. Zeros: nothing.
const CAPABILITIES: usize = 24;

/// A greeting's request: command, length, capabilities.
pub(super) const HELLO_REQUEST: usize = 1 + 8 + CAPABILITIES;

/// A greeting's answer: length, version in three bytes, a byte of padding, capabilities.
pub(super) const HELLO_ANSWER: usize = 8 + 4 + CAPABILITIES;

/// Devices that a worker may say it has.
const MAX_DEVICES: u32 = 64;

/// The version of the protocol that the llama.cpp in this program speaks. A test holds it against that.
pub(super) const VERSION: Version = Version(7, 0, 0);

/// A version of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Version(pub(super) u8, pub(super) u8, pub(super) u8);

impl Version {
    /// What llama.cpp's client asks of a worker.
    fn is_understood(self) -> bool {
        self.0 == VERSION.0 && self.1.cmp(&VERSION.1).is_le()
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

/// Why a greeting has no good answer.
#[derive(Debug)]
pub(super) enum Failure {
    /// Nobody is there.
    NoConnection(io::Error),
    /// Somebody is there, and says nothing.
    Silent,
    /// Somebody is there who ends the connection, or says something else.
    Stranger,
    /// A worker of another version.
    Version(Version),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            // A time-out of a read is the one on some systems and the other on others.
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Self::Silent,
            _ => Self::Stranger,
        }
    }
}

/// A connection to a worker that has answered a greeting.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    /// The answer to the greeting.
    pub(super) greeting: [u8; HELLO_ANSWER],
}

impl Connection {
    /// Connects and greets; each may take so long.
    pub(super) fn open(address: SocketAddrV4, patience: Duration) -> Result<Self, Failure> {
        let mut stream = TcpStream::connect_timeout(&SocketAddr::V4(address), patience)
            .map_err(Failure::NoConnection)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(patience))?;
        stream.set_write_timeout(Some(patience))?;
        stream.write_all(&hello())?;
        let mut greeting = [0; HELLO_ANSWER];
        // The length first, so that a stranger who says something shorter is not waited for.
        stream.read_exact(&mut greeting[..8])?;
        if u64::from_le_bytes(first_eight(&greeting)) != (HELLO_ANSWER - 8) as u64 {
            return Err(Failure::Stranger);
        }
        stream.read_exact(&mut greeting[8..])?;
        let version = Version(greeting[8], greeting[9], greeting[10]);
        if !version.is_understood() {
            return Err(Failure::Version(version));
        }
        Ok(Self { stream, greeting })
    }

    /// The connection after the greeting.
    pub(super) fn into_stream(self) -> io::Result<TcpStream> {
        self.stream.set_read_timeout(None)?;
        self.stream.set_write_timeout(None)?;
        Ok(self.stream)
    }

    /// How many devices the worker has.
    pub(super) fn devices(&mut self) -> Result<u32, Failure> {
        let mut count = [0; 4];
        self.ask(DEVICE_COUNT, &[], &mut count)?;
        match u32::from_le_bytes(count) {
            count @ 1..=MAX_DEVICES => Ok(count),
            _ => Err(Failure::Stranger),
        }
    }

    /// Bytes that are free on a device.
    pub(super) fn free_memory(&mut self, device: u32) -> Result<u64, Failure> {
        let mut free_and_total = [0; 16];
        self.ask(
            GET_DEVICE_MEMORY,
            &device.to_le_bytes(),
            &mut free_and_total,
        )?;
        Ok(u64::from_le_bytes(first_eight(&free_and_total)))
    }

    fn ask(&mut self, command: u8, request: &[u8], answer: &mut [u8]) -> Result<(), Failure> {
        let mut bytes = vec![command];
        bytes.extend((request.len() as u64).to_le_bytes());
        bytes.extend(request);
        self.stream.write_all(&bytes)?;
        let mut length = [0; 8];
        self.stream.read_exact(&mut length)?;
        if u64::from_le_bytes(length) != answer.len() as u64 {
            return Err(Failure::Stranger);
        }
        Ok(self.stream.read_exact(answer)?)
    }
}

fn hello() -> [u8; HELLO_REQUEST] {
    let mut request = [0; HELLO_REQUEST];
    request[0] = HELLO;
    request[1..9].copy_from_slice(&(CAPABILITIES as u64).to_le_bytes());
    request
}

/// Whether these bytes are a greeting of this version of the protocol.
pub(super) fn is_hello(request: &[u8; HELLO_REQUEST]) -> bool {
    request[..9] == hello()[..9]
}

fn first_eight(bytes: &[u8]) -> [u8; 8] {
    let mut first = [0; 8];
    first.copy_from_slice(&bytes[..8]);
    first
}
