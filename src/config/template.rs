//! Templates of texts: Jinja, strict about names, and never rendered twice.
//!
//! What a template may name is its [`Scope`]; what the names are worth is a [`Context`]. Commands for a shell are rendered in
//! [`super::command`], where values become literals.

use std::collections::BTreeMap;
use std::ops::Range;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::ValueKind;
use minijinja::{Environment, Error, ErrorKind, Output, State, UndefinedBehavior, Value};

use super::diagnostic::nearest;
use crate::model::Secret;

/// What is wrong with a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// What is wrong.
    pub title: String,
    /// What would be right.
    pub help: String,
    /// Which bytes of the template.
    pub range: Option<Range<usize>>,
}

/// The names that a template may use where it stands.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scope {
    /// Allowed names.
    pub names: &'static [&'static str],
    /// Names that exist elsewhere, with the reason why not here.
    pub refused: &'static [(&'static str, &'static str)],
}

/// Names and their values for one render.
#[derive(Debug, Clone, Default)]
pub(crate) struct Context(BTreeMap<&'static str, Value>);

impl Context {
    /// The same names, and one more.
    #[must_use]
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.0.insert(name, value.into());
        self
    }

    /// As the template engine takes it.
    pub(crate) fn to_value(&self) -> Value {
        Value::from_pairs(self.0.iter().map(|(name, value)| (*name, value.clone())))
    }

    /// Whether `vars.port` and the like is there.
    fn has(&self, top: &str, nested: &str) -> bool {
        self.0
            .get(top)
            .and_then(|value| value.get_attr(nested).ok())
            .is_some_and(|value| !value.is_undefined())
    }

    fn keys_of(&self, top: &str) -> Vec<String> {
        let keys = self.0.get(top).and_then(|value| value.try_iter().ok());
        keys.map_or_else(Vec::new, |keys| keys.map(|key| key.to_string()).collect())
    }
}

/// Whether a text is a template at all.
pub(crate) fn is_template(source: &str) -> bool {
    source.contains("{{") || source.contains("{%") || source.contains("{#")
}

/// Renders a text.
///
/// # Errors
/// Everything that is wrong with the template, where that can be told without rendering; else the first fault met.
pub(crate) fn render(source: &str, scope: &Scope, context: &Context) -> Result<String, Vec<Fault>> {
    if !is_template(source) {
        return Ok(source.to_owned());
    }
    let mut environment = strict_environment();
    environment.set_formatter(write_scalar);
    render_with(&environment, source, scope, context)
}

/// What is wrong with a text's template whatever the values are: its syntax, and names that do not exist where it stands.
pub(crate) fn check(source: &str, scope: &Scope) -> Vec<Fault> {
    if !is_template(source) {
        return Vec::new();
    }
    match strict_environment().template_from_str(source) {
        Ok(template) => name_faults(&template.undeclared_variables(false), source, scope),
        Err(error) => vec![fault(&error, source, &Context::default())],
    }
}

/// An environment without includes, macros or debug output, in which an undefined name is an error.
pub(super) fn strict_environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.remove_global("debug");
    if let Ok(syntax) = SyntaxConfig::builder().keep_trailing_newline(true).build() {
        environment.set_syntax(syntax);
    }
    environment
}

/// The same for files, in which secrets may stand: `secret` gives them by name.
pub(super) fn file_environment(
    secret: impl Fn(&str) -> Result<Secret, String> + Send + Sync + 'static,
) -> Environment<'static> {
    let mut environment = strict_environment();
    environment.set_formatter(write_scalar);
    environment.add_function("secret", move |name: &str| {
        let found = secret(name).map_err(|why| Error::new(ErrorKind::InvalidOperation, why))?;
        Ok(Value::from(found.expose()))
    });
    environment
}

/// Whether a template may ask for a secret.
pub(super) fn names_secret(source: &str) -> bool {
    let environment = strict_environment();
    let template = environment.template_from_str(source);
    template.is_ok_and(|template| template.undeclared_variables(false).contains("secret"))
}

/// Checks the names, renders, and checks the names again that the render did not come across.
pub(super) fn render_with(
    environment: &Environment<'_>,
    source: &str,
    scope: &Scope,
    context: &Context,
) -> Result<String, Vec<Fault>> {
    let template = environment
        .template_from_str(source)
        .map_err(|error| vec![fault(&error, source, context)])?;
    let faults = name_faults(&template.undeclared_variables(false), source, scope);
    if !faults.is_empty() {
        return Err(faults);
    }
    let text = template
        .render(context.to_value())
        .map_err(|error| vec![fault(&error, source, context)])?;
    let missing = untaken_faults(&template.undeclared_variables(true), source, context);
    if missing.is_empty() {
        Ok(text)
    } else {
        Err(missing)
    }
}

const GLOBALS: [&str; 4] = ["range", "dict", "namespace", "loop"];

fn name_faults<'a>(
    names: impl IntoIterator<Item = &'a String>,
    source: &str,
    scope: &Scope,
) -> Vec<Fault> {
    let mut faults: Vec<Fault> = names
        .into_iter()
        .filter(|name| !scope.names.contains(&name.as_str()) && !GLOBALS.contains(&name.as_str()))
        .map(|name| name_fault(name, source, scope))
        .collect();
    faults.sort_by_key(|fault| fault.range.as_ref().map(|range| range.start));
    faults
}

fn name_fault(name: &str, source: &str, scope: &Scope) -> Fault {
    let range = find_word(source, name);
    if let Some((_, reason)) = scope.refused.iter().find(|(refused, _)| *refused == name) {
        return Fault {
            title: format!("`{name}` cannot be used here"),
            help: (*reason).to_owned(),
            range,
        };
    }
    if name == "secret" {
        return Fault {
            title: "`secret` cannot be used here".to_owned(),
            help: "what stands here is seen in lists of processes, logs or records: put the secret into a file of [[release.files]]".to_owned(),
            range,
        };
    }
    let help = match nearest(name, scope.names.iter().copied()) {
        Some(near) => format!(
            "did you mean `{near}`? Names there: {}",
            scope.names.join(", ")
        ),
        None => format!(
            "names there: {}; variables of yours are written `vars.{name}`",
            scope.names.join(", ")
        ),
    };
    Fault {
        title: format!("`{name}` is not defined"),
        help,
        range,
    }
}

/// Names like `vars.port` in a branch that this render did not take: another host or release would.
fn untaken_faults<'a>(
    names: impl IntoIterator<Item = &'a String>,
    source: &str,
    context: &Context,
) -> Vec<Fault> {
    // Whoever writes one of these has thought of an absent name.
    if source.contains("default") || source.contains("defined") {
        return Vec::new();
    }
    names
        .into_iter()
        .filter_map(|name| {
            let (top, nested) = name.split_once('.')?;
            let nested = nested.split('.').next().unwrap_or(nested);
            let of_user = top == "vars" || top == "env";
            (of_user && !context.has(top, nested)).then(|| Fault {
                title: format!("`{top}.{nested}` is not defined"),
                help: help_for(top, nested, context),
                range: find_word(source, name),
            })
        })
        .collect()
}

fn help_for(top: &str, nested: &str, context: &Context) -> String {
    if top == "env" {
        return format!(
            "set the environment variable {nested}, or write {{{{ env.{nested} | default(\"…\") }}}}"
        );
    }
    let keys = context.keys_of(top);
    match nearest(nested, keys.iter().map(String::as_str)) {
        Some(near) => format!("did you mean `{top}.{near}`?"),
        None => format!(
            "give it a value under `vars` of a group or host in the inventory, or with --var {nested}=…"
        ),
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the library adds kinds, and all others are said alike"
)]
fn fault(error: &Error, source: &str, context: &Context) -> Fault {
    let range = error
        .range()
        .filter(|range| source.get(range.clone()).is_some());
    let excerpt = range
        .clone()
        .and_then(|range| source.get(range))
        .unwrap_or_default()
        .trim();
    match error.kind() {
        ErrorKind::UndefinedError => {
            let title = if excerpt.is_empty() {
                "a name in this template is not defined".to_owned()
            } else {
                format!("`{excerpt}` is not defined")
            };
            let help = match excerpt.split_once('.') {
                Some((top @ ("vars" | "env"), nested)) => help_for(top, nested, context),
                _ => "write a name that exists, or give it a default: {{ x | default(\"…\") }}"
                    .to_owned(),
            };
            Fault { title, help, range }
        }
        kind => {
            let detail = error
                .detail()
                .map_or_else(|| kind.to_string(), str::to_owned);
            let (title, help) = detail
                .split_once(super::field::HELP_MARK)
                .map_or((detail.as_str(), ""), |(title, help)| (title, help));
            let help = match kind {
                ErrorKind::SyntaxError => "write a template of Jinja, such as {{ host }}",
                ErrorKind::UnknownFilter | ErrorKind::UnknownTest | ErrorKind::UnknownFunction => {
                    "use one of Jinja's, such as `default`, `lower`, `replace`, `join`"
                }
                _ => help,
            };
            Fault {
                title: format!("this template does not work: {title}"),
                help: help.to_owned(),
                range,
            }
        }
    }
}

/// Where `name` stands as a word of its own.
fn find_word(source: &str, name: &str) -> Option<Range<usize>> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    source.match_indices(name).find_map(|(at, found)| {
        let before = source.get(..at)?.chars().next_back();
        let after = source.get(at + found.len()..)?.chars().next();
        let inside = source
            .get(..at)?
            .rfind("{{")
            .max(source.get(..at)?.rfind("{%"))
            .is_some();
        let whole =
            before.is_none_or(|c| !is_word(c) && c != '.') && after.is_none_or(|c| !is_word(c));
        (inside && whole).then(|| at..at + found.len())
    })
}

/// What a value is as text.
///
/// # Errors
/// Lists, tables and `none` have no text that a user would expect.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the library adds kinds, and all others are said alike"
)]
pub(super) fn scalar_text(value: &Value) -> Result<String, Error> {
    let what = match value.kind() {
        ValueKind::String | ValueKind::Number => return Ok(value.to_string()),
        // The engine would print `True`, as Python does.
        ValueKind::Bool => return Ok(value.is_true().to_string()),
        ValueKind::None => "none",
        ValueKind::Seq | ValueKind::Iterable => "a list",
        ValueKind::Map => "a table",
        _ => "this value",
    };
    Err(Error::new(
        ErrorKind::InvalidOperation,
        format!(
            "{what} has no text{}write one element of it, or join a list: {{{{ x | join(\" \") }}}}",
            super::field::HELP_MARK
        ),
    ))
}

fn write_scalar(out: &mut Output<'_>, _: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    let text = scalar_text(value)?;
    out.write_str(&text).map_err(Error::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCOPE: Scope = Scope {
        names: &["host", "vars", "env"],
        refused: &[("revision", "the root is the same for every release")],
    };

    fn context() -> Context {
        let vars = Value::from_pairs([
            ("port", Value::from(8080)),
            ("on", Value::from(true)),
            ("list", Value::from(vec![1, 2])),
            ("again", Value::from("{{ host }}")),
        ]);
        let env = Value::from_pairs([("HOME", "/root")]);
        Context::default()
            .with("host", "web-01")
            .with("vars", vars)
            .with("env", env)
    }

    fn text(source: &str) -> String {
        render(source, &SCOPE, &context()).unwrap()
    }

    fn faults(source: &str) -> String {
        let faults = render(source, &SCOPE, &context()).unwrap_err();
        let lines: Vec<String> = faults
            .iter()
            .map(|fault| {
                let at = fault.range.clone().map_or("?", |range| &source[range]);
                format!("{source} @{at}: {} ({})", fault.title, fault.help)
            })
            .collect();
        lines.join("\n")
    }

    #[test]
    fn values_are_what_people_expect_and_are_not_rendered_again() {
        assert_eq!(text("{{ host }}:{{ vars.port }}"), "web-01:8080");
        assert_eq!(text("{{ vars.on }}"), "true");
        assert_eq!(text("{{ vars.again }}"), "{{ host }}");
        assert_eq!(text("{{ vars.list | join('-') }}\n"), "1-2\n");
        assert_eq!(text("{{ vars.nope | default('x') }}"), "x");
        assert_eq!(text("{{ 'a' if vars.nope is defined else 'b' }}"), "b");
        assert_eq!(text("no template } {"), "no template } {");
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        let all = [
            "{{ hots }}",
            "{{ nope }}-{{ other }}",
            "{{ revision }}",
            "x {{ vars.prot }}",
            "{{ env.NOPE_X }}",
            "{% if host == 'a' %}{{ vars.nope }}{% endif %}",
            "{{ vars.list }}",
            "{{ host",
            "{{ host | nofilter }}",
            "{% include 'x' %}",
        ]
        .map(faults);
        insta::assert_snapshot!(all.join("\n"), @r#"
        {{ hots }} @hots: `hots` is not defined (did you mean `host`? Names there: host, vars, env)
        {{ nope }}-{{ other }} @nope: `nope` is not defined (names there: host, vars, env; variables of yours are written `vars.nope`)
        {{ nope }}-{{ other }} @other: `other` is not defined (names there: host, vars, env; variables of yours are written `vars.other`)
        {{ revision }} @revision: `revision` cannot be used here (the root is the same for every release)
        x {{ vars.prot }} @vars.prot: `vars.prot` is not defined (did you mean `vars.port`?)
        {{ env.NOPE_X }} @env.NOPE_X: `env.NOPE_X` is not defined (set the environment variable NOPE_X, or write {{ env.NOPE_X | default("…") }})
        {% if host == 'a' %}{{ vars.nope }}{% endif %} @vars.nope: `vars.nope` is not defined (give it a value under `vars` of a group or host in the inventory, or with --var nope=…)
        {{ vars.list }} @vars.list: this template does not work: a list has no text (write one element of it, or join a list: {{ x | join(" ") }})
        {{ host @host: this template does not work: unexpected end of input, expected end of variable block (write a template of Jinja, such as {{ host }})
        {{ host | nofilter }} @nofilter: this template does not work: filter nofilter is unknown (use one of Jinja's, such as `default`, `lower`, `replace`, `join`)
        {% include 'x' %} @include: this template does not work: unknown statement include (write a template of Jinja, such as {{ host }})
        "#);
    }
}
