//! The faults that a graph meets with.

use std::fmt;
use std::str::FromStr;

use crate::id::ResourceId;

/// Something that goes wrong once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// The first repair of the resource fails.
    Fail,
    /// The first repair of the resource never ends.
    Hang,
    /// The process is killed when the first repair of the resource has done its work, before the engine knows that.
    Crash,
    /// The process is killed in the middle of the first repair of the resource: right before the last change of a file
    /// that it makes. Only for a repair that makes several.
    Torn,
    /// After the graph has converged, something else changes what the resource keeps, and restarts the services that
    /// read it.
    Drift,
    /// After the graph has converged, something else removes what the resource keeps.
    Loss,
}

impl Fault {
    /// All faults.
    pub const ALL: [Fault; 6] = [Fault::Fail, Fault::Hang, Fault::Crash, Fault::Torn, Fault::Drift, Fault::Loss];

    /// Whether it happens after the graph has converged.
    pub(super) fn is_later(self) -> bool {
        matches!(self, Fault::Drift | Fault::Loss)
    }

    fn word(self) -> &'static str {
        match self {
            Fault::Fail => "fail",
            Fault::Hang => "hang",
            Fault::Crash => "crash",
            Fault::Torn => "torn",
            Fault::Drift => "drift",
            Fault::Loss => "loss",
        }
    }

    /// What happens, in words.
    pub(super) fn describe(self, id: &ResourceId) -> String {
        match self {
            Fault::Fail => format!("the first repair of {id} fails"),
            Fault::Hang => format!("the first repair of {id} never ends"),
            Fault::Crash => format!("the process is killed right after the first repair of {id}"),
            Fault::Torn => format!("the process is killed in the middle of the first repair of {id}"),
            Fault::Drift => format!("something else changes {id}, and restarts what reads it"),
            Fault::Loss => format!("something else removes what {id} keeps"),
        }
    }
}

/// A fault of one resource, as text `drift file[/etc/motd]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FaultOf {
    pub(super) fault: Fault,
    pub(super) id: ResourceId,
}

impl fmt::Display for FaultOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.fault.word(), self.id)
    }
}

impl FromStr for FaultOf {
    type Err = String;

    fn from_str(text: &str) -> Result<FaultOf, String> {
        let (word, id) = text.split_once(' ').unwrap_or((text, ""));
        let fault = Fault::ALL.into_iter().find(|fault| fault.word() == word);
        match (fault, id.parse()) {
            (Some(fault), Ok(id)) => Ok(FaultOf { fault, id }),
            _ => Err(format!("`{text}` is no fault of a resource, such as `drift file[/etc/motd]`")),
        }
    }
}
