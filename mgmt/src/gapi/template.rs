//! Templates: text with places for values.

use minijinja::ErrorKind;
use minijinja::value::ValueKind;
use serde::Serialize;

use crate::resource::{Error, Result};

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
/// The template is not well formed, or names a value that is not there; the text says in which line.
pub fn render(template: &str, values: &impl Serialize) -> Result<String> {
    let mut environment = minijinja::Environment::new();
    environment.set_undefined_behavior(minijinja::UndefinedBehavior::Strict);
    // What is missing in a list or a map is missing, too.
    environment.set_formatter(|out, state, value| match has_missing(value) {
        true => Err(ErrorKind::UndefinedError.into()),
        false => minijinja::escape_formatter(out, state, value),
    });
    let rendered = environment.render_str(template, minijinja::Value::from(minijinja::value::Serde(values)));
    let mut text = rendered.map_err(|error| {
        let line = error.line().map(|line| format!(" in line {line}")).unwrap_or_default();
        Error::new(format!("the template{line}: {error}"))
    })?;
    // Jinja drops the newline at the end, and files should have one.
    if template.ends_with('\n') {
        text.push('\n');
    }
    Ok(text)
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
}
