//! One command to the socket by a script on the balancer's host: for hosts whose `sshd` forwards nothing, and for sockets that only a
//! privileged user may open.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use crate::drivers::transport::{Call, Output, Payload};
use crate::model::Become;
use crate::model::Endpoint;

use super::socket::SocketError;

/// Exit code of the script where the host has no tool for the job.
const NO_TOOL: u32 = 71;

/// The call that sends `line` to `endpoint` and prints the answer.
///
/// Only `socat` or `nc` itself is privileged, and only where the SSH user may not write to the socket, so that one line of sudoers can
/// name it. With `sudo-all` the transport makes the whole script privileged.
pub(super) fn call(endpoint: &Endpoint, line: &str, r#become: Become, limit: Duration) -> Call {
    let (test, socat, nc) = match endpoint {
        Endpoint::Unix(path) => (
            format!("[ -w {} ]", quoted(path)),
            quoted(&format!("UNIX-CONNECT:{}", socat_escaped(path))),
            format!("-U {}", quoted(path)),
        ),
        // Whoever may log in may connect: privilege changes nothing.
        Endpoint::Tcp(address, port) => (
            ":".to_owned(),
            quoted(&tcp_for_socat(address, *port)),
            format!("{} {port}", quoted(address)),
        ),
    };
    let privileged = match r#become {
        Become::None | Become::SudoAll => "",
        Become::Sudo => "sudo -n",
        Become::Doas => "doas -n",
    };
    let line = quoted(line);
    let script = format!(
        "main() {{
LC_ALL=C; export LC_ALL; PATH=$PATH:/usr/local/bin:/usr/sbin:/sbin
if {test}; then set --; else set -- {privileged}; fi
if command -v socat >/dev/null 2>&1; then
  printf '%s\\n' {line} | \"$@\" socat -t 10 -T 10 - {socat}
elif command -v nc >/dev/null 2>&1; then
  printf '%s\\n' {line} | \"$@\" nc -w 10 {nc}
else
  exit {NO_TOOL}
fi
}}
main
"
    );
    Call {
        purpose: "talk to HAProxy's socket",
        script: Arc::from(script),
        payload: Payload::None,
        limit,
        privileged: false,
    }
}

/// The answer in what the script left behind.
pub(super) fn answer(output: Output) -> Result<Vec<u8>, SocketError> {
    let complaint = output.complaint();
    if output.code == NO_TOOL {
        return Err(SocketError::Denied(
            "its sshd forwards no such socket, and neither `socat` nor `nc` is there to reach it instead: allow \
             AllowStreamLocalForwarding (or AllowTcpForwarding) for this user, or install socat"
                .to_owned(),
        ));
    }
    if output.code == 0 {
        return Ok(output.stdout);
    }
    let last = complaint.lines().last().unwrap_or("no reason given");
    let text = format!("a script there exited {}: {last}", output.code);
    if complaint.contains("Permission denied") {
        Err(SocketError::Denied(format!(
            "{text}; put the SSH user into the socket's group, or set `become` for this host"
        )))
    } else if ["sudo:", "doas:"]
        .iter()
        .any(|word| complaint.contains(word))
    {
        Err(SocketError::Denied(format!(
            "{text}; allow this user to run `socat` without a password"
        )))
    } else {
        Err(SocketError::Unreachable(text))
    }
}

/// A word of a TCP address as `socat` takes it; IPv6 in brackets.
pub(super) fn tcp_for_socat(address: &str, port: u16) -> String {
    if address.contains(':') {
        format!("TCP6-CONNECT:[{address}]:{port}")
    } else {
        format!("TCP-CONNECT:{address}:{port}")
    }
}

/// `socat` splits addresses at commas, colons, quotes and brackets; a backslash takes their meaning.
fn socat_escaped(path: &str) -> String {
    let mut escaped = String::with_capacity(path.len());
    for char in path.chars() {
        if char.is_ascii_punctuation() && !"/._-".contains(char) {
            escaped.push('\\');
        }
        escaped.push(char);
    }
    escaped
}

/// A word for `sh`. A NUL cannot be in a path, so nothing is lost where one is left out.
pub(super) fn quoted(word: &str) -> String {
    let word = word.replace('\0', "");
    shlex::try_quote(&word)
        .map(Cow::into_owned)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(code: u32, stderr: &str) -> Output {
        let stderr = stderr.as_bytes().to_vec();
        Output {
            code,
            stdout: Vec::new(),
            stderr,
        }
    }

    #[test]
    fn only_the_tool_is_privileged_and_only_where_it_must_be() {
        let endpoint = Endpoint::Unix("/run/h a/it's,1.sock".to_owned());
        let call = call(&endpoint, "show info", Become::Sudo, Duration::from_secs(1));
        let guard = "then set --; else set -- sudo -n; fi";
        assert!(!call.privileged);
        assert!(call.script.contains(guard), "{}", call.script);
        // What the shell makes of its words is asked of a shell, below tests/.
        assert_eq!(
            socat_escaped("/run/h a/it's,1.sock"),
            r"/run/h a/it\'s\,1.sock"
        );
    }

    #[test]
    fn refusals_are_told_apart_from_a_socket_that_nobody_serves() {
        let denied = |code, text| matches!(answer(output(code, text)), Err(SocketError::Denied(_)));
        assert!(denied(71, ""));
        assert!(denied(1, "socat[1] E connect(): Permission denied"));
        assert!(denied(1, "sudo: a password is required"));
        assert!(!denied(1, "socat[1] E connect(): Connection refused"));
    }
}
