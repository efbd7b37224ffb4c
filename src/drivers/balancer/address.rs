//! Servers that are named by their address, each spelling brought to one. Pure.

use std::net::{IpAddr, Ipv6Addr};

/// What an upstream's server listens on where its line names no port. Source: nginx, `server` of `upstream`.
const PORT: u16 = 80;

/// `[::1]:8080` and `0:0::1:8080` are `::1:8080`, `10.0.0.1` is `10.0.0.1:80`, names are in lower case; sockets of files stay as they are.
pub(super) fn normal(text: &str) -> String {
    let text = text.trim();
    if text.starts_with("unix:") {
        return text.to_owned();
    }
    let (host, port) = apart(text);
    let port = port.unwrap_or(PORT);
    match host.parse::<IpAddr>() {
        Ok(address) => format!("{address}:{port}"),
        Err(_) => format!("{}:{port}", host.trim_end_matches('.').to_ascii_lowercase()),
    }
}

/// Host without brackets, and port. Of an IPv6 address without brackets the last group is the port where an address is left before it.
fn apart(text: &str) -> (&str, Option<u16>) {
    if let Some((host, rest)) = text
        .strip_prefix('[')
        .and_then(|inner| inner.split_once(']'))
    {
        return (
            host,
            rest.strip_prefix(':').and_then(|port| port.parse().ok()),
        );
    }
    let Some((host, port)) = text.rsplit_once(':') else {
        return (text, None);
    };
    let is_whole = host.contains(':') && host.parse::<Ipv6Addr>().is_err();
    match port.parse() {
        Ok(port) if !is_whole => (host, Some(port)),
        _ => (text, None),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_server_has_one_spelling() {
        for (text, wanted) in [
            ("10.0.0.1:8080", "10.0.0.1:8080"),
            ("10.0.0.1", "10.0.0.1:80"),
            ("[::1]:8080", "::1:8080"),
            ("::1:8080", "::1:8080"),
            ("[0:0:0:0:0:0:0:1]", "::1:80"),
            ("fd00::A:8080", "fd00::a:8080"),
            ("[fd00:0:0:0:0:0:0:A]:8080", "fd00::a:8080"),
            ("1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8:80"),
            ("Web-1.Example.:8080", "web-1.example:8080"),
            ("web-1", "web-1:80"),
            ("unix:/run/App.sock", "unix:/run/App.sock"),
        ] {
            assert_eq!(normal(text), wanted, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in "\\PC{0,40}") {
            let _unused = normal(&text);
        }

        #[test]
        fn a_normal_address_with_a_port_stays(address in any::<IpAddr>(), port in 1_u16..) {
            let once = normal(&std::net::SocketAddr::new(address, port).to_string());
            prop_assert_eq!(normal(&once), once);
        }
    }
}
