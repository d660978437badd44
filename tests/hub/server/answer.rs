//! The server's routes, and answers with everything that can be wrong with them.

use std::{
    fmt::Write as _,
    io::{self, Write},
    net::TcpStream,
    sync::{Arc, atomic::Ordering},
    thread,
    time::Duration,
};

use serde_json::json;

use super::{Content, Fault, Repo, Seen, State, parse_range};

pub(super) type Headers = Vec<(&'static str, String)>;

/// Answers a request; whether the connection can go on.
pub(super) fn answer(
    state: &State,
    stream: &mut TcpStream,
    seen: &Seen,
    fault: Option<Fault>,
) -> io::Result<bool> {
    if let Some(Fault::Status(status, headers)) = fault {
        return plain(state, stream, status, &headers);
    }
    let main = *state.commit.lock().unwrap();
    let path = seen.target.split('?').next().unwrap_or_default();
    if seen.at_cdn {
        let generation = format!("generation={}", state.generation.load(Ordering::Relaxed));
        let file = {
            let repos = state.repos.lock().unwrap();
            let mut files = repos.values().flat_map(|repo| repo.files.values());
            files.find(|file| path[1..] == file.digest).cloned()
        };
        return match file {
            Some(file) if seen.target.ends_with(&generation) => {
                // A CDN's own ETag is not the hub's.
                let etag = format!("cdn-{}", &file.digest[..8]);
                body(
                    state,
                    stream,
                    seen,
                    &file.content,
                    &[("ETag", format!("\"{etag}\""))],
                    fault,
                )
            }
            _ => plain(state, stream, 403, &[]),
        };
    }
    if let Some(rest) = path.strip_prefix("/api/models/") {
        return model_info(state, stream, seen, rest);
    }
    let (id, path) = match path.strip_prefix("/api/resolve-cache/models/") {
        Some(rest) => match rest.split_once(&format!("/{main}/")) {
            Some(parts) => parts,
            None => return plain(state, stream, 404, &[]),
        },
        None => match path[1..].split_once("/resolve/") {
            Some((id, rest)) => (id, rest.split_once('/').map_or("", |(_, path)| path)),
            None => return plain(state, stream, 404, &[]),
        },
    };
    let repo = match visible(state, seen, id) {
        Ok(repo) => repo,
        Err((status, headers)) => return plain(state, stream, status, &headers),
    };
    let commit = match fault {
        Some(Fault::Commit(other)) => other,
        _ => main,
    };
    let commit = ("X-Repo-Commit", commit.to_owned());
    let Some(file) = repo.files.get(path) else {
        let code = ("X-Error-Code", "EntryNotFound".to_owned());
        let message = ("X-Error-Message", "Entry not found".to_owned());
        return plain(state, stream, 404, &[code, message, commit]);
    };
    let etag = match fault {
        Some(Fault::LinkedEtag(other)) => other,
        _ => &file.digest,
    };
    if let Some(Fault::Loop) = fault {
        return plain(
            state,
            stream,
            302,
            &[("Location", seen.target.clone()), commit],
        );
    }
    if file.lfs {
        let generation = state.generation.load(Ordering::Relaxed);
        let location = format!(
            "http://{}/{}?sig=x&generation={generation}",
            state.cdn, file.digest
        );
        let headers = [
            ("Location", location),
            ("X-Linked-Etag", format!("\"{etag}\"")),
            ("X-Linked-Size", file.content.size().to_string()),
            commit,
        ];
        return plain(state, stream, 302, &headers);
    }
    let etag = ("ETag", format!("\"{etag}\""));
    if seen.target.starts_with("/api/") {
        return body(state, stream, seen, &file.content, &[etag, commit], fault);
    }
    let location = format!("/api/resolve-cache/models/{id}/{main}/{path}");
    plain(state, stream, 307, &[("Location", location), etag, commit])
}

/// The repository `id`, if the request may see it.
fn visible(state: &State, seen: &Seen, id: &str) -> Result<Repo, (u16, Headers)> {
    let refuse = |status, code: &str, message: &str| {
        let headers = [("X-Error-Code", code), ("X-Error-Message", message)];
        Err((
            status,
            headers
                .map(|(name, value)| (name, value.to_owned()))
                .to_vec(),
        ))
    };
    let repo = state.repos.lock().unwrap().get(id).cloned();
    let Some(repo) = repo else {
        return refuse(401, "RepoNotFound", "Repository not found");
    };
    let given = seen
        .authorization
        .as_deref()
        .and_then(|a| a.strip_prefix("Bearer "));
    match repo.token {
        Some(token) if given != Some(token) && repo.gated => refuse(
            403,
            "GatedRepo",
            &format!("Access to model {id} is restricted"),
        ),
        Some(token) if given != Some(token) => refuse(401, "RepoNotFound", "Repository not found"),
        _ => Ok(repo),
    }
}

fn model_info(state: &State, stream: &mut TcpStream, seen: &Seen, rest: &str) -> io::Result<bool> {
    let main = *state.commit.lock().unwrap();
    let (id, revision) = rest.split_once("/revision/").unwrap_or((rest, "main"));
    let repo = match visible(state, seen, id) {
        Ok(repo) => repo,
        Err((status, headers)) => return plain(state, stream, status, &headers),
    };
    if !["main", "refs%2Fpr%2F1", main].contains(&revision) {
        let code = ("X-Error-Code", "RevisionNotFound".to_owned());
        let message = ("X-Error-Message", format!("Invalid rev id: {revision}"));
        return plain(state, stream, 404, &[code, message]);
    }
    let siblings: Vec<_> = repo
        .files
        .iter()
        .map(|(path, file)| {
            let size = file.content.size();
            let mut sibling = json!({"rfilename": path, "size": size, "blobId": file.digest});
            if file.lfs {
                // Git has a pointer, whose id says nothing of the bytes.
                sibling["blobId"] = "0".repeat(40).into();
                sibling["lfs"] = json!({"sha256": file.digest, "size": size, "pointerSize": 135});
            }
            sibling
        })
        .collect();
    let info = json!({"id": id, "sha": main, "private": false, "siblings": siblings});
    let content = Content::Bytes(Arc::new(info.to_string().into_bytes()));
    let commit = ("X-Repo-Commit", main.to_owned());
    body(state, stream, seen, &content, &[commit], None)
}

fn send(state: &State, stream: &mut TcpStream, bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes)?;
    state.sent.fetch_add(bytes.len() as u64, Ordering::Relaxed);
    Ok(())
}

fn head(status: u16, headers: &[(&str, String)]) -> String {
    let mut text = format!("HTTP/1.1 {status} X\r\n");
    for (name, value) in headers {
        let _ = write!(text, "{name}: {value}\r\n");
    }
    text + "\r\n"
}

/// An answer without a body.
fn plain(
    state: &State,
    stream: &mut TcpStream,
    status: u16,
    headers: &[(&'static str, String)],
) -> io::Result<bool> {
    let mut headers = headers.to_vec();
    headers.push(("Content-Length", "0".into()));
    send(state, stream, head(status, &headers).as_bytes())?;
    Ok(true)
}

/// An answer with the bytes of `content` that are asked for.
fn body(
    state: &State,
    stream: &mut TcpStream,
    seen: &Seen,
    content: &Content,
    headers: &[(&'static str, String)],
    fault: Option<Fault>,
) -> io::Result<bool> {
    let size = content.size();
    let mut headers = headers.to_vec();
    let asked = seen.range.as_deref().and_then(parse_range);
    let mut range = 0..size;
    let mut status = 200;
    if let Some((first, last)) = asked.filter(|_| !matches!(fault, Some(Fault::Whole))) {
        range = first..last.map_or(size, |last| size.min(last + 1));
        if range.start >= range.end {
            headers.push(("Content-Range", format!("bytes */{size}")));
            return plain(state, stream, 416, &headers);
        }
        if let Some(Fault::Shifted(by)) = fault {
            range = range.start + by..range.end + by;
        }
        status = 206;
        let total = match fault {
            Some(Fault::Size(other)) => other,
            _ => size,
        };
        headers.push((
            "Content-Range",
            format!("bytes {}-{}/{total}", range.start, range.end - 1),
        ));
    }
    let len = range.end - range.start;
    if let Some(Fault::Etag(other)) = fault {
        headers.retain(|(name, _)| *name != "ETag");
        headers.push(("ETag", format!("\"{other}\"")));
    }
    if let Some(Fault::Encoded) = fault {
        headers.push(("Content-Encoding", "gzip".into()));
    }
    if let Some(Fault::Longer(more)) = fault {
        headers.push(("Transfer-Encoding", "chunked".into()));
        send(state, stream, head(status, &headers).as_bytes())?;
        let mut bytes = content.bytes(range);
        bytes.resize(bytes.len() + more, 0);
        send(state, stream, format!("{:x}\r\n", bytes.len()).as_bytes())?;
        send(state, stream, &bytes)?;
        send(state, stream, b"\r\n0\r\n\r\n")?;
        return Ok(true);
    }
    headers.push(("Content-Length", len.to_string()));
    send(state, stream, head(status, &headers).as_bytes())?;
    if seen.method == "HEAD" {
        return Ok(true);
    }
    let (stop, pause) = match fault {
        Some(Fault::Short(n) | Fault::Reset(Some(n))) => (Some(n as u64), Duration::ZERO),
        Some(Fault::Stall(n, pause)) => (Some(n as u64), pause),
        _ => (None, Duration::ZERO),
    };
    let bandwidth = state.bandwidth.load(Ordering::Relaxed);
    let (step, between) = match fault {
        Some(Fault::Trickle(step, between)) => (step, between),
        _ if bandwidth > 0 => {
            let step = 16 << 10;
            (
                step,
                Duration::from_secs_f64(step as f64 / bandwidth as f64),
            )
        }
        _ => (1 << 18, Duration::ZERO),
    };
    let end = range.start + stop.map_or(len, |n| n.min(len));
    let mut at = range.start;
    let mut buf = vec![0; step];
    while at < end {
        let n = (end - at).min(step as u64) as usize;
        content.read(at, &mut buf[..n]);
        if let Some(Fault::Flipped) = fault
            && at == range.start
        {
            buf[0] ^= 1;
        }
        state.wait_for_link(n);
        send(state, stream, &buf[..n])?;
        at += n as u64;
        thread::sleep(between);
    }
    thread::sleep(pause);
    Ok(stop.is_none())
}
