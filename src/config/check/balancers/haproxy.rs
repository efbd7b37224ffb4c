//! `kind = "haproxy"`.

use super::Draft;
use crate::config::check::required;
use crate::config::check::scope::BALANCER;
use crate::config::check::ssh::split_port;
use crate::config::diagnostic::Report;
use crate::model::{BalancerKind, Endpoint};

/// The longest path that a unix socket can have. Source: unix(7), `sun_path` holds 108 bytes with the final zero.
const LONGEST_SOCKET: usize = 107;

pub(super) fn check(draft: &Draft<'_>, report: &mut Report) -> Option<BalancerKind> {
    let socket = required(
        &draft.shape.socket,
        (draft.file, draft.at),
        "socket",
        "\"unix:///run/haproxy/admin.sock\" or \"tcp://10.0.0.5:9999\"",
        report,
    )?;
    let text = socket.render(&BALANCER, &draft.given.context(), "", report)?;
    endpoint(&text)
        .map(|endpoint| BalancerKind::Haproxy { endpoint })
        .map_err(|help| report.add(socket.at, format!("`{text}` is not a socket"), help))
        .ok()
}

fn endpoint(text: &str) -> Result<Endpoint, String> {
    const HELP: &str = "write \"unix:///run/haproxy/admin.sock\" or \"tcp://10.0.0.5:9999\"";
    if let Some(path) = text.strip_prefix("unix://") {
        if !path.starts_with('/') || path.contains('\0') {
            return Err(format!("the path of a unix socket is absolute: {HELP}"));
        }
        if path.len() > LONGEST_SOCKET {
            return Err(format!(
                "a unix socket's path has {LONGEST_SOCKET} bytes at most"
            ));
        }
        return Ok(Endpoint::Unix(path.to_owned()));
    }
    if text.starts_with('/') {
        return Err(format!("write \"unix://{text}\""));
    }
    let address = text.strip_prefix("tcp://").ok_or(HELP)?;
    match split_port(address.trim_end_matches('/'))? {
        (host, Some(port)) => Ok(Endpoint::Tcp(host, port)),
        (host, None) => Err(format!("say which port: \"tcp://{host}:9999\"")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_are_paths_or_addresses_with_a_port() {
        assert_eq!(
            endpoint("unix:///run/a.sock"),
            Ok(Endpoint::Unix("/run/a.sock".to_owned()))
        );
        assert_eq!(
            endpoint("tcp://[::1]:9"),
            Ok(Endpoint::Tcp("::1".to_owned(), 9))
        );
        assert_eq!(
            endpoint("tcp://lb:9999"),
            Ok(Endpoint::Tcp("lb".to_owned(), 9999))
        );
        for bad in [
            "/run/a.sock",
            "unix://run/a",
            "tcp://lb",
            "http://lb:1",
            "",
            "tcp://lb:0",
        ] {
            assert!(endpoint(bad).is_err(), "{bad}");
        }
        let long = format!("unix:///{}", "a".repeat(107));
        assert!(endpoint(&long).is_err());
    }
}
