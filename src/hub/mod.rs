//! The Hugging Face hub: where a checkpoint is before it is here.
//!
//! What of the hub's protocol we speak, all of it plain HTTP:
//!
//! 1. `GET /api/models/ORG/NAME/revision/REVISION?blobs=true` tells the commit that a branch or tag
//!    stands for now, and the files with their sizes and digests ([`Snapshot`]). From then on
//!    everything is asked of that commit.
//! 2. `HEAD /ORG/NAME/resolve/COMMIT/PATH` tells a file's `ETag` and size: of a file in large-file
//!    storage by `X-Linked-Etag` (its SHA-256) and `X-Linked-Size` in a redirect to a CDN, of
//!    another by `ETag` (git's id of the blob) and `Content-Length`. `X-Repo-Commit` repeats the
//!    commit.
//! 3. `GET` of the same address gives the bytes, or a redirect to them; with `Range`, a part of
//!    them.
//! 4. An error has `X-Error-Code` and `X-Error-Message`.
//!
//! The modules, from the outside in: [`Repo`] parses what a user writes, [`Config`] reads the
//! environment, [`Client`] asks, [`RemoteFile`] reads parts of a file, [`ReadAhead`] a list of them
//! on several connections, and [`Cache`] keeps whole files as the hub's own library does and says
//! whether something is read there or on the hub. `http` has one request with its redirects, `retry`
//! says when it is made again, `refusal` what to do when the hub says no.
//!
//! The HTTP client is the crate ureq with rustls: blocking, as all of this program is, with a
//! time-out for each read and connections that another thread can end.

mod cache;
mod client;
mod config;
mod error;
mod ggufs;
mod http;
mod like;
mod read_ahead;
mod refusal;
mod remote_file;
mod repo;
mod retry;
mod snapshot;

pub(crate) use cache::MAX_POINTER;
pub use cache::{Cache, CachedSnapshot, Event, NotCached, Place, Unreachable};
pub use client::{Client, Metadata, Traffic};
pub use config::{Config, DEFAULT_ENDPOINT, Token};
pub use error::HubError;
pub use ggufs::{GgufModel, parts};
pub(crate) use like::{ggufs, quoted};
pub use read_ahead::{Options, Part, ReadAhead};
pub use remote_file::RemoteFile;
pub use repo::{DEFAULT_REVISION, Meant, Part as MeantPart, Repo, RepoFile, RepoId, is_commit};
pub use retry::RetryPolicy;
pub use snapshot::{Digest, FileInfo, Snapshot};
