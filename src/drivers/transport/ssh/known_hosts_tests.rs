use super::*;

const WEB: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";
const OTHER: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIN+Wjn4+4Fcvl2JlKpggT+wCRxpSvtqqpVrQrKN1/A22";
const ECDSA: &str = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBMxBTpMIGvo7CnordO7wP0QQRqpBwUjOLl4eMhfucfE1sjTYyK5wmTl1UqoSDS1PtRVTBdl+0+9pquFb46U7fwg=";

fn key(text: &str) -> PublicKey {
    text.parse().unwrap()
}

fn judged(text: &str, host: &str, port: u16, shown: &str) -> Verdict {
    let files = [KnownFile {
        path: "known".into(),
        text: text.to_owned(),
    }];
    judge(&files, &HostNames::new(host, port), &key(shown))
}

fn at(line: usize) -> Place {
    Place {
        path: "known".into(),
        line,
    }
}

#[test]
fn plain_names_lists_and_wildcards_are_known() {
    for line in [
        format!("web {WEB}"),
        format!("web {WEB} a comment # with a hash"),
        format!("a,web,10.0.0.1 {WEB}\r"),
        format!("\t web\t\t{WEB}").replace("ssh-ed25519 ", "ssh-ed25519  "),
        format!("WEB {WEB}"),
        format!("we* {WEB}"),
        format!("w?b {WEB}"),
        format!("*,!db {WEB}"),
    ] {
        assert_eq!(judged(&line, "web", 22, WEB), Verdict::Known, "{line}");
        assert_eq!(judged(&line, "Web", 22, WEB), Verdict::Known, "{line}");
    }
}

#[test]
fn lines_about_others_say_nothing() {
    for line in [
        format!("# web {WEB}"),
        format!("db {WEB}"),
        format!("*,!web {WEB}"),
        format!("!web,* {WEB}"),
        format!("[web]:2222 {WEB}"),
        format!("@cert-authority web {WEB}"),
        format!("@strange web {WEB}"),
        "web ssh-ed25519 AAAAbroken".to_owned(),
        "web 1024 37 159".to_owned(),
        "web".to_owned(),
        String::new(),
    ] {
        assert_eq!(judged(&line, "web", 22, WEB), Verdict::Unknown, "{line}");
    }
}

#[test]
fn another_key_is_a_change_with_the_right_line() {
    let text = format!("# first\n\nbroken\ndb {WEB}\nweb {OTHER}\n");
    assert_eq!(judged(&text, "web", 22, WEB), Verdict::Changed(at(5)));
    let both = format!("web {OTHER}\nweb {WEB}\n");
    assert_eq!(judged(&both, "web", 22, WEB), Verdict::Known);
}

#[test]
fn another_type_of_key_is_a_change_too() {
    let text = format!("web {ECDSA}");
    assert_eq!(judged(&text, "web", 22, WEB), Verdict::Changed(at(1)));
}

#[test]
fn revoked_beats_everything() {
    for text in [
        format!("web {WEB}\n@revoked web {WEB}"),
        format!("web {WEB}\n@revoked * {WEB}"),
        format!("web {WEB}\n@revoked\tweb  {WEB}"),
    ] {
        assert_eq!(judged(&text, "web", 22, WEB), Verdict::Revoked(at(2)));
    }
    let other = format!("web {WEB}\n@revoked * {OTHER}");
    assert_eq!(judged(&other, "web", 22, WEB), Verdict::Known);
    let portless = format!("[web]:2222 {WEB}\n@revoked web {WEB}");
    assert_eq!(judged(&portless, "web", 2222, WEB), Verdict::Revoked(at(2)));
}

#[test]
fn ports_are_part_of_the_name() {
    let text = format!("[web]:2222 {WEB}\n[::1]:2222 {WEB}");
    assert_eq!(judged(&text, "web", 2222, WEB), Verdict::Known);
    assert_eq!(judged(&text, "::1", 2222, WEB), Verdict::Known);
    assert_eq!(judged(&text, "web", 2223, WEB), Verdict::Unknown);
    assert_eq!(judged(&text, "web", 2222, OTHER), Verdict::Changed(at(1)));
}

#[test]
fn name_without_port_counts_only_when_the_key_is_the_same() {
    let text = format!("web {WEB}");
    assert_eq!(judged(&text, "web", 2222, WEB), Verdict::Known);
    assert_eq!(judged(&text, "web", 2222, OTHER), Verdict::Unknown);
}

#[test]
fn hashed_names_are_found() {
    for (host, port) in [("web", 22), ("web", 2222)] {
        let names = HostNames::new(host, port);
        let line = line_for(&names.name, &key(WEB), Some([7; 20])).unwrap();
        assert!(
            line.starts_with("|1|BwcHBwcHBwcHBwcHBwcHBwcHBwc=|"),
            "{line}"
        );
        assert!(is_hashed(&line));
        assert_eq!(judged(&line, host, port, WEB), Verdict::Known);
        assert_eq!(judged(&line, host, port, OTHER), Verdict::Changed(at(1)));
        assert_eq!(judged(&line, "db", port, WEB), Verdict::Unknown);
    }
}

#[test]
fn new_lines_are_plain_where_names_are_plain() {
    let line = line_for("[web]:2222", &key(WEB), None).unwrap();
    assert_eq!(line, format!("[web]:2222 {WEB}"));
    assert!(!is_hashed(&line));
}

#[test]
fn known_types_are_those_of_the_host() {
    let files = [KnownFile {
        path: "known".into(),
        text: format!("web {ECDSA}\n@revoked web {WEB}\ndb {WEB}\n[db]:2222 {ECDSA}"),
    }];
    let types = |host, port| {
        known_types(&files, &HostNames::new(host, port))
            .iter()
            .map(|kind| kind.as_str().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(types("web", 22), ["ecdsa-sha2-nistp256"]);
    assert_eq!(types("web", 2222), ["ecdsa-sha2-nistp256"]);
    assert_eq!(types("db", 22), ["ssh-ed25519"]);
    assert_eq!(types("db", 2222), ["ecdsa-sha2-nistp256"]);
    assert!(types("cache", 22).is_empty());
}
