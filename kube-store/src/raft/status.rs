//! How a member sees its group.

use super::MemberInfo;

/// How a member sees its group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RaftStatus {
    /// This member.
    pub id: u64,
    /// Who leads, as far as this member knows.
    pub leader: Option<u64>,
    /// What this member is.
    pub role: Role,
    /// The newest term it has heard of.
    pub term: u64,
    /// How much of the log is committed, as far as it knows.
    pub committed: u64,
    /// How much of the log its state holds.
    pub applied: u64,
    /// All members, by number.
    pub members: Vec<MemberInfo>,
    /// Numbers of the members that were removed, to whom nobody listens any more.
    pub removed: Vec<u64>,
}

/// What a member is in its group.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Role {
    /// It puts writes into the log.
    Leader,
    /// It follows, and votes.
    #[default]
    Follower,
    /// It asks for votes.
    Candidate,
    /// It follows without a vote, or is not a member yet.
    Learner,
}
