//! Balancers of kind `nginx`.

use super::*;
use crate::model::{BalancerKind, Command, NginxSpec};

const NGINX: &str = r#"
[hosts."web-[01:02]"]
address = "10.0.0.{{ n }}"
vars = { port = 8080 }
[hosts.lb-1]
[balancers.edge]
kind = "nginx"
"#;

fn spec(more: &str) -> NginxSpec {
    let loaded = loaded(&format!("{NGINX}{more}"), PLAYBOOK);
    let BalancerKind::Nginx(spec) = &loaded.balancers[0].kind else {
        panic!("another kind");
    };
    spec.clone()
}

fn argv(words: &[&str]) -> Command {
    Command::Argv(words.iter().map(|word| (*word).to_owned()).collect())
}

#[test]
fn commands_have_defaults_and_servers_are_named_by_their_addresses() {
    let file = "config = \"/etc/nginx/conf.d/app.conf\"\nvia = \"lb-1\"\n";
    let nginx = spec(file);
    assert_eq!(nginx.config, "/etc/nginx/conf.d/app.conf");
    assert_eq!(nginx.test, argv(&["nginx", "-t"]));
    assert_eq!(nginx.reload, argv(&["nginx", "-s", "reload"]));
    assert_eq!(nginx.pid, None);
    let loaded = loaded(&format!("{NGINX}{file}"), PLAYBOOK);
    let servers: Vec<&str> = loaded
        .fleet
        .iter()
        .map(|host| host.traffic[0].server.as_str())
        .collect();
    assert_eq!(servers, ["10.0.0.1:8080", "10.0.0.2:8080"]);
}

#[test]
fn what_is_given_is_rendered_and_paths_of_this_machine_are_like_all_others() {
    let nginx = spec(
        "config = \"conf/app.conf\"\npid = \"~/nginx.pid\"\ntest = [\"a\", \"{{ env.PATH }}\"]\nreload = \"b && c\"\n",
    );
    assert!(
        nginx.config.starts_with('/') && nginx.config.ends_with("/conf/app.conf"),
        "{}",
        nginx.config
    );
    assert!(
        nginx
            .pid
            .is_some_and(|pid| pid.starts_with('/') && !pid.contains('~'))
    );
    assert_eq!(nginx.test, argv(&["a", &std::env::var("PATH").unwrap()]));
    assert_eq!(nginx.reload, Command::Shell("b && c".to_owned()));
}

#[test]
fn what_is_wrong_is_said_with_what_would_be_right() {
    for (more, wanted) in [
        ("", "`config` is missing"),
        (
            "config = \"conf/app.conf\"\nvia = \"lb-1\"\n",
            "`conf/app.conf` is not a path",
        ),
        (
            "config = \"~/app.conf\"\nvia = \"lb-1\"\n",
            "`~/app.conf` is not a path",
        ),
        (
            "config = \"/x\"\npid = \"run/x\"\nvia = \"lb-1\"\n",
            "`run/x` is not a path",
        ),
        ("config = \"/x\"\ntest = [\"\"]\n", "this command is empty"),
        (
            "config = \"/x\"\nsocket = \"unix:///x\"\n",
            "a balancer of kind `nginx` has no `socket`",
        ),
    ] {
        let found = titles(&format!("{NGINX}{more}"), PLAYBOOK);
        assert!(
            found.iter().any(|title| title == wanted),
            "{more}: {found:?}"
        );
    }
}
