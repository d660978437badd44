//! What the server does wrong, and when.

use std::time::Duration;

use super::Headers;

/// Which requests a fault is for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum On {
    /// Model information.
    Info,
    /// `HEAD` of a file at the hub.
    Head,
    /// `GET` of a file at the hub.
    Resolve,
    /// `GET` at the CDN.
    Cdn,
    /// The same, of bytes from this one on.
    CdnAt(u64),
}

/// What goes wrong.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// An answer with this status and headers.
    Status(u16, Headers),
    /// The connection is reset after so many bytes of the body; `None` is before the head.
    Reset(Option<usize>),
    /// The body ends after so many bytes.
    Short(usize),
    /// Nothing more comes after so many bytes of the body, for so long.
    Stall(usize, Duration),
    /// The part begins so many bytes further on than was asked, and says so.
    Shifted(u64),
    /// The whole file comes, and not a part.
    Whole,
    /// The size in `Content-Range` is another.
    Size(u64),
    /// The `ETag` is another.
    Etag(&'static str),
    /// The redirect names another file.
    LinkedEtag(&'static str),
    /// The commit is another.
    Commit(&'static str),
    /// So many bytes more than were asked for, in chunks, so that no length gives it away.
    Longer(usize),
    /// The body is said to be compressed.
    Encoded,
    /// A bit of the body is flipped.
    Flipped,
    /// A redirect to the same address.
    Loop,
    /// The body comes in steps of so many bytes with a pause behind each.
    Trickle(usize, Duration),
}
