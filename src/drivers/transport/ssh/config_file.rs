//! What `~/.ssh/config` says about a host, asked from ssh(1) itself: only it knows every rule of that file.
//! Source: ssh(1), option `-G`; `ssh_config(5)`, section "TOKENS".

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use super::config_scan::may_matter;
use super::surroundings::Surroundings;
use crate::drivers::transport::TransportError;

/// How long ssh(1) may think: `Match exec` runs commands.
const LIMIT: Duration = Duration::from_secs(10);

/// What is asked about, and what the inventory says itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Question {
    /// The host as the inventory writes it.
    pub(super) host: String,
    /// The inventory's user, which ssh(1) must know for its own rules.
    pub(super) user: Option<String>,
    /// The inventory's port.
    pub(super) port: Option<u16>,
}

/// Which agent is asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum AgentChoice {
    /// That of `SSH_AUTH_SOCK`.
    #[default]
    Usual,
    /// None.
    Nobody,
    /// The one at this socket.
    At(PathBuf),
}

/// What the file says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct HostConfig {
    pub(super) host_name: Option<String>,
    pub(super) user: Option<String>,
    pub(super) port: Option<u16>,
    pub(super) identity_files: Vec<PathBuf>,
    pub(super) identities_only: bool,
    pub(super) agent: AgentChoice,
    pub(super) user_known_hosts: Vec<PathBuf>,
    pub(super) global_known_hosts: Vec<PathBuf>,
    pub(super) host_key_alias: Option<String>,
    pub(super) jump: Vec<String>,
    pub(super) proxy_command: Option<String>,
}

/// Asks ssh(1), when a file has anything to say about the host.
///
/// # Errors
/// [`TransportError::Local`] when a file has something to say and ssh(1) is missing, refuses the file or does not answer in time.
pub(super) async fn ask(
    question: &Question,
    around: &Surroundings,
) -> Result<Option<HostConfig>, TransportError> {
    let files = around.config_files();
    let home = around.home.clone();
    let host = question.host.clone();
    let matters = tokio::task::spawn_blocking(move || {
        files
            .iter()
            .any(|file| may_matter(file, &host, home.as_deref()))
    })
    .await
    .unwrap_or(true);
    if !matters {
        return Ok(None);
    }
    let text = run_ssh(question, around).await?;
    Ok(Some(read_answer(&text, question, around)))
}

async fn run_ssh(question: &Question, around: &Surroundings) -> Result<String, TransportError> {
    let mut command = Command::new("ssh");
    command.arg("-G");
    if let Some(file) = &around.ssh_config {
        command.arg("-F").arg(file);
    }
    if let Some(user) = &question.user {
        command.args(["-l", user]);
    }
    if let Some(port) = question.port {
        command.args(["-p", &port.to_string()]);
    }
    command
        .args(["--", &question.host])
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let host = &question.host;
    let refuse = |why: String| TransportError::Local {
        reason: format!(
            "cannot ask ssh(1) what ~/.ssh/config says about `{host}`: {why}; mend that, or set ssh_config = false"
        ),
    };
    let output = tokio::time::timeout(LIMIT, command.output())
        .await
        .map_err(|_elapsed| refuse(format!("no answer within {LIMIT:?}")))?
        .map_err(|error| refuse(error.to_string()))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        let said = String::from_utf8_lossy(&output.stderr);
        Err(refuse(said.trim().replace('\n', " / ")))
    }
}

/// Reads what `ssh -G` prints: a keyword and its value on each line.
fn read_answer(text: &str, question: &Question, around: &Surroundings) -> HostConfig {
    let mut config = HostConfig::default();
    let mut files = (Vec::new(), Vec::new(), Vec::new());
    let mut agent = None;
    for line in text.lines() {
        let (keyword, value) = line.split_once(' ').unwrap_or((line, ""));
        let some = || (!value.is_empty() && value != "none").then(|| value.to_owned());
        match keyword {
            "hostname" => config.host_name = some(),
            "user" => config.user = some(),
            "port" => config.port = value.parse().ok(),
            "identityfile" => files.0.extend(some()),
            "identitiesonly" => config.identities_only = value == "yes",
            "identityagent" => agent = Some(value.to_owned()),
            "userknownhostsfile" => files.1.extend(value.split(' ').map(str::to_owned)),
            "globalknownhostsfile" => files.2.extend(value.split(' ').map(str::to_owned)),
            "hostkeyalias" => config.host_key_alias = some(),
            "proxyjump" => {
                config.jump = some()
                    .iter()
                    .flat_map(|all| all.split(','))
                    .map(str::to_owned)
                    .collect();
            }
            "proxycommand" => config.proxy_command = some(),
            _ => {}
        }
    }
    let expand = |path: &String| around.expand(path, question, &config);
    let identity_files = files.0.iter().map(expand).collect();
    let user_known_hosts = files
        .1
        .iter()
        .filter(|file| *file != "none")
        .map(expand)
        .collect();
    let global_known_hosts = files
        .2
        .iter()
        .filter(|file| *file != "none")
        .map(expand)
        .collect();
    let agent = match agent.as_deref() {
        None | Some("SSH_AUTH_SOCK" | "") => AgentChoice::Usual,
        Some("none") => AgentChoice::Nobody,
        // The name of a variable of the environment: usually the one above.
        Some(path) if path.starts_with('$') => AgentChoice::Usual,
        Some(path) => AgentChoice::At(expand(&path.to_owned())),
    };
    HostConfig {
        identity_files,
        agent,
        user_known_hosts,
        global_known_hosts,
        ..config
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn around() -> Surroundings {
        Surroundings {
            home: Some("/home/me".into()),
            user: Some("me".into()),
            ..Surroundings::default()
        }
    }

    fn question(host: &str) -> Question {
        Question {
            host: host.to_owned(),
            user: None,
            port: None,
        }
    }

    #[test]
    fn answer_is_read_and_tokens_are_expanded() {
        let text = "user deploy\nhostname 10.0.0.7\nport 2222\nidentitiesonly yes\n\
            identityfile ~/.ssh/%n-%h-%p-%r-%u-100%%\nidentityfile /abs\n\
            userknownhostsfile /home/me/.ssh/a ~/.ssh/b\nglobalknownhostsfile /etc/ssh/known\n\
            hostkeyalias web\nidentityagent ~/agent.sock\nproxyjump a,me@b:23\nproxycommand none\n";
        let config = read_answer(text, &question("web-1"), &around());
        assert_eq!(config.host_name.as_deref(), Some("10.0.0.7"));
        assert_eq!(config.port, Some(2222));
        assert_eq!(
            config.identity_files,
            [
                Path::new("/home/me/.ssh/web-1-10.0.0.7-2222-deploy-me-100%"),
                Path::new("/abs")
            ]
        );
        assert_eq!(
            config.user_known_hosts,
            [Path::new("/home/me/.ssh/a"), Path::new("/home/me/.ssh/b")]
        );
        assert_eq!(config.jump, ["a", "me@b:23"]);
        assert_eq!(config.agent, AgentChoice::At("/home/me/agent.sock".into()));
        assert_eq!(config.host_key_alias.as_deref(), Some("web"));
        assert!(config.identities_only);
        assert_eq!(config.proxy_command, None);
    }
}
