//! Sockets of the host, through its connection.

use russh::ChannelOpenFailure;

use super::connect::Live;
use super::exec::{NoChannel, warm_up};
use crate::drivers::transport::BoxStream;

/// What the server is told about who connects; it only logs it.
const ORIGIN: (&str, u32) = ("127.0.0.1", 0);

/// A TCP connection from the host.
///
/// # Errors
/// [`NoChannel`]; nothing was sent.
pub(super) async fn open_tcp(
    live: &Live,
    address: &str,
    port: u16,
) -> Result<BoxStream, NoChannel> {
    warm_up(live).await;
    let (origin, origin_port) = ORIGIN;
    let opening =
        live.handle
            .channel_open_direct_tcpip(address, u32::from(port), origin, origin_port);
    match within(live, opening).await? {
        Ok(channel) => Ok(Box::new(channel.into_stream())),
        Err(failure) => Err(refused(live, failure, Kind::Tcp).await),
    }
}

/// A connection to a unix socket on the host.
///
/// # Errors
/// [`NoChannel`]; nothing was sent.
pub(super) async fn open_unix(live: &Live, path: &str) -> Result<BoxStream, NoChannel> {
    warm_up(live).await;
    let opening = live.handle.channel_open_direct_streamlocal(path);
    match within(live, opening).await? {
        Ok(channel) => Ok(Box::new(channel.into_stream())),
        Err(failure) => Err(refused(live, failure, Kind::Unix).await),
    }
}

/// The limit of connecting bounds opening a channel, too.
async fn within<T>(
    live: &Live,
    opening: impl Future<Output = Result<T, russh::Error>>,
) -> Result<Result<T, ChannelOpenFailure>, NoChannel> {
    match tokio::time::timeout(live.patience, opening).await {
        Ok(Ok(channel)) => Ok(Ok(channel)),
        Ok(Err(russh::Error::ChannelOpenFailure(failure))) => Ok(Err(failure)),
        Ok(Err(_)) => Err(NoChannel::Stale(live.told.end().await)),
        Err(_elapsed) => Err(NoChannel::Refused {
            reason: format!("no answer within {:?}", live.patience),
            prohibited: false,
        }),
    }
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Tcp,
    Unix,
}

/// What a refusal means. Source: seen with OpenSSH 9.2 and Dropbear 2022.83.
async fn refused(live: &Live, failure: ChannelOpenFailure, kind: Kind) -> NoChannel {
    let said = live.told.refused_channel().await;
    let (reason, prohibited) = match (failure, kind) {
        (ChannelOpenFailure::AdministrativelyProhibited, _) => (
            "its sshd forwards no such connections (AllowTcpForwarding, PermitOpen, DisableForwarding)".to_owned(),
            true,
        ),
        (ChannelOpenFailure::UnknownChannelType, _) => {
            ("its sshd does not know such connections".to_owned(), true)
        }
        // OpenSSH answers all of these alike.
        (ChannelOpenFailure::ConnectFailed, Kind::Unix) => (
            "no such socket, no permission to it, or forwarding is off (AllowStreamLocalForwarding): sshd does not tell which"
                .to_owned(),
            false,
        ),
        (ChannelOpenFailure::ConnectFailed, Kind::Tcp) => {
            (said.unwrap_or_else(|| "it cannot connect".to_owned()), false)
        }
        (ChannelOpenFailure::ResourceShortage, _) => {
            ("it is short of resources".to_owned(), false)
        }
        (ChannelOpenFailure::Other { code, reason }, _) => {
            (format!("refused with code {code}: {reason}"), false)
        }
    };
    NoChannel::Refused { reason, prohibited }
}
