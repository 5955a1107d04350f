//! Any bytes at the control socket of a running engine: each reply is a line of the protocol, and the engine still
//! answers the next client.
#![no_main]

mod engine;

use engine::Running;
use libfuzzer_sys::fuzz_target;
use mgmt::runtime::control::{Ask, Reply};

fuzz_target!(|bytes: &[u8]| {
    Running::with(&["a", "b"], |running| {
        running.send(bytes);
        let replies = running.ask(Ask::Names { names: vec![], kind: None });
        assert!(matches!(replies.last(), Some(Reply::Done { count: 2, .. })), "{replies:?}");
    });
});
