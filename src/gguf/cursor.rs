//! Reading little-endian numbers and strings from a header, never past its end.

use std::{
    fmt,
    io::{BufRead, ErrorKind},
};

use super::{FormatError, MAX_HEADER, escape};

/// The part of a header that is being read, for the error message.
#[derive(Clone, Copy)]
pub(super) enum Place<'a> {
    Counts,
    Key(u64),
    Value(&'a str),
    Name(u64),
    Tensor(&'a str),
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Counts => f.write_str("the beginning"),
            Self::Key(index) => write!(f, "key-value {index}"),
            Self::Value(key) => write!(f, "the value of `{}`", escape(key.as_bytes())),
            Self::Name(index) => write!(f, "tensor {index}"),
            Self::Tensor(name) => write!(f, "tensor `{}`", escape(name.as_bytes())),
        }
    }
}

/// A header that is being read from the front.
pub(super) struct Cursor<R> {
    input: R,
    offset: u64,
    /// Bytes that are there to read.
    available: u64,
}

impl<R: BufRead> Cursor<R> {
    /// Begins at the front of `input`, which has `available` bytes.
    pub(super) fn new(input: R, available: u64) -> Self {
        Self {
            input,
            offset: 0,
            available,
        }
    }

    /// Bytes read so far, which is the offset of the next one.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// The first bytes (as many as the input has at hand), not yet taken.
    pub(super) fn peek(&mut self) -> Result<&[u8], FormatError> {
        let offset = self.offset;
        self.input
            .fill_buf()
            .map_err(|source| FormatError::Io { offset, source })
    }

    /// Checks that `count` items of at least `smallest` bytes can follow.
    pub(super) fn check_count(
        &self,
        what: &'static str,
        count: u64,
        smallest: u64,
    ) -> Result<(), FormatError> {
        let left = self.left();
        let room = left / smallest;
        if count > room {
            return Err(FormatError::Count {
                what,
                count,
                left,
                room,
            });
        }
        Ok(())
    }

    pub(super) fn u8(&mut self, place: Place<'_>) -> Result<u8, FormatError> {
        self.number(place, u8::from_le_bytes)
    }

    pub(super) fn u32(&mut self, place: Place<'_>) -> Result<u32, FormatError> {
        self.number(place, u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self, place: Place<'_>) -> Result<u64, FormatError> {
        self.number(place, u64::from_le_bytes)
    }

    /// One number of `N` bytes.
    pub(super) fn number<T, const N: usize>(
        &mut self,
        place: Place<'_>,
        from_le_bytes: fn([u8; N]) -> T,
    ) -> Result<T, FormatError> {
        self.require(place, N as u64)?;
        let mut bytes = [0; N];
        self.fill(place, &mut bytes)?;
        Ok(from_le_bytes(bytes))
    }

    /// `count` numbers of `N` bytes each. Memory is taken as the bytes arrive.
    pub(super) fn numbers<T, const N: usize>(
        &mut self,
        place: Place<'_>,
        count: u64,
        from_le_bytes: fn([u8; N]) -> T,
    ) -> Result<Vec<T>, FormatError> {
        self.require(place, count.saturating_mul(N as u64))?;
        let mut numbers = Vec::new();
        let mut chunk = [0; 16 * 1024];
        let mut left = count;
        while left > 0 {
            let taken = left.min((chunk.len() / N) as u64);
            let bytes = &mut chunk[..taken as usize * N];
            self.fill(place, bytes)?;
            numbers.extend(
                bytes
                    .as_chunks()
                    .0
                    .iter()
                    .map(|number| from_le_bytes(*number)),
            );
            left -= taken;
        }
        Ok(numbers)
    }

    /// The bytes of a string whose length has been read. Memory is taken as the bytes arrive.
    pub(super) fn bytes(&mut self, place: Place<'_>, len: u64) -> Result<Vec<u8>, FormatError> {
        const AT_ONCE: u64 = 64 * 1024;
        self.require(place, len)?;
        let mut bytes = Vec::with_capacity(len.min(AT_ONCE) as usize);
        while (bytes.len() as u64) < len {
            let old = bytes.len();
            let more = (len - old as u64).min(AT_ONCE);
            bytes.resize(old + more as usize, 0);
            self.fill(place, &mut bytes[old..])?;
        }
        Ok(bytes)
    }

    /// A string: its length, then its bytes.
    pub(super) fn string(&mut self, place: Place<'_>) -> Result<Vec<u8>, FormatError> {
        let len = self.u64(place)?;
        self.bytes(place, len)
    }

    fn left(&self) -> u64 {
        self.available.min(MAX_HEADER) - self.offset
    }

    fn require(&self, place: Place<'_>, needed: u64) -> Result<(), FormatError> {
        if needed <= self.left() {
            return Ok(());
        }
        let left = self.available - self.offset;
        let (place, offset) = (place.to_string(), self.offset);
        Err(if needed <= left {
            FormatError::HeaderTooLarge {
                place,
                offset,
                needed,
            }
        } else {
            FormatError::HeaderCut {
                place,
                offset,
                needed,
                left,
            }
        })
    }

    /// Fills `bytes`, which [`Self::require`] said are there.
    fn fill(&mut self, place: Place<'_>, bytes: &mut [u8]) -> Result<(), FormatError> {
        let (offset, needed) = (self.offset, bytes.len() as u64);
        self.input
            .read_exact(bytes)
            .map_err(|source| match source.kind() {
                // The file became shorter while it was read.
                ErrorKind::UnexpectedEof => FormatError::HeaderCut {
                    place: place.to_string(),
                    offset,
                    needed,
                    left: 0,
                },
                _ => FormatError::Io { offset, source },
            })?;
        self.offset += needed;
        Ok(())
    }
}
