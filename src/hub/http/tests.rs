use super::*;

#[test]
fn the_origin_is_scheme_host_and_port() {
    let hub = "https://huggingface.co";
    assert!(same_origin("https://huggingface.co/a/b", hub));
    assert!(same_origin("https://HuggingFace.co:443/a", hub));
    for other in [
        "http://huggingface.co/a",
        "https://huggingface.co:8443/a",
        "https://cdn.huggingface.co/a",
        "https://huggingface.co.evil.org/a",
        "https://huggingface.co@evil.org/a",
        "nonsense",
    ] {
        assert!(!same_origin(other, hub), "{other}");
    }
}

#[test]
fn redirects() {
    let base = "https://h.co:8443/a/b?c";
    let cases = [
        ("/x/y?z", Ok("https://h.co:8443/x/y?z")),
        ("//cdn.co/x", Ok("https://cdn.co/x")),
        ("https://cdn.co/x?sig=1", Ok("https://cdn.co/x?sig=1")),
        (
            "http://h.co/x",
            Err("h.co:8443 redirects from https to http"),
        ),
        ("x/y", Err("h.co:8443 redirects to a relative path")),
        ("ftp://h.co/x", Err("h.co:8443 redirects to no address")),
    ];
    for (to, expected) in cases {
        let found = joined(base, to).map_err(|failure| match failure {
            Failure::Passing { reason, .. } => reason,
            Failure::Fatal(error) => error.to_string(),
        });
        assert_eq!(found.as_deref().map_err(String::as_str), expected, "{to}");
    }
}

#[test]
fn etags() {
    assert_eq!(plain_etag("\"abc\""), "abc");
    assert_eq!(plain_etag("W/\"abc\""), "abc");
    assert_eq!(plain_etag("abc"), "abc");
}
