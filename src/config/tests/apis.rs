//! Balancers of kind `dataplane` and `nginx-plus`.

use super::*;
use crate::model::{ApiSpec, BalancerKind};

fn inventory(kind: &str, keys: &str) -> String {
    format!(
        "[hosts.\"web-[01:02]\"]\naddress = \"10.0.0.{{{{ n }}}}\"\nvars = {{ port = 8080 }}\n[balancers.edge]\nkind = \"{kind}\"\n{keys}\n"
    )
}

/// The titles of all mistakes, with what helps.
fn mistakes(kind: &str, keys: &str) -> String {
    let files = Files::new(&inventory(kind, keys), PLAYBOOK);
    files.findings(&files.request())
}

#[test]
fn an_api_is_a_url_with_variables_and_a_private_authority() {
    let files = Files::new(
        &inventory(
            "dataplane",
            "url = \"https://10.0.0.5:5555/\"\nusername_env = \"HOME\"\npassword_env = \"PATH\"\nca = \"ca.pem\"",
        ),
        PLAYBOOK,
    );
    let loaded = load(&files.request()).unwrap_or_else(|findings| panic!("{findings}"));
    let BalancerKind::Dataplane(spec) = &loaded.balancers[0].kind else {
        panic!("another kind");
    };
    assert_eq!(spec.url, "https://10.0.0.5:5555");
    let names = spec.credentials.as_ref().unwrap();
    assert_eq!(
        (names.username_env.as_str(), names.password_env.as_str()),
        ("HOME", "PATH")
    );
    assert_eq!(
        spec.ca.as_deref(),
        Some(files.path().join("ca.pem").as_path())
    );
}

#[test]
fn an_api_without_a_login_needs_a_url_alone() {
    let loaded = loaded(
        &inventory(
            "nginx-plus",
            "url = \"http://{{ env.HOME | replace('/', '') }}:8080/api\"",
        ),
        PLAYBOOK,
    );
    let BalancerKind::NginxPlus(ApiSpec {
        url,
        credentials,
        ca,
    }) = &loaded.balancers[0].kind
    else {
        panic!("another kind");
    };
    assert!(
        url.ends_with(":8080/api") && credentials.is_none() && ca.is_none(),
        "{url}"
    );
}

#[test]
fn what_is_wrong_says_what_would_be_right() {
    for (kind, keys, words) in [
        ("dataplane", "", "add url = \"http://127.0.0.1:5555\""),
        ("nginx-plus", "", "add url = \"http://127.0.0.1:8080/api\""),
        (
            "dataplane",
            "url = \"http://lb:5555/v3/\"",
            "write \"http://lb:5555\"",
        ),
        (
            "nginx-plus",
            "url = \"http://lb/api/9\"",
            "write \"http://lb/api\"",
        ),
        (
            "nginx-plus",
            "url = \"http://lb/api?x=1\"",
            "leave the query out",
        ),
        ("dataplane", "url = \"lb:5555\"", "is not where an API is"),
        (
            "dataplane",
            "url = \"http://u:p@lb\"",
            "name and password in the URL",
        ),
        (
            "dataplane",
            "url = \"http://lb\"\nusername_env = \"HOME\"",
            "`password_env` is missing",
        ),
        (
            "dataplane",
            "url = \"http://lb\"\npassword_env = \"HOME\"",
            "`username_env` is missing",
        ),
        (
            "dataplane",
            "url = \"http://lb\"\nusername_env = \"HOME\"\npassword_env = \"a b\"",
            "is not the name of an environment variable",
        ),
        (
            "nginx-plus",
            "url = \"https://lb\"\nca = \"~other/ca.pem\"",
            "is not a path",
        ),
        (
            "nginx-plus",
            "url = \"http://lb\"\nsocket = \"unix:///x\"",
            "has no `socket`",
        ),
    ] {
        let said = mistakes(kind, keys);
        assert!(said.contains(words), "{kind} {keys}: {said}");
    }
}
