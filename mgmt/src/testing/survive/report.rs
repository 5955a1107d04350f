//! What a graph has survived, and what not.

use std::fmt;

/// What must hold after a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Invariant {
    /// The graph converges again; if need be, after a restart of the engine.
    Converges,
    /// Nothing is repaired or refreshed before the resources that come first are settled.
    KeepsOrder,
    /// The host is as it is without the fault.
    ReachesTheSameState,
    /// A second engine on the same host finds nothing to do.
    IsIdempotent,
    /// What the fault has not touched is not repaired again.
    RepeatsNothing,
    /// No refresh is owed in the end.
    PaysItsDebts,
    /// No temporary file is left.
    LeavesNoRubbish,
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Invariant::Converges => "the graph does not converge again",
            Invariant::KeepsOrder => "the order is not kept",
            Invariant::ReachesTheSameState => "in the end the host is not as it is without the fault",
            Invariant::IsIdempotent => "a second engine on the same host finds something to do",
            Invariant::RepeatsNothing => "something is repaired again although the fault has not touched it",
            Invariant::PaysItsDebts => "refreshes are still owed in the end",
            Invariant::LeavesNoRubbish => "temporary files are left",
        })
    }
}

/// An invariant that a fault breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Broken {
    /// The fault, for [`Survival::only`](crate::testing::Survival::only): `drift file[/etc/motd]`. Empty: without a
    /// fault.
    pub fault: String,
    /// What happens, in words.
    pub happens: String,
    /// The invariant.
    pub invariant: Invariant,
    /// What was seen.
    pub seen: String,
    /// What the engine did after the fault.
    pub story: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}:", self.happens)?;
        writeln!(f, "  {}:", self.invariant)?;
        self.seen.lines().try_for_each(|line| writeln!(f, "    {line}"))?;
        if !self.story.is_empty() {
            writeln!(f, "  what the engine did:")?;
            self.story.lines().try_for_each(|line| writeln!(f, "    {line}"))?;
        }
        match self.fault.as_str() {
            "" => writeln!(f, "  to see it again: host.start(graph).converge()"),
            fault => writeln!(f, "  to see it again: Survival::new(graph).host(host).only({fault:?}).check()"),
        }
    }
}

/// The outcome of all faults.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// How many faults were tried.
    pub faults: usize,
    /// What was broken. At most one invariant for each fault: the first.
    pub broken: Vec<Broken>,
    /// The resources that were never repaired, so that their repair could not fail, hang or be killed.
    pub untouched: Vec<String>,
    /// The faults that could not happen: `drift exec[start]`, since it is not known how a command drifts
    /// ([`Host::on_drift`](crate::testing::Host::on_drift)), or `drift file[/etc/app.conf]` if the resource does not
    /// keep the content of the file.
    pub unmet: Vec<String>,
}

impl Report {
    /// Whether the graph survives all faults.
    pub fn is_well(&self) -> bool {
        self.broken.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let faults = self.faults;
        if self.broken.is_empty() {
            return writeln!(f, "the graph survives all {faults} faults");
        }
        writeln!(f, "the graph does not survive {} of {faults} faults", self.broken.len())?;
        self.broken.iter().try_for_each(|broken| write!(f, "\n{broken}"))
    }
}
