use super::Counter;

#[test]
fn a_verdict_needs_its_threshold_in_a_row() {
    let check = |success, failure, results: &[bool], expected: &[Option<bool>]| {
        let mut counter = Counter::new(success, failure);
        let found: Vec<_> = results.iter().map(|r| counter.record(*r)).collect();
        assert_eq!(found, expected, "thresholds {success}/{failure}, results {results:?}");
    };
    check(1, 3, &[true], &[Some(true)]);
    check(1, 3, &[false, false, false, false], &[None, None, Some(false), Some(false)]);
    check(1, 3, &[false, false, true, false], &[None, None, Some(true), None]);
    check(2, 1, &[true, true, false, true, true], &[None, Some(true), Some(false), None, Some(true)]);
    check(0, 0, &[false], &[Some(false)]);
}
