//! The process that changes a resource again and again is named.

use std::io::Write as _;
use std::process::{Command, Stdio};

use mgmt::prelude::*;
use mgmt::runtime::EventKind;

use crate::kit::Run;

/// A shell that writes the file anew every 5 ms, until its input ends.
const WRITER: &str = r#"while ! read -t 0.005 -r _; do echo theirs > "$1"; done"#;
/// A shell that replaces the file every 5 ms with another one, as editors do.
const RENAMER: &str = r#"while ! read -t 0.005 -r _; do echo theirs > "$1.new"; mv "$1.new" "$1"; done"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root"]
async fn the_process_that_changes_a_file_again_and_again_is_named() {
    for (script, programs) in [(WRITER, &["bash"][..]), (RENAMER, &["bash", "mv"])] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let mut g = Graph::new("fight");
        g.add(File::new(path.display().to_string()).content("ours\n").retry(-1));
        let mut run = Run::new(g).await;
        run.converged().await;
        let mut writer = Command::new("bash");
        writer.args(["-c", script, "writer"]).arg(&path).stdin(Stdio::piped());
        let mut writer = writer.spawn().unwrap();
        let (found, at, by) = run
            .find(|event| match event {
                EventKind::Culprit { id, path, by, .. } => Some((id.clone(), path.clone(), by.clone())),
                _ => None,
            })
            .await;
        writer.stdin.take().unwrap().write_all(b"end\n").unwrap();
        writer.wait().unwrap();
        assert_eq!((found.name.as_str(), at.as_path()), (path.to_str().unwrap(), path.as_path()));
        match &by.program {
            Some(program) => {
                let name = program.file_name().unwrap().to_str().unwrap();
                assert!(programs.contains(&name), "{by}");
                assert!(name != "bash" || by.pid == writer.id(), "{by}, not {}", writer.id());
                assert_eq!(by.user.as_deref(), Some("root"), "{by}");
            }
            // `mv` may have ended by then.
            None => assert!(by.pid != writer.id() && programs.len() > 1, "{by}"),
        }
        run.stop().await;
    }
}
