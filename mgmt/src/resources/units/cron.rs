//! `cron`: commands at certain times, as timers of systemd.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::resource::{
    ApplyCx, Change, CheckCx, Converge, ConvergeMany, Error, FieldProblem, Format, Known, Need, Recorded, Result,
    Reverse, TypeFacts, Uid, Undone, Unit as UnitKey, Watch, WatchCx,
};
use crate::resources::units::cron_text::{changes, command, plain, span, span_problem, unit_file};
use crate::resources::units::judge::{Verdict, Wanted};
use crate::resources::units::state::{SvcStartup, SvcState};
use crate::resources::units::target::Target;
use crate::sys::fs::{SyncBatch, WriteOptions};
use mgmt_macros::Resource;

/// The most bytes of a unit file that are read.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Whether a timer exists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CronState {
    /// It exists, and runs.
    #[default]
    Exists,
    /// It does not exist.
    Absent,
}

impl TypeFacts for CronState {
    const FORMAT: Format = Format::Choice;
}

/// What the time of a timer counts from.
///
/// Source: systemd.timer(5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum CronBase {
    /// It is a point in time, or a series of them, such as `daily` or `Mon *-*-* 04:00:00`.
    #[default]
    OnCalendar,
    /// It begins when the timer is started.
    OnActiveSec,
    /// It begins when the machine has started.
    OnBootSec,
    /// It begins when systemd has started; in a session, when the user has logged in.
    OnStartupSec,
    /// It begins when what the timer starts was started last.
    OnUnitActiveSec,
    /// It begins when what the timer starts has ended last.
    OnUnitInactiveSec,
}

impl TypeFacts for CronBase {
    const FORMAT: Format = Format::Choice;
}

impl CronBase {
    fn setting(self) -> &'static str {
        match self {
            CronBase::OnCalendar => "OnCalendar",
            CronBase::OnActiveSec => "OnActiveSec",
            CronBase::OnBootSec => "OnBootSec",
            CronBase::OnStartupSec => "OnStartupSec",
            CronBase::OnUnitActiveSec => "OnUnitActiveSec",
            CronBase::OnUnitInactiveSec => "OnUnitInactiveSec",
        }
    }
}

/// A timer of systemd, and what it starts: a command (`cmd`), or a unit that is there already (`unit`).
///
/// It consists of the unit file `NAME.timer` in `/etc/systemd/system`, or with `session` in the user's
/// `~/.config/systemd/user`, and for a command of `NAME.service` beside it. Both hold exactly what is declared; the
/// timer runs, and is started with the machine unless `startup` is `disabled`. A timer with `remainafterelapse: false`
/// ends when it has elapsed for the last time; it is started when it is made, and then stays as it is.
///
/// The words of `cmd` are passed on as they are: blanks, quotes, `%` and `$` have no meaning, and there is no shell.
///
/// Woken by the signals of systemd and by its unit files. Default poll: none. Needs systemd with D-Bus (feature
/// `dbus`); without, the resource waits.
///
/// ```
/// use mgmt::prelude::*;
///
/// let mut g = Graph::new("nightly");
/// g.add(Cron::new("backup").time("04:00").cmd(["/usr/bin/rsync", "-a", "/srv", "/mnt/backup"]).persistent(true));
/// g.add(Cron::new("trim").time("weekly").unit("fstrim.service"));
/// ```
#[derive(Resource, Clone, Debug, PartialEq)]
#[resource(kind = "cron", inline = watch)]
pub struct Cron {
    /// The name of the timer: `backup` means `backup.timer`.
    #[resource(name)]
    name: String,
    /// Whether the timer exists: `exists` or `absent`. Default: `exists`.
    #[resource(default)]
    state: CronState,
    /// Whether it is a timer of the user that the program runs as, and not of the machine. Default: false.
    #[resource(default)]
    session: bool,
    /// What `time` counts from: `OnCalendar`, `OnActiveSec`, `OnBootSec`, `OnStartupSec`, `OnUnitActiveSec` or
    /// `OnUnitInactiveSec`. Default: `OnCalendar`.
    #[resource(default)]
    trigger: CronBase,
    /// When it elapses: for `OnCalendar` a calendar event such as `daily` or `Mon 04:00`, for all others a time span
    /// such as `5min 20s`. See systemd.time(7). Required, unless the timer is `absent`.
    time: Option<String>,
    /// The unit that it starts. Default: the service with its name.
    unit: Option<String>,
    /// The command that it starts: the program, as a whole path, and its arguments. Default: none, the unit is made by
    /// something else.
    #[resource(default)]
    cmd: Vec<String>,
    /// `enabled`, `disabled` or `masked`: whether it is started with the machine, or with the session. Default:
    /// `enabled`.
    startup: Option<SvcStartup>,
    /// How much later than declared it may elapse, so that the machine wakes up less often: a time span. Default: that
    /// of systemd, one minute.
    accuracysec: Option<String>,
    /// It elapses later by a random time up to this: a time span. Default: none.
    randomizeddelaysec: Option<String>,
    /// Whether it elapses at once if it would have elapsed while the machine was off; only for `OnCalendar`. Default:
    /// false.
    #[resource(default)]
    persistent: bool,
    /// Whether it wakes the machine from sleep. Default: false.
    #[resource(default)]
    wakesystem: bool,
    /// Whether it stays loaded after it has elapsed for the last time. Default: that of systemd, true.
    remainafterelapse: Option<bool>,
}

impl CronBuilder {
    /// Declares that there is no such timer, and no service that it made.
    pub fn absent(self) -> Self {
        self.state(CronState::Absent)
    }

    /// How much later than declared it may elapse.
    pub fn accuracy(self, time: std::time::Duration) -> Self {
        self.accuracysec(span(time))
    }

    /// It elapses later by a random time up to this.
    pub fn randomized_delay(self, time: std::time::Duration) -> Self {
        self.randomizeddelaysec(span(time))
    }
}

impl Cron {
    fn timer(&self) -> Target {
        let name = self.name.strip_suffix(".timer").unwrap_or(&self.name);
        Target::new(&format!("{name}.timer"), self.session)
    }

    /// The service that it makes, or made.
    fn service(&self) -> Target {
        let name = self.name.strip_suffix(".timer").unwrap_or(&self.name);
        Target::new(&format!("{name}.service"), self.session)
    }

    fn started(&self) -> String {
        self.unit.as_ref().map_or_else(|| self.service().name, |unit| UnitKey::new(unit).to_string())
    }

    fn wanted(&self) -> Wanted {
        match self.state {
            // One that ends by itself is not started again.
            CronState::Exists if self.remainafterelapse == Some(false) => {
                Wanted { state: None, startup: Some(self.startup.unwrap_or(SvcStartup::Enabled)) }
            }
            CronState::Exists => Wanted {
                state: (self.startup != Some(SvcStartup::Masked)).then_some(SvcState::Running),
                startup: Some(self.startup.unwrap_or(SvcStartup::Enabled)),
            },
            CronState::Absent => Wanted { state: Some(SvcState::Stopped), startup: Some(SvcStartup::Disabled) },
        }
    }

    /// The unit files, each with the text that must be in it; `None`: it must not exist.
    fn files(&self) -> Result<Vec<(PathBuf, Option<String>)>> {
        let path = |target: Target| {
            target.own_file().ok_or_else(|| Error::new("the home directory of this user is not known to the system"))
        };
        let exists = self.state == CronState::Exists;
        let mut files = Vec::new();
        if !self.cmd.is_empty() || !exists {
            let text = (!self.cmd.is_empty() && exists).then(|| self.service_text());
            files.push((path(self.service())?, text));
        }
        files.push((path(self.timer())?, exists.then(|| self.timer_text())));
        Ok(files)
    }

    fn id(&self) -> String {
        format!("cron[{}]", self.name)
    }

    fn service_text(&self) -> String {
        let unit = vec![("Description", plain(&self.id()))];
        let service = vec![("Type", "oneshot".to_owned()), ("ExecStart", command(&self.cmd))];
        unit_file(&self.id(), &[("Unit", unit), ("Service", service)])
    }

    fn timer_text(&self) -> String {
        let yes = |is: bool| if is { "yes".to_owned() } else { "no".to_owned() };
        let time = self.time.clone().unwrap_or_default();
        let mut timer = vec![(self.trigger.setting(), time), ("Unit", self.started())];
        timer.extend(self.accuracysec.clone().map(|value| ("AccuracySec", value)));
        timer.extend(self.randomizeddelaysec.clone().map(|value| ("RandomizedDelaySec", value)));
        timer.extend(self.persistent.then(|| ("Persistent", yes(true))));
        timer.extend(self.wakesystem.then(|| ("WakeSystem", yes(true))));
        timer.extend(self.remainafterelapse.map(|is| ("RemainAfterElapse", yes(is))));
        let target = if self.session { "default.target" } else { "timers.target" };
        let sections = [
            ("Unit", vec![("Description", plain(&self.id()))]),
            ("Timer", timer),
            ("Install", vec![("WantedBy", target.to_owned())]),
        ];
        unit_file(&self.id(), &sections)
    }

    /// What is in the unit files now.
    async fn read(&self, cx: &CheckCx) -> Result<Vec<Kept>> {
        let files = self.files()?;
        cx.look(move |fs, _| {
            let read = |(path, wanted): (PathBuf, Option<String>)| {
                let is = match fs.read_file(&path, FILE_BYTES_MAX) {
                    Ok(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
                    Err(error) if error.is_missing() => None,
                    Err(error) => return Err(error.into()),
                };
                Ok(Kept { path, is, wanted })
            };
            files.into_iter().map(read).collect()
        })
        .await
    }

    fn record(&self, cx: &ApplyCx, kept: &[Kept]) -> Result<()> {
        for recorder in cx.recorders::<Cron>() {
            if recorder.read()?.is_some() {
                continue;
            }
            let files = kept.iter().map(|file| FileWas {
                path: file.path.clone(),
                was: file.is.clone(),
                left: file.wanted.clone(),
            });
            let (timer, session) = (self.timer().name, self.session);
            recorder.write(&CronRecord { timer, session, files: files.collect() })?;
        }
        Ok(())
    }
}

/// A unit file.
#[derive(Clone, Debug)]
struct Kept {
    path: PathBuf,
    is: Option<String>,
    wanted: Option<String>,
}

impl Kept {
    fn changes(&self) -> Vec<Change> {
        match &self.wanted {
            Some(wanted) => changes(self.is.as_deref(), wanted),
            None => self.is.iter().map(|_| Change::new("unit", "present", "absent")).collect(),
        }
    }
}

/// Gives each file its text, or removes it.
async fn write(cx: &ApplyCx, files: Vec<(PathBuf, Option<String>)>) -> Result<()> {
    let batch = cx
        .change(move |fs, _| -> Result<SyncBatch> {
            let batch = fs.batch();
            for (path, text) in &files {
                match text {
                    Some(text) => {
                        drop(batch.fs().write_file(path, text.as_bytes(), &WriteOptions::new().mode(0o644))?)
                    }
                    None => drop(batch.fs().remove_file(path)?),
                }
            }
            Ok(batch)
        })
        .await?;
    cx.commit(batch).await.map(drop)
}

impl Converge for Cron {
    type Drift = Vec<Change>;

    fn validate(&self, known: &Known<'_>) -> Vec<FieldProblem> {
        let mut problems: Vec<_> = Target::problem("name", &self.name).into_iter().collect();
        if self.state == CronState::Absent {
            return problems;
        }
        let is_calendar = self.trigger == CronBase::OnCalendar;
        match &self.time {
            None if known.is_known("time") => {
                problems.push(FieldProblem::new("time", "is missing", "give it, such as `daily`"))
            }
            Some(time) if time.trim().is_empty() || time.chars().any(|c| c.is_control() || c == '%') => {
                problems.push(FieldProblem::new("time", "is no calendar event or time span", "see systemd.time(7)"));
            }
            _ => {}
        }
        let spans = [
            ("time", self.time.as_ref().filter(|_| !is_calendar)),
            ("accuracysec", self.accuracysec.as_ref()),
            ("randomizeddelaysec", self.randomizeddelaysec.as_ref()),
        ];
        for (field, value) in spans {
            let problem = value.and_then(|value| span_problem(value));
            problems.extend(
                problem.map(|what| FieldProblem::new(field, what, "write it as `5min 20s`, see systemd.time(7)")),
            );
        }
        if self.persistent && !is_calendar {
            problems.push(FieldProblem::new("persistent", "counts only for `OnCalendar`", "leave it out"));
        }
        problems.extend(self.unit.as_ref().and_then(|unit| Target::problem("unit", unit)));
        if self.unit.is_some() && !self.cmd.is_empty() {
            problems.push(FieldProblem::new("unit", "is another unit than that of `cmd`", "leave one of them out"));
        }
        if self.cmd.first().is_some_and(|program| !program.starts_with('/')) {
            problems.push(FieldProblem::new(
                "cmd",
                "has a program without a whole path",
                "write it as `/usr/bin/true`",
            ));
        }
        problems
    }

    async fn check(&self, cx: &CheckCx) -> Result<Option<Vec<Change>>> {
        let mut changes: Vec<_> = self.read(cx).await?.iter().flat_map(Kept::changes).collect();
        let timer = self.timer();
        match timer.judged(cx, self.wanted()).await? {
            Verdict::Drifted(_, more) => changes.extend(more),
            // Its file makes it.
            Verdict::Missing if !changes.is_empty() => {}
            other if changes.is_empty() => timer.settled(other)?,
            _ => {}
        }
        Ok((!changes.is_empty()).then_some(changes))
    }

    async fn apply(&self, cx: &ApplyCx, _: Vec<Change>) -> Result<()> {
        let (kept, timer) = (self.read(cx).await?, self.timer());
        self.record(cx, &kept)?;
        let steps = timer.steps(cx).await?;
        if self.state == CronState::Absent {
            timer.settle(cx, self.wanted(), |_| Ok(())).await?;
        }
        if kept.iter().any(|file| !file.changes().is_empty()) {
            write(cx, kept.into_iter().map(|file| (file.path, file.wanted)).collect()).await?;
            steps.systemd.reload().await?;
            if self.state == CronState::Exists && self.remainafterelapse == Some(false) {
                let start = Wanted { state: Some(SvcState::Running), startup: None };
                timer.settle(cx, start, |_| Ok(())).await?;
            }
        }
        match self.state {
            CronState::Exists => timer.settle(cx, self.wanted(), |_| Ok(())).await,
            CronState::Absent => Ok(()),
        }
    }

    fn watch(&self, cx: &WatchCx) -> Watch {
        let service = self.service().own_file().map(|file| cx.fs().path(file));
        self.timer().watch(cx).and(service.unwrap_or_else(Watch::none))
    }

    fn uids(&self, _: &Known<'_>) -> Vec<Uid> {
        let mut uids = vec![self.timer().uid()];
        if !self.cmd.is_empty() {
            uids.push(self.service().uid());
        }
        uids.extend(self.files().into_iter().flatten().map(|(path, _)| Uid::path(path)));
        uids
    }

    fn needs(&self, _: &Known<'_>) -> Vec<Need> {
        let starts = Target::new(&self.started(), self.session).uid();
        match self.state {
            CronState::Exists if self.cmd.is_empty() => vec![Need::after(starts).because("what it starts")],
            _ => Vec::new(),
        }
    }
}

/// Timers that are ready at the same time are handled at the same time, in one place among what runs.
impl ConvergeMany for Cron {}

/// The unit files before the resource changed them.
#[derive(Debug, Serialize, Deserialize)]
pub struct CronRecord {
    timer: String,
    session: bool,
    files: Vec<FileWas>,
}

#[derive(Debug, Serialize, Deserialize)]
struct FileWas {
    path: PathBuf,
    was: Option<String>,
    left: Option<String>,
}

impl Reverse for Cron {
    type Record = CronRecord;

    async fn undo(cx: &ApplyCx, record: Recorded<CronRecord>) -> Result<Undone> {
        let record = record.data;
        let timer = Target::new(&record.timer, record.session);
        let paths: Vec<_> = record.files.iter().map(|file| file.path.clone()).collect();
        let now = cx
            .look(move |fs, _| {
                let read = |path| match fs.read_file(path, FILE_BYTES_MAX) {
                    Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
                    Err(error) if error.is_missing() => Ok(None),
                    Err(error) => Err(error),
                };
                paths.into_iter().map(read).collect::<std::result::Result<Vec<_>, _>>()
            })
            .await?;
        let (mut undone, mut back) = (Undone::default(), Vec::new());
        for (file, now) in record.files.into_iter().zip(now) {
            let path = file.path.display();
            if now == file.was {
                continue;
            }
            if now != file.left {
                undone = undone.kept(format!("{path}: another program has changed it"));
                continue;
            }
            undone = undone.did(if file.was.is_some() { format!("put {path} back") } else { format!("remove {path}") });
            back.push((file.path, file.was));
        }
        if back.is_empty() {
            return Ok(undone);
        }
        if back.iter().any(|(path, was)| was.is_none() && path.ends_with(&timer.name)) {
            let gone = Wanted { state: Some(SvcState::Stopped), startup: Some(SvcStartup::Disabled) };
            timer.settle(cx, gone, |_| Ok(())).await?;
        }
        write(cx, back).await?;
        timer.steps(cx).await?.systemd.reload().await?;
        Ok(undone)
    }

    fn describe(record: &CronRecord) -> Vec<String> {
        let words = |file: &FileWas| {
            let path = file.path.display();
            if file.was.is_some() { format!("put {path} back") } else { format!("remove {path}") }
        };
        record.files.iter().filter(|file| file.was != file.left).map(words).collect()
    }

    fn owns(record: &CronRecord) -> Vec<Uid> {
        vec![Target::new(&record.timer, record.session).uid()]
    }
}
