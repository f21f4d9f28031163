//! How members reach each other.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::MemberInfo;
use super::driver::Input;

/// Carries frames to other members. It may lose, repeat, delay and reorder them, and must not change them: a changed frame
/// is noticed by its checksum and dropped. It should authenticate members, for the frames do not.
pub trait Transport: Send + Sync + Debug + 'static {
    /// Sends a frame to a member, or drops it: this never waits, and queues are bounded.
    fn send(&self, to: u64, frame: Bytes);

    /// The same for a part of a snapshot, of which there are many: it should not hold up other frames.
    fn send_part(&self, to: u64, frame: Bytes) {
        self.send(to, frame);
    }

    /// Says who the members are, at the beginning and whenever that changes; none, if this one does not know yet.
    fn members(&self, members: &[MemberInfo]) {
        let _ = members;
    }
}

/// Where a member takes frames. Whoever listens for a member hands what arrives to it.
#[derive(Debug, Clone)]
pub struct Inbox(pub(super) mpsc::Sender<Input>);

impl Inbox {
    /// Hands over a frame; drops it when the member is behind or gone.
    pub fn deliver(&self, frame: Bytes) {
        let _ = self.0.try_send(Input::Frame(frame));
    }

    /// Says that the group has removed the member, which then stops. Only another member may be believed that.
    pub fn removed(&self) {
        let _ = self.0.try_send(Input::Removed);
    }
}

/// A network within the process. Clones are the same network.
#[derive(Debug, Clone, Default)]
pub struct LocalNetwork(Arc<Mutex<Wires>>);

#[derive(Debug, Default)]
struct Wires {
    inboxes: HashMap<u64, Inbox>,
    /// Members that are cut off.
    cut: Vec<u64>,
}

impl LocalNetwork {
    /// The transport of member `from`.
    pub fn transport(&self, from: u64) -> Arc<dyn Transport> {
        Arc::new(Wire { network: self.clone(), from })
    }

    /// Lets others reach a member; a member of the same number that was there before is not reached any more.
    pub fn attach(&self, id: u64, inbox: Inbox) {
        self.0.lock().inboxes.insert(id, inbox);
    }

    /// Cuts these members off from all others, and nobody else.
    pub fn cut_off(&self, members: &[u64]) {
        self.0.lock().cut = members.to_vec();
    }
}

#[derive(Debug)]
struct Wire {
    network: LocalNetwork,
    from: u64,
}

impl Transport for Wire {
    fn send(&self, to: u64, frame: Bytes) {
        let wires = self.network.0.lock();
        if !wires.cut.contains(&to)
            && !wires.cut.contains(&self.from)
            && let Some(inbox) = wires.inboxes.get(&to)
        {
            inbox.deliver(frame);
        }
    }
}
