//! Jump hosts and `ssh_config`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use rollgate::drivers::transport::{Transport, TransportError, open};
use rollgate::model::{HostName, HostSpec, JumpSpec};

use super::{refusal, stdout};
use crate::support::sshd::Lab;

fn through(lab: &Lab, target: &HostSpec, jump: HostSpec) -> Arc<dyn Transport> {
    let all = BTreeMap::from([(jump.name.clone(), jump)]);
    open(target, &all, &lab.connector())
}

#[tokio::test]
async fn host_is_reached_through_a_jump_host() {
    let Some(lab) = Lab::new() else { return };
    let (bastion, web) = (lab.sshd(""), lab.sshd(""));
    lab.trust(&bastion);
    lab.trust(&web);
    let mut target = lab.spec("web", &web);
    target.ssh.jump = vec![JumpSpec::Inventory(HostName::new("bastion").unwrap())];
    let transport = through(&lab, &target, lab.spec("bastion", &bastion));
    let seen = stdout(transport.as_ref(), "echo $SSH_CONNECTION").await;
    assert!(
        seen.trim()
            .ends_with(&format!("{} {}", web.address, web.port)),
        "{seen}"
    );
    // By address, and closing ends both connections.
    target.ssh.jump = vec![JumpSpec::Address {
        user: None,
        address: bastion.address.clone(),
        port: Some(bastion.port),
    }];
    let direct = lab.open(&target);
    assert_eq!(stdout(direct.as_ref(), "echo a").await, "a\n");
    let (hop, end) = (bastion.last_login(), web.last_login());
    direct.close().await;
    assert!(bastion.sees_end_of(hop).await);
    assert!(web.sees_end_of(end).await);
}

#[tokio::test]
async fn errors_name_the_hop_that_failed() {
    let Some(lab) = Lab::new() else { return };
    let (bastion, web) = (lab.sshd(""), lab.sshd(""));
    let mut target = lab.spec("web", &web);
    target.ssh.jump = vec![JumpSpec::Inventory(HostName::new("bastion").unwrap())];
    let error = refusal(through(&lab, &target, lab.spec("bastion", &bastion)).as_ref()).await;
    let bastion_address = format!("{}:{}", bastion.address, bastion.port);
    assert!(
        matches!(error, TransportError::HostKey { ref address, .. } if *address == bastion_address),
        "{error}"
    );
    lab.trust(&bastion);
    let web_address = format!("{}:{}", web.address, web.port);
    let error = refusal(through(&lab, &target, lab.spec("bastion", &bastion)).as_ref()).await;
    assert!(
        matches!(error, TransportError::HostKey { ref address, .. } if *address == web_address),
        "{error}"
    );
    drop(web);
    let error = refusal(through(&lab, &target, lab.spec("bastion", &bastion)).as_ref()).await;
    assert!(
        matches!(error, TransportError::Unreachable { .. }),
        "{error}"
    );
    let text = error.to_string();
    assert!(
        text.contains(&format!("jump host {bastion_address}: Connection refused")),
        "{text}"
    );
}

#[tokio::test]
async fn jump_host_that_forwards_nothing_is_named() {
    let Some(lab) = Lab::new() else { return };
    let (bastion, web) = (lab.sshd("AllowTcpForwarding no"), lab.sshd(""));
    lab.trust(&bastion);
    lab.trust(&web);
    let mut target = lab.spec("web", &web);
    target.ssh.jump = vec![JumpSpec::Inventory(HostName::new("bastion").unwrap())];
    let text = refusal(through(&lab, &target, lab.spec("bastion", &bastion)).as_ref())
        .await
        .to_string();
    assert!(
        text.contains("jump host") && text.contains("AllowTcpForwarding"),
        "{text}"
    );
}

#[tokio::test]
async fn ssh_config_fills_what_the_inventory_leaves_open() {
    let Some(lab) = Lab::new() else { return };
    let (bastion, web) = (lab.sshd(""), lab.sshd(""));
    lab.trust(&bastion);
    lab.trust(&web);
    std::fs::write(
        lab.path("ssh_config"),
        format!(
            "Host web-*\n  HostName {}\n  Port {}\n  User {user}\n  IdentityFile {folder}/%%x\n  IdentityFile {folder}/us%%r\n  IdentityFile {folder}/user\n  ProxyJump edge\n\
             Host edge\n  HostName {}\n  Port {}\n  IdentityFile {folder}/user\n\
             Host *\n  UserKnownHostsFile {folder}/known_hosts\n",
            web.address,
            web.port,
            bastion.address,
            bastion.port,
            user = lab.user(),
            folder = lab.folder.path().display(),
        ),
    )
    .unwrap();
    let mut spec = lab.spec("web", &web);
    spec.address = "web-1".into();
    spec.ssh.user = None;
    spec.ssh.port = None;
    spec.ssh.identity_files = Vec::new();
    spec.ssh.known_hosts = Vec::new();
    spec.ssh.ssh_config = true;
    let transport = lab.open(&spec);
    let seen = stdout(transport.as_ref(), "echo $SSH_CONNECTION").await;
    assert!(
        seen.trim()
            .ends_with(&format!("{} {}", web.address, web.port)),
        "{seen}"
    );
    assert_eq!(
        transport.describe(),
        format!("{}@{}:{}", lab.user(), web.address, web.port)
    );
    let log = std::fs::read_to_string(&bastion.log).unwrap();
    assert!(log.contains("Accepted publickey"), "{log}");
    // The inventory's own settings win.
    spec.ssh.port = Some(1);
    let text = refusal(lab.open(&spec).as_ref()).await.to_string();
    assert!(text.contains(":1: jump host"), "{text}");
}

#[tokio::test]
async fn proxy_command_is_refused_with_what_to_use_instead() {
    let Some(lab) = Lab::new() else { return };
    let sshd = lab.sshd("");
    std::fs::write(lab.path("ssh_config"), "Host *\n  ProxyCommand nc %h %p\n").unwrap();
    let mut spec = lab.spec("web", &sshd);
    spec.ssh.ssh_config = true;
    let text = refusal(lab.open(&spec).as_ref()).await.to_string();
    assert!(text.contains("not supported: use `jump`"), "{text}");
    std::fs::write(lab.path("ssh_config"), "Host *\n  Port nonsense\n").unwrap();
    let text = refusal(lab.open(&spec).as_ref()).await.to_string();
    assert!(text.contains("set ssh_config = false"), "{text}");
}

#[tokio::test]
async fn fleet_connects_fast() {
    let Some(lab) = Lab::new() else { return };
    let sshd = lab.sshd("");
    lab.trust(&sshd);
    let connector = lab.connector();
    let hosts: Vec<Arc<dyn Transport>> = (0..24)
        .map(|n| {
            open(
                &lab.spec(&format!("web-{n}"), &sshd),
                &BTreeMap::new(),
                &connector,
            )
        })
        .collect();
    let started = Instant::now();
    let all = hosts.iter().map(|host| stdout(host.as_ref(), "echo a"));
    futures::future::join_all(all).await;
    eprintln!("24 hosts connected in {:?}", started.elapsed());
    assert!(started.elapsed().as_secs() < 10, "{:?}", started.elapsed());
}
