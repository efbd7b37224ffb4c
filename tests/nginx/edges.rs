//! Files as people write them: layouts, includes, links, several pools, names; and the ways to the machine.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::sync::Arc;

use rollgate::drivers::balancer::LoadBalancer;
use rollgate::drivers::transport::LocalTransport;
use rollgate::model::{Admin, BalancerSeen, Become, Command};

use super::tell;
use crate::support::haproxy::{change, pool, seen, server};
use crate::support::nginx::{Nginx, driver, read};
use crate::support::sshd::Lab;

async fn look(balancer: &dyn LoadBalancer, pools: &[&str]) -> BalancerSeen {
    let pools: Vec<_> = pools.iter().map(|name| pool(name)).collect();
    balancer.observe(&pools).await.unwrap()
}

#[tokio::test]
async fn every_byte_but_the_word_stays() {
    let odd = "# server 127.0.0.1:9;\r\nmap $uri $x { default 'upstream app { server 127.0.0.1:9; }'; }\r\n\
               upstream app {\r\n\tserver   127.0.0.1:9\r\n\t\tweight=5 # down\r\n\t\tmax_fails=2;   # the first; }\r\n\
               server \"127.0.0.2:9\";server 127.0.0.3:9 backup ;\r\n}\r\nupstream apple { server 127.0.0.1:9; }";
    let nginx = Nginx::start(odd).await;
    let balancer = nginx.driver();
    for name in ["127.0.0.1:9", "127.0.0.2:9"] {
        tell(&*balancer, name, Admin::Drain).await;
    }
    let wanted = odd
        .replace("max_fails=2;", "max_fails=2 down;")
        .replace("\"127.0.0.2:9\";", "\"127.0.0.2:9\" down;");
    assert_eq!(nginx.text(), wanted);
    for name in ["127.0.0.1:9", "127.0.0.2:9"] {
        tell(&*balancer, name, Admin::Ready).await;
    }
    assert_eq!(nginx.text(), odd);
}

#[tokio::test]
async fn owner_mode_and_links_are_kept() {
    let nginx = Nginx::start("upstream app { server 127.0.0.1:9; }\n").await;
    for folder in ["sites", "real"] {
        std::fs::create_dir(nginx.path(folder)).unwrap();
    }
    let real = nginx.path("real/app");
    std::fs::write(&real, "upstream app { server 127.0.0.1:9; }\n").unwrap();
    std::fs::set_permissions(&real, std::fs::Permissions::from_mode(0o640)).unwrap();
    let owner = if rustix::process::geteuid().is_root() {
        12_345
    } else {
        std::fs::metadata(&real).unwrap().uid()
    };
    std::os::unix::fs::chown(&real, Some(owner), None).unwrap();
    let link = nginx.path("sites/app.conf");
    std::os::unix::fs::symlink("../real/app", &link).unwrap();
    std::fs::write(nginx.file(), "include sites/*.conf;\n").unwrap();
    let mut spec = nginx.spec();
    spec.config = link.to_str().unwrap().to_owned();
    let balancer = driver(spec, None, &[]);
    tell(&*balancer, "127.0.0.1:9", Admin::Drain).await;
    assert_eq!(
        std::fs::read_link(&link).unwrap().to_str(),
        Some("../real/app")
    );
    assert_eq!(read(&real), "upstream app { server 127.0.0.1:9 down; }\n");
    let now = std::fs::metadata(&real).unwrap();
    assert_eq!((now.mode() & 0o7777, now.uid()), (0o640, owner));
}

#[tokio::test]
async fn includes_are_followed_and_edited_where_the_server_stands() {
    let nginx =
        Nginx::start("upstream app {\n  include conf.d/app.d/*.srv;\n  server 127.0.0.9:9;\n}\n")
            .await;
    std::fs::create_dir(nginx.path("conf.d/app.d")).unwrap();
    for (name, text) in [
        ("a.srv", "server 127.0.0.1:9;\n"),
        ("b.srv", "server 127.0.0.2:9; include DIR/more;\n"),
    ] {
        let text = text.replace("DIR", nginx.path("").to_str().unwrap());
        std::fs::write(nginx.path("conf.d/app.d").join(name), text).unwrap();
    }
    std::fs::write(nginx.path("more"), "server 127.0.0.3:9;").unwrap();
    // Named is the main file: all the rest is found through it.
    let mut spec = nginx.spec();
    spec.config = nginx.path("nginx.conf").to_str().unwrap().to_owned();
    let balancer = driver(spec, None, &[]);
    assert_eq!(
        look(&*balancer, &["app"]).await.pools[&pool("app")].usable(),
        4
    );
    let changes = ["127.0.0.1:9", "127.0.0.3:9"].map(|name| change("app", name, Admin::Drain));
    balancer.tell(&changes).await.unwrap();
    assert_eq!(
        read(&nginx.path("conf.d/app.d/a.srv")),
        "server 127.0.0.1:9 down;\n"
    );
    assert_eq!(read(&nginx.path("more")), "server 127.0.0.3:9 down;");
    assert_eq!(
        look(&*balancer, &["app"]).await.pools[&pool("app")].usable(),
        2
    );
}

#[tokio::test]
async fn a_server_is_found_by_what_its_name_stands_for() {
    let nginx = Nginx::start("upstream app { server localhost:9; server 127.0.0.2; }\n").await;
    let named = [("app", "127.0.0.1:9"), ("app", "127.0.0.2:80")];
    let balancer = driver(nginx.spec(), None, &named);
    let app = look(&*balancer, &["app"]).await.pools[&pool("app")].clone();
    let names: Vec<String> = app.servers.keys().map(ToString::to_string).collect();
    assert_eq!(names, ["127.0.0.1:9", "127.0.0.2:80"]);
    tell(&*balancer, "127.0.0.1:9", Admin::Drain).await;
    assert!(
        nginx.text().contains("server localhost:9 down;"),
        "{}",
        nginx.text()
    );
    // The other way round: the playbook has the name.
    let nginx = Nginx::start("upstream app { server 127.0.0.1:9; }\n").await;
    let balancer = driver(nginx.spec(), None, &[("app", "localhost:9")]);
    tell(&*balancer, "localhost:9", Admin::Drain).await;
    assert!(
        nginx.text().contains("127.0.0.1:9 down;"),
        "{}",
        nginx.text()
    );
}

#[tokio::test]
async fn a_name_for_several_hosts_is_no_server_of_any() {
    let nginx = Nginx::start("upstream app { server localhost:9; }\n").await;
    let balancer = driver(
        nginx.spec(),
        None,
        &[
            ("app", "127.0.0.1:9"),
            ("app", "localhost.localdomain.invalid:9"),
            ("app", "::1:9"),
        ],
    );
    let seen = look(&*balancer, &["app"]).await;
    let both = std::net::ToSocketAddrs::to_socket_addrs("localhost:9")
        .unwrap()
        .count()
        > 1;
    if !both {
        eprintln!("skipped: localhost has one address here");
        return;
    }
    assert!(seen.read_only.unwrap().contains("several hosts"));
}

#[tokio::test]
async fn what_is_not_there_is_said_to_be_missing() {
    let nginx = Nginx::start("upstream app { server 127.0.0.1:9; }\n").await;
    let balancer = nginx.driver();
    for (at, name, wanted) in [
        ("app", "127.0.0.1:8", "no server `127.0.0.1:8`"),
        ("nope", "x", "no upstream `nope`"),
    ] {
        let error = balancer
            .tell(&[change(at, name, Admin::Drain)])
            .await
            .unwrap_err();
        assert!(
            error.to_string().contains(wanted) && !error.is_retriable(),
            "{error}"
        );
    }
    let mut spec = nginx.spec();
    spec.config.push_str(".nope");
    let error = driver(spec, None, &[])
        .observe(&[pool("app")])
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("is not there") && !error.is_retriable(),
        "{error}"
    );
}

#[tokio::test]
async fn the_master_is_found_by_its_pid_file_too_and_a_missing_one_is_explained() {
    let nginx = Nginx::start("upstream app { server 127.0.0.1:9; }\n").await;
    let mut spec = nginx.spec();
    spec.pid = Some(nginx.path("nginx.pid").to_str().unwrap().to_owned());
    let balancer = driver(spec.clone(), None, &[]);
    tell(&*balancer, "127.0.0.1:9", Admin::Drain).await;
    spec.pid = Some(nginx.path("no.pid").to_str().unwrap().to_owned());
    let balancer = driver(spec.clone(), None, &[]);
    let why = look(&*balancer, &["app"]).await.read_only.unwrap();
    assert!(why.contains("no.pid names no running master"), "{why}");
    spec.pid = None;
    spec.test = Command::Argv(vec!["nginx-that-is-not-there".to_owned()]);
    let why = look(&*driver(spec, None, &[]), &["app"])
        .await
        .read_only
        .unwrap();
    assert!(why.contains("no `nginx-that-is-not-there`"), "{why}");
}

#[tokio::test]
async fn a_host_is_reached_over_ssh_with_every_shell() {
    let Some(lab) = Lab::new() else { return };
    let nginx = Nginx::start("upstream app { server 127.0.0.1:9; server 127.0.0.2:9; }\n").await;
    let (_sshd, host) = lab.host("");
    let balancer = driver(nginx.spec(), Some(host), &[]);
    for admin in [Admin::Drain, Admin::Ready] {
        tell(&*balancer, "127.0.0.1:9", admin).await;
        assert_eq!(seen(&*balancer, "app", "127.0.0.1:9").await.admin, admin);
    }
    for shell in [&["dash"][..], &["busybox", "sh"], &["bash", "--posix"]] {
        let balancer = driver(
            nginx.spec(),
            Some(Arc::new(LocalTransport::new(shell))),
            &[],
        );
        for admin in [Admin::Drain, Admin::Ready] {
            tell(&*balancer, "127.0.0.2:9", admin).await;
            assert_eq!(
                seen(&*balancer, "app", "127.0.0.2:9").await.admin,
                admin,
                "{shell:?}"
            );
        }
    }
    assert_eq!(nginx.leftovers(), Vec::<String>::new());
}

#[tokio::test]
async fn mending_by_hand_names_file_commands_and_privilege() {
    let nginx = Nginx::start("upstream app { server 127.0.0.1:9; }\n").await;
    let mut host =
        crate::support::shell_host::ShellHost::new(crate::support::shell_host::Forwarding::On);
    host.r#become = Become::Sudo;
    let text = driver(nginx.spec(), Some(Arc::new(host)), &[])
        .enable_by_hand(&pool("app"), &server("127.0.0.1:9"));
    assert!(
        text.starts_with(
            "on lb-1, take the word `down` out of `server 127.0.0.1:9` in `upstream app` of "
        ),
        "{text}"
    );
    assert!(
        text.contains("sudo -n -- nginx -t") && text.contains("sudo -n -- nginx -s reload"),
        "{text}"
    );
}
