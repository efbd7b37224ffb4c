use std::process::Command;

use proptest::prelude::*;

use super::*;

const SCOPE: Scope = Scope {
    names: &["x", "y"],
    refused: &[],
};

fn rendered(source: &str, x: &str) -> Result<String, Vec<Fault>> {
    render(
        source,
        &SCOPE,
        &Context::default().with("x", x).with("y", "$(echo y)"),
    )
}

fn output_of(shell: &str, command: &str) -> Vec<u8> {
    let mut words = shell.split(' ');
    let output = Command::new(words.next().unwrap())
        .args(words)
        .args(["-c", command])
        .output()
        .unwrap();
    assert!(output.status.success(), "{shell}: {command}: {output:?}");
    output.stdout
}

/// Dash is Debian's `sh`, bash is Red Hat's, busybox is Alpine's.
fn shells() -> Vec<&'static str> {
    let all = ["dash", "bash --posix", "busybox sh"];
    let there = all.into_iter().filter(|shell| {
        let program = shell.split(' ').next().unwrap_or_default();
        let there = Command::new(program).args(["-c", "true"]).output().is_ok();
        if !there {
            eprintln!("not tested with {shell}: it is not installed");
        }
        there
    });
    there.collect()
}

/// Commands that print the value, with what is around it.
const ALLOWED: &[(&str, &str, &str)] = &[
    ("printf %s {{ x }}", "", ""),
    ("printf %s \"{{ x }}\"", "", ""),
    ("printf %s '{{ x }}'", "", ""),
    ("printf %s a{{ x }}b", "a", "b"),
    ("printf %s \"a {{ x }} b\"", "a ", " b"),
    ("printf %s 'a {{ x }} b'", "a ", " b"),
    ("printf %s \"$(printf q)\"{{ x }}", "q", ""),
    ("printf %s `printf q`\"{{ x }}\"", "q", ""),
    ("q=1; printf %s \"${q}{{ x }}\"", "1", ""),
    ("printf %s $(printf q)#{{ x }}", "q#", ""),
    ("# it's a comment\nprintf %s {{ x }}", "", ""),
    ("printf %s \\\n  {{ x }}", "", ""),
    ("printf %s \\'{{ x }}\\'", "'", "'"),
    ("printf %s \"\\\"{{ x }}\\\"\"", "\"", "\""),
    ("printf %s \\${{ x }}", "$", ""),
    ("printf %s '\\{{ x }}$'", "\\", "$"),
    ("v={{ x }}; printf %s \"$v\"", "", ""),
    ("f() { printf %s \"$1\"; }; f {{ x }}", "", ""),
    ("{% if true %}printf %s {{ x }}{% endif %}", "", ""),
    ("printf %s {{ x | default('n') }}", "", ""),
    (
        "{% autoescape false %}printf %s \"{{ x | safe }}\"{% endautoescape %}",
        "",
        "",
    ),
    ("case {{ x }} in *) printf %s {{ x }} ;; esac", "", ""),
];

const REFUSED: &[&str] = &[
    "echo \\{{ x }}",
    "echo \"\\{{ x }}\"",
    "echo ${{ x }}",
    "echo \"${{ x }}\"",
    "echo $\\\n{{ x }}",
    "echo $(cat {{ x }})",
    "echo \"$(cat {{ x }})\"",
    "echo `cat {{ x }}`",
    "echo ${v:-{{ x }}}",
    "echo $(( {{ x }} + 1 ))",
    "echo \"$(case a in a) echo \"{{ x }}\";; esac)\"",
    "cat <<EOF\n{{ x }}\nEOF",
    "cat <<'EOF'\n{{ x }}\nEOF",
    "echo a # {{ x }}",
    "# {{ x }}\n",
    "echo;#{{ x }}",
    "echo $'{{ x }}'",
    "echo $\"{{ x }}\"",
    "echo $[{{ x }}]",
    "echo '{{ x }}",
    "echo \"{{ x }}",
    "echo \"{{ x }}' ",
    "{% set q %}echo {{ x }}{% endset %}{{ q }}",
    "{% set q %}{{ x }}{% endset %}{{ q | upper }}",
    "{{ (x | raw) ~ y }}",
    "{{ [x | raw, y] | join(' ') }}",
    "{% filter upper %}{{ x }}{% endfilter %}",
];

#[test]
fn values_in_forbidden_places_are_refused() {
    for source in REFUSED {
        let answer = rendered(source, "v");
        assert!(answer.is_err(), "{source} became {answer:?}");
    }
    assert!(rendered("echo {{ x }}", "a\0b").is_err());
    assert!(rendered("echo {{ x }}", "\u{f8f0}0\u{f8f0}").is_err());
}

#[test]
fn a_refusal_says_why_and_what_to_do() {
    let faults = rendered("echo $(cat {{ x }})", "v").unwrap_err();
    assert!(faults[0].title.contains("expansion"), "{faults:?}");
    assert!(faults[0].help.contains("array"), "{faults:?}");
}

#[test]
fn raw_text_is_taken_as_it_is_and_its_quotes_count() {
    assert_eq!(rendered("{{ x | raw }}", "a | b").unwrap(), "a | b");
    assert_eq!(
        rendered("echo {{ x | raw }}{{ y }}'", "'").unwrap(),
        "echo '$(echo y)'"
    );
    assert!(rendered("echo {{ x | raw }}{{ y }}", "\\").is_err());
    assert!(rendered("echo $({{ x | raw }}{{ y }})", "cat ").is_err());
}

#[test]
fn commands_without_values_are_untouched() {
    for source in [
        "a $(b \"c\" `d`) <<E\n'\nE\n",
        "echo 'it'\\''s' # \"",
        "echo \"",
    ] {
        assert_eq!(rendered(source, "v").unwrap(), source);
    }
}

#[test]
fn hard_values_come_through_every_shell_in_every_place() {
    let hard = [
        "",
        " ",
        "-n",
        "a b",
        "'",
        "''",
        "\"",
        "\\",
        "\\\\",
        "$HOME",
        "$(echo no)",
        "`echo no`",
        "a\nb",
        "\n",
        "*",
        "?[a]",
        "~",
        "#",
        "; echo no",
        "&",
        "|",
        "!",
        "{a,b}",
        "'\"'\"'",
        "$'x'",
        "é€",
        "\t",
        "%s",
        "<<EOF",
    ];
    for shell in shells() {
        for (source, before, after) in ALLOWED {
            for value in hard {
                let command = rendered(source, value).unwrap();
                let want = format!("{before}{value}{after}").into_bytes();
                assert_eq!(output_of(shell, &command), want, "{shell}: {command}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_value_comes_through_dash_in_any_allowed_place(
        value in "(['\"$`\\\\ \n;#*(){}<>&|~!=a-c-]|[^\0\u{f8f0}]){0,12}",
        place in 0..ALLOWED.len(),
    ) {
        let (source, before, after) = ALLOWED[place];
        let command = rendered(source, &value).unwrap();
        let want = format!("{before}{value}{after}").into_bytes();
        prop_assert_eq!(output_of("dash", &command), want);
    }

    /// Whatever command stands around it, a value that would write a file never does.
    #[test]
    fn a_value_is_never_run_whatever_stands_around_it(
        before in "['\"$`\\\\ \n;#(){}<\\[a]{0,6}",
        after in "['\"$`\\\\ \n;#(){}<\\]a]{0,6}",
        value in 0..4usize,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let witness = folder.path().join("ran");
        let path = witness.display().to_string();
        let value = [
            format!("$(>{path})"),
            format!("`>{path}`"),
            format!("'; >{path}; '"),
            format!("\n>{path}\n"),
        ][value].clone();
        let source = format!("{before}{}{after}", "{{ x }}");
        if let Ok(command) = rendered(&source, &value) {
            for shell in ["dash", "bash"] {
                let ran = Command::new(shell)
                    .args(["-c", &command])
                    .current_dir(folder.path())
                    .stdin(std::process::Stdio::null())
                    .output();
                prop_assert!(ran.is_ok());
                prop_assert!(!witness.exists(), "{}: {:?}", shell, command);
            }
        }
    }
}
