//! Why an extension point did not say yes.

use std::borrow::Cow;
use std::ops::Deref;
use std::sync::Arc;

/// Why a pod or node was refused; shared or static, so that repeating it for thousands of nodes is cheap.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// A text known at compile time.
    Static(&'static str),
    /// A text made for this decision.
    Shared(Arc<str>),
}

impl Reason {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Static(text) => text,
            Self::Shared(text) => text,
        }
    }
}

impl From<&'static str> for Reason {
    fn from(text: &'static str) -> Self {
        Self::Static(text)
    }
}

impl From<String> for Reason {
    fn from(text: String) -> Self {
        Self::Shared(text.into())
    }
}

impl From<Cow<'static, str>> for Reason {
    fn from(text: Cow<'static, str>) -> Self {
        match text {
            Cow::Borrowed(text) => text.into(),
            Cow::Owned(text) => text.into(),
        }
    }
}

/// Reasons, one at least; the usual single one costs no allocation, for thousands of nodes may be refused for each pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reasons(Few);

/// One reason is always `One`, so that equal reasons compare equal.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Few {
    One(Reason),
    Several(Arc<[Reason]>),
}

impl Reasons {
    /// These reasons; `None` if there are none.
    #[must_use]
    pub fn new(reasons: impl IntoIterator<Item = Reason>) -> Option<Self> {
        let mut reasons = reasons.into_iter();
        let first = reasons.next()?;
        Some(match reasons.next() {
            None => first.into(),
            Some(second) => Self(Few::Several([first, second].into_iter().chain(reasons).collect())),
        })
    }
}

impl From<Reason> for Reasons {
    fn from(reason: Reason) -> Self {
        Self(Few::One(reason))
    }
}

impl Deref for Reasons {
    type Target = [Reason];

    fn deref(&self) -> &[Reason] {
        match &self.0 {
            Few::One(reason) => std::slice::from_ref(reason),
            Few::Several(reasons) => reasons,
        }
    }
}

/// What kind of no it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Code {
    /// Not now; removing pods could change it.
    Unschedulable,
    /// Not now, and preemption cannot change it.
    Unresolvable,
    /// The pod waits for something outside the cluster's state.
    Pending,
    /// The plugin itself failed; the pod is retried after a back-off.
    Error,
}

/// An extension point's no. Its yes is `Ok`, as everywhere in Rust.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// The kind.
    pub code: Code,
    /// The reasons; texts follow upstream because users read and tools match them.
    pub reasons: Reasons,
}

impl Status {
    /// A no that preemption might turn.
    #[must_use]
    pub fn unschedulable(reason: impl Into<Reason>) -> Self {
        Self { code: Code::Unschedulable, reasons: reason.into().into() }
    }

    /// A no that preemption cannot turn.
    #[must_use]
    pub fn unresolvable(reason: impl Into<Reason>) -> Self {
        Self { code: Code::Unresolvable, reasons: reason.into().into() }
    }

    /// A failure of the plugin.
    #[must_use]
    pub fn error(reason: impl Into<Reason>) -> Self {
        Self { code: Code::Error, reasons: reason.into().into() }
    }

    /// Whether this says no rather than reporting a failure.
    #[must_use]
    pub fn is_rejection(&self) -> bool {
        self.code != Code::Error
    }

    /// The reasons, separated by commas.
    #[must_use]
    pub fn message(&self) -> String {
        let texts: Vec<_> = self.reasons.iter().map(Reason::as_str).collect();
        texts.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_equal_however_they_were_made() {
        let reasons = |texts: &[&'static str]| Reasons::new(texts.iter().map(|text| Reason::from(*text)));
        assert_eq!(reasons(&[]), None);
        assert_eq!(reasons(&["a"]), Some(Reason::from("a").into()));
        assert_ne!(reasons(&["a"]), reasons(&["a", "b"]));
        let several = Status { code: Code::Unschedulable, reasons: reasons(&["a", "b", "c"]).unwrap() };
        assert_eq!((several.message().as_str(), several.reasons.len()), ("a, b, c", 3));
    }
}
