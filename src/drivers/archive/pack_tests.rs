use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use super::*;

fn sha() -> Sha256 {
    Sha256::new(&"a".repeat(64)).unwrap()
}

fn shell(folder: &Path, script: &str) {
    let done = Command::new("sh")
        .args(["-ec", script])
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(done.status.success(), "{script}: {done:?}");
}

/// A folder to pack: modes, a long name, a link, an empty folder.
fn folder() -> tempfile::TempDir {
    let place = tempfile::tempdir().unwrap();
    let long = "n".repeat(120);
    let script = format!(
        "mkdir -p app-1.0/bin app-1.0/empty app-1.0/{long}/{long}; cd app-1.0; echo run >bin/app; chmod 750 bin/app
         echo text >'a text'; chmod 640 'a text'; echo deep >{long}/{long}/{long}; ln -s bin/app now"
    );
    shell(place.path(), &script);
    place
}

fn unpacked(pack: &Path, into: &Path) {
    fs::create_dir(into).unwrap();
    shell(
        into,
        &format!("gzip -dc <'{}' | tar -xpof -", pack.display()),
    );
}

#[test]
fn every_format_gives_the_same_files() {
    let place = folder();
    shell(
        place.path(),
        "tar -cf a.tar app-1.0; gzip -k a.tar; zstd -q a.tar; xz -k a.tar; zip -qry a.zip app-1.0; cat a.tar.gz >a.tgz",
    );
    let mut lists = Vec::new();
    for name in [
        "a.tar",
        "a.tar.gz",
        "a.tgz",
        "a.tar.zst",
        "a.tar.xz",
        "a.zip",
    ] {
        let into = place.path().join(format!("{name}.pack"));
        let made = pack(&place.path().join(name), &sha(), &[], &into).unwrap();
        assert_eq!(made.size, fs::metadata(&into).unwrap().len());
        let at = place.path().join(format!("{name}.out"));
        unpacked(&into, &at);
        let mode = |path: &str| fs::metadata(at.join(path)).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode("bin/app"), mode("a text")), (0o750, 0o640), "{name}");
        assert_eq!(fs::read_to_string(at.join("now")).unwrap(), "run\n");
        assert!(at.join("empty").is_dir());
        let long = "n".repeat(120);
        assert!(at.join(format!("{long}/{long}/{long}")).is_file(), "{name}");
        let list = fs::read_to_string(at.join(LIST)).unwrap();
        let mut lines: Vec<String> = list.lines().map(str::to_owned).collect();
        assert_eq!(lines[0], format!("rollgate 1 {}", sha()));
        assert_eq!(lines.pop().unwrap(), format!("end {}", lines.len()));
        lines.sort();
        lists.push(lines);
    }
    assert!(lists.iter().all(|list| *list == lists[0]), "{lists:#?}");
}

#[test]
fn the_same_archive_gives_the_same_bytes() {
    let place = folder();
    shell(place.path(), "tar -czf a.tar.gz app-1.0");
    let made = |name: &str| {
        let into = place.path().join(name);
        pack(&place.path().join("a.tar.gz"), &sha(), &[], &into).unwrap();
        fs::read(into).unwrap()
    };
    assert_eq!(made("one"), made("two"));
}

#[test]
fn an_archive_that_is_cut_or_damaged_or_none_is_an_error() {
    let place = folder();
    shell(
        place.path(),
        "head -c 300000 /dev/urandom >app-1.0/noise; tar -cf a.tar app-1.0; gzip -k a.tar; zstd -q a.tar; xz -k a.tar; zip -qry a.zip app-1.0",
    );
    for name in ["a.tar", "a.tar.gz", "a.tar.zst", "a.tar.xz", "a.zip"] {
        let whole = fs::read(place.path().join(name)).unwrap();
        let into = place.path().join("pack");
        let cut = place.path().join(format!("cut-{name}"));
        fs::write(&cut, &whole[..whole.len() / 2]).unwrap();
        let error = pack(&cut, &sha(), &[], &into).unwrap_err();
        assert!(
            matches!(error, ArchiveError::Read { .. }),
            "{name}: {error}"
        );
        if name != "a.tar" {
            let mut flipped = whole.clone();
            flipped[whole.len() / 2] ^= 0x10;
            fs::write(&cut, &flipped).unwrap();
            assert!(pack(&cut, &sha(), &[], &into).is_err(), "{name}");
        }
    }
    let none = place.path().join("none");
    fs::write(&none, "no archive").unwrap();
    let error = pack(&none, &sha(), &[], &place.path().join("p")).unwrap_err();
    assert!(
        error.to_string().contains("no archive that rollgate knows"),
        "{error}"
    );
}

#[test]
fn what_may_not_be_on_a_host_is_named() {
    let place = folder();
    for (script, word) in [
        (
            "ln app-1.0/bin/app app-1.0/hard; tar -cf a.tar app-1.0",
            "a hard link",
        ),
        ("mkfifo app-1.0/pipe; tar -cf a.tar app-1.0", "a pipe"),
        (
            "ln -s /etc/passwd app-1.0/out; tar -cPf a.tar app-1.0",
            "leads out",
        ),
        (
            "tar -cPf a.tar ../${PWD##*/}/app-1.0/bin",
            "leads out of the release with `..`",
        ),
        ("tar -cPf a.tar \"$PWD/app-1.0/bin\"", "absolute"),
        (
            "tar -cf a.tar app-1.0/bin && tar -rf a.tar app-1.0/bin",
            "twice",
        ),
    ] {
        let place_of = folder();
        shell(place_of.path(), script);
        let error = pack(
            &place_of.path().join("a.tar"),
            &sha(),
            &[],
            &place.path().join("p"),
        );
        let error = error.unwrap_err();
        assert!(
            matches!(error, ArchiveError::Unsafe { .. }),
            "{script}: {error}"
        );
        assert!(error.to_string().contains(word), "{script}: {error}");
    }
}

#[test]
fn a_full_disk_is_told_apart_from_a_bad_archive() {
    let place = folder();
    shell(place.path(), "tar -cf a.tar app-1.0");
    let error = pack(
        &place.path().join("a.tar"),
        &sha(),
        &[],
        Path::new("/dev/full"),
    );
    let error = error.unwrap_err();
    assert!(matches!(error, ArchiveError::Write { .. }), "{error}");
}
