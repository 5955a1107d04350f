//! A template with values, and values as text: an error or a text, in bounded time and memory.
#![no_main]

use std::collections::BTreeMap;

use libfuzzer_sys::fuzz_target;
use mgmt::resource::{Any, Values};

/// Values as JSON and a template, with a newline between them.
fn parts(text: &str) -> (&str, &str) {
    text.split_once('\n').unwrap_or(("{}", text))
}

fuzz_target!(|text: &str| {
    let (values, template) = parts(text);
    if let Ok(any) = values.parse::<Any>() {
        let printed = serde_json::to_string(&any).expect("JSON");
        let again: Any =
            printed.parse().unwrap_or_else(|error| panic!("{values:?} is printed as {printed:?}: {error}"));
        assert_eq!(again.to_string(), any.to_string());
    }
    let is_map = values.parse::<Values>().is_ok();
    let values: BTreeMap<String, serde_json::Value> = serde_json::from_str(values).unwrap_or_default();
    assert!(is_map || values.is_empty());
    match mgmt::render(template, &values) {
        Ok(text) => assert!(!template.ends_with('\n') || text.ends_with('\n')),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
