//! A disk that fills up.

use kube_store::{EtcdStore, StoreExt};

use super::cluster::{Cluster, PATIENCE, run};
use super::load::Load;
use super::{PROGRESS, inside, judge};

/// What takes up the space.
const BALLAST: &str = "ballast";

impl Cluster {
    /// Puts a member's data on a file system in memory, of some MiB. It must not run.
    fn move_to_small_disk(&self, member: usize, mebibytes: usize) {
        let data = self.data(member);
        let aside = data.with_extension("aside");
        if aside.exists() {
            // It is there already.
            return;
        }
        std::fs::rename(&data, &aside).unwrap();
        std::fs::create_dir(&data).unwrap();
        run(&format!("mount -t tmpfs -o size={mebibytes}m tmpfs {}", data.display()));
        run(&format!("cp -a {}/. {}", aside.display(), data.display()));
    }

    /// Leaves no byte of a disk free.
    fn fill_disk(&self, member: usize) {
        let mut ballast = std::fs::File::create(self.data(member).join(BALLAST)).unwrap();
        let error = std::io::copy(&mut std::io::repeat(7), &mut ballast).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
    }

    fn free_disk(&self, member: usize) {
        std::fs::remove_file(self.data(member).join(BALLAST)).unwrap();
    }

    /// Writes what takes space, through the others, until a member has ended: what a disk holds in reserve has to be used up.
    async fn write_until_ended(&mut self, member: usize) {
        let others: Vec<String> = self.endpoints();
        let others: Vec<&String> =
            others.iter().enumerate().filter(|(at, _)| *at != member).map(|(_, url)| url).collect();
        for n in 0.. {
            if self.has_ended(member) {
                return;
            }
            let put = async {
                let store = EtcdStore::connect(others[n % others.len()].as_str()).await.ok()?;
                store.put(format!("/large/{}", n % 4), vec![7; 256 << 10]).await.ok()
            };
            let _ = tokio::time::timeout(PATIENCE, put).await;
        }
    }
}

/// A member without space stops, and the others go on without it; it stops again while there is none; when there is, it comes
/// back with what it had, and nothing acknowledged is lost.
#[test]
fn a_member_whose_disk_is_full_stops_and_comes_back() {
    inside("disk::a_member_whose_disk_is_full_stops_and_comes_back", async {
        let mut cluster = Cluster::start().await;
        let load = Load::start(cluster.endpoints());
        for is_leader in [true, false] {
            let member = cluster.pick(is_leader).await;
            cluster.stop(member).await;
            cluster.move_to_small_disk(member, 256);
            cluster.spawn(member);
            cluster.in_step().await;
            if is_leader {
                cluster.let_lead(member).await;
            }
            cluster.fill_disk(member);
            cluster.write_until_ended(member).await;
            assert!(!cluster.ended(member).await.success(), "it says that something was wrong");
            load.progress(PROGRESS).await;
            cluster.spawn(member);
            cluster.write_until_ended(member).await;
            assert!(!cluster.ended(member).await.success(), "there is no space yet");
            cluster.free_disk(member);
            cluster.spawn(member);
            cluster.in_step().await;
            load.progress(PROGRESS).await;
        }
        judge(&cluster, load).await;
    });
}
