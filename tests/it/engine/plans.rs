//! What a plan says of those whose check can't tell yet.

use std::fs;
use std::path::Path;

use mgmt::Engine;
use mgmt::plan::Plan;
use mgmt::prelude::*;

/// A file, one copied from it past a resource with nothing to do, and one that comes after that.
fn copies(dir: &Path) -> Site {
    let at = |name: &str| dir.join(name).display().to_string();
    let mut g = Graph::new("copies");
    let source = g.add(File::new(at("source")).content("text\n"));
    let between = g.add(Noop::new("between").after(&source));
    let copy = g.add(File::new(at("copy")).source(at("source")).after(&between));
    g.add(File::new(at("copy of the copy")).source(at("copy")).after(&copy));
    Site(g)
}

struct Site(Graph);

impl Site {
    async fn plan(self, dir: &Path) -> (Plan, String) {
        let plan = Engine::builder().graph(self.0.finish().unwrap()).plan().await.unwrap();
        let text = plan.to_string().replace(&dir.display().to_string(), "DIR");
        (plan, text)
    }
}

#[tokio::test]
async fn a_check_that_fails_before_what_comes_before_it_has_run_is_not_known_yet() {
    let dir = tempfile::tempdir().unwrap();
    let (plan, text) = copies(dir.path()).plan(dir.path()).await;
    let wanted = "\
~ file[DIR/source]
    state: absent → regular file
    content: nothing → 5 bytes
      @@ -0,0 +1 @@
      +text
? file[DIR/copy]: not known until file[DIR/source] has run
    now: the source DIR/source does not exist: what was copied from it is left as it is; bring it back, or name another
? file[DIR/copy of the copy]: not known until file[DIR/copy] has run
    now: the source DIR/copy does not exist: what was copied from it is left as it is; bring it back, or name another
1 to repair, 2 not known yet, 1 in sync";
    assert_eq!(text, wanted);
    assert!(!plan.has_failed() && !plan.is_empty());
    let data = serde_json::to_value(&plan).unwrap();
    let now = data["resources"][2]["now"].as_str().unwrap();
    assert_eq!((&data["resources"][2]["outcome"], now.contains("does not exist")), (&"unknown".into(), true));
}

#[tokio::test]
async fn a_check_that_fails_though_nothing_before_it_would_change_has_failed() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("source"), "text\n").unwrap();
    fs::create_dir(dir.path().join("copy")).unwrap();
    let (plan, text) = copies(dir.path()).plan(dir.path()).await;
    assert!(plan.has_failed(), "{text}");
    let copies: Vec<_> = text.lines().filter(|line| line.contains("DIR/copy")).collect();
    assert!(copies[0].starts_with("! file[DIR/copy]: "), "{text}");
    assert_eq!(copies.last().unwrap(), &"- file[DIR/copy of the copy]: would not run, blocked by file[DIR/copy]");
}

#[tokio::test]
async fn nobody_waits_for_what_is_in_noop() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).display().to_string();
    let mut g = Graph::new("noop");
    let source = g.add(File::new(at("source")).content("text\n").noop(true));
    g.add(File::new(at("copy")).source(at("source")).after(&source));
    let (plan, text) = Site(g).plan(dir.path()).await;
    assert!(plan.has_failed(), "{text}");
}
