//! The mode of a file: what is printed means the same, and a mode that is accepted comes to an end.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mgmt::sys::fs::Mode;

fuzz_target!(|text: &str| {
    let Ok(mode) = text.parse::<Mode>() else { return };
    let printed = mode.to_string();
    let again: Mode = printed.parse().unwrap_or_else(|error| panic!("{text:?} is printed as {printed:?}: {error}"));
    assert_eq!(again.to_string(), printed, "{text:?}");
    if mode.validate().is_err() {
        return;
    }
    for current in (0..=0o7777).step_by(0o123) {
        for is_dir in [false, true] {
            let applied = mode.apply(current, is_dir);
            assert!(applied <= 0o7777, "{text:?} makes {applied:o} of {current:o}");
            assert_eq!(again.apply(current, is_dir), applied, "{text:?} is printed as {printed:?}");
            assert!(mode.is_met_by(applied, is_dir), "{text:?} makes {applied:o} of {current:o}, and is not met by it");
        }
    }
});
