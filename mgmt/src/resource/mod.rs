//! The contract: what a resource is, what it does, what it may use, and how values are sent between resources.

mod ability;
mod accept;
mod any;
mod any_value;
#[cfg(feature = "dbus")]
mod bus;
mod capture;
mod change;
mod context;
mod converge;
mod declare;
mod digest;
mod door;
mod error;
mod facts;
mod field;
mod graphs;
mod group;
mod held;
mod hosts;
mod inquiry;
mod keys;
mod known;
mod many;
mod merge;
mod meta;
mod named;
mod obstacle;
mod operation;
mod origin;
mod output;
mod owned;
mod path_list;
mod prepare;
mod private_dirs;
mod problem;
mod provided;
mod provisions;
mod reading;
mod record;
mod reverse;
mod schema;
pub(crate) mod seconds;
mod secret;
mod sema;
mod shipped;
mod spec;
mod stopping;
mod streams;
#[cfg(feature = "template")]
mod template;
mod uid;
mod watch;
mod wiring;
mod world;

#[doc(hidden)]
pub mod private;

#[cfg(feature = "dbus")]
pub use crate::sys::dbus::{Bus, BusError};
pub(crate) use crate::sys::seal::CAN_SEAL;
pub(crate) use crate::sys::task::caught;
pub use ability::{Abilities, Leave, LeaveFn, Prepare, PrepareFn, Refresh, RefreshFn};
pub use accept::{Accepts, ByOption, ByValue, ByWire, Given, Input, IntoInput, IntoSetting};
pub use any::{AnyDrift, AnyResource, BoxFuture, Kind};
pub use any_value::{Any, IntoAny, Plain};
#[cfg(feature = "dbus")]
pub use bus::SignalRule;
#[cfg(feature = "dbus")]
pub(crate) use bus::{BusDoor, first_text};
pub use capture::{AnyCaptured, Capture, CaptureFn, Captured};
pub(crate) use change::Planning;
pub use change::{Change, Drift, ShowPrivate};
pub use context::{ApplyCx, CheckCx, FsWatch, WatchCx};
pub use converge::{Converge, Resource};
pub use declare::{Declare, Draft, DraftEdge, Handle, IntoNodes, Rebuild};
pub use digest::{Digest, Salt, Salted, digest_of};
pub use door::{Connections, Door};
pub use error::{Context, DataError, Error, Result};
pub use facts::{Format, TypeFacts};
pub use field::FieldType;
pub use graphs::Graphs;
pub use group::{GroupFns, Grouped};
pub use held::Contained;
pub use hosts::{
    AliveHost, Chosen, ClusterHost, FollowedDeploy, HostState, HostTrouble, PickOrder, RefusedDeploy, WorldRead,
    WorldWatching, WorldWrite,
};
pub(crate) use hosts::{
    Attempts, Candidate, Fed, Feed, Followed, Following, READ_MAX, SCHEDULE_TTL, SCHEDULE_TTL_MIN, Schedule,
    Scheduling, Seat, Terms, VALUE_BYTES_MAX, Why, alive_key, all_hosts, candidate_key, chosen_key, cluster_hosts,
    cluster_keys, host_of_value, living, of_text, part_of, schedule_keys, state_key, value_key, values_of,
};
pub use inquiry::{Asking, Inquiry};
pub use keys::{Package, SessionUnit, Ships, Unit};
pub use known::Known;
pub(crate) use many::{AnyApply, AnyCheck, Item, Reply, part, unanswered};
pub use many::{ApplyItem, CheckItem, ConvergeMany, Many};
pub use merge::{Merge, MergeFn};
pub use meta::{Backoff, Meta};
pub(crate) use named::Filled;
pub use named::{ByNames, Named, Values};
pub use obstacle::{Obstacle, ObstacleKind};
#[doc(hidden)]
pub use operation::Identify;
pub(crate) use operation::Operation;
pub use operation::{OnCancel, Sent, Work};
pub use origin::{Offerer, Origin, Reason, Span};
pub use output::{
    FieldValue, Join, NodeRef, NodeSort, NotReceived, Output, Port, Received, Sendable, Source, Value, Wire,
};
#[cfg(feature = "etcd")]
pub(crate) use owned::ETCD_DIR;
#[cfg(feature = "ssh")]
pub(crate) use owned::{CARGO_DIR, DETACHED_DIR};
pub(crate) use owned::{CONTROL_SOCKET, DEPLOYS_DIR, TRUST_DIR, is_engines};
pub use owned::{OwnState, OwnedPaths};
pub use path_list::PathList;
pub use prepare::PrepareCx;
pub use private_dirs::{PrivateDir, PrivateDirs};
pub use problem::{FieldNames, FieldProblem, every};
pub(crate) use provided::Services;
pub use provided::{Memory, Slots};
pub use provisions::Provisions;
pub use reading::Reading;
pub(crate) use record::{Found, Head, Record, Recording, Records, TRIAL, TRIAL_RECORDS, TrialRecords, UndoSettings};
pub use record::{Recorder, Recorders};
pub use reverse::{Recorded, Reversal, Reverse, Undone};
pub(crate) use schema::describe;
pub use schema::{fields_schema, kind_schema};
pub use seconds::Seconds;
#[cfg(feature = "yaml")]
pub(crate) use seconds::seconds_schema;
#[cfg(any(feature = "cli", feature = "yaml"))]
pub(crate) use seconds::{WITH_UNIT, with_units};
pub use secret::{Clearance, SECRET_PLACEHOLDER, Secret};
pub(crate) use secret::{in_clear, is_in_clear};
pub use sema::Sema;
pub use shipped::{MergedDirs, ShippedFiles};
pub(crate) use spec::near;
pub use spec::{FieldReader, FieldSpec, Inline, KindSpec, OutputSpec, ProvidedSpec, hint, nearest};
pub use stopping::Stopping;
pub use streams::WatchSender;
#[cfg(feature = "template")]
pub use template::render;
pub use uid::{Findings, Group, Key, Need, Reach, Uid, UidKey, User};
pub use watch::{Part, Watch, WatchEvent, WatchStream};
pub(crate) use wiring::Sender;
pub use world::{
    Changes, Condition, Entry, Keys, LeaseId, Limits, Member, Revision, Snapshot, Transaction, World, WorldError,
    WorldEvent, WorldWatch, Write,
};
