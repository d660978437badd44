//! Parts of remote files, fetched ahead by several connections and handed out in order.
//!
//! The parts, given as a list, are cut into pieces of some megabytes; parts that follow each other
//! in a file are joined first. Each worker has a connection of its own and takes the next piece, as
//! long as the bytes held (arriving, or waiting for their turn) stay within a bound. The reader
//! takes pieces off the front.
//!
//! A connection that is slow must not hold the others: the bound fills with pieces behind the
//! missing one. So a piece that is late is asked for a second time on a free connection; the answer
//! that is whole first is taken, and the other request is ended. A piece is late when nothing of it
//! arrived for [`Options::stall`], or when it takes three times as long as pieces have taken on
//! average, and that long in addition. One piece at a time is asked for twice, the one that is
//! needed first.
//!
//! The first error that no retry helps ends everything.

mod queue;

use std::{
    ops::Range,
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use ureq::Agent;

use super::{error::HubError, http, http::Caller, remote_file::RemoteFile};
use queue::{Job, Piece, Queue};

/// How much is fetched ahead, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// Connections, each with a thread; 8.
    pub connections: usize,
    /// The most bytes asked for at once; 8 MiB.
    pub piece: usize,
    /// The most bytes held in memory; 128 MiB. At least two pieces.
    pub bound: usize,
    /// How long nothing may arrive of a piece before it is asked for again; 2 seconds.
    pub stall: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            connections: 8,
            piece: 8 << 20,
            bound: 128 << 20,
            stall: Duration::from_secs(2),
        }
    }
}

/// A part of a remote file.
#[derive(Clone, Debug)]
pub struct Part {
    /// The file.
    pub file: Arc<RemoteFile>,
    /// Its bytes.
    pub bytes: Range<u64>,
}

/// Reads a list of parts in order, ahead of its reader. Dropped, it ends its requests.
pub struct ReadAhead {
    queue: Arc<Queue>,
    workers: Vec<JoinHandle<()>>,
    /// The piece that is being handed out, and how much of it was.
    current: Vec<u8>,
    taken: usize,
}

impl ReadAhead {
    /// Begins to read `parts`.
    ///
    /// # Errors
    /// [`HubError::Malformed`] where a part is not within its file, [`HubError::Io`] where no
    /// thread can be started.
    pub fn start(parts: &[Part], options: &Options) -> Result<Self, HubError> {
        let piece = options.piece.max(1);
        for part in parts {
            if part.bytes.start > part.bytes.end || part.bytes.end > part.file.size() {
                let reason = format!(
                    "bytes {}..{} are asked of a file of {}",
                    part.bytes.start,
                    part.bytes.end,
                    part.file.size()
                );
                return Err(HubError::malformed(part.file.path(), reason));
            }
        }
        let bound = options.bound.max(2 * piece);
        let mut this = Self {
            queue: Arc::new(Queue::new(pieces(parts, piece), bound, options.stall)),
            workers: Vec::new(),
            current: Vec::new(),
            taken: 0,
        };
        for worker in 0..options.connections.clamp(1, this.queue.len().max(1)) {
            let queue = Arc::clone(&this.queue);
            let handle = thread::Builder::new()
                .name(format!("hub-{worker}"))
                .spawn(move || work(&queue, worker))
                .map_err(HubError::io("a thread"))?;
            this.workers.push(handle);
        }
        Ok(this)
    }

    /// Fills `buf` with the next bytes of the parts, as if they were one after the other in one
    /// file.
    ///
    /// # Errors
    /// What stopped the reading: [`HubError`], [`HubError::Interrupted`] within a fifth of a second
    /// after the client's flag was set. Bytes beyond the last part are [`HubError::Malformed`].
    pub fn read_exact(&mut self, buf: &mut [u8]) -> Result<(), HubError> {
        let mut done = 0;
        while done < buf.len() {
            if self.taken == self.current.len() {
                let empty = std::mem::take(&mut self.current);
                let alive = || self.workers.iter().any(|worker| !worker.is_finished());
                self.current = self.queue.next(empty, &alive)?;
                self.taken = 0;
            }
            let n = (buf.len() - done).min(self.current.len() - self.taken);
            buf[done..done + n].copy_from_slice(&self.current[self.taken..self.taken + n]);
            done += n;
            self.taken += n;
        }
        Ok(())
    }
}

impl Drop for ReadAhead {
    fn drop(&mut self) {
        self.queue.close();
    }
}

/// Cuts parts into pieces of at most `most` bytes.
fn pieces(parts: &[Part], most: usize) -> Vec<Piece> {
    let mut joined: Vec<Part> = Vec::new();
    for part in parts.iter().filter(|part| !part.bytes.is_empty()) {
        match joined.last_mut() {
            Some(last)
                if Arc::ptr_eq(&last.file, &part.file) && last.bytes.end == part.bytes.start =>
            {
                last.bytes.end = part.bytes.end;
            }
            _ => joined.push(part.clone()),
        }
    }
    let mut pieces = Vec::new();
    for part in joined {
        let mut start = part.bytes.start;
        while start < part.bytes.end {
            let len = (part.bytes.end - start).min(most as u64);
            pieces.push(Piece {
                file: Arc::clone(&part.file),
                offset: start,
                len: len as usize,
            });
            start += len;
        }
    }
    pieces
}

/// A worker: piece after piece, on connections of its own.
fn work(queue: &Queue, worker: usize) {
    let mut agent: Option<Agent> = None;
    while let Some(Job {
        index,
        piece,
        mut buf,
    }) = queue.take(worker)
    {
        let client = piece.file.client();
        let own = agent.get_or_insert_with(|| http::agent(client.policy()));
        queue.running_on(worker, index, own);
        let caller = Caller {
            agent: own,
            wanted: &|| client.is_wanted() && queue.is_missing(index),
            arrived: &|_| queue.arrived(index),
        };
        buf.resize(piece.len, 0);
        let result = piece.file.read_by(&caller, &mut buf, piece.offset);
        if !queue.put(worker, index, buf, result) {
            // They may have been shut down, and then are of no more use.
            agent = None;
        }
    }
}
