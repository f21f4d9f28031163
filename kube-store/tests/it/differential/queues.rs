//! Locks and elections: in each call two stand in one queue, and leave it empty.

use std::time::Duration;

use tokio::task::JoinHandle;

use super::side::{Answer, Side, answer, header};
use crate::wire::etcdserverpb as pb;
use crate::wire::{v3electionpb as election, v3lockpb as lock};

/// The leases of the two, which need not be there, and may be the same.
#[derive(Debug, Clone, Copy)]
pub(super) struct Queue {
    pub(super) first: i64,
    pub(super) second: i64,
    pub(super) kind: Service,
}

/// For what they stand there.
#[derive(Debug, Clone, Copy)]
pub(super) enum Service {
    Lock,
    Election,
}

const NAME: &str = "queue";
/// One byte more than the slash.
const PREFIX: (&str, &str) = ("queue/", "queue0");

fn key(lease: i64) -> String {
    format!("{}{lease:x}", PREFIX.0)
}

/// The answers to everything that a call consists of. Errors without their codes, which are all the same in etcd.
fn together(steps: Vec<Answer>) -> Answer {
    let revision = steps.iter().filter_map(|step| step.revision).max();
    let line = |step: &Answer| match &step.result {
        Ok(told) => told.clone(),
        Err(error) => error.split_once(": ").unwrap().1.to_owned(),
    };
    let lines: Vec<_> = steps.iter().map(line).collect();
    Answer { revision, result: Ok(lines.join("\n  ")) }
}

impl Side {
    pub(super) async fn queue(&mut self, queue: Queue) -> Answer {
        match queue.kind {
            Service::Lock => self.hand_lock_on(queue).await,
            Service::Election => self.hand_office_on(queue).await,
        }
    }

    async fn hand_lock_on(&mut self, Queue { first, second, .. }: Queue) -> Answer {
        let request = |lease| lock::LockRequest { name: NAME.into(), lease };
        let mut steps = vec![answer(self.lock.lock(request(first)).await, |m| header(&mut m.header))];
        let mut other = self.lock.clone();
        let waiting =
            tokio::spawn(async move { answer(other.lock(request(second)).await, |m| header(&mut m.header)) });
        self.both_stand(&waiting).await;
        steps.push(self.unlock(first).await);
        steps.push(waiting.await.unwrap());
        steps.push(self.unlock(second).await);
        together(steps)
    }

    async fn unlock(&mut self, lease: i64) -> Answer {
        let request = lock::UnlockRequest { key: key(lease).into() };
        answer(self.lock.unlock(request).await, |m| header(&mut m.header))
    }

    async fn hand_office_on(&mut self, Queue { first, second, .. }: Queue) -> Answer {
        let request = |lease, value: &'static str| election::CampaignRequest {
            name: NAME.into(),
            lease,
            value: value.into(),
        };
        let mut steps = vec![self.leader().await];
        let (mut one, mut two) = (None, None);
        let elected = self.election.campaign(request(first, "one")).await;
        steps.push(answer(elected, |m| {
            one = m.leader.clone();
            header(&mut m.header)
        }));
        if one.is_some() {
            steps.push(self.proclaim(one.clone()).await);
            steps.push(self.leader().await);
            steps.push(self.observe().await);
        }
        let mut other = self.election.clone();
        let waiting = tokio::spawn(async move { other.campaign(request(second, "three")).await });
        self.both_stand(&waiting).await;
        steps.push(self.resign(one.clone()).await);
        steps.push(answer(waiting.await.unwrap(), |m| {
            two = m.leader.clone();
            header(&mut m.header)
        }));
        steps.push(self.leader().await);
        steps.push(self.proclaim(one).await);
        steps.push(self.resign(two).await);
        together(steps)
    }

    async fn leader(&mut self) -> Answer {
        let request = election::LeaderRequest { name: NAME.into() };
        answer(self.election.leader(request).await, |m| header(&mut m.header))
    }

    async fn proclaim(&mut self, leader: Option<election::LeaderKey>) -> Answer {
        let request = election::ProclaimRequest { leader, value: "two".into() };
        answer(self.election.proclaim(request).await, |m| header(&mut m.header))
    }

    async fn resign(&mut self, leader: Option<election::LeaderKey>) -> Answer {
        let request = election::ResignRequest { leader };
        answer(self.election.resign(request).await, |m| header(&mut m.header))
    }

    /// The first that somebody hears who looks on.
    async fn observe(&mut self) -> Answer {
        let request = election::LeaderRequest { name: NAME.into() };
        let mut heard = self.election.observe(request).await.unwrap().into_inner();
        let first = heard.message().await.map(|first| tonic::Response::new(first.unwrap()));
        answer(first, |m| header(&mut m.header))
    }

    /// Waits until two keys are in the queue, or it is known that the second does not wait.
    async fn both_stand<T>(&mut self, waiting: &JoinHandle<T>) {
        let (key, range_end) = (PREFIX.0.into(), PREFIX.1.into());
        let range = pb::RangeRequest { key, range_end, count_only: true, ..Default::default() };
        while !waiting.is_finished() {
            if self.kv.range(range.clone()).await.unwrap().into_inner().count == 2 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}
