//! Requests that old workers still carry after a reload: the new worker knows nothing of them.
//!
//! Through the master's socket old workers can be asked themselves. Through a worker's socket they cannot, so there the system is asked:
//! which processes are children of the same master, and which connections they have to the servers. An idle connection of an old worker
//! cannot be told from a busy one, so it counts: it ends with its worker.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use crate::drivers::transport::{Call, Payload};

/// For the whole look at the system.
const LIMIT: Duration = Duration::from_secs(5);

/// Process ids below `# old workers` in what `show proc` answers.
pub(super) fn listed(answer: &str) -> Vec<u32> {
    let mut lines = answer.lines().map(str::trim);
    if !lines.any(|line| line == "# old workers") {
        return Vec::new();
    }
    lines
        .take_while(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_whitespace().next()?.parse().ok())
        .collect()
}

/// The script that lists old workers beside worker `pid`, and their connections. It prints nothing where the worker has no master, or the
/// system does not tell.
///
/// Source: proc(5): the fourth field of `stat` is the parent; the tenth column of `net/tcp` is the socket's inode, the third the remote
/// end, the fourth the state (01: established).
pub(super) fn call(pid: u32) -> Call {
    let script = format!(
        "parent() {{
  read -r stat 2>/dev/null <\"/proc/$1/stat\" || return 1
  stat=${{stat##*) }}; set -- $stat; echo \"$2\"
}}
main() {{
LC_ALL=C; export LC_ALL
master=$(parent {pid}) || return 0
[ \"$(cat \"/proc/$master/comm\" 2>/dev/null)\" = \"$(cat /proc/{pid}/comm 2>/dev/null)\" ] || return 0
for dir in /proc/[0-9]*; do
  worker=${{dir#/proc/}}
  [ \"$worker\" != {pid} ] && [ \"$(parent \"$worker\")\" = \"$master\" ] || continue
  echo \"worker $worker\"
  inodes=$(ls -l \"$dir/fd\" 2>/dev/null | sed -n 's/.*socket:\\[\\([0-9]*\\)\\].*/\\1/p' | tr '\\n' ' ')
  [ -n \"$inodes\" ] || continue
  cat /proc/net/tcp /proc/net/tcp6 2>/dev/null |
    awk -v inodes=\" $inodes\" '$4 == \"01\" && index(inodes, \" \" $10 \" \") {{ print \"to\", $3 }}'
done
}}
main
"
    );
    Call {
        purpose: "look for old workers of HAProxy",
        script: Arc::from(script),
        payload: Payload::None,
        limit: LIMIT,
        privileged: false,
    }
}

/// What the script found: whether there are old workers, and how many connections they have to each address.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Left {
    pub(super) workers: usize,
    pub(super) connections: HashMap<SocketAddr, u64>,
}

/// Reads what the script printed.
pub(super) fn left(printed: &str) -> Left {
    let mut left = Left::default();
    for line in printed.lines() {
        if line.starts_with("worker ") {
            left.workers += 1;
        } else if let Some(address) = line.strip_prefix("to ").and_then(remote) {
            *left.connections.entry(address).or_default() += 1;
        }
    }
    left
}

/// An address as the kernel prints it: 32-bit words in the machine's order (little-endian on all that `HAProxy` is seen on), then the
/// port. IPv4 in IPv6 is IPv4.
fn remote(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.trim().split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    if address.len() % 8 != 0 {
        return None;
    }
    let words = address
        .as_bytes()
        .chunks(8)
        .map(|word| u32::from_str_radix(std::str::from_utf8(word).ok()?, 16).ok())
        .collect::<Option<Vec<u32>>>()?;
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let ip = if let Ok(four) = <[u8; 4]>::try_from(bytes.as_slice()) {
        IpAddr::from(Ipv4Addr::from(four))
    } else {
        let sixteen = <[u8; 16]>::try_from(bytes.as_slice()).ok()?;
        IpAddr::from(Ipv6Addr::from(sixteen)).to_canonical()
    };
    Some(SocketAddr::new(ip, port))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn old_workers_are_those_between_their_heading_and_the_next() {
        let answer = "#<PID> <type>\n9 master 1\n# workers\n20 worker 0\n# old workers\n11 worker 2\n12 worker 1\n# programs\n13 x\n";
        assert_eq!(listed(answer), [11, 12]);
        assert_eq!(listed("# workers\n20 worker 0\n"), [0; 0]);
        assert_eq!(listed(""), [0; 0]);
    }

    #[test]
    fn addresses_are_read_as_the_kernel_prints_them() {
        let is = |text, address: &str| assert_eq!(remote(text), address.parse().ok(), "{text}");
        is("0100007F:46A3", "127.0.0.1:18083");
        is("0000000000000000FFFF00000100007F:1F90", "127.0.0.1:8080");
        is("00000000000000000000000001000000:0050", "[::1]:80");
        assert_eq!(remote("0100007F"), None);
        assert_eq!(remote("0100:1"), None);
    }

    #[test]
    fn connections_are_counted_by_address() {
        let printed = "worker 7\nto 0100007F:0050\nto 0100007F:0050\nworker 8\nnoise\n";
        let left = left(printed);
        assert_eq!(left.workers, 2);
        assert_eq!(left.connections[&"127.0.0.1:80".parse().unwrap()], 2);
    }

    proptest! {
        #[test]
        fn nothing_printed_makes_it_panic(text in "(\\PC|\n){0,200}") {
            let _any = (left(&text), listed(&text), remote(&text));
        }
    }
}
