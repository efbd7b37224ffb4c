use std::fs;
use std::path::Path;

use super::*;
use crate::config::schema;
use crate::model::{HostName, JumpSpec, Size};

fn text(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

#[test]
fn the_examples_load() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("playbooks")).unwrap();
    fs::create_dir(folder.path().join("dist")).unwrap();
    fs::write(folder.path().join("dist/payments-api"), "binary").unwrap();
    fs::create_dir(folder.path().join("secrets")).unwrap();
    fs::write(folder.path().join("secrets/db_password"), "hunter22\n").unwrap();
    let template = "playbooks/payments.env.j2";
    fs::write(folder.path().join(template), text(template)).unwrap();
    let request = Request {
        inventories: vec![folder.path().join("inventory.toml")],
        playbook: folder.path().join("playbooks/payments-api.toml"),
        version: Some("1.4.2".to_owned()),
        ..Request::default()
    };
    fs::write(&request.inventories[0], text("inventory.example.toml")).unwrap();
    fs::write(&request.playbook, text("playbooks/payments-api.toml")).unwrap();
    let loaded = load(&request).unwrap_or_else(|findings| panic!("{findings}"));
    assert_eq!(loaded.fleet.len(), 6);
    assert_eq!(loaded.strategy.batch, [Size::Count(1), Size::Percent(25)]);
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    let helpers: Vec<&str> = loaded
        .helpers
        .iter()
        .map(|host| host.name.as_str())
        .collect();
    assert_eq!(helpers, ["bastion", "lb-1"]);
    let bastion = HostName::new("bastion").unwrap();
    assert_eq!(loaded.fleet[0].ssh.jump, [JumpSpec::Inventory(bastion)]);
    assert_eq!(loaded.helpers[0].ssh.jump, []);
    assert_eq!(
        loaded.fleet[0].ready_url,
        "http://127.0.0.1:8080/health/ready"
    );
    assert_eq!(
        loaded.fleet[5].ready_url,
        "http://127.0.0.1:8081/health/ready"
    );
}

#[test]
fn the_example_of_a_container_loads() {
    let folder = tempfile::tempdir().unwrap();
    let request = Request {
        inventories: vec![folder.path().join("inventory.toml")],
        playbook: folder.path().join("storefront.toml"),
        version: Some("1.4.2".to_owned()),
        ..Request::default()
    };
    fs::write(&request.inventories[0], text("inventory.example.toml")).unwrap();
    fs::write(&request.playbook, text("playbooks/storefront.toml")).unwrap();
    let loaded = load(&request).unwrap_or_else(|findings| panic!("{findings}"));
    let image = loaded.image.unwrap();
    assert_eq!(
        image.reference.unwrap().to_string(),
        "registry.example.com/storefront:1.4.2"
    );
    assert_eq!(loaded.fleet[0].root, "/var/lib/rollgate/storefront");
}

#[test]
fn the_examples_show_every_supported_key() {
    let both = text("inventory.example.toml")
        + &text("playbooks/payments-api.toml")
        + &text("playbooks/storefront.toml");
    let tables = schema::inventory::family()
        .into_iter()
        .chain(schema::playbook::family());
    let missing: Vec<String> = tables
        .flat_map(|(table, keys)| keys.iter().map(move |key| (table, *key)))
        .filter(|(_, key)| {
            let as_key = both.contains(&format!("{key} = "));
            let as_table = ["[", "."].iter().any(|end| {
                both.contains(&format!("[{key}]")) || both.contains(&format!("[{key}{end}"))
            });
            !as_key && !as_table
        })
        .map(|(table, key)| format!("{table}.{key}"))
        .collect();
    assert!(missing.is_empty(), "not shown: {missing:?}");
}

#[test]
fn every_later_key_is_unknown_to_the_shapes() {
    let tables = schema::inventory::family()
        .into_iter()
        .chain(schema::playbook::family());
    for (table, keys) in tables {
        for key in keys {
            assert!(
                schema::later::find(table, key).is_none(),
                "{table}.{key} is supported"
            );
        }
    }
}
