//! Templates: text with places for values.

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
