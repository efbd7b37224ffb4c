use super::*;
use crate::model::{Become, HostKeyChecking};

fn host(name: &str, jump: Vec<JumpSpec>) -> HostSpec {
    HostSpec {
        name: HostName::new(name).unwrap(),
        address: format!("{name}.example"),
        labels: BTreeMap::new(),
        ssh: SshOptions {
            user: Some("deploy".into()),
            port: Some(2222),
            identity_files: Vec::new(),
            known_hosts: Vec::new(),
            host_key_checking: HostKeyChecking::Strict,
            jump,
            ssh_config: false,
            connect_timeout: Duration::from_secs(10),
            r#become: Become::None,
        },
        root: String::new(),
        traffic: Vec::new(),
        ready_url: String::new(),
    }
}

fn named(name: &str) -> JumpSpec {
    JumpSpec::Inventory(HostName::new(name).unwrap())
}

fn way(target: &str, hosts: Vec<HostSpec>) -> Result<String, TransportError> {
    let all: BTreeMap<HostName, HostSpec> = hosts
        .into_iter()
        .map(|host| (host.name.clone(), host))
        .collect();
    let legs = legs(&all[&HostName::new(target).unwrap()], &all)?;
    let names: Vec<&str> = legs.iter().map(|leg| leg.address.as_str()).collect();
    Ok(names.join(" "))
}

#[test]
fn jump_that_is_the_same_for_all_does_not_lead_through_itself() {
    let jump = || vec![named("a"), named("b")];
    let hosts = || vec![host("a", jump()), host("b", jump()), host("web", jump())];
    assert_eq!(
        way("web", hosts()).unwrap(),
        "a.example b.example web.example"
    );
    assert_eq!(way("b", hosts()).unwrap(), "a.example b.example");
    assert_eq!(way("a", hosts()).unwrap(), "a.example");
}

#[test]
fn first_jump_host_is_reached_by_its_own_way() {
    let hosts = vec![
        host("edge", vec![]),
        host("inner", vec![named("edge")]),
        host("web", vec![named("inner")]),
    ];
    assert_eq!(
        way("web", hosts).unwrap(),
        "edge.example inner.example web.example"
    );
}

#[test]
fn circles_and_unknown_jump_hosts_are_errors() {
    let circle = vec![host("a", vec![named("b")]), host("b", vec![named("a")])];
    let text = way("a", circle).unwrap_err().to_string();
    assert_eq!(text, "jump hosts need each other: a -> b -> a");
    let unknown = vec![host("a", vec![named("b")])];
    let text = way("a", unknown).unwrap_err().to_string();
    assert_eq!(text, "jump host `b` of `a` is not in the inventory");
}

#[test]
fn address_takes_what_it_lacks_from_the_target() {
    let jump = |user: Option<&str>, port| JumpSpec::Address {
        user: user.map(str::to_owned),
        address: "bastion.example".into(),
        port,
    };
    let web = host("web", vec![jump(None, None), jump(Some("ops"), Some(22))]);
    let legs = legs(&web, &BTreeMap::new()).unwrap();
    let seen: Vec<(Option<&str>, Option<u16>)> = legs
        .iter()
        .map(|leg| (leg.options.user.as_deref(), leg.options.port))
        .collect();
    assert_eq!(
        seen,
        [
            (Some("deploy"), Some(2222)),
            (Some("ops"), Some(22)),
            (Some("deploy"), Some(2222))
        ]
    );
}

#[test]
fn proxy_jump_words_are_read() {
    let options = host("web", vec![]).ssh;
    let read = |text: &str| {
        proxy_leg(text, &options)
            .map(|leg| (leg.options.user, leg.address, leg.options.port))
            .map_err(|error| error.to_string())
    };
    let expect =
        |user: Option<&str>, host: &str, port| Ok((user.map(str::to_owned), host.to_owned(), port));
    assert_eq!(read("b"), expect(None, "b", None));
    assert_eq!(read("me@b:23"), expect(Some("me"), "b", Some(23)));
    assert_eq!(read("ssh://b:23"), expect(None, "b", Some(23)));
    assert_eq!(read("me@[::1]:23"), expect(Some("me"), "::1", Some(23)));
    assert_eq!(read("fe80::1"), expect(None, "fe80::1", None));
    for bad in ["", "b:x", "[::1", "me@", "-oProxyCommand=x"] {
        assert!(read(bad).is_err(), "{bad}");
    }
}

#[tokio::test]
async fn what_the_inventory_leaves_open_comes_from_this_machine() {
    let mut web = host("web", vec![]);
    web.ssh.user = None;
    web.ssh.port = None;
    let connector = Connector::new(crate::drivers::transport::Surroundings {
        home: Some("/home/me".into()),
        user: Some("me".into()),
        system_known_hosts: vec!["/etc/known".into()],
        ..Default::default()
    });
    let legs = legs(&web, &BTreeMap::new()).unwrap();
    let hops = resolve(&legs, &connector).await.unwrap();
    let [hop] = hops.as_slice() else {
        panic!("{hops:?}");
    };
    assert_eq!((hop.user.as_str(), hop.port), ("me", 22));
    assert_eq!(hop.address(), "web.example:22");
    let keys: Vec<String> = hop
        .identities
        .iter()
        .map(|key| key.path.display().to_string())
        .collect();
    assert_eq!(
        keys,
        [
            "/home/me/.ssh/id_ed25519",
            "/home/me/.ssh/id_ecdsa",
            "/home/me/.ssh/id_rsa"
        ]
    );
    let files: Vec<String> = hop
        .trust
        .files
        .iter()
        .map(|file| file.display().to_string())
        .collect();
    assert_eq!(
        files,
        [
            "/home/me/.ssh/known_hosts",
            "/home/me/.ssh/known_hosts2",
            "/etc/known"
        ]
    );
}
