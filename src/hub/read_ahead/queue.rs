//! Which piece is fetched when, by whom, and which is handed out next.

use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use ureq::Agent;

use crate::hub::{HubError, RemoteFile};

/// How often a waiting thread looks up.
const LOOK_UP: Duration = Duration::from_millis(50);

/// Pieces that must have come before their average says what is late.
const ENOUGH: u32 = 4;

/// Bytes that are fetched by one request.
#[derive(Clone)]
pub(super) struct Piece {
    pub(super) file: Arc<RemoteFile>,
    pub(super) offset: u64,
    pub(super) len: usize,
}

/// A piece for a worker, with a buffer to fill.
pub(super) struct Job {
    pub(super) index: usize,
    pub(super) piece: Piece,
    pub(super) buf: Vec<u8>,
}

pub(super) struct Queue {
    pieces: Vec<Piece>,
    bound: usize,
    largest: usize,
    stall: Duration,
    state: Mutex<State>,
    for_workers: Condvar,
    for_reader: Condvar,
}

#[derive(Default)]
struct State {
    /// The first piece that nobody has asked for.
    next: usize,
    /// The piece of the first slot: the one that is handed out next.
    head: usize,
    /// The pieces from `head` to `next`.
    slots: VecDeque<Slot>,
    /// Bytes of all requests under way and of all pieces that wait for their turn or are read.
    held: usize,
    /// Buffers of the largest size, to be used again.
    spare: Vec<Vec<u8>>,
    /// How long pieces of the largest size take on average, and how many have come.
    average: Duration,
    came: u32,
    error: Option<HubError>,
    /// No more work: an error, the reader gone, or the flag set.
    closed: bool,
}

struct Slot {
    begun: Instant,
    heard: Instant,
    /// The workers at it, with the connections that they use.
    runs: Vec<(usize, Option<Agent>)>,
    bytes: Option<Vec<u8>>,
}

impl Queue {
    pub(super) fn new(pieces: Vec<Piece>, bound: usize, stall: Duration) -> Self {
        Self {
            largest: pieces.iter().map(|piece| piece.len).max().unwrap_or(0),
            pieces,
            bound,
            stall,
            state: Mutex::default(),
            for_workers: Condvar::new(),
            for_reader: Condvar::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.pieces.len()
    }

    /// The next piece to fetch, when there is room for one or one is late; `None` when all is done.
    pub(super) fn take(&self, worker: usize) -> Option<Job> {
        let mut state = self.lock();
        loop {
            if state.closed {
                return None;
            }
            if let Some(index) = self.late(&state) {
                return Some(self.begin(&mut state, worker, index));
            }
            if state.next == self.pieces.len() {
                if state.slots.iter().all(|slot| slot.bytes.is_some()) {
                    return None;
                }
            } else {
                // Room for a second request of a late piece is always left.
                let held = state.held + self.pieces[state.next].len;
                if held <= self.bound - self.largest {
                    let index = state.next;
                    state.next += 1;
                    let now = Instant::now();
                    state.slots.push_back(Slot {
                        begun: now,
                        heard: now,
                        runs: Vec::new(),
                        bytes: None,
                    });
                    return Some(self.begin(&mut state, worker, index));
                }
            }
            let waited = self.for_workers.wait_timeout(state, LOOK_UP);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The piece that is needed first, where it is late and can be asked for again.
    fn late(&self, state: &State) -> Option<usize> {
        let first = state.slots.iter().position(|slot| slot.bytes.is_none())?;
        let slot = &state.slots[first];
        let twice = state.slots.iter().any(|slot| slot.runs.len() > 1);
        let slow = state.came >= ENOUGH
            && slot.begun.elapsed() > state.average.saturating_mul(3) + self.stall;
        let late = slot.heard.elapsed() > self.stall || slow;
        let index = state.head + first;
        let room = state.held + self.pieces[index].len <= self.bound;
        (late && !twice && room).then_some(index)
    }

    fn begin(&self, state: &mut State, worker: usize, index: usize) -> Job {
        let piece = self.pieces[index].clone();
        let at = index - state.head;
        state.slots[at].runs.push((worker, None));
        state.held += piece.len;
        let mut buf = Vec::new();
        if piece.len == self.largest {
            buf = state.spare.pop().unwrap_or_default();
        }
        let spares = (self.bound - state.held.min(self.bound)) / self.largest;
        state.spare.truncate(spares);
        // Another request waits for an answer of its own, and not for the first one's.
        state.slots[at].heard = Instant::now();
        Job { index, piece, buf }
    }

    /// Says on which connections a worker fetches, so that its request can be ended.
    pub(super) fn running_on(&self, worker: usize, index: usize, agent: &Agent) {
        let mut state = self.lock();
        let head = state.head;
        let slot = index
            .checked_sub(head)
            .and_then(|at| state.slots.get_mut(at));
        if let Some(run) = slot.and_then(|slot| slot.runs.iter_mut().find(|run| run.0 == worker)) {
            run.1 = Some(agent.clone());
        }
    }

    /// Something of a piece arrived.
    pub(super) fn arrived(&self, index: usize) {
        let mut state = self.lock();
        let head = state.head;
        if let Some(slot) = index
            .checked_sub(head)
            .and_then(|at| state.slots.get_mut(at))
        {
            slot.heard = Instant::now();
        }
    }

    /// Whether a piece is still to come.
    pub(super) fn is_missing(&self, index: usize) -> bool {
        let state = self.lock();
        let slot = index
            .checked_sub(state.head)
            .and_then(|at| state.slots.get(at));
        !state.closed && slot.is_some_and(|slot| slot.bytes.is_none())
    }

    /// Takes what became of a piece; whether the worker's connections are still good.
    pub(super) fn put(
        &self,
        worker: usize,
        index: usize,
        buf: Vec<u8>,
        result: Result<(), HubError>,
    ) -> bool {
        let mut guard = self.lock();
        let state = &mut *guard;
        let len = self.pieces[index].len;
        let slot = index
            .checked_sub(state.head)
            .and_then(|at| state.slots.get_mut(at))
            .filter(|slot| slot.bytes.is_none());
        let Some(slot) = slot else {
            // Another worker was faster, and has ended our request.
            state.give_back(buf, len, self.largest);
            self.for_workers.notify_all();
            return false;
        };
        slot.runs.retain(|run| run.0 != worker);
        match result {
            Ok(()) => {
                if len == self.largest {
                    let took = slot.begun.elapsed();
                    state.came += 1;
                    let weight = state.came.min(16);
                    state.average = (state.average * (weight - 1) + took) / weight;
                }
                slot.bytes = Some(buf);
                for agent in slot.runs.drain(..).filter_map(|run| run.1) {
                    agent.shutdown();
                }
                self.for_reader.notify_all();
                self.for_workers.notify_all();
                true
            }
            Err(error) => {
                // Where another worker is at it, that one may be luckier.
                if slot.runs.is_empty() {
                    state.error.get_or_insert(error);
                    state.close();
                }
                state.give_back(buf, len, self.largest);
                self.for_reader.notify_all();
                self.for_workers.notify_all();
                false
            }
        }
    }

    /// The bytes of the next piece; `read` is what the last call gave. `alive` tells whether there
    /// is anyone to wait for.
    pub(super) fn next(
        &self,
        read: Vec<u8>,
        alive: &dyn Fn() -> bool,
    ) -> Result<Vec<u8>, HubError> {
        let mut state = self.lock();
        let len = read.len();
        state.give_back(read, len, self.largest);
        self.for_workers.notify_all();
        loop {
            let Some(piece) = self.pieces.get(state.head) else {
                return Err(HubError::malformed(
                    "the parts",
                    "more is read than was asked for",
                ));
            };
            if !piece.file.client().is_wanted() {
                state.close();
            }
            if state.closed {
                return Err(state.error.take().unwrap_or(HubError::Interrupted));
            }
            if let Some(bytes) = state.slots.front_mut().and_then(|slot| slot.bytes.take()) {
                state.slots.pop_front();
                state.head += 1;
                return Ok(bytes);
            }
            assert!(alive(), "the reading threads have panicked");
            let waited = self.for_reader.wait_timeout(state, LOOK_UP);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Ends everything.
    pub(super) fn close(&self) {
        self.lock().close();
        self.for_workers.notify_all();
    }

    /// The state is whole whenever the lock is free, also where a thread died that held it.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// `len` bytes are no longer held; their buffer is kept if it is of the largest size.
    fn give_back(&mut self, buf: Vec<u8>, len: usize, largest: usize) {
        self.held -= len;
        if buf.len() == largest && largest > 0 {
            self.spare.push(buf);
        }
    }

    fn close(&mut self) {
        self.closed = true;
        for slot in &mut self.slots {
            for agent in slot.runs.drain(..).filter_map(|run| run.1) {
                agent.shutdown();
            }
        }
    }
}
