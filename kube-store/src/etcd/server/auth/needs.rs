//! What a request needs to be allowed: every key it reads or writes, in every list of every transaction inside, whether
//! that list will be done or not; and the leases it binds keys to.

use bytes::Bytes;

use super::model::Access;
use crate::etcd::r#gen::etcdserverpb as pb;

/// What to ask for.
#[derive(Debug, Default)]
pub(in crate::etcd::server) struct Needs {
    /// What, from which key, to which end.
    pub(super) keys: Vec<(Access, Bytes, Bytes)>,
    /// Leases that get a key, so that their other keys depend on who may end them.
    pub(super) leases: Vec<i64>,
}

impl Needs {
    pub(in crate::etcd::server) fn of_range(request: &pb::RangeRequest) -> Self {
        let mut needs = Self::default();
        needs.range(request);
        needs
    }

    pub(in crate::etcd::server) fn of_put(request: &pb::PutRequest) -> Self {
        let mut needs = Self::default();
        needs.put(request);
        needs
    }

    pub(in crate::etcd::server) fn of_delete(request: &pb::DeleteRangeRequest) -> Self {
        let mut needs = Self::default();
        needs.delete(request);
        needs
    }

    pub(in crate::etcd::server) fn of_txn(request: &pb::TxnRequest) -> Self {
        let mut needs = Self::default();
        needs.txn(request);
        needs
    }

    fn add(&mut self, access: Access, key: &Bytes, end: &Bytes) {
        self.keys.push((access, key.clone(), end.clone()));
    }

    fn range(&mut self, request: &pb::RangeRequest) {
        self.add(Access::Read, &request.key, &request.range_end);
    }

    fn put(&mut self, request: &pb::PutRequest) {
        self.add(Access::Write, &request.key, &Bytes::new());
        if request.prev_kv {
            self.add(Access::Read, &request.key, &Bytes::new());
        }
        if request.lease != 0 {
            self.leases.push(request.lease);
        }
    }

    fn delete(&mut self, request: &pb::DeleteRangeRequest) {
        self.add(Access::Write, &request.key, &request.range_end);
        if request.prev_kv {
            self.add(Access::Read, &request.key, &request.range_end);
        }
    }

    fn txn(&mut self, request: &pb::TxnRequest) {
        use pb::request_op::Request;
        request.compare.iter().for_each(|c| self.add(Access::Read, &c.key, &c.range_end));
        for op in request.success.iter().chain(&request.failure) {
            match &op.request {
                Some(Request::RequestRange(range)) => self.range(range),
                Some(Request::RequestPut(put)) => self.put(put),
                Some(Request::RequestDeleteRange(delete)) => self.delete(delete),
                Some(Request::RequestTxn(txn)) => self.txn(txn),
                None => {}
            }
        }
    }
}
