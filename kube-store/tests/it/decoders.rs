//! Any bytes, to everything that decodes: the entry points of the fuzz targets.

use fastrand::Rng;
use kube_store::testing::decoders::{self, Decoder};
use proptest::prelude::*;

/// Bytes that often look like a field of a message, with a length that may be wrong.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let field = (any::<u8>(), 0u8..20, prop::collection::vec(any::<u8>(), 0..16));
    let fields = prop::collection::vec(field, 0..12);
    let message = fields.prop_map(|fields| {
        fields.into_iter().flat_map(|(tag, length, body)| [vec![tag, length], body].concat()).collect()
    });
    prop_oneof![message, prop::collection::vec(any::<u8>(), 0..600)]
}

/// Records of a log: of every kind, with a body that may be anything.
fn records() -> impl Strategy<Value = Vec<u8>> {
    let kind = prop::sample::select(vec![b'f', b'l', b'm', b'r', b'v', b'x']);
    let record = (kind, prop::collection::vec(0u8..3, 0..14), prop::collection::vec(0u8..3, 0..40));
    prop::collection::vec(record, 0..20).prop_map(|records| {
        let mut bytes = Vec::new();
        for (kind, key, value) in records {
            bytes.extend([key.len() as u8 + 1, kind]);
            bytes.extend(key);
            bytes.push(value.len() as u8);
            bytes.extend(value);
        }
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_request_makes_the_server_panic(bytes in bytes()) {
        decoders::wire(&bytes);
    }

    #[test]
    fn no_log_makes_the_store_panic(bytes in records(), noise in bytes()) {
        decoders::log_record(&bytes);
        decoders::log_record(&noise);
    }

    #[test]
    fn no_member_makes_another_panic(bytes in bytes(), rest in bytes()) {
        decoders::peer(&bytes);
        // A version that is known, of the frame and of the snapshot, so that what follows is looked at.
        for version in [1u8, 2] {
            decoders::peer(&[&[version], &[0; 16][..], &bytes].concat());
            decoders::peer_snapshot(&[&[version, 0, 0, 0, 0], bytes.as_slice(), &rest].concat());
        }
        decoders::peer_snapshot(&rest);
    }

    #[test]
    fn no_token_makes_the_server_panic(text in "[0-9a-f]{0,20}(\\.[0-9a-f]{0,20}){0,3}", noise in bytes()) {
        decoders::token(text.as_bytes());
        decoders::token(&noise);
    }

    #[test]
    fn no_snapshot_makes_the_store_panic(bytes in bytes()) {
        decoders::snapshot(&bytes);
    }
}

/// Changes of each valid input.
const CHANGES: usize = 400;

/// Changes something somewhere, as wires, disks and attackers do.
fn change(bytes: &mut Vec<u8>, rng: &mut Rng) {
    let at = rng.usize(..=bytes.len());
    let end = (at + rng.usize(1..9)).min(bytes.len());
    match rng.u8(..8) {
        0 => bytes.truncate(at),
        1 => {
            bytes.drain(at..end);
        }
        2 => {
            let part = bytes[at..end].to_vec();
            bytes.splice(at..at, part);
        }
        3 => bytes.insert(at, rng.u8(..)),
        // Lengths and places.
        4 => bytes[at..end].fill(0xff),
        5 => bytes[at..end].fill(0),
        _ if at < bytes.len() && rng.bool() => bytes[at] ^= 1 << rng.u8(..8),
        _ if at < bytes.len() => bytes[at] = rng.u8(..),
        _ => {}
    }
}

/// What begins as something valid gets far deeper into a decoder than what is made up.
#[test]
fn no_changed_bytes_make_anything_panic() {
    for Decoder { name, feed, valid } in Decoder::ALL {
        let mut taken = 0;
        for (seed, valid) in valid().into_iter().enumerate() {
            assert!(feed(&valid), "{name} takes what is valid");
            let mut rng = Rng::with_seed(seed as u64);
            for _ in 0..CHANGES {
                let mut bytes = valid.clone();
                (0..rng.usize(1..4)).for_each(|_| change(&mut bytes, &mut rng));
                taken += usize::from(feed(&bytes) && bytes != valid);
            }
        }
        // A snapshot of a member is summed as a whole; a token is signed, but its numbers can be written with zeros before them.
        match name {
            "peer_snapshot" => assert_eq!(taken, 0, "{name} took what was damaged"),
            "token" => assert!(taken < CHANGES / 20, "{name} took {taken} changed inputs"),
            _ => assert!(taken > 0, "{name} takes nothing but what is valid"),
        }
    }
}

/// For fuzzers to begin with: `KUBE_STORE_SEEDS=DIR` writes what is valid into a folder for each target.
#[test]
fn what_is_valid_can_be_written_for_fuzzers() {
    let Some(dir) = std::env::var_os("KUBE_STORE_SEEDS") else { return };
    for Decoder { name, valid, .. } in Decoder::ALL {
        let dir = std::path::Path::new(&dir).join(name);
        std::fs::create_dir_all(&dir).unwrap();
        for (n, valid) in valid().into_iter().enumerate() {
            std::fs::write(dir.join(format!("valid-{n}")), valid).unwrap();
        }
    }
}
