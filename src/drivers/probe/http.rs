//! The readiness question as one GET; where the host's `sshd` forwards nothing, tools there ask it.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use hyper::Method;
use hyper::body::Bytes;
use hyper::header::{HeaderMap, HeaderName};

use super::answer::{BODY_LIMIT, Reply, nothing, wanted_header};
use super::{Probe, ProbeError, ProbeOptions, fallback};
use crate::drivers::http::{Answer, Client, Failure, Question, Target};
use crate::drivers::transport::Transport;
use crate::model::{ProbeAnswer, VersionCheck};

/// A readiness URL.
#[derive(Debug)]
pub(super) struct HttpProbe {
    client: Client,
    check: Option<VersionCheck>,
    header: Option<HeaderName>,
}

impl HttpProbe {
    pub(super) fn new(
        options: ProbeOptions,
        transport: Option<Arc<dyn Transport>>,
    ) -> Result<Self, ProbeError> {
        let target = Target::new(&options.url, options.ca.as_deref())
            .map_err(|error| ProbeError::of(&options.url, error))?;
        let header = wanted_header(options.version.as_ref())?;
        let transport = match (options.direct, transport) {
            (true, _) => None,
            (false, Some(transport)) => Some(transport),
            (false, None) => return Err(ProbeError::NoTransport { url: options.url }),
        };
        Ok(Self {
            client: Client::new(target, transport),
            check: options.version,
            header,
        })
    }

    async fn reply(&self, timeout: Duration) -> Result<Reply, String> {
        let question = Question {
            method: Method::GET,
            path: &self.client.target().path,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            most: BODY_LIMIT,
        };
        match (self.client.ask(question).await, self.client.host()) {
            (Ok(answer), _) => Ok(self.take(answer)),
            (Err(Failure::NoForward { .. }), Some(host)) => {
                let header = self.header.as_ref();
                fallback::ask(host, self.client.target(), header, timeout).await
            }
            (
                Err(
                    Failure::NoForward { reason, .. }
                    | Failure::NoConnection(reason)
                    | Failure::NoTrust(reason)
                    | Failure::Broken(reason),
                ),
                _,
            ) => Err(reason),
        }
    }

    fn take(&self, answer: Answer) -> Reply {
        let header = self
            .header
            .as_ref()
            .and_then(|name| answer.headers.get(name));
        Reply {
            status: answer.status,
            header: header.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()),
            body: answer.body,
            cut: answer.cut,
        }
    }
}

impl Probe for HttpProbe {
    fn url(&self) -> &str {
        &self.client.target().url
    }

    fn ask(&self, timeout: Duration) -> BoxFuture<'_, ProbeAnswer> {
        async move {
            match tokio::time::timeout(timeout, self.reply(timeout)).await {
                Ok(Ok(reply)) => reply.read(self.check.as_ref()),
                Ok(Err(why)) => nothing(&why),
                Err(_elapsed) => nothing(&format!("no answer within {timeout:?}")),
            }
        }
        .boxed()
    }
}
