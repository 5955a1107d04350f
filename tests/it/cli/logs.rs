//! Log lines know whose they are, from wherever in a kind they come.

use serde_json::Value as Json;

use crate::kit::program::act;

fn run(args: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    act("talks", dir.path()).args(args).run().code(0).err
}

/// Everything that was logged about this resource: event and message.
fn said(lines: &[Json], name: &str) -> Vec<(String, String)> {
    let of = |value: &Json| value.as_str().unwrap_or_default().to_owned();
    let own = lines.iter().filter(|line| line["kind"] == "talks" && line["name"] == name);
    own.map(|line| (of(&line["event"]), of(&line["fields"]["message"]))).collect()
}

#[test]
fn each_line_names_kind_name_and_event() {
    let err = run("run -t 0 --log json");
    let lines: Vec<Json> =
        err.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"))).collect();
    let both = [
        ("watch", "at once in watch"),
        ("watch", "later in watch"),
        ("check", "at once in check"),
        ("check", "later in check"),
        ("check", "elsewhere in check"),
    ];
    // The last line of each is the engine's own report.
    let first = [("apply", "in apply"), ("apply", "elsewhere in apply"), ("applied", "repaired")];
    let second = [("refresh", "in refresh"), ("refreshed", "refreshed in")];
    for (name, own) in [("fir\"st", &first[..]), ("second", &second)] {
        let said = said(&lines, name);
        for (event, message) in both.iter().chain(own) {
            let found = said.iter().any(|(of, text)| of == event && text.contains(message));
            assert!(found, "{name}: {event}: {message}\n{err}");
        }
    }
    // A field of the line itself is the line's.
    let own = lines.iter().find(|line| line["fields"]["message"] == "in apply").unwrap();
    assert_eq!((&own["kind"], &own["fields"]["kind"]), (&Json::from("talks"), &Json::from("mine")));
    let all = lines.iter().filter(|line| line["timestamp"].is_string() && line["level"].is_string());
    assert_eq!(all.count(), lines.len());
    let alone =
        lines.iter().find(|line| line["fields"]["message"].as_str().unwrap_or_default().starts_with("converged"));
    assert!(alone.unwrap().get("kind").is_none(), "{err}");
}

#[test]
fn lines_for_people_name_the_resource_once() {
    let err = run("run -t 0");
    assert!(err.contains("INFO talks[fir\"st]: in apply kind=\"mine\""), "{err}");
    let repaired = err.lines().find(|line| line.contains("talks[fir\"st]: repaired")).unwrap();
    assert_eq!(repaired.matches("talks[fir\"st]").count(), 1, "{repaired}");
}

#[test]
fn lines_for_the_journal_have_a_priority_and_no_time_of_their_own() {
    use std::io::Read as _;
    let run = |is_journal: bool| {
        let dir = tempfile::tempdir().unwrap();
        let (mut reader, writer) = std::io::pipe().unwrap();
        let stat = rustix::fs::fstat(&writer).unwrap();
        let name = format!("{}:{}", stat.st_dev, if is_journal { stat.st_ino } else { 0 });
        let mut program = act("fails", dir.path());
        program.env("JOURNAL_STREAM", name).args("-t 0").command.stderr(writer);
        program.run().code(1);
        drop(program);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        text
    };
    let journal = run(true);
    assert!(journal.contains("<6> INFO ") && journal.contains("<3>ERROR exec[broken]: apply failed: "), "{journal}");
    let other = run(false);
    assert!(other.contains("Z ERROR exec[broken]: apply failed: ") && !other.contains("<3>"), "{other}");
}
