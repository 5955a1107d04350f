//! A program without a command line of mgmt, and with a kind of its own: this test binary is the far end.

use std::io::Read as _;
use std::time::Duration;

use mgmt::gapi::builtin_kinds;
use mgmt::prelude::*;
use mgmt::remote::{Host, HowEnded, Job, Parcel, Report, far_end};

use crate::kit::{There, graph};

/// Prints to standard output and reads standard input, as code of others may do.
#[derive(Resource, Clone, Debug, PartialEq)]
#[resource(kind = "noisy", unwatched)]
struct Noisy {
    #[resource(name)]
    name: String,
}

impl Converge for Noisy {
    type Drift = Change;

    async fn check(&self, _: &CheckCx) -> Result<Option<Change>> {
        println!("printed by {}", self.name);
        let mut read = String::new();
        std::io::stdin().read_to_string(&mut read)?;
        assert_eq!(read, "", "it reads what the near end sends");
        Ok(None)
    }

    async fn apply(&self, _: &ApplyCx, _: Change) -> Result<()> {
        Ok(())
    }
}

/// The far end of the test below: without the variable of a near end, it has nothing to do.
#[test]
fn far_end_of_these_tests() {
    if let Some(far) = far_end() {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let code = runtime.block_on(far.kinds(builtin_kinds().with::<Noisy>()).serve());
        std::process::exit(if code == mgmt::ExitCode::SUCCESS { 0 } else { 1 });
    }
}

#[tokio::test]
async fn what_other_code_prints_and_reads_does_not_disturb_the_conversation() {
    let there = There::new();
    let file = there.text("file");
    let declared = graph(|g| {
        let noisy = g.add(Noisy::new("kind"));
        g.add(File::new(&file).content("content\n").after(&noisy));
    });
    let parcel = Parcel::of(declared, &builtin_kinds().with::<Noisy>(), &[]).await.unwrap();
    let arguments = ["--exact", "program::far_end_of_these_tests", "--nocapture", "--test-threads=1"];
    let job = Job::graph(parcel).arguments(arguments).converged_timeout(Duration::ZERO);
    let mut run = Host::local("here").run(&job).await.unwrap();
    let mut lines = Vec::new();
    while let Some(report) = run.next().await {
        if let Report::Log(line) = report {
            lines.push(line);
        }
    }
    let ended = run.ended().await.unwrap();
    assert_eq!((ended.code, ended.how), (0, HowEnded::Converged), "{lines:?}");
    assert!(lines.iter().any(|line| line == "printed by kind"), "{lines:?}");
    assert_eq!(there.read("file").as_deref(), Some("content\n"));
}
