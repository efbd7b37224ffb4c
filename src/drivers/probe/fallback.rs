//! The same question, asked by `curl` or `wget` on the host: for hosts whose `sshd` forwards no connections.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use hyper::header::HeaderName;

use super::answer::{BODY_LIMIT, Reply, note};
use crate::drivers::http::{AGENT, Target};
use crate::drivers::transport::{Call, Output, Payload, Transport};

/// Exit codes of the script's own.
const NO_TOOL: u32 = 71;
const NO_TRUST: u32 = 72;

/// Asks once by a script.
pub(super) async fn ask(
    host: &dyn Transport,
    target: &Target,
    header: Option<&HeaderName>,
    limit: Duration,
) -> Result<Reply, String> {
    let call = Call {
        purpose: "ask for readiness",
        script: Arc::from(script(target, limit)),
        payload: Payload::None,
        limit,
        privileged: false,
    };
    let output = host.run(call).await.map_err(|error| error.to_string())?;
    read(&output, header)
}

/// Prints the tool's name, then what it got. None of the tools follows a redirect or a proxy variable, except that busybox's `wget`
/// follows redirects whatever one says: of it the first status is read. Its `-T` is left out: it crashes busybox 1.35 of Debian 12.
/// `head` bounds what comes back; the whole is bounded by the call's limit.
fn script(target: &Target, limit: Duration) -> String {
    let url = quoted(&target.url);
    let seconds = limit.as_secs_f64().max(0.1);
    let whole = limit.as_secs().saturating_add(1);
    let enough = BODY_LIMIT.saturating_mul(2);
    let (ca, secure) = match &target.tls {
        None => ("''".to_owned(), "no"),
        Some(tls) => (quoted(tls.ca.as_deref().unwrap_or_default()), "yes"),
    };
    format!(
        "main() {{
LC_ALL=C; export LC_ALL; PATH=$PATH:/usr/local/bin:/usr/sbin:/sbin
url={url} pem={ca} secure={secure} file=
if [ -n \"$pem\" ]; then
  trap 'rm -f \"$file\"' EXIT
  trap 'exit 143' TERM HUP INT
  file=$(umask 077; mktemp) && printf '%s\\n' \"$pem\" >\"$file\" || exit 73
fi
if command -v curl >/dev/null 2>&1; then
  set -- -q -g -sS -i --http1.1 --noproxy '*' --max-time {seconds:.3} -A '{AGENT}'
  [ -z \"$file\" ] || set -- \"$@\" --cacert \"$file\"
  echo curl
  curl \"$@\" -- \"$url\" | head -c {enough}
elif command -v wget >/dev/null 2>&1; then
  case $(wget --version 2>/dev/null) in
  GNU*)
    set -- -nv -S -O - --content-on-error --max-redirect=0 --tries=1 --no-proxy -T {whole} -U '{AGENT}'
    [ -z \"$file\" ] || set -- \"$@\" --ca-certificate=\"$file\"
    ;;
  *)
    [ \"$secure\" = no ] || exit {NO_TRUST}
    set -- -S -O - -Y off -U '{AGENT}' ;;
  esac
  echo wget
  wget \"$@\" -- \"$url\" | head -c {enough}
else
  exit {NO_TOOL}
fi
}}
main
"
    )
}

fn read(output: &Output, header: Option<&HeaderName>) -> Result<Reply, String> {
    match output.code {
        NO_TOOL => {
            return Err("its sshd forwards nothing, and neither curl nor wget is there".to_owned());
        }
        NO_TRUST => {
            return Err("busybox wget checks no certificates: install curl there".to_owned());
        }
        _ => {}
    }
    let (tool, rest) = split_line(&output.stdout);
    let complaint = || complaint(&output.complaint());
    let (head, body) = match tool {
        b"curl" => split_head(rest).ok_or_else(complaint)?,
        b"wget" => (output.complaint(), rest.to_vec()),
        _ => return Err(complaint()),
    };
    let (status, header) = read_head(&head, header).ok_or_else(complaint)?;
    let cut = body.len() > BODY_LIMIT;
    let body = body.into_iter().take(BODY_LIMIT).collect();
    Ok(Reply {
        status,
        header,
        body,
        cut,
    })
}

/// The line in which the tool itself says what is wrong; `curl` lets a paragraph of advice follow.
fn complaint(text: &str) -> String {
    let lines = || text.lines().map(str::trim).filter(|line| !line.is_empty());
    let own = lines().find(|line| line.starts_with("curl:") || line.starts_with("wget:"));
    own.or_else(|| lines().next_back())
        .map_or_else(|| "no answer".to_owned(), note)
}

fn split_line(bytes: &[u8]) -> (&[u8], &[u8]) {
    let end = bytes
        .iter()
        .position(|byte| *byte == b'\n')
        .unwrap_or(bytes.len());
    let (line, rest) = bytes.split_at_checked(end).unwrap_or((bytes, &[]));
    (line, rest.strip_prefix(b"\n").unwrap_or(rest))
}

/// Head and body of what `curl -i` printed; interim answers (1xx) come before the one that counts.
fn split_head(mut bytes: &[u8]) -> Option<(String, Vec<u8>)> {
    loop {
        let mut head = Vec::new();
        loop {
            let (line, rest) = split_line(bytes);
            bytes = rest;
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if line.is_empty() {
                break;
            }
            head.push(String::from_utf8_lossy(line).into_owned());
        }
        let status = status_of(head.first()?)?;
        if status >= 200 {
            return Some((head.join("\n"), bytes.to_vec()));
        }
    }
}

/// The first final status, and the wanted header below it.
fn read_head(head: &str, wanted: Option<&HeaderName>) -> Option<(u16, Option<String>)> {
    let mut lines = head.lines().map(str::trim);
    let status = lines
        .by_ref()
        .find_map(|line| status_of(line).filter(|status| *status >= 200))?;
    let value = lines
        .take_while(|line| status_of(line).is_none())
        .find_map(|line| {
            let (name, value) = line.split_once(':')?;
            let same =
                wanted.is_some_and(|wanted| name.trim().eq_ignore_ascii_case(wanted.as_str()));
            same.then(|| value.trim().to_owned())
        });
    Some((status, value))
}

/// The status of a line such as `HTTP/1.1 200 OK`.
fn status_of(line: &str) -> Option<u16> {
    let mut words = line.strip_prefix("HTTP/")?.split_whitespace();
    let status = words.nth(1)?.parse().ok()?;
    (100..=999).contains(&status).then_some(status)
}

/// A word for `sh`.
fn quoted(word: &str) -> String {
    let word = word.replace('\0', "");
    shlex::try_quote(&word)
        .map(Cow::into_owned)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn output(code: u32, stdout: &str, stderr: &str) -> Output {
        Output {
            code,
            stdout: stdout.as_bytes().to_vec(),
            stderr: stderr.as_bytes().to_vec(),
        }
    }

    fn header() -> HeaderName {
        HeaderName::from_static("x-version")
    }

    #[test]
    fn curl_prints_head_and_body() {
        let text = "curl\nHTTP/1.1 103 Early Hints\r\nx-version: 0\r\n\r\nHTTP/1.1 503 No\r\nX-Version: 1.2 \r\n\r\nwarming\n\nup";
        let reply = read(&output(0, text, ""), Some(&header())).unwrap();
        assert_eq!((reply.status, reply.header.as_deref()), (503, Some("1.2")));
        assert_eq!(reply.body, b"warming\n\nup");
    }

    #[test]
    fn wget_prints_the_head_on_stderr_and_the_first_status_counts() {
        let head = "Connecting to x\n  HTTP/1.0 302 Found\n  Location: /y\n  HTTP/1.0 200 OK\n  X-Version: 2\n";
        let reply = read(&output(0, "wget\nhi", head), Some(&header())).unwrap();
        assert_eq!((reply.status, reply.header), (302, None));
    }

    #[test]
    fn no_answer_is_told_in_the_tools_own_words() {
        let why = read(&output(0, "curl\n", "curl: (7) Failed to connect"), None).unwrap_err();
        assert_eq!(why, "curl: (7) Failed to connect");
        assert!(
            read(&output(71, "", ""), None)
                .unwrap_err()
                .contains("neither curl nor wget")
        );
    }

    proptest! {
        #[test]
        fn any_output_is_survived(code in 0..80_u32, out in any::<Vec<u8>>(), tool in "(curl\n|wget\n)?") {
            let stdout = [tool.as_bytes(), &out].concat();
            let stderr = out;
            let _unused = read(&Output { code, stdout, stderr }, Some(&header()));
        }
    }
}
