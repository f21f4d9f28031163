//! What both schedulers serve over HTTPS.

use std::collections::{BTreeMap, BTreeSet};

use examples::Failure;

use super::side::Side;

/// The paths whose answers are compared as they are.
const PATHS: &[&str] = &["/healthz", "/livez", "/readyz", "/configz", "/statusz", "/flagz"];

/// How the metrics begin that are compared.
const OURS: &[&str] = &["scheduler_", "leader_election_"];

/// The type and the names of the labels of each family of metrics.
type Families = BTreeMap<String, (String, BTreeSet<String>)>;

/// Every difference between what both serve after the same pods.
pub(super) async fn differences(peer: &Side, ours: &Side) -> Result<Vec<String>, Failure> {
    let mut found = Vec::new();
    for path in PATHS {
        let (peer, ours) = (peer.served(path).await?, ours.served(path).await?);
        if peer != ours {
            found.push(format!("{path}\n    peer {peer:?}\n    ours {ours:?}"));
        }
    }
    let (peer, ours) =
        (families(&peer.served("/metrics").await?.1), families(&ours.served("/metrics").await?.1));
    let names: BTreeSet<_> = peer.keys().chain(ours.keys()).collect();
    for name in names.into_iter().filter(|name| peer.get(*name) != ours.get(*name)) {
        found.push(format!("/metrics {name}: peer {:?}, ours {:?}", peer.get(name), ours.get(name)));
    }
    Ok(found)
}

/// Both formats of Prometheus: one of them names a counter without `_total` where it tells its type.
fn families(text: &str) -> Families {
    let mut found = Families::new();
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let types: BTreeMap<_, _> = types.map(|(name, kind)| (name.trim_end_matches("_total"), kind)).collect();
    // What Go and the libraries of an API server count is not what a scheduler counts.
    let of_schedulers = |line: &&str| OURS.iter().any(|prefix| line.starts_with(prefix));
    for line in text.lines().filter(of_schedulers) {
        let end = line.find(['{', ' ']).unwrap_or(line.len());
        let (sample, rest) = line.split_at(end);
        let name = ["_bucket", "_sum", "_count", "_total", ""]
            .iter()
            .filter_map(|suffix| sample.strip_suffix(suffix));
        let Some((name, kind)) = name.filter_map(|name| Some((name, types.get(name)?))).next() else {
            continue;
        };
        let (_, labels) =
            found.entry(name.to_owned()).or_insert_with(|| ((*kind).to_owned(), BTreeSet::new()));
        let list = rest.strip_prefix('{').and_then(|rest| Some(rest.rsplit_once('}')?.0)).unwrap_or_default();
        labels.extend(list.split("\",").filter_map(|label| Some(label.split_once('=')?.0.to_owned())));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_formats_tell_the_same() {
        let plain = "# HELP scheduler_a_total As.\n# TYPE scheduler_a_total counter\nscheduler_a_total{b=\"x\",c=\"y,z\"} 1\n# TYPE scheduler_h histogram\nscheduler_h_bucket{le=\"1\"} 0\nscheduler_h_sum 0\n";
        let open = "# TYPE scheduler_a counter\nscheduler_a_total{b=\"x\",c=\"y,z\"} 1\n# TYPE scheduler_h histogram\nscheduler_h_bucket{le=\"1.0\"} 0\nscheduler_h_sum 0\n# EOF\n";
        assert_eq!(families(plain), families(open));
        assert_eq!(families(plain)["scheduler_a"].1, ["b", "c"].map(str::to_owned).into());
    }
}
