//! Logs that grow.

use std::io::Write;

use super::*;

#[tokio::test(start_paused = true)]
async fn a_log_that_has_grown_too_long_is_rotated() {
    let (cluster, folder) = (Cluster::new(), tempfile::tempdir().expect("a directory"));
    let (root_dir, log_dir) = (folder.path().join("root"), folder.path().join("logs"));
    cluster.runtime.script("web", Script { logs: vec!["hello".to_owned()], ..Script::default() });
    let config = Config { root_dir, log_dir, container_log_max_size: 1000, ..Config::default() };
    cluster.start_with(Config { container_log_max_files: 3, ..config }, Vec::new());
    cluster.api.put("pods", pod("web", "Always", json!([{"name": "c", "image": "web"}])));
    cluster.until("web", "ready", |p| condition(p, "Ready")["status"] == "True").await;
    let path = cluster.containers().await[0].log_path.clone();
    let files = || std::fs::read_dir(path.parent().expect("a folder")).expect("a folder").count();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(files(), 1, "it is short");
    for rotations in 1..5 {
        let mut file = std::fs::OpenOptions::new().append(true).open(&path).expect("the log");
        file.write_all(&[b'x'; 1001]).expect("written");
        // Looked at every 10 s.
        tokio::time::sleep(Duration::from_secs(11)).await;
        assert_eq!(std::fs::metadata(&path).expect("the log").len(), 0, "a new one");
        assert_eq!(files(), (1 + rotations).min(3));
    }
}
