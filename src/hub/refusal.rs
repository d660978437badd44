//! Why the hub says no, and what a user can do about it.
//!
//! The hub tells by status and two headers: `X-Error-Code`, a word such as `GatedRepo`, and
//! `X-Error-Message`, a sentence. A repository that does not exist and one that is not ours to see
//! look the same on purpose.

use super::{client::Wanted, config::Config, error::HubError, http::Answer};

/// The error for an answer that would be the same again.
pub(super) fn of(answer: &Answer, wanted: &Wanted<'_>, config: &Config) -> HubError {
    let status = answer.status();
    let code = answer.header("x-error-code");
    let message = answer
        .header("x-error-message")
        .map(|m| m.chars().take(300).collect());
    explain(status, code.as_deref(), message, wanted, config)
}

fn explain(
    status: u16,
    code: Option<&str>,
    message: Option<String>,
    wanted: &Wanted<'_>,
    config: &Config,
) -> HubError {
    let page = format!("{}/{}", config.endpoint, wanted.id);
    let has_token = config.token.is_some();
    let invalid_token = message
        .as_deref()
        .is_some_and(|m| m.starts_with("Invalid credentials"));
    let token = match has_token {
        true => "the token (HF_TOKEN or the token file) must belong to an account that may",
        false => "set HF_TOKEN to a token of an account that may",
    };
    let (default_reason, advice) = match (status, code) {
        _ if invalid_token => (
            "the token is not valid",
            format!("make a new one at {}/settings/tokens", config.endpoint),
        ),
        (_, Some("GatedRepo")) => (
            "the repository is gated",
            format!("ask for access at {page}; {token} read it"),
        ),
        (_, Some("RevisionNotFound")) => (
            "there is no such revision",
            format!(
                "`{}` is none of the branches and tags at {page}/tree/main",
                wanted.revision
            ),
        ),
        (_, Some("EntryNotFound")) => (
            "there is no such file",
            format!("its files are at {page}/tree/{}", wanted.revision),
        ),
        (401 | 403 | 404, _) => (
            "there is no such repository, or it is private",
            format!("look at {page}; where it is private, {token} read it"),
        ),
        _ => ("no reason given", format!("look at {page}")),
    };
    HubError::Refused {
        what: wanted.to_string(),
        status,
        reason: message
            .map(|m: String| m.trim_end_matches(['.', ' ']).to_owned())
            .filter(|m| !m.is_empty())
            .unwrap_or_else(|| default_reason.into()),
        advice,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::{RepoId, Token};

    #[test]
    fn reasons_and_ways_out() {
        let id = RepoId::new("a/b").unwrap();
        let config = |token: Option<&str>| Config {
            endpoint: "https://huggingface.co".into(),
            token: token.and_then(|text| Token::new(text, "HF_TOKEN").unwrap()),
            cache: "cache".into(),
            offline: None,
        };
        type Case = (
            u16,
            Option<&'static str>,
            Option<&'static str>,
            Option<&'static str>,
            &'static str,
        );
        let cases: &[Case] = &[
            (
                401,
                Some("GatedRepo"),
                Some("Access to model a/b is restricted. You must be authenticated."),
                None,
                "Access to model a/b is restricted. You must be authenticated (HTTP 401): ask for access at https://huggingface.co/a/b; set HF_TOKEN to a token of an account that may read it",
            ),
            (
                403,
                Some("GatedRepo"),
                None,
                Some("hf_x"),
                "the repository is gated (HTTP 403): ask for access at https://huggingface.co/a/b; the token (HF_TOKEN or the token file) must belong to an account that may read it",
            ),
            (
                401,
                Some("RepoNotFound"),
                Some("Repository not found"),
                None,
                "Repository not found (HTTP 401): look at https://huggingface.co/a/b; where it is private, set HF_TOKEN to a token of an account that may read it",
            ),
            (
                404,
                None,
                None,
                None,
                "there is no such repository, or it is private (HTTP 404): look at https://huggingface.co/a/b; where it is private, set HF_TOKEN to a token of an account that may read it",
            ),
            (
                401,
                None,
                Some("Invalid credentials in Authorization header"),
                Some("hf_x"),
                "Invalid credentials in Authorization header (HTTP 401): make a new one at https://huggingface.co/settings/tokens",
            ),
            (
                404,
                Some("RevisionNotFound"),
                Some("Invalid rev id: v9"),
                None,
                "Invalid rev id: v9 (HTTP 404): `v9` is none of the branches and tags at https://huggingface.co/a/b/tree/main",
            ),
            (
                404,
                Some("EntryNotFound"),
                Some("Entry not found"),
                None,
                "Entry not found (HTTP 404): its files are at https://huggingface.co/a/b/tree/v9",
            ),
            (
                418,
                None,
                None,
                None,
                "no reason given (HTTP 418): look at https://huggingface.co/a/b",
            ),
        ];
        for (status, code, message, token, expected) in cases {
            let wanted = Wanted {
                id: &id,
                revision: "v9",
                path: None,
            };
            let error = explain(
                *status,
                *code,
                message.map(str::to_owned),
                &wanted,
                &config(*token),
            );
            assert_eq!(
                error.to_string(),
                format!("the hub refuses hf:a/b: {expected}")
            );
        }
    }
}
