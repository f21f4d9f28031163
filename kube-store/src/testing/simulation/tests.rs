//! The simulation, and that it finds what is planted.

use super::scenario::{Planted, Scenario};
use super::{Mutation, Report, Settings, Variety, run};

/// Seeds within which every planted fault has to be found.
const ENOUGH: u64 = 1000;

#[test]
fn many_seeds_keep_all_rules() {
    let mut sum = Report::default();
    for seed in 0..200 {
        let report = run(seed, &Settings::default())
            .unwrap_or_else(|violation| panic!("seed {seed}: {violation}\n{}", violation.trace.join("\n")));
        sum.answered += report.answered;
        sum.leaders += report.leaders;
        sum.crashes += report.crashes;
        sum.snapshots += report.snapshots;
        sum.changes += report.changes;
    }
    // What does not happen is not tested.
    assert!(sum.answered > 10_000 && sum.leaders > 500 && sum.crashes > 500, "{sum:?}");
    assert!(sum.snapshots > 50 && sum.changes > 50, "{sum:?}");
}

#[test]
fn five_members_keep_all_rules() {
    for seed in 0..20 {
        let violation = run(seed, &Settings { members: 5, ..Settings::default() }).err();
        assert!(violation.is_none(), "seed {seed}: {violation:?}");
    }
}

#[test]
fn leaders_that_answer_alone_keep_all_rules() {
    for seed in 0..150 {
        let settings = Settings { lease_reads: true, ..Settings::default() };
        let violation = run(seed, &settings).err();
        assert!(violation.is_none(), "seed {seed}: {violation:?}");
    }
}

#[test]
fn one_seed_is_one_run() {
    for seed in [1, 2, 3] {
        let once = run(seed, &Settings::default()).unwrap();
        assert_eq!(once, run(seed, &Settings::default()).unwrap());
    }
}

/// Each fault is seen, by a rule that is meant to, and the seed that shows it keeps all rules without it.
#[test]
fn planted_faults_are_seen() {
    for scenario in Scenario::ALL {
        let Some((seed, broken)) = scenario.first_seen(0..ENOUGH) else {
            panic!("{scenario:?} was not seen within {ENOUGH} seeds");
        };
        assert!(scenario.seen_by.contains(&broken.rule), "{}: seed {seed}: {broken}", scenario.name);
        assert_eq!(scenario.run_honest(seed), Ok(()), "{}", scenario.name);
    }
}

#[test]
fn every_fault_has_a_scenario() {
    let planted: Vec<Planted> = Scenario::ALL.iter().map(|scenario| scenario.planted).collect();
    for mutation in Mutation::ALL {
        assert!(planted.contains(&Planted::Group(mutation)), "{mutation:?}");
    }
}

/// The end of a lease, asked for while the leader was handing over to a member that was cut off, was never asked for again.
#[test]
fn a_lease_ends_though_the_leader_was_to_hand_over() {
    let violation = run(628, &Settings { variety: Variety::Narrow, ..Settings::default() }).err();
    assert!(violation.is_none(), "{violation:?}");
}

/// A member was removed and stopped, and another lost its disk, before the rest had heard that the change was over: it needs a
/// majority of the voters before it, which is gone.
#[test]
fn a_group_without_a_majority_of_both_need_not_agree() {
    let violation = run(1_044_364, &Settings::default()).err();
    assert!(violation.is_none(), "{violation:?}");
}
