//! Whatever the bytes: an error that names the file, or tensors that are read, in bounded time and
//! memory.
#![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

mod counted;
mod make;

use make::{NUMBERS, dict, file, int, pickle, tensor, text, training};
use proptest::collection::vec;
use proptest::prelude::*;

/// Most bytes that a file of a few kilobytes may take.
const LIMIT: usize = 24 << 20;

/// Opens a file of these bytes, and reads all of its tensors.
fn hold(bytes: &[u8]) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights");
    std::fs::write(&path, bytes).unwrap();
    let Ok(checkpoint) = counted::open(&path, LIMIT) else {
        return;
    };
    for (name, entry) in &checkpoint.tensors {
        let values = checkpoint.read(name).unwrap().unwrap();
        assert_eq!(values.len(), entry.shape.iter().product::<usize>(), "{name}");
        assert!(values.len() <= bytes.len(), "{name}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

/// An instruction with what belongs to it, good or bad.
fn instruction() -> impl Strategy<Value = Vec<u8>> {
    let plain = b"()0123NIJKMGXTUBC]ael}dsuqrphjgcRbioQt\x80\x81\x82\x85\x86\x87\x88\x89\x8a\x8b\x8c\x8d\x8e\x8f";
    let newer = b"\x90\x91\x92\x93\x94\x95\x96\x97";
    let one = proptest::sample::select([&plain[..], newer].concat()).prop_map(|byte| vec![byte]);
    let whole = proptest::sample::select(vec![
        b"N".to_vec(),
        b"(".to_vec(),
        b")".to_vec(),
        b"]".to_vec(),
        b"}".to_vec(),
        b"2".to_vec(),
        b"q\x00".to_vec(),
        b"h\x00".to_vec(),
        b"q\x01".to_vec(),
        b"h\x01".to_vec(),
        b"ccollections\nOrderedDict\n".to_vec(),
        b"ctorch._utils\n_rebuild_parameter\n".to_vec(),
        b"cargparse\nNamespace\n".to_vec(),
        b"cmine\nThing\n".to_vec(),
        text("model"),
        text("teacher"),
        text("w"),
        int(-1),
        int(4),
        tensor(4, 0, &[2, 2], &[1, 2]),
        tensor(4, -1, &[2], &[3]),
        tensor(i32::MAX, 0, &[i32::MAX, i32::MAX], &[0, 1]),
        dict(&[("w", &tensor(4, 3, &[1], &[1]))]),
    ]);
    prop_oneof![1 => one, 4 => whole]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_bytes_are_an_error_or_weights(
        start in proptest::sample::select(vec![&b""[..], b"PK\x03\x04", b"\x80\x02", b"\x20\0\0\0\0\0\0\0{"]),
        bytes in vec(any::<u8>(), 0..2_000),
    ) {
        hold(&[start, &bytes].concat());
    }

    #[test]
    fn any_instructions_are_an_error_or_weights(instructions in vec(instruction(), 0..60)) {
        hold(&file(&pickle(&[&instructions.concat()]), &NUMBERS));
        hold(&file(&training(&instructions.concat()), &NUMBERS));
    }

    #[test]
    fn any_header_is_an_error_or_weights(
        dtype in proptest::sample::select(vec!["F32", "F16", "I64", "BOOL", "F8"]),
        shape in vec(prop_oneof![0_u64..4, any::<u64>()], 0..4),
        start in prop_oneof![0_u64..40, any::<u64>()],
        length in prop_oneof![0_u64..40, any::<u64>()],
        room in 0_usize..80,
    ) {
        let end = start.wrapping_add(length);
        let header = format!(
            r#"{{"a":{{"dtype":"{dtype}","shape":{shape:?},"data_offsets":[{start},{end}]}}}}"#
        );
        hold(&[&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &vec![0; room]].concat());
    }

    #[test]
    fn a_good_file_with_other_bytes_is_an_error_or_weights(
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in proptest::option::of(any::<prop::sample::Index>()),
    ) {
        let mut bytes = file(&training(&tensor(4, 1, &[3], &[1])), &NUMBERS);
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        hold(&bytes);
    }
}
