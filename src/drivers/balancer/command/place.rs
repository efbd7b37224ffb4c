//! Where commands run: here, or on a host; and what becomes of a script that is sent there.

use std::sync::Arc;
use std::time::Duration;

use crate::drivers::transport::{Call, LocalTransport, Payload, Transport, TransportError};
use crate::far::errands::{Came, Errands, SPAN};
use crate::far::{Answer, Refusal};
use crate::model::{BalancerName, Become, Command, HostName};

use super::super::BalancerError;
use super::super::haproxy::ssh_words;
use super::read::shown;

/// For one act, connecting included (R3).
const LIMIT: Duration = Duration::from_secs(10);

/// The exit code of a command that could not do it now and may in a moment. Source: `sysexits.h`, `EX_TEMPFAIL`.
const NOT_NOW: i32 = 75;

/// One place.
#[derive(Debug, Clone)]
pub(in super::super) struct Place {
    balancer: BalancerName,
    host: Option<HostName>,
    transport: Option<Arc<dyn Transport>>,
}

/// Why an act did not work, before it has the balancer's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) enum Why {
    /// In a moment it may.
    Unreachable(String),
    /// It was refused.
    Refused(String),
    /// What came makes no sense.
    Garbled(String),
}

impl Place {
    /// This machine, or the host `via` over `transport`.
    pub(super) fn new(
        balancer: BalancerName,
        via: Option<HostName>,
        transport: Option<Arc<dyn Transport>>,
    ) -> Self {
        match via {
            None => Self {
                balancer,
                host: None,
                transport: Some(Arc::new(LocalTransport::default())),
            },
            Some(host) => Self {
                balancer,
                host: Some(host),
                transport,
            },
        }
    }

    /// A host of the fleet.
    pub(in super::super) fn at(
        balancer: BalancerName,
        host: HostName,
        transport: Option<Arc<dyn Transport>>,
    ) -> Self {
        Self::new(balancer, Some(host), transport)
    }

    /// For people.
    pub(in super::super) fn describe(&self) -> String {
        self.host
            .as_ref()
            .map_or_else(|| "this machine".to_owned(), ToString::to_string)
    }

    /// How single commands get privilege there.
    pub(in super::super) fn r#become(&self) -> Become {
        self.transport
            .as_ref()
            .map_or(Become::None, |transport| transport.r#become())
    }

    /// Sends all errands in one script; connecting to the host has to fit into the limit too.
    pub(in super::super) async fn send(
        &self,
        purpose: &'static str,
        errands: &Errands<'_>,
    ) -> Result<Answer, BalancerError> {
        match tokio::time::timeout(LIMIT, self.send_patiently(purpose, errands)).await {
            Ok(result) => result,
            Err(_elapsed) => {
                let reason = format!("no answer within {LIMIT:?}");
                Err(self.error(purpose, Why::Unreachable(reason)))
            }
        }
    }

    async fn send_patiently(
        &self,
        purpose: &'static str,
        errands: &Errands<'_>,
    ) -> Result<Answer, BalancerError> {
        let act = |why: Why| self.error(purpose, why);
        let Some(transport) = &self.transport else {
            let host = self.describe();
            return Err(act(Why::Refused(format!(
                "there is no SSH connection to {host}"
            ))));
        };
        let script = errands.script();
        let call = Call {
            purpose,
            script: script.map_err(|error| act(Why::Refused(error.to_string())))?,
            payload: Payload::None,
            limit: LIMIT,
            privileged: false,
        };
        let output = transport.run(call).await;
        let output = output.map_err(|error| act(of_transport(&error)))?;
        Answer::read(output.code, &output.stdout, &output.stderr).map_err(|refusal| {
            act(match refusal {
                // Nothing of these scripts is fenced.
                Refusal::Fenced { .. } => Why::Garbled("a lock".to_owned()),
                Refusal::Failed { what, .. } => Why::Refused(what),
                Refusal::Garbled(what) => Why::Garbled(what),
            })
        })
    }

    /// What one errand printed, if it went well. `what` names it: `drain shop/web-01`.
    pub(in super::super) fn printed(
        &self,
        what: &str,
        came: Result<Came, String>,
    ) -> Result<Came, BalancerError> {
        let came = came.map_err(|why| self.error(what, Why::Garbled(why)))?;
        let said = if came.complaint.is_empty() {
            String::new()
        } else {
            format!(": {}", shown(&came.complaint))
        };
        let why = match came.code {
            Some(0) => return Ok(came),
            Some(NOT_NOW) => Why::Unreachable(format!(
                "`{what}` asks to be tried again (exit {NOT_NOW}){said}"
            )),
            Some(code) => Why::Refused(format!("exit {code}{said}")),
            None => Why::Unreachable(format!(
                "`{what}` did not end within {SPAN:?}, and was ended{said}"
            )),
        };
        Err(self.error(what, why))
    }

    /// The error with the balancer's name.
    pub(in super::super) fn error(&self, what: &str, why: Why) -> BalancerError {
        let balancer = self.balancer.clone();
        let command = what.to_owned();
        match why {
            Why::Unreachable(reason) => BalancerError::Unreachable {
                balancer,
                endpoint: self.describe(),
                reason,
            },
            Why::Refused(answer) => BalancerError::Refused {
                balancer,
                command,
                answer,
            },
            Why::Garbled(answer) => BalancerError::Garbled {
                balancer,
                command,
                answer,
            },
        }
    }

    /// What a person types to run `command` there as rollgate would.
    pub(in super::super) fn by_hand(&self, command: &Command) -> String {
        let words = match command {
            Command::Argv(words) => words.clone(),
            Command::Shell(text) if self.host.is_none() => return text.clone(),
            Command::Shell(text) => vec!["sh".to_owned(), "-c".to_owned(), text.clone()],
        };
        self.typed(&words)
    }

    /// The same for words.
    pub(in super::super) fn typed(&self, words: &[String]) -> String {
        let prefix = match self.r#become() {
            Become::None => "",
            Become::Sudo | Become::SudoAll => "sudo ",
            Become::Doas => "doas ",
        };
        let line = format!("{prefix}{}", joined(words));
        match (&self.host, &self.transport) {
            (None, _) => line,
            (Some(host), None) => format!("ssh {host} {}", joined(&[line])),
            (Some(_), Some(transport)) => {
                let target = ssh_words(&transport.describe());
                format!("ssh {target} {}", joined(&[line]))
            }
        }
    }
}

/// Words for a shell. A NUL cannot be in one, so nothing is lost where one is left out.
fn joined(words: &[String]) -> String {
    let words: Vec<String> = words.iter().map(|word| word.replace('\0', "")).collect();
    shlex::try_join(words.iter().map(String::as_str)).unwrap_or_default()
}

fn of_transport(error: &TransportError) -> Why {
    match error {
        TransportError::Unreachable { .. }
        | TransportError::Lost { .. }
        | TransportError::Timeout { .. }
        | TransportError::Killed { .. }
        | TransportError::Forward { .. } => Why::Unreachable(error.to_string()),
        TransportError::HostKey { .. }
        | TransportError::Auth { .. }
        | TransportError::Local { .. }
        | TransportError::NoCommands { .. }
        | TransportError::Payload { .. } => Why::Refused(error.to_string()),
    }
}
