//! A range of loopback addresses for each lab. All of 127/8 is there without configuring it, so every lab takes a 127.A.B.0/24.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering};

/// The port of every `sshd`.
pub(crate) const SSH: u16 = 22022;
/// The port of every application.
pub(crate) const APP: u16 = 18080;
/// The port of every balancer.
pub(crate) const FRONT: u16 = 18000;
/// The port of every balancer's statistics page.
pub(crate) const STATS: u16 = 18001;
/// The number of the first balancer's address; those below are hosts.
pub(crate) const FIRST_BALANCER: usize = 240;
/// Held for as long as the range is in use.
const CLAIM: u16 = 18999;

/// A claimed range. Listening on one port of it is the claim: the kernel gives it back, whatever becomes of the process.
pub(crate) struct Range {
    net: (u8, u8),
    _claim: TcpListener,
}

static COUNTER: AtomicU32 = AtomicU32::new(0);

impl Range {
    /// Takes a range that no other lab has.
    ///
    /// # Errors
    /// A hundred were tried and none was free.
    pub(crate) fn claim() -> io::Result<Self> {
        for _ in 0..100 {
            let count = COUNTER.fetch_add(1, Ordering::Relaxed);
            let seed = std::process::id()
                .wrapping_add(count.wrapping_mul(7919))
                .wrapping_mul(2_654_435_761);
            let [high, low, ..] = seed.to_be_bytes();
            // 127.0.x.x to 127.15.x.x are left to people and to other programs.
            let net = (16 + high % 200, low);
            if let Ok(claim) = TcpListener::bind(address(net, 254, CLAIM))
                && is_free(net)
            {
                return Ok(Self { net, _claim: claim });
            }
        }
        Err(io::Error::other(
            "no range of loopback addresses is free for a lab",
        ))
    }

    /// An address of the range.
    pub(crate) fn at(&self, number: usize, port: u16) -> SocketAddr {
        address(self.net, u8::try_from(number).unwrap_or(u8::MAX), port)
    }

    /// The range as a template of the inventory: `127.A.B.{{ n }}`.
    pub(crate) fn template(&self) -> String {
        format!("127.{}.{}.{{{{ n }}}}", self.net.0, self.net.1)
    }
}

fn address(net: (u8, u8), number: u8, port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, net.0, net.1, number)), port)
}

/// Whether nothing listens there yet, be it on all addresses.
fn is_free(net: (u8, u8)) -> bool {
    [(1, SSH), (1, APP), (240, FRONT), (240, STATS)]
        .iter()
        .all(|(number, port)| TcpListener::bind(address(net, *number, *port)).is_ok())
}
