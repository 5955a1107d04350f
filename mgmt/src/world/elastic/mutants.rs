//! Deliberate breaches of single rules, to see that the simulation notices them.

/// One rule, broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mutant {
    /// A host decides that does not hold the election key.
    IgnoreElection,
    /// A change begins while another one is under way.
    IgnoreChange,
    /// A nomination never ends.
    NoTimeLimit,
    /// A host gets a vote before its server has started.
    AddVoters,
    /// A server gets a vote that has not started, or does not answer.
    PromoteUnready,
    /// A server is removed although too few would be left.
    IgnoreQuorum,
    /// A server that no host runs stays.
    KeepDead,
    /// A learner that is not nominated stays.
    KeepLearners,
    /// Others never learn that a server listens at other addresses.
    KeepAddresses,
    /// A server leaves although those that are left do not know where the others are.
    ForgetMoves,
}

impl Mutant {
    #[cfg(test)]
    pub(crate) const ALL: [Mutant; 10] = [
        Mutant::IgnoreElection,
        Mutant::IgnoreChange,
        Mutant::NoTimeLimit,
        Mutant::AddVoters,
        Mutant::PromoteUnready,
        Mutant::IgnoreQuorum,
        Mutant::KeepDead,
        Mutant::KeepLearners,
        Mutant::KeepAddresses,
        Mutant::ForgetMoves,
    ];
}
