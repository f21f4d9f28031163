//! Members that lie, to show that the load and its judge see it.

use std::sync::Arc;

use kube_store::testing::simulation::{Liar, Lie};
use kube_store::{EtcdServer, EtcdStore, Member};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::cluster::{Cluster, run};
use super::judge::{Defect, IsPlanted};
use super::load::{Load, histories};
use super::{PROGRESS, inside};

/// Something that answers as a member does, asks one, and lies.
async fn lying(endpoint: &str, lie: Lie) -> String {
    let behind = EtcdStore::connect(endpoint).await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = EtcdServer::new(Arc::new(Liar::new(Arc::new(behind), lie)), Member::default());
    tokio::spawn(server.serve(listener, CancellationToken::new()));
    url
}

#[test]
fn a_lie_between_members_and_clients_is_seen() {
    inside("lies::a_lie_between_members_and_clients_is_seen", async {
        let cluster = Cluster::start().await;
        let cases: [(Lie, IsPlanted); 5] = [
            (Lie::LoseWrite, |defect| matches!(defect, Defect::LostWrite(_))),
            (Lie::StaleRead, |defect| matches!(defect, Defect::StaleRead(_))),
            (Lie::SkipEvent, |defect| matches!(defect, Defect::Watch(_))),
            (Lie::Twice, |defect| matches!(defect, Defect::Watch(_))),
            (Lie::BackInTime, |defect| matches!(defect, Defect::Watch(_))),
        ];
        for (lie, is_wanted) in cases {
            let mut endpoints = Vec::new();
            for endpoint in cluster.endpoints() {
                endpoints.push(lying(&endpoint, lie).await);
            }
            // Keys are used once, and each load uses the same.
            cluster.etcdctl(0, &["del", "/load/", "--prefix"]).await;
            let load = Load::start(endpoints);
            load.progress(PROGRESS).await;
            let seen = load.stop().await;
            let judged = seen.judge(&histories(&cluster.endpoints()).await);
            let defect = judged.expect_err(&format!("{lie:?} is not seen"));
            assert!(is_wanted(&defect), "{lie:?}: {defect}");
        }
    });
}

/// A member that is put back to an older copy of its disk has forgotten what it promised: together with one that was away it
/// makes a majority that knows nothing of it.
#[test]
fn a_member_on_an_old_copy_of_its_disk_is_seen() {
    inside("lies::a_member_on_an_old_copy_of_its_disk_is_seen", async {
        let mut cluster = Cluster::start().await;
        let (forgets, away) = (cluster.pick(true).await, cluster.pick(false).await);
        let third = (0..super::cluster::SIZE).find(|member| ![forgets, away].contains(member)).unwrap();
        let load = Load::start(cluster.endpoints());
        load.progress(PROGRESS).await;
        let (data, copy) = (cluster.data(forgets), cluster.scratch().join("copy"));
        cluster.stop(forgets).await;
        run(&format!("cp -a {} {}", data.display(), copy.display()));
        cluster.spawn(forgets);
        cluster.in_step().await;
        cluster.cut(away);
        load.progress(PROGRESS).await;
        cluster.kill(third).await;
        cluster.kill(forgets).await;
        std::fs::remove_dir_all(&data).unwrap();
        std::fs::rename(&copy, &data).unwrap();
        cluster.join(away);
        cluster.spawn(forgets);
        let left: Vec<String> = [forgets, away].map(|member| cluster.endpoints().swap_remove(member)).into();
        cluster.answer(&left).await;
        load.progress(PROGRESS).await;
        let seen = load.stop().await;
        let defect = seen.judge(&histories(&left).await).unwrap_err();
        assert!(matches!(defect, Defect::LostWrite(_)), "{defect}");
    });
}
