//! A tag's digest, asked of its registry: one HEAD, with the token dance where the registry wants it.
//!
//! Source: the OCI distribution specification, and Docker's "Token Authentication Specification".

use std::fmt::Write as _;
use std::time::Duration;

use hyper::body::Bytes;
use hyper::header::{ACCEPT, AUTHORIZATION, HeaderValue, WWW_AUTHENTICATE};
use hyper::{HeaderMap, Method, StatusCode};

use crate::drivers::http::{Client, Failure, Question, Target, TargetError};
use crate::model::{ImageRef, Login, RegistrySpec, Sha256};

/// Every kind of document that a tag may stand for: without one of them a registry gives the digest of another document.
const KINDS: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
     application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json";
/// No manifest or token is longer.
const BODY: usize = 4 << 20;
/// For one question.
const LIMIT: Duration = Duration::from_secs(20);

/// What a registry answered.
struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

/// Asks which digest the tag stands for at this moment.
///
/// # Errors
/// A text for people.
pub async fn digest_of_tag(
    image: &ImageRef,
    spec: &RegistrySpec,
    login: Option<&Login>,
) -> Result<Sha256, String> {
    let asking = Asking { image, spec, login };
    asking
        .digest()
        .await
        .map_err(|why| format!("the digest of {image} could not be found: {why}"))
}

struct Asking<'a> {
    image: &'a ImageRef,
    spec: &'a RegistrySpec,
    login: Option<&'a Login>,
}

impl Asking<'_> {
    async fn digest(&self) -> Result<Sha256, String> {
        let image = self.image;
        let tag = image.tag.as_deref().unwrap_or("latest");
        let host = match image.registry.as_str() {
            "docker.io" => "registry-1.docker.io",
            other => other,
        };
        let scheme = if self.spec.insecure || is_loopback(host) {
            "http"
        } else {
            "https"
        };
        let url = format!("{scheme}://{host}/v2/{}/manifests/{tag}", image.path);
        let mut pass = None;
        let mut reply = self.ask(&Method::HEAD, &url, None).await?;
        if reply.status == StatusCode::UNAUTHORIZED {
            pass = Some(self.pass(&reply.headers).await?);
            reply = self.ask(&Method::HEAD, &url, pass.as_deref()).await?;
        }
        self.check(reply.status)?;
        if let Some(digest) = reply.headers.get("docker-content-digest") {
            let digest = digest.to_str().unwrap_or_default();
            return read_digest(digest);
        }
        // A registry need not name the digest: then it is that of the document.
        let reply = self.ask(&Method::GET, &url, pass.as_deref()).await?;
        self.check(reply.status)?;
        super::archive::digest(&reply.body).map_err(|error| error.to_string())
    }

    fn check(&self, status: StatusCode) -> Result<(), String> {
        let hint = match (status, self.login) {
            (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, Some(_)) => {
                "the registry does not take this user name and password: see `registry.username_env` and `registry.password_env`"
            }
            (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, None) => {
                "the registry wants a login: add registry = { username_env = \"…\", password_env = \"…\" } to [release]"
            }
            (StatusCode::NOT_FOUND, _) => "the registry has no such image or tag: push it first",
            (StatusCode::TOO_MANY_REQUESTS, _) => {
                "the registry answers no more for a while: log in, or wait"
            }
            _ if status.is_success() => return Ok(()),
            _ => "see the registry's own log",
        };
        Err(format!("{status}; {hint}"))
    }

    /// What the registry's challenge asks for: the value of `Authorization`.
    async fn pass(&self, headers: &HeaderMap) -> Result<String, String> {
        let challenge = headers.get(WWW_AUTHENTICATE);
        let challenge = challenge.and_then(|value| value.to_str().ok());
        let challenge = challenge.ok_or("the registry wants a login and does not say which")?;
        let (kind, rest) = challenge.split_once(' ').unwrap_or((challenge, ""));
        if kind.eq_ignore_ascii_case("basic") {
            let login = self.login.ok_or_else(|| {
                self.check(StatusCode::UNAUTHORIZED)
                    .err()
                    .unwrap_or_default()
            })?;
            return Ok(basic(login));
        }
        let words = parameters(rest);
        let word = |name: &str| {
            words
                .iter()
                .find(|(key, _)| key == name)
                .map(|(_, value)| value.as_str())
        };
        let realm = word("realm").ok_or("the registry's challenge names no realm")?;
        let scope = format!("repository:{}:pull", self.image.path);
        let mut url = format!(
            "{realm}{}scope={}",
            if realm.contains('?') { '&' } else { '?' },
            escape(&scope)
        );
        if let Some(service) = word("service") {
            url.push_str("&service=");
            url.push_str(&escape(service));
        }
        let secure = url.starts_with("https://");
        let plain_is_fine = self.spec.insecure
            || Target::new(&url, None).is_ok_and(|target| is_loopback(&target.host));
        if !secure && !plain_is_fine {
            return Err(format!(
                "it sends us to {realm} without TLS, where a password is not given away"
            ));
        }
        let login = self.login.map(basic);
        let reply = self.ask(&Method::GET, &url, login.as_deref()).await?;
        self.check(reply.status)?;
        let body: serde_json::Value = serde_json::from_slice(&reply.body)
            .map_err(|error| format!("the token of {realm} cannot be read: {error}"))?;
        let token = ["token", "access_token"]
            .iter()
            .find_map(|key| body.get(*key)?.as_str());
        token
            .map(|token| format!("Bearer {token}"))
            .ok_or_else(|| format!("{realm} gave no token"))
    }

    async fn ask(&self, method: &Method, url: &str, pass: Option<&str>) -> Result<Reply, String> {
        let asked = self.ask_in_time(method, url, pass);
        match tokio::time::timeout(LIMIT, asked).await {
            Ok(reply) => reply,
            Err(_elapsed) => Err(format!("no answer within {LIMIT:?}")),
        }
    }

    async fn ask_in_time(
        &self,
        method: &Method,
        url: &str,
        pass: Option<&str>,
    ) -> Result<Reply, String> {
        let target = Target::new(url, self.spec.ca.as_deref());
        let target = target.map_err(|error| match error {
            TargetError::Url(reason) | TargetError::Tls(reason) => format!("`{url}`: {reason}"),
        })?;
        let path = target.path.clone();
        let client = Client::new(target, None);
        let question = Question {
            method: method.clone(),
            path: &path,
            headers: headers(pass)?,
            body: Bytes::new(),
            most: BODY,
        };
        let answer = client.ask(question).await;
        let answer = answer.map_err(|failure| failed(failure, client.target()))?;
        if answer.cut {
            return Err(format!("the answer has more than {BODY} bytes"));
        }
        Ok(Reply {
            status: StatusCode::from_u16(answer.status).map_err(|error| error.to_string())?,
            headers: answer.headers,
            body: answer.body,
        })
    }
}

fn headers(pass: Option<&str>) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static(KINDS));
    if let Some(pass) = pass {
        // Not the error itself: it may hold what was given.
        let pass = HeaderValue::from_str(pass).map_err(|_error| {
            "the login cannot be sent as it is: it has characters that HTTP does not allow"
                .to_owned()
        })?;
        headers.insert(AUTHORIZATION, pass);
    }
    Ok(headers)
}

fn failed(failure: Failure, target: &Target) -> String {
    let (Failure::NoForward { reason, .. }
    | Failure::NoConnection(reason)
    | Failure::NoTrust(reason)
    | Failure::Broken(reason)) = failure;
    let hint = if reason.starts_with("TLS failed") {
        "; a registry without TLS needs registry = { insecure = true }"
    } else {
        ""
    };
    format!("{}: {reason}{hint}", target.authority)
}

fn read_digest(text: &str) -> Result<Sha256, String> {
    let hex = text.strip_prefix("sha256:").unwrap_or_default();
    Sha256::new(hex)
        .map_err(|_reason| format!("the registry names the digest `{text}`, which is no sha256"))
}

/// Whether a registry is on this machine: Docker and Podman ask such ones without TLS too.
pub fn is_loopback(host: &str) -> bool {
    let bare = match host.rsplit_once(':') {
        Some((bare, port)) if port.bytes().all(|b| b.is_ascii_digit()) && !bare.ends_with(':') => {
            bare
        }
        Some(_) | None => host,
    };
    let bare = bare.trim_matches(['[', ']']);
    bare == "localhost"
        || bare
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

/// The parameters of a challenge: `name="value"` with commas between them, which may stand in values too.
fn parameters(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((name, after)) = rest.split_once('=') {
        let name = name.trim_matches([',', ' ']).to_ascii_lowercase();
        let (value, left) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => after.split_once(',').unwrap_or((after, "")),
        };
        found.push((name, value.to_owned()));
        rest = left;
    }
    found
}

fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~:/".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _never = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}

fn basic(login: &Login) -> String {
    format!("Basic {}", credentials(login))
}

fn credentials(login: &Login) -> String {
    base64(format!("{}:{}", login.user, login.password).as_bytes())
}

/// The text of a login file that both engines read: for one registry, and nothing else.
pub fn auth_file(registry: &str, login: &Login) -> String {
    let key = match registry {
        "docker.io" => "https://index.docker.io/v1/",
        other => other,
    };
    let entry = serde_json::json!({ "auth": credentials(login) });
    // Podman looks for the plain name.
    serde_json::json!({ "auths": { key: entry.clone(), registry: entry } }).to_string()
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for piece in bytes.chunks(3) {
        let word = piece
            .iter()
            .chain([&0, &0])
            .take(3)
            .fold(0_u32, |word, byte| (word << 8) | u32::from(*byte));
        for digit in 0..4 {
            let six = usize::try_from((word >> (18 - 6 * digit)) & 63).unwrap_or_default();
            let digit = if digit > u32::try_from(piece.len()).unwrap_or(3) {
                None
            } else {
                DIGITS.get(six)
            };
            text.push(digit.map_or('=', |digit| char::from(*digit)));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn base64_is_that_of_rfc_4648() {
        for (text, wanted) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(text.as_bytes()), wanted);
        }
    }

    #[test]
    fn challenges_are_taken_apart() {
        let words = parameters(
            "realm=\"https://auth.example/token\",service=\"reg\", scope=\"repository:a/b:pull,push\"",
        );
        assert_eq!(
            words[0],
            ("realm".to_owned(), "https://auth.example/token".to_owned())
        );
        assert_eq!(
            words[2],
            ("scope".to_owned(), "repository:a/b:pull,push".to_owned())
        );
    }

    #[test]
    fn only_this_machine_is_asked_without_tls() {
        for host in [
            "127.0.0.1:5000",
            "localhost",
            "localhost:1",
            "[::1]:5000",
            "127.9.9.9",
        ] {
            assert!(is_loopback(host), "{host}");
        }
        for host in [
            "10.0.0.1:5000",
            "reg.example",
            "localhost.example:5",
            "[fe80::1]:5",
        ] {
            assert!(!is_loopback(host), "{host}");
        }
    }

    #[test]
    fn a_login_prints_nothing() {
        let login = Login {
            user: "me".to_owned(),
            password: "secret".to_owned(),
        };
        assert_eq!(format!("{login:?}"), "Login(…)");
        assert!(auth_file("docker.io", &login).contains("index.docker.io"));
    }

    proptest! {
        #[test]
        fn any_challenge_is_read_without_a_panic(text in ".*") {
            let _any = parameters(&text);
            let _any = is_loopback(&text);
        }
    }
}
