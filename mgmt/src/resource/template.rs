//! Templates: text with places for values.

use std::panic::Location;

use minijinja::value::ValueKind;
use minijinja::{Environment, ErrorKind, Value};
use serde::Serialize;

use crate::id::in_one_line;
use crate::resource::error::{Error, Result};
use crate::resource::spec::nearest;

/// Fills a template in the language of Jinja with the fields of `values`.
///
/// ```
/// # use serde::Serialize;
/// #[derive(Serialize)]
/// struct Page { host: &'static str }
/// assert_eq!(mgmt::render("on {{ host }}", &Page { host: "web1" }).unwrap(), "on web1");
/// assert!(mgmt::render("on {{ hots }}", &Page { host: "web1" }).is_err());
/// ```
///
/// # Errors
/// The template is not well formed, or uses a value that does not exist. The error names the line of the template, the
/// names that have values, and the line of the program.
#[track_caller]
pub fn render(template: &str, values: &impl Serialize) -> Result<String> {
    fill(template, values, false)
}

/// The same; an error never has a part of a value in it if the values are secret.
#[track_caller]
pub(crate) fn fill(template: &str, values: &impl Serialize, is_secret: bool) -> Result<String> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(minijinja::UndefinedBehavior::Strict);
    // A missing value inside a list or a map is an error too.
    environment.set_formatter(|out, state, value| match has_missing(value) {
        true => Err(ErrorKind::UndefinedError.into()),
        false => minijinja::escape_formatter(out, state, value),
    });
    let (at, values) = (Location::caller(), Value::from(minijinja::value::Serde(values)));
    let rendered = environment.render_str(template, &values);
    let mut text = rendered.map_err(|error| {
        let missing = (error.kind() == ErrorKind::UndefinedError).then(|| missing(&environment, template, &values));
        explained(&error, template, missing.flatten(), is_secret).made_at(at)
    })?;
    // Jinja drops the newline at the end, but a file should end with one.
    if template.ends_with('\n') {
        text.push('\n');
    }
    Ok(text)
}

/// The error with the line of the template and the mistake in it.
fn explained(error: &minijinja::Error, template: &str, missing: Option<String>, is_secret: bool) -> Error {
    let number = error.line().unwrap_or_default();
    let place = match template.lines().nth(number.saturating_sub(1)).map(str::trim) {
        Some(line) if number > 0 && !line.is_empty() => format!("the template, line {number}, `{}`", in_one_line(line)),
        _ => "the template".to_owned(),
    };
    let detail = error.detail().filter(|_| !is_secret).map_or_else(String::new, |detail| format!(": {detail}"));
    Error::new(format!("{place}: {}", missing.unwrap_or_else(|| format!("{}{detail}", error.kind()))))
}

/// The names in the template that have no value, and the names that have one.
fn missing(environment: &Environment<'_>, template: &str, values: &Value) -> Option<String> {
    let parsed = environment.template_from_str(template).ok()?;
    let of = |name: &str| {
        let value = name.split('.').try_fold(values.clone(), |value, part| value.get_attr(part).ok());
        value.filter(|value| !value.is_undefined())
    };
    let mut names: Vec<String> = parsed.undeclared_variables(true).into_iter().collect();
    names.retain(|name| of(name).is_none() && environment.globals().all(|(global, _)| global != name));
    names.sort_unstable();
    let shown = |names: &[String]| names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let has = if names.len() == 1 { "has no value" } else { "have no value" };
    let first = names.first()?;
    // For `ports.ftp`, the names in `ports`.
    let parent = first.rsplit_once('.').and_then(|(parent, name)| Some((of(parent)?, name)));
    let (parent, name) = parent.unwrap_or((values.clone(), first));
    if parent.kind() != ValueKind::Map {
        let sort = sort(parent.kind());
        return Some(match first.rsplit_once('.') {
            Some((parent, name)) => format!("`{parent}` is {sort}, which has no `{name}`"),
            None => format!("{} {has}: the values are {sort}; give a struct or a map", shown(&names)),
        });
    }
    let mut there: Vec<String> = parent.try_iter().into_iter().flatten().map(|key| key.to_string()).collect();
    there.sort_unstable();
    let hint = match nearest(name, there.iter().map(String::as_str)) {
        Some(near) if names.len() == 1 => format!(": did you mean `{near}`?"),
        _ if there.is_empty() => ": there are no values".to_owned(),
        _ => format!(": there are {}", shown(&there)),
    };
    Some(format!("{} {has}{hint}", shown(&names)))
}

fn sort(kind: ValueKind) -> &'static str {
    match kind {
        ValueKind::String => "a text",
        ValueKind::Number => "a number",
        ValueKind::Bool => "true or false",
        ValueKind::None => "nothing",
        ValueKind::Seq | ValueKind::Iterable => "a list",
        _ => "no map",
    }
}

fn has_missing(value: &minijinja::Value) -> bool {
    let mut open = vec![value.clone()];
    while let Some(value) = open.pop() {
        match value.kind() {
            ValueKind::Undefined => return true,
            ValueKind::Seq => open.extend(value.try_iter().into_iter().flatten()),
            ValueKind::Map => {
                let keys = value.try_iter().into_iter().flatten();
                open.extend(keys.filter_map(|key| value.get_item(&key).ok()));
            }
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_an_error_also_inside_of_a_list_or_a_map() {
        let values = std::collections::BTreeMap::from([("list", vec![1, 2])]);
        assert_eq!(render("{{ [list, 3] }}", &values).unwrap(), "[[1, 2], 3]");
        for wrong in ["{{ typo }}", "{{ [typo] }}", "{{ [1, [typo]] }}", "{{ {'a': typo} }}"] {
            assert!(render(wrong, &values).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_error_has_the_line_of_the_template_the_name_and_what_there_is() {
        let values = serde_json::json!({ "host": "web1", "ports": { "http": 80, "dns": 53 } });
        let error = |template: &str| render(template, &values).unwrap_err();
        for (template, text) in [
            ("a\nb {{ hots }}\n", "the template, line 2, `b {{ hots }}`: `hots` has no value: did you mean `host`?"),
            ("{{ zone }}", "the template, line 1, `{{ zone }}`: `zone` has no value: there are `host`, `ports`"),
            (
                "{{ ports.imap }}",
                "the template, line 1, `{{ ports.imap }}`: `ports.imap` has no value: there are `dns`, `http`",
            ),
        ] {
            assert_eq!(error(template).to_string(), text);
        }
        for (template, values, text) in [
            ("{{ host.foo }}", &values, "`{{ host.foo }}`: `host` is a text, which has no `foo`"),
            (
                "{{ g }}",
                &serde_json::json!("g"),
                "`{{ g }}`: `g` has no value: the values are a text; give a struct or a map",
            ),
            (
                "{{ g }}",
                &serde_json::json!([1]),
                "`{{ g }}`: `g` has no value: the values are a list; give a struct or a map",
            ),
        ] {
            assert_eq!(render(template, values).unwrap_err().to_string(), format!("the template, line 1, {text}"));
        }
        for wrong in ["a\n{{ host", "{% if %}", "{{ host | nofilter }}", "{% for x in [1] %}{{ x.y }}{% endfor %}"] {
            let text = error(wrong).to_string();
            assert!(!text.contains("<string>") && !text.ends_with(": "), "{text}");
        }
        let error = error("a\n{{ host");
        assert!(error.to_string().starts_with("the template, line 2, `{{ host`: syntax error: "), "{error}");
        assert!(error.at().is_some_and(|at| at.file().ends_with("template.rs")), "{:?}", error.at());
        assert_eq!(render("{{ range(2) }}", &values).unwrap(), "[0, 1]", "functions of the language are there");
        let none = render("{{ x }}", &serde_json::json!({})).unwrap_err().to_string();
        assert!(none.ends_with("`x` has no value: there are no values"), "{none}");
    }
}
