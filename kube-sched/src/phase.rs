//! How far a pod has come.

/// How far a pod has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Phase {
    /// Not all of its containers have started.
    #[default]
    Pending,
    /// A container runs.
    Running,
    /// All containers have ended well.
    Succeeded,
    /// All containers have ended, and not all of them well.
    Failed,
    /// Its node does not say.
    Unknown,
}

impl Phase {
    const ALL: [Self; 5] = [Self::Pending, Self::Running, Self::Succeeded, Self::Failed, Self::Unknown];

    /// What the API calls it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Running => "Running",
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
            Self::Unknown => "Unknown",
        }
    }

    /// A pod is created without one.
    pub(crate) fn parse(name: &str) -> Self {
        Self::ALL.into_iter().find(|phase| phase.name() == name).unwrap_or_default()
    }
}
