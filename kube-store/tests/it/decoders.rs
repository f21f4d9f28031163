//! Any bytes, to everything that decodes: the entry points of the fuzz targets.

use kube_store::testing::decoders;
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
