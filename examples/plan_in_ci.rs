//! A reviewed plan: the program fails if the graph would now do anything else.
//!
//! `cargo run --example plan_in_ci` compares the plan with `examples/plan_in_ci.txt`; `-- write` replaces that file, to
//! be reviewed with the change that caused it. In your own project, `plan` goes into a `#[tokio::test]`.

use std::path::Path;

use mgmt::Engine;
use mgmt::plan::Plan;
use mgmt::prelude::*;
use mgmt::resource::Context as _;

/// The graph under review.
fn site(g: &mut Graph, root: &Path) -> Result<()> {
    let path = |name: &str| format!("{}/{name}", root.display());
    let etc = g.add(File::new(path("etc/")).mode(0o755));
    let conf = g.add(File::new(path("etc/app.conf")).content("port = 8080\nworkers = 4\n").mode(0o644).after(&etc));
    let password = g.add(Password::new("app"));
    let secret = g.add(File::new(path("etc/app.secret")).content(password.password()).after(&etc));
    g.add(Exec::new("reload").cmd("systemctl reload app").refreshonly(true).subscribe((&conf, &secret)));
    g.add(File::new(path("etc/motd")).content("welcome\n").after(&etc).noop(true));
    Ok(())
}

/// The plan for a machine like this one, made by the same checks that a run would use. Nothing is changed.
async fn plan(root: &Path) -> Result<Plan> {
    std::fs::create_dir_all(root.join("etc"))?;
    std::fs::write(root.join("etc/app.conf"), "port = 80\n")?;
    let mut g = Graph::new("site");
    site(&mut g, root)?;
    Ok(Engine::builder().graph(g.finish()?).prefix(root.join("state")).plan().await?)
}

#[tokio::main]
async fn main() -> Result<()> {
    let reviewed = std::env::var("REVIEWED").unwrap_or_else(|_| "examples/plan_in_ci.txt".to_owned());
    let root = std::env::temp_dir().join(format!("mgmt-plan-in-ci-{}", std::process::id()));
    let text = plan(&root).await;
    std::fs::remove_dir_all(&root)?;
    let text = format!("{}\n", text?).replace(&root.display().to_string(), "ROOT");
    if std::env::args().nth(1).as_deref() == Some("write") {
        return Ok(std::fs::write(&reviewed, text)?);
    }
    let expected = std::fs::read_to_string(&reviewed).context(format!("the reviewed plan, {reviewed}"))?;
    if text != expected {
        eprintln!("the plan is not what was reviewed; it was:\n{expected}\nit is:\n{text}");
        std::process::exit(1);
    }
    println!("the plan is what was reviewed");
    Ok(())
}
