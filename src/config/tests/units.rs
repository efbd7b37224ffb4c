use super::*;
use crate::model::{HostName, ReleaseRef, Revision, Unit, UnitFiles, Version};

const UNIT: &str = "unit.text = \"\"\"\n[Service]\nExecStart={{ root }}/current/app --on {{ host }} {{ version }} {{ revision }}\n\"\"\"";

fn playbook(lines: &str) -> String {
    PLAYBOOK.replace(
        "systemd = \"app.service\"",
        &format!("systemd = \"app.service\"\n{lines}"),
    )
}

fn unit(loaded: &Loaded, host: &str, revision: u64) -> Unit {
    let release = ReleaseRef {
        revision: Revision(revision),
        version: Some(Version::new("1.2.3").unwrap()),
        dir: format!("/opt/app/releases/{revision}-1.2.3"),
    };
    let run = loaded
        .recipes
        .run(&HostName::new(host).unwrap(), &release)
        .unwrap();
    run.unit().unwrap().clone()
}

fn digests(lines: &str) -> Vec<String> {
    let loaded = loaded(INVENTORY, &playbook(lines));
    let digests = loaded.config_digests.values();
    digests.map(ToString::to_string).collect()
}

#[test]
fn a_unit_is_rendered_for_its_host_and_release() {
    let limits = "resources = { memory_max = \"{{ vars.port }}M\", cpu_quota = \"50%\" }";
    let loaded = loaded(
        INVENTORY,
        &playbook(&format!("{UNIT}\n{limits}\nuser_unit = true")),
    );
    let seen = unit(&loaded, "web-02", 7);
    assert!(seen.user);
    let UnitFiles::Rendered { text, drop_in } = seen.files else {
        panic!("{seen:?}");
    };
    assert_eq!(
        text.unwrap(),
        "[Service]\nExecStart=/opt/app/current/app --on web-02 1.2.3 7\n"
    );
    assert!(
        drop_in
            .unwrap()
            .ends_with("[Service]\nMemoryMax=8080M\nCPUQuota=50%\n")
    );
}

#[test]
fn a_unit_belongs_to_what_a_release_is() {
    let plain = digests("");
    let with_unit = digests(UNIT);
    let with_limit = digests("resources.memory_max = \"1G\"");
    // Without any, as it always was; with one, for each host its own.
    assert_eq!(plain[0], plain[1]);
    assert_ne!(with_unit[0], with_unit[1]);
    assert_ne!(with_limit[0], plain[0]);
    assert_ne!(with_limit, digests("resources.memory_max = \"2G\""));
    // How long a stop may take does not reach the process.
    assert_eq!(
        with_unit,
        digests(&format!("{UNIT}\nstop_timeout = \"5s\""))
    );
}

#[test]
fn mistakes_about_units_are_told_with_their_lines() {
    for (lines, wanted) in [
        ("unit = {}", "[run.unit] has no text"),
        (
            "unit = { text = \"[Service]\", template = \"x\" }",
            "the unit is written in one place",
        ),
        (
            "unit.text = \"ExecStart=/x\"",
            "this unit has no [Service] section",
        ),
        (
            "unit.text = \"[Service]\\n{{ nobody }}\"",
            "`nobody` is not defined",
        ),
        (
            "unit.template = \"nowhere.j2\"",
            "nowhere.j2 cannot be read",
        ),
        (
            "resources.memory_max = \"lots\"",
            "`lots` is not a value for MemoryMax",
        ),
        ("resources.memory = \"1G\"", "unknown key `memory`"),
        ("user_unit = \"yes\"", "wrong kind of value"),
    ] {
        let files = Files::new(INVENTORY, &playbook(lines));
        let found = files.findings(&files.request());
        assert!(found.contains(wanted), "{lines}: {found}");
    }
    let commands = PLAYBOOK.replace(
        "systemd = \"app.service\"",
        "restart = [\"x\"]\nuser_unit = true\nresources.memory_max = \"1G\"",
    );
    let files = Files::new(INVENTORY, &commands);
    let found = files.findings(&files.request());
    for key in ["run.user_unit", "run.resources"] {
        let wanted = format!("`{key}` belongs to a service that is a unit");
        assert!(found.contains(&wanted), "{found}");
    }
}
