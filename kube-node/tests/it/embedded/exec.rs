//! Where a further process in a container finds itself, and what is said when there is none.

use std::time::Duration;

use kube_node::image::{ImageFile, Source};
use kube_node::seam::{ContainerId, Runtime};

use super::node::{IMAGE, Node, build_image_with, script, skip};

async fn exec(node: &Node, id: &ContainerId, text: &str) -> (Vec<String>, i32) {
    let command = ["sh", "-c", text].map(str::to_owned);
    let output = node.runtime.exec_sync(id, &command, Duration::from_secs(20)).await.unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    (text.lines().map(str::to_owned).collect(), output.exit_code)
}

#[tokio::test]
async fn root_a_further_process_is_in_the_container() {
    if skip() {
        return;
    }
    let node = Node::start().await;
    let pod = node.sandbox("web").await;
    let id = node.run(&pod, script("c", "echo $$ > /own; sleep 1000")).await;
    let (lines, code) = exec(&node, &id, "ls -l /proc/1/ns /proc/self/ns; cat /own; exit 3").await;
    assert_eq!((lines.last().map(String::as_str), code), (Some("1"), 3));
    for kind in ["mnt", "pid", "net", "ipc", "uts", "cgroup"] {
        let links = lines.iter().filter_map(|line| line.split_once(&format!(" {kind} -> ")));
        let links: Vec<&str> = links.map(|(_, link)| link).collect();
        assert!(links.len() == 2 && links[0] == links[1], "{kind}: {links:?}");
    }
    let (lines, _) = exec(&node, &id, "ls /proc/self/fd; test $$ -gt 1 && echo child; umask").await;
    assert_eq!(lines, ["0", "1", "2", "3", "child", "0022"]);
    let (lines, _) = exec(&node, &id, "cat /proc/self/cgroup /proc/1/cgroup").await;
    let (own, first) = lines.split_at(lines.len() / 2);
    assert_eq!(own, first);
    node.finish().await;
}

#[tokio::test]
async fn root_a_further_process_is_the_containers_user_with_its_environment() {
    if skip() {
        return;
    }
    let node = Node::start().await;
    let pod = node.sandbox("web").await;
    let mut config = script("c", "sleep 1000");
    config.envs = vec![("WORD".into(), "two words".into())];
    config.working_dir = "/srv".into();
    config.linux.security.run_as_user = Some(33);
    config.linux.security.no_new_privs = true;
    config.linux.security.capabilities.drop = vec!["ALL".into()];
    let id = node.run(&pod, config).await;
    let (lines, _) =
        exec(&node, &id, "id -u; id -g; pwd; echo $WORD; echo x > /dev/stdout; cat /proc/self/status").await;
    assert_eq!(lines[..5], ["33", "33", "/srv", "two words", "x"]);
    for line in ["NoNewPrivs:\t1", "CapBnd:\t0000000000000000"] {
        assert!(lines.contains(&line.to_owned()), "{line:?} is in {lines:#?}");
    }
    node.finish().await;
}

#[tokio::test]
async fn root_a_program_that_cannot_be_executed_is_named_as_users_know_it() {
    if skip() {
        return;
    }
    let node = Node::start().await;
    let garbage = Source::Bytes(b"\x7fgarbage".to_vec());
    let files = vec![ImageFile { path: "/bin/garbage".into(), source: garbage, mode: 0o755 }];
    build_image_with(&node.runtime, IMAGE, files).await;
    let pod = node.sandbox("web").await;
    let id = node.run(&pod, script("c", "sleep 1000")).await;
    for (number, (program, expected)) in [
        ("foo", "unable to start container process: exec: \"foo\": executable file not found in $PATH"),
        ("/no/foo", "exec: \"/no/foo\": stat /no/foo: no such file or directory"),
        ("/etc/passwd", "exec: \"/etc/passwd\": permission denied"),
        ("/etc", "exec: \"/etc\": is a directory"),
        ("garbage", "exec /bin/garbage: exec format error"),
    ]
    .into_iter()
    .enumerate()
    {
        let command = [program.to_owned()];
        let error = node.runtime.exec_sync(&id, &command, Duration::from_secs(20)).await.unwrap_err();
        assert!(error.to_string().ends_with(expected), "{error}");
        let mut config = script(&format!("c{number}"), "");
        config.command = command.to_vec();
        let refusal = node.refusal(&pod, config).await;
        assert!(refusal.ends_with(expected), "{refusal}");
    }
    node.finish().await;
}
