//! A graph in YAML, any bytes: it is read, or refused with problems whose places are in the text.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mgmt::gapi::{YamlOptions, read_yaml};
use mgmt::resource::Origin;

fuzz_target!(|bytes: &[u8]| {
    // In YAML a carriage return alone ends a line too.
    let lines = bytes.iter().filter(|byte| [b'\n', b'\r'].contains(byte)).count() + 1;
    match read_yaml("fuzz.yaml", bytes, &YamlOptions::default()) {
        Ok(read) => {
            for warning in &read.warnings {
                assert!(!warning.to_string().is_empty());
            }
            for vertex in &read.config.vertices {
                assert!(!vertex.resource.name().is_empty());
            }
        }
        Err(problems) => {
            assert!(!problems.0.is_empty());
            for problem in &problems.0 {
                assert!(!problem.to_string().is_empty());
                if let Origin::File(span) = &problem.origin {
                    assert!((1..=lines).contains(&(span.line as usize)), "line {} of {lines}", span.line);
                }
            }
        }
    }
});
