use std::io::Write;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::*;

fn entries(numbers: std::ops::Range<u32>) -> String {
    numbers.map(|n| format!("2026-01-01T00:00:{n:02}Z stdout F line {n}\n")).collect()
}

fn append(path: &Path, text: &str) {
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

struct Follower {
    lines: mpsc::Receiver<Bytes>,
    end: Option<oneshot::Sender<()>>,
    task: JoinHandle<Result<()>>,
}

fn start(path: &Path, query: Query) -> Follower {
    let (to, lines) = mpsc::channel(4);
    let (end, ended) = oneshot::channel::<()>();
    let path = path.to_owned();
    let task = tokio::spawn(async move { send(&path, &query, async { _ = ended.await }, to).await });
    Follower { lines, end: Some(end), task }
}

impl Follower {
    async fn until(&mut self, wanted: &str) -> String {
        let mut seen = String::new();
        while !seen.contains(wanted) {
            let lines =
                tokio::time::timeout(Duration::from_secs(20), self.lines.recv()).await.unwrap().unwrap();
            seen.push_str(std::str::from_utf8(&lines).unwrap());
        }
        seen
    }

    async fn rest(mut self) -> String {
        drop(self.end.take());
        let mut seen = String::new();
        while let Some(lines) = self.lines.recv().await {
            seen.push_str(std::str::from_utf8(&lines).unwrap());
        }
        self.task.await.unwrap().unwrap();
        seen
    }
}

async fn read(path: &Path, query: Query) -> String {
    start(path, query).rest().await
}

#[tokio::test]
async fn a_file_is_read_whole_or_from_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("0.log");
    append(&path, &entries(0..10));
    assert_eq!(read(&path, Query::default()).await.lines().count(), 10);
    for (lines, expected) in [(0, ""), (1, "line 9\n"), (2, "line 8\nline 9\n")] {
        assert_eq!(read(&path, Query { tail_lines: Some(lines), ..Query::default() }).await, expected);
    }
    let all = read(&path, Query { tail_lines: Some(100), ..Query::default() }).await;
    assert!(all.starts_with("line 0\n") && all.ends_with("line 9\n"));
    let limited = Query { limit_bytes: Some(9), ..Query::default() };
    assert_eq!(read(&path, limited).await, "line 0\nli");
}

#[tokio::test]
async fn the_end_of_a_large_file_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("0.log");
    let long: String = (0..20_000).map(|n| format!("2026-01-01T00:00:00Z stdout F number {n}\n")).collect();
    append(&path, &long);
    let tail = read(&path, Query { tail_lines: Some(3), ..Query::default() }).await;
    assert_eq!(tail, "number 19997\nnumber 19998\nnumber 19999\n");
    assert_eq!(read(&path, Query::default()).await.lines().count(), 20_000);
}

#[tokio::test]
async fn a_log_is_followed_across_rotation_to_the_container_s_end() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("0.log");
    append(&path, &entries(0..2));
    let mut follower = start(&path, Query { follow: true, ..Query::default() });
    follower.until("line 1\n").await;
    append(&path, &entries(2..3));
    follower.until("line 2\n").await;
    append(&path, &entries(3..4));
    std::fs::rename(&path, dir.path().join("0.log.1")).unwrap();
    append(&path, &entries(4..5));
    let seen = follower.until("line 4\n").await;
    assert!(seen.contains("line 3\n"), "{seen}");
    append(&path, &entries(5..6));
    assert_eq!(follower.rest().await, "line 5\n", "what was written before the end is sent");
}

#[tokio::test]
async fn a_log_that_is_not_there_is_not_found() {
    let (to, _lines) = mpsc::channel(1);
    let error = send(Path::new("/nowhere/0.log"), &Query::default(), async {}, to).await.unwrap_err();
    assert!(error.is_not_found(), "{error:?}");
}
