//! The program that tests run: one of several scenes, below its own directory, with the options of `mgmt` besides its
//! own.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{CommandFactory as _, Parser, ValueEnum};
use mgmt::App;
use mgmt::gapi::{Gapi, GapiData, GapiError};
use mgmt::prelude::*;
use mgmt::resource::WatchEvent;

/// What it plays.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Scene {
    /// A small site: a directory, two files, a command that is refreshed.
    Site,
    /// A command that is never run, and what waits for its output.
    Silent,
    /// A command that fails, and what hangs on it.
    Fails,
    /// A command that fails and is tried again at once, and what hangs on it.
    Retries,
    /// A file whose directory is missing, and what comes after it.
    Orphan,
    /// A command that takes long.
    Slow,
    /// The same with a long name, and a command that fails, and what hangs on it.
    #[value(name = "slow-and-fails")]
    SlowAndFails,
    /// A file, and a command that is refreshed by it and takes its time.
    Pausing,
    /// The same, and it does not listen to SIGTERM.
    Stubborn,
    /// A guard that takes long.
    Guard,
    /// A graph that is wrong.
    Cycle,
    /// A secret on its way into files.
    Secret,
    /// Many files.
    Wide,
    /// Names that a careless picture gets wrong.
    Names,
    /// A kind that panics.
    Panics,
    /// A source that never has a graph.
    Never,
    /// A source that fails after a while.
    Late,
    /// A file that is written, and a resource that must be notified.
    Tell,
    /// A kind that logs from everywhere.
    Talks,
    /// A password on its way into two files, its hash before and between them.
    Rotate,
    /// Two thousand resources: directories, files in them, and for each directory a command that is refreshed.
    Stress,
    /// A command that writes down its limit of open files, ours, and the signals that it does not get.
    Limits,
    /// One graph after the other, and how much is open meanwhile.
    Swaps,
}

#[derive(Parser)]
#[command(about = "Plays a scene for a test")]
struct Cli {
    /// What to play
    #[arg(long)]
    scene: Scene,
    /// Where
    #[arg(long)]
    dir: PathBuf,
    #[command(flatten)]
    options: mgmt::cli::Options,
}

fn main() -> mgmt::ExitCode {
    let Cli { scene, dir, options } = mgmt::cli::parse();
    let app = App::new("act").command_line(Cli::command()).kind::<Talks>().greeting("look around");
    match scene {
        Scene::Never => app.run(options, mgmt::gapi::channel().1),
        Scene::Late => app.run(options, Late),
        Scene::Swaps => swaps(&dir),
        _ => app.run(options, mgmt::native(move |g, _| play(scene, g, &dir)).named("act")),
    }
}

fn play(scene: Scene, g: &mut Graph, dir: &Path) -> Result<()> {
    let path = |name: &str| format!("{}/{name}", dir.display());
    let shell = |name: &str, text: String| Exec::new(name).cmd(text).shell("/bin/sh");
    match scene {
        Scene::Site => {
            let site = g.add(File::new(path("site/")).mode(0o755));
            let seed = g.add(shell("seed", "printf 7".to_owned()));
            g.add(File::new(path("site/seed")).content(seed.stdout()).mode(0o600).after(&site));
            let motd = g.add(File::new(path("site/motd")).content("hello\nworld\n").mode(0o644).after(&site));
            g.add(shell("reload", format!("echo reloaded >> {}", path("log"))).refreshonly(true).subscribe(&motd));
        }
        Scene::Silent => {
            let quiet = g.add(shell("quiet", "echo hello".to_owned()).ifcmd("false"));
            let copy = g.add(File::new(path("copy")).content(quiet.stdout()));
            g.add(shell("after", "true".to_owned()).after(&copy));
        }
        Scene::SlowAndFails => {
            let long = "/usr/local/libexec/deploy-all-of-the-site-and-restart";
            g.add(shell(long, "exec sleep 300".to_owned()));
            return play(Scene::Fails, g, dir);
        }
        Scene::Fails => {
            g.add(File::new(path("fine")).content("fine\n"));
            let broken = g.add(shell("broken", "echo out of luck >&2; exit 3".to_owned()));
            let next = g.add(File::new(path("never")).content("never\n").after(&broken));
            g.add(Noop::new("last").after(&next));
        }
        Scene::Retries => {
            let again = g.add(shell("again", format!("echo >> {}; exit 4", path("tries"))).retry(-1));
            g.add(Noop::new("after").after(&again));
        }
        Scene::Orphan => {
            let orphan = g.add(File::new(path("nowhere/orphan")).content("found\n"));
            g.add(Noop::new("after").after(&orphan));
        }
        Scene::Slow => {
            g.add(shell("sleeper", format!("echo $$ > {}; exec sleep 300", path("pid"))));
        }
        Scene::Pausing => {
            let config = g.add(File::new(path("config")).content("as declared\n"));
            g.add(shell("pause", "sleep 1.5".to_owned()).refreshonly(true).subscribe(&config));
        }
        Scene::Stubborn => {
            g.add(shell("sleeper", format!("trap '' TERM; echo $$ > {}; while :; do sleep 1; done", path("pid"))));
        }
        Scene::Guard => {
            let guard = format!("echo $$ > {}; exec sleep 300", path("pid"));
            g.add(Exec::new("guarded").cmd("true").ifcmd(guard).ifshell("/bin/sh"));
        }
        Scene::Cycle => {
            let (a, b) = (g.add(Noop::new("a")), g.add(Noop::new("b")));
            g.before(&a, &b);
            g.before(&b, &a);
        }
        Scene::Secret => {
            let password = g.add(Password::new("admin").length(32));
            g.add(File::new(path("secret")).content(password.password()));
            g.add(File::new(path("kept")).content(Secret::new("canary-in-the-graph".to_owned())));
            // Commands that talk, and fail; a value that is refused; a kind that panics with all that it is.
            let token = || password.password().map(|p| Env::new().var("TOKEN", p));
            let talk = "echo out $TOKEN; echo err $TOKEN >&2";
            g.add(shell("talks", talk.to_owned()).env(token()));
            g.add(shell("talks and fails", format!("{talk}; exit 3")).env(token()));
            g.add(
                Exec::new("guarded").cmd("true").ifcmd(format!("{talk}; kill -9 $$")).ifshell("/bin/sh").env(token()),
            );
            g.add(
                Exec::new("watched").cmd("true").watchcmd(format!("{talk}; exit 4")).watchshell("/bin/sh").env(token()),
            );
            let refused = password.password().map(|p| Env::new().var("REFUSED", p.map(|p| format!("{p}\0"))));
            g.add(Exec::new("refused").cmd("true").env(refused));
            g.add(Confesses::new("panics").key(password.password()));
        }
        Scene::Wide => {
            for n in 0..60 {
                g.add(File::new(path(&format!("{n}"))).content(format!("{n}\n")));
            }
        }
        Scene::Limits => {
            let ours = "awk '/open files/ { print $4 }' /proc/$PPID/limits";
            // Our limit is raised again when the start of the command has ended, which may be a moment later.
            let wait =
                format!("n=0; while [ $n -lt 20 ] && [ $({ours}) = $(ulimit -Sn) ]; do sleep 0.1; n=$((n + 1)); done");
            let blocked = "awk '/SigBlk/ { print $2 }' /proc/self/status";
            g.add(shell("limits", format!("{wait}; {{ ulimit -Sn; {ours}; {blocked}; }} > {}", path("limits"))));
        }
        Scene::Names => {
            let first = g.add(Noop::new("<b>&amp;\"quoted\"</b>"));
            let second = g.add(Noop::new("two\nlines").after(&first));
            g.add(Noop::new("größe → 日本 \\").subscribe(&second));
        }
        Scene::Panics => {
            g.add(Panics::new("odd"));
            g.add(Noop::new("even"));
        }
        Scene::Tell => {
            let written = g.add(Written::new("one", path("file")).text(std::env::var("ACT_TEXT").unwrap_or_default()));
            g.add(Told::new("two", path("told")).subscribe(&written));
        }
        Scene::Talks => {
            let first = g.add(Talks::new("fir\"st"));
            g.add(Talks::new("second").calm(true).subscribe(&first));
        }
        Scene::Rotate => {
            let length = std::env::var("ACT_TEXT").ok().and_then(|text| text.parse().ok()).unwrap_or(24);
            let password = g.add(Password::new("admin").length(length));
            let before = g.add(Hashed::new("before", path("before")).hash(password.hash()));
            let one = g.add(File::new(path("one")).content(password.password()).after(&before));
            let between = g.add(Hashed::new("between", path("between")).hash(password.hash()).after(&one));
            g.add(File::new(path("two")).content(password.password()).after(&between));
        }
        Scene::Stress => stress(g, dir),
        Scene::Never | Scene::Late | Scene::Swaps => {}
    }
    Ok(())
}

/// A hundred directories, each with eighteen files of this version and a command that writes the version down.
fn stress(g: &mut Graph, dir: &Path) {
    let version = std::env::var("ACT_TEXT").unwrap_or_default();
    let logs = g.add(File::new(format!("{}/logs/", dir.display())).mode(0o755));
    for n in 0..100 {
        let place = format!("{}/tree/{n}", dir.display());
        let parent = g.add(File::new(format!("{place}/")).mode(0o755).force(true));
        let cmd = format!("echo {version} >> {}/logs/{n}", dir.display());
        let command = g.add(Exec::new(format!("told {n}")).cmd(cmd).shell("/bin/sh").refreshonly(true).after(&logs));
        for m in 0..18 {
            let content = format!("{version} of {n}/{m}\n").repeat(1 + m * 20);
            let file = File::new(format!("{place}/{m}")).content(content).mode(0o644).force(true).after(&parent);
            let file = g.add(file);
            g.notify(&file, &command);
        }
    }
}

/// A thousand graphs by turns, each with other files, directories, commands and a server.
#[tokio::main]
async fn swaps(dir: &Path) -> mgmt::ExitCode {
    let graph = |n: usize| {
        let path = |name: &str| format!("{}/{name}{}", dir.display(), n % 7);
        let mut g = Graph::new("swaps");
        let site = g.add(File::new(path("dir") + "/"));
        let page = g.add(File::new(path("dir") + "/page").content(format!("{n}\n")).after(&site));
        g.add(Exec::new(format!("copy{}", n % 3)).cmd("true").watchfiles([path("dir") + "/page"]).subscribe(&page));
        g.add(Exec::new(format!("watch{}", n % 5)).cmd("true").watchcmd("sleep 1000"));
        g.add(HttpServer::new(format!("server{}", n % 2)).address("127.0.0.1:0"));
        g.finish()
    };
    let first = graph(0).expect("it is valid");
    let engine = mgmt::Engine::builder().graph(first).prefix(dir.join("prefix")).start().await.expect("it starts");
    for n in 1..=1000 {
        engine.swap(graph(n).expect("it is valid")).await.expect("it runs");
        if n % 20 == 0 {
            engine.converged().await.expect("it runs");
        }
        // The same graph both times (1000 - 20 is a multiple of 7, of 5 and of 2, but not of 3, which opens nothing).
        if n == 20 || n == 1000 {
            println!("open: {}", open().await);
        }
    }
    engine.stop().await.expect("it stops");
    mgmt::ExitCode::SUCCESS
}

/// How many descriptors, inotify watches and children this process has, once that has settled.
async fn open() -> String {
    let count = || {
        let fds = std::fs::read_dir("/proc/self/fd").into_iter().flatten().count();
        let infos = std::fs::read_dir("/proc/self/fdinfo").into_iter().flatten().flatten();
        let texts = infos.filter_map(|info| std::fs::read_to_string(info.path()).ok());
        let watches: usize = texts.map(|text| text.lines().filter(|line| line.starts_with("inotify wd")).count()).sum();
        let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
        let children = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
        let children: usize = children.map(|list| list.split_whitespace().count()).sum();
        format!("{fds} descriptors, {watches} watches, {children} children")
    };
    let (mut last, mut same) = (count(), 0);
    while same < 10 {
        tokio::time::sleep(Duration::from_millis(30)).await;
        let now = count();
        same = if now == last { same + 1 } else { 0 };
        last = now;
    }
    last
}

/// A kind that panics.
#[derive(Resource, Clone, Debug, PartialEq)]
#[resource(kind = "panics", unwatched)]
struct Panics {
    #[resource(name)]
    name: String,
}

impl Converge for Panics {
    type Drift = Change;

    async fn check(&self, _: &CheckCx) -> Result<Option<Change>> {
        panic!("index out of bounds")
    }

    async fn apply(&self, _: &ApplyCx, _: Change) -> Result<()> {
        Ok(())
    }
}

/// A kind that panics with all that it is.
#[derive(Resource, Clone, Debug, PartialEq)]
#[resource(kind = "confesses", unwatched)]
struct Confesses {
    #[resource(name)]
    name: String,
    #[resource(default)]
    key: Secret<String>,
}

impl Converge for Confesses {
    type Drift = Change;

    async fn check(&self, _: &CheckCx) -> Result<Option<Change>> {
        panic!("it all began with {self:?}")
    }

    async fn apply(&self, _: &ApplyCx, _: Change) -> Result<()> {
        Ok(())
    }
}

/// Stays there forever if the test wants this, and prints a line first.
async fn hang(at: &str) {
    if std::env::var("ACT_HANG").is_ok_and(|wanted| wanted == at) {
        println!("at {at}");
        tokio::time::sleep(Duration::from_secs(600)).await;
    }
}

/// A file, written at once.
#[derive(Resource, Clone, Debug, PartialEq)]
#[resource(kind = "written", unwatched)]
struct Written {
    #[resource(name)]
    name: String,
    path: String,
    #[resource(default)]
    text: String,
}

impl Converge for Written {
    type Drift = Change;

    async fn check(&self, cx: &CheckCx) -> Result<Option<Change>> {
        let path = self.path.clone();
        let found = cx.look(move |_, _| std::fs::read_to_string(path).unwrap_or_default()).await;
        Ok((found != self.text).then(|| Change::new("text", found.len(), self.text.len())))
    }

    async fn apply(&self, cx: &ApplyCx, _: Change) -> Result<()> {
        let (path, text) = (self.path.clone(), self.text.clone());
        cx.change(move |fs, _| fs.write_file(path, &text, &mgmt::sys::fs::WriteOptions::new())).await?;
        hang("written").await;
        Ok(())
    }
}

/// A hash in a file.
#[derive(Resource, Clone, Debug, PartialEq)]
#[resource(kind = "hashed", unwatched)]
struct Hashed {
    #[resource(name)]
    name: String,
    path: String,
    #[resource(default)]
    hash: Secret<String>,
}

impl Converge for Hashed {
    type Drift = Change;

    async fn check(&self, cx: &CheckCx) -> Result<Option<Change>> {
        hang(&self.name).await;
        let found = std::fs::read_to_string(&self.path).unwrap_or_default();
        Ok((found != *self.hash.expose(cx)).then(|| Change::secret("hash")))
    }

    async fn apply(&self, cx: &ApplyCx, _: Change) -> Result<()> {
        Ok(std::fs::write(&self.path, self.hash.expose(cx))?)
    }
}

/// Adds a line for each refresh.
#[derive(Resource, Clone, Debug, PartialEq)]
#[resource(kind = "told", unwatched)]
struct Told {
    #[resource(name)]
    name: String,
    path: String,
}

impl Converge for Told {
    type Drift = Change;

    async fn check(&self, _: &CheckCx) -> Result<Option<Change>> {
        Ok(None)
    }

    async fn apply(&self, _: &ApplyCx, _: Change) -> Result<()> {
        Ok(())
    }
}

impl Refresh for Told {
    async fn refresh(&self, _: &ApplyCx) -> Result<bool> {
        use std::io::Write as _;
        hang("told").await;
        let text = std::env::var("ACT_TEXT").unwrap_or_default();
        let mut file = std::fs::OpenOptions::new().append(true).create(true).open(&self.path)?;
        file.write_all(format!("told {}\n", text.split(' ').next().unwrap_or_default()).as_bytes())?;
        Ok(true)
    }
}

/// A kind that logs in all that it does, before and after it has waited, and on other threads.
#[derive(Resource, Clone, Debug, PartialEq)]
#[resource(kind = "talks")]
struct Talks {
    #[resource(name)]
    name: String,
    /// Always in sync.
    #[resource(default)]
    calm: bool,
}

/// What has been applied, by name.
#[derive(Default)]
struct Applied(std::sync::atomic::AtomicBool);

impl Converge for Talks {
    type Drift = Change;

    async fn check(&self, cx: &CheckCx) -> Result<Option<Change>> {
        tracing::info!("at once in check");
        tokio::time::sleep(Duration::from_millis(5)).await;
        tracing::info!("later in check");
        cx.look(|_, _| tracing::info!("elsewhere in check")).await;
        let applied = cx.local::<Applied>().0.load(std::sync::atomic::Ordering::Relaxed);
        Ok((!applied && !self.calm).then(|| Change::new("applied", "no", "yes")))
    }

    async fn apply(&self, cx: &ApplyCx, _: Change) -> Result<()> {
        tokio::task::yield_now().await;
        tracing::info!(kind = "mine", "in apply");
        cx.change(|_, _| tracing::info!("elsewhere in apply")).await;
        cx.local::<Applied>().0.store(true, std::sync::atomic::Ordering::Relaxed);
        Ok(())
    }

    fn watch(&self, _: &WatchCx) -> Watch {
        tracing::info!("at once in watch");
        Watch::stream(Listens { said: false })
    }
}

impl Refresh for Talks {
    async fn refresh(&self, _: &ApplyCx) -> Result<bool> {
        tracing::info!("in refresh");
        Ok(true)
    }
}

/// A watch that reports `Ready` when it is polled, and nothing more.
struct Listens {
    said: bool,
}

impl futures_core::Stream for Listens {
    type Item = Result<WatchEvent>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        if std::mem::replace(&mut self.said, true) {
            return std::task::Poll::Pending;
        }
        tracing::info!("later in watch");
        std::task::Poll::Ready(Some(Ok(WatchEvent::Ready)))
    }
}

/// A source that fails after a while.
struct Late;

impl Gapi for Late {
    async fn init(&mut self, _: GapiData) -> Result<(), GapiError> {
        Ok(())
    }

    async fn graph(&mut self) -> Result<GraphConfig, GapiError> {
        let mut g = Graph::new("late");
        g.add(Noop::new("anchor"));
        Ok(g.finish()?)
    }

    async fn switched(&mut self) -> Option<Result<(), GapiError>> {
        tokio::time::sleep(Duration::from_millis(150)).await;
        Some(Err(GapiError::Failed("the store is gone".into())))
    }
}
