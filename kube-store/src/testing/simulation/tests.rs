//! The simulation, and that it finds what is planted.

use super::{Mutation, Report, Settings, run};

/// Seeds within which every planted fault has to be found.
const ENOUGH: u64 = 300;

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

#[test]
fn planted_faults_are_found() {
    for mutation in Mutation::ALL {
        let mut settings = Settings { mutation: Some(mutation), ..Settings::default() };
        if mutation == Mutation::LongLease {
            settings.lease_reads = true;
        }
        let found = (0..ENOUGH).any(|seed| run(seed, &settings).is_err());
        assert!(found, "{mutation:?} was not found within {ENOUGH} seeds");
    }
}

/// The end of a lease, asked for while the leader was handing over to a member that was cut off, was never asked for again.
#[test]
fn a_lease_ends_though_the_leader_was_to_hand_over() {
    let violation = run(628, &Settings::default()).err();
    assert!(violation.is_none(), "{violation:?}");
}
