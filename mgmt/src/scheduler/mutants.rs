//! Deliberate breaches of single rules, to see that the tests would notice them. Without the feature `testing` there
//! are none.

/// One rule, broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// A node runs although a parent is not settled.
    IgnoreOrder,
    /// A node runs although an ancestor has failed.
    IgnoreBlocked,
    /// A change that arrives during an operation is forgotten.
    LoseChangeDuringRun,
    /// A change that arrives in the pause before a further try ends the pause.
    EventEndsDelay,
    /// A parent that was only looked at makes its children dirty.
    CheckedParentDirties,
    /// A parent that changed leaves its children alone.
    ChangedParentIsQuiet,
    /// A refresh that failed is not owed any more.
    LoseTakenRefresh,
    /// A debt that arises while the receiver is refreshed is paid by that refresh.
    PayNewDebt,
    /// The apply begins before the intent is on disk.
    ApplyBeforeCommit,
    /// An apply that failed leaves no trace of what it may have changed.
    ForgetMaybe,
    /// Paying a debt strikes out the intent of an apply that is under way.
    PaidStrikesIntent,
    /// A cancelled operation uses up a try.
    CancelledIsTry,
    /// A success does not refill the tries.
    NoRefill,
    /// A watch that listens has succeeded, however soon it fails again.
    RefillWatchAtOnce,
    /// A watch never gets its tries back.
    NoWatchRefill,
    /// A node runs before its watch is ready.
    IgnoreWatch,
    /// A repair begins although no watch has begun yet.
    RepairUnwatched,
    /// What a check found before the watch of its node listened is repaired.
    RepairUnheard,
    /// A run that does not end with its convergence never watches.
    LateForEver,
    /// A check continues although its watch failed.
    KeepCheckWithoutWatch,
    /// The drift that a check of an older config found is applied.
    ApplyOldDrift,
    /// A slot that is used again starts before its old operation has ended.
    TwoAtOnce,
    /// A swap forgets what was owed along edges that it keeps.
    SwapForgetsOwed,
    /// The journal entries of a node that has left the graph are struck out after its number is free.
    StruckAfterRemoved,
    /// A pause does not hold back what follows a check.
    IgnorePause,
    /// One more operation at once than allowed.
    OneTooMany,
    /// A group starts although parents of a member are not settled.
    GroupsDontWait,
    /// A node of a group starts although runs of others are under way.
    GroupsOverlap,
    /// The nodes of a group start one by one.
    GroupStartsApart,
    /// A drift of a node in a group is repaired although checks of others are under way.
    GroupAppliesApart,
    /// The nodes of a group are repaired although a parent of another must be looked at first.
    GroupPartsOnDrop,
    /// A group takes only the semaphores of the first of its nodes.
    GroupSemasApart,
    /// A group waits where its leader does, even if an event asks for another of its nodes.
    GroupTakesItsTime,
    /// Runs that take long hold their places against runs that an event asks for.
    LongOnesCount,
    /// The start, a new graph and a further try may use the reserve too.
    AllIsUrgent,
    /// A run that only waits for the disk keeps its place.
    YieldedKeepsPlace,
    /// Any number of runs may wait for the disk without a place.
    YieldedUnbounded,
    /// A stop does not wait for runs that wait for the disk.
    YieldedIsOver,
    /// One node more than its size may hold a semaphore.
    WideSemaphore,
    /// A noop node is refreshed.
    RefreshNoop,
    /// A failed node counts as settled when convergence is declared.
    FailedConverges,
    /// Convergence is declared before the timeout.
    ConvergeEarly,
    /// The timeouts of single nodes are ignored.
    OwnTimeoutsIgnored,
    /// The timeout of a node continues through a pause.
    PauseCountsAsQuiet,
    /// A receiver does not wait for values.
    IgnoreValues,
    /// Values sent before the sender got other fields or received another value count as sent.
    OldValuesCount,
    /// A new value does not make its receiver dirty.
    SentIsQuiet,
    /// A stop begins new work.
    WorkAfterStop,
    /// The sender that was asked for its values is only checked.
    ForgetRemake,
    /// A run does not name the parent that changed among its causes.
    CauseForgotten,
    /// Every run names its watch among its causes.
    CauseInvented,
    /// A node that has failed for good is not revived when the cause has gone.
    StaysFailed,
    /// The slot of a node that has left the graph is freed although the node was not asked to leave.
    LeaveForgotten,
    /// A node is asked to leave after a stop.
    LeaveAtStop,
    /// A node is asked to leave before the nodes that depended on it have left.
    LeaveOutOfOrder,
    /// A node that has not run is not asked to undo what earlier runs have recorded.
    UndoForgotten,
    /// The graph counts as converged although something is being undone.
    UndoIsNoActivity,
    /// A swap does not give a node its tries back that it leaves as it is.
    ResetForgotten,
    /// A failed undo is not tried again.
    UndoOnce,
    /// A failed undo is tried again without a pause.
    UndoAgainAtOnce,
    /// A repair begins without a look at what has changed meanwhile.
    RepairBlindly,
    /// A check may continue with the repair although the kernel may have queued changes of its parents.
    StayBlindly,
    /// A check may go on although its node owes refreshes if it changes.
    StayUnannounced,
    /// A permission to go on stands, whatever happens.
    StayForGood,
    /// The runs that a watch causes may take any share of the time.
    EndlessShare,
    /// A node that waits for its share does so although no other node wants to work.
    SpacedAlone,
    /// A node that waits for its share is not settled: its children wait too.
    SpacedUnsettled,
    /// A graph converges although a node waits for its share to be looked at.
    SpacedConverges,
    /// A look that an event has asked for is activity.
    LookIsActivity,
    /// The tick of a timer is activity.
    TickIsActivity,
    /// A graph converges although a look that was due has not been made.
    ConvergeUnseen,
    /// A graph is called hopeless although a look that was due has not been made.
    HopelessUnseen,
    /// A node that takes the place of another does not wait for it.
    NoHandover,
    /// A node that takes the place of another starts before the other has left.
    HandoverBeforeLeave,
    /// The operations of a call take no place of `running_max`.
    CallsTakeNoPlace,
    /// A node that can't leave yet is not asked again.
    RefusedLeaveForgotten,
    /// A node that has received something that another node has not ended with is applied all the same.
    OccupiedGoesOn,
    /// The graph is declared hopeless while a node still moves.
    HopelessEarly,
    /// The graph is declared hopeless only if a node has failed.
    WaitsForNothing,
    /// The graph is never declared hopeless.
    NeverHopeless,
    /// A graph that was hopeless stays hopeless.
    StaysHopeless,
    /// A failure for a cause that the node waits for uses up a try.
    WaitIsTry,
    /// A node that waits for a cause is not woken by its watch.
    WaitsDeaf,
    /// A node that waits for a cause is looked at only if an event asks for it.
    WaitsForEvents,
    /// Each look at a node that waits for a cause is reported.
    WaitsLoudly,
    /// A graph is not hopeless as long as a node waits for a cause.
    WaitingMoves,
}

impl Mutant {
    /// All mutants.
    pub const ALL: &[Mutant] = &[
        Mutant::RepairUnwatched,
        Mutant::RepairUnheard,
        Mutant::LateForEver,
        Mutant::IgnoreOrder,
        Mutant::IgnoreBlocked,
        Mutant::LoseChangeDuringRun,
        Mutant::EventEndsDelay,
        Mutant::CheckedParentDirties,
        Mutant::ChangedParentIsQuiet,
        Mutant::LoseTakenRefresh,
        Mutant::PayNewDebt,
        Mutant::ApplyBeforeCommit,
        Mutant::ForgetMaybe,
        Mutant::PaidStrikesIntent,
        Mutant::CancelledIsTry,
        Mutant::NoRefill,
        Mutant::RefillWatchAtOnce,
        Mutant::NoWatchRefill,
        Mutant::IgnoreWatch,
        Mutant::KeepCheckWithoutWatch,
        Mutant::ApplyOldDrift,
        Mutant::TwoAtOnce,
        Mutant::SwapForgetsOwed,
        Mutant::StruckAfterRemoved,
        Mutant::IgnorePause,
        Mutant::OneTooMany,
        Mutant::GroupsDontWait,
        Mutant::GroupsOverlap,
        Mutant::GroupStartsApart,
        Mutant::GroupAppliesApart,
        Mutant::GroupSemasApart,
        Mutant::GroupTakesItsTime,
        Mutant::GroupPartsOnDrop,
        Mutant::LongOnesCount,
        Mutant::AllIsUrgent,
        Mutant::YieldedKeepsPlace,
        Mutant::YieldedUnbounded,
        Mutant::YieldedIsOver,
        Mutant::WideSemaphore,
        Mutant::RefreshNoop,
        Mutant::FailedConverges,
        Mutant::ConvergeEarly,
        Mutant::OwnTimeoutsIgnored,
        Mutant::PauseCountsAsQuiet,
        Mutant::IgnoreValues,
        Mutant::OldValuesCount,
        Mutant::SentIsQuiet,
        Mutant::WorkAfterStop,
        Mutant::ForgetRemake,
        Mutant::CauseForgotten,
        Mutant::CauseInvented,
        Mutant::StaysFailed,
        Mutant::LeaveForgotten,
        Mutant::LeaveAtStop,
        Mutant::LeaveOutOfOrder,
        Mutant::UndoForgotten,
        Mutant::UndoIsNoActivity,
        Mutant::ResetForgotten,
        Mutant::UndoOnce,
        Mutant::UndoAgainAtOnce,
        Mutant::RepairBlindly,
        Mutant::StayBlindly,
        Mutant::StayUnannounced,
        Mutant::StayForGood,
        Mutant::EndlessShare,
        Mutant::SpacedAlone,
        Mutant::SpacedUnsettled,
        Mutant::SpacedConverges,
        Mutant::LookIsActivity,
        Mutant::TickIsActivity,
        Mutant::ConvergeUnseen,
        Mutant::HopelessUnseen,
        Mutant::NoHandover,
        Mutant::HandoverBeforeLeave,
        Mutant::CallsTakeNoPlace,
        Mutant::RefusedLeaveForgotten,
        Mutant::OccupiedGoesOn,
        Mutant::HopelessEarly,
        Mutant::WaitsForNothing,
        Mutant::NeverHopeless,
        Mutant::StaysHopeless,
        Mutant::WaitIsTry,
        Mutant::WaitsDeaf,
        Mutant::WaitsForEvents,
        Mutant::WaitsLoudly,
        Mutant::WaitingMoves,
    ];
}
