//! The scores that a stock scheduler tells its log.

use std::collections::BTreeMap;

/// The weighted score of each plugin for each node, as far as the log tells them of a pod (`namespace/name`).
pub(super) fn scores(log: &str, pod: &str) -> BTreeMap<(String, String), i64> {
    let of = format!("\"Plugin scored node for pod\" pod=\"{pod}\" ");
    let lines = log.lines().filter_map(|line| Some(line.split_once(&of)?.1));
    lines
        .filter_map(|line| {
            let [plugin, node] = ["plugin", "node"].map(|name| field(line, name));
            let score = line.rsplit_once("score=")?.1.trim().parse().ok()?;
            Some(((plugin?, node?), score))
        })
        .collect()
}

fn field(line: &str, name: &str) -> Option<String> {
    let (_, rest) = line.split_once(&format!("{name}=\""))?;
    Some(rest.split_once('"')?.0.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_log_is_a_score() {
        let log = "I0101 00:00:00.000000       1 schedule_one.go:815] \"Plugin scored node for pod\" pod=\"n0/new-1\" \
            plugin=\"NodeAffinity\" node=\"node-2\" score=200\nsomething else\n";
        let expected = [(("NodeAffinity".to_owned(), "node-2".to_owned()), 200)].into();
        assert_eq!(scores(log, "n0/new-1"), expected);
        assert!(scores(log, "n0/new").is_empty());
    }
}
