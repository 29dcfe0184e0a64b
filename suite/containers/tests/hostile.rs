//! Files that were made to do harm: each is refused with its reason, or read without what is harmful,
//! in little time and memory.
#![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

mod counted;
mod make;

use bridle_containers::Checkpoint;
use make::{Member, NUMBERS, archive, dict, file, pickle, tensor, text, training};

/// Most bytes that reading a hostile file may take.
const LIMIT: usize = 256 << 20;

/// What opening a file of these bytes gives, or the error's text.
fn opened(name: &str, bytes: &[u8]) -> Result<Checkpoint, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    let opened = counted::open(&path, LIMIT);
    assert_eq!(
        std::fs::read_dir(folder.path()).unwrap().count(),
        1,
        "{name} left a file"
    );
    opened
}

fn refused(name: &str, bytes: &[u8], reason: &str) {
    let message = opened(name, bytes).map(|checkpoint| checkpoint.tensors).unwrap_err();
    assert!(message.contains(reason), "{name}: {message}");
}

/// The weights of [`training`] are read; returns what is told of the value beside them.
fn read(name: &str, bytes: &[u8]) -> serde_json::Value {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    let mut checkpoint = counted::open(&path, LIMIT).unwrap();
    assert_eq!(checkpoint.entry, "model", "{name}");
    assert_eq!(checkpoint.tensors.keys().collect::<Vec<_>>(), ["w"], "{name}");
    assert_eq!(checkpoint.read("w").unwrap().unwrap(), NUMBERS, "{name}");
    checkpoint.options["beside"].take()
}

fn beside(name: &str, value: &[u8]) -> serde_json::Value {
    read(name, &file(&training(value), &NUMBERS))
}

#[test]
fn settings_beside_the_weights_are_read_as_plain_values() {
    let namespace = [
        &b"cargparse\nNamespace\n)\x81"[..],
        &dict(&[
            ("depth", b"K\x0c"),
            ("rate", b"G\x3f\xb9\x99\x99\x99\x99\x99\x9a"),
            ("none", b"N"),
        ])[..],
        b"b",
    ];
    let expected = serde_json::json!({ "depth": 12, "rate": 0.1, "none": null });
    assert_eq!(beside("namespace", &namespace.concat()), expected);

    let node = |value: &[u8]| {
        [
            &b"comegaconf.nodes\nAnyNode\n)\x81"[..],
            &dict(&[("_val", value)])[..],
            b"b",
        ]
        .concat()
    };
    let content = dict(&[("width", &node(b"M\x00\x03")), ("name", &node(&text("base")))]);
    let config = [
        &b"comegaconf.dictconfig\nDictConfig\n)\x81"[..],
        &dict(&[("_content", &content)])[..],
        b"b",
    ];
    assert_eq!(
        beside("omegaconf", &config.concat()),
        serde_json::json!({ "width": 768, "name": "base" })
    );

    let unknown = [
        &b"cmine\nThing\n(K\x01t\x81"[..],
        &dict(&[("a", b"\x88")])[..],
        b"b(K\x02K\x03e",
    ];
    let expected = serde_json::json!({
        "__class__": "mine.Thing", "__arguments__": [1], "a": true, "__items__": [2, 3]
    });
    assert_eq!(beside("unknown", &unknown.concat()), expected);
    let tensors = [&b"]("[..], &tensor(4, 0, &[4], &[1])[..], b"C\x01xK\x07e"];
    assert_eq!(beside("tensors", &tensors.concat()), serde_json::json!([null, null, 7]));
}

#[test]
fn what_sharing_makes_huge_is_left_out() {
    // every tuple holds the one before twice
    let doubled: Vec<u8> = (0..60_u8)
        .flat_map(|index| [b'q', index, b'0', b'h', index, b'h', index, 0x86])
        .collect();
    assert!(beside("doubled.pth", &[&b"]"[..], &doubled[..]].concat()).is_null());
    let doubled: Vec<u8> = [b'2', 0x86].repeat(60);
    assert!(beside("doubled-on-the-stack.pth", &[&b"]"[..], &doubled[..]].concat()).is_null());
    let itself = b"]q\x00h\x00a";
    assert!(beside("itself.pth", itself).is_null());
    // a text of a megabyte, ten thousand times
    let text = [
        &b"X"[..],
        &(1_u32 << 20).to_le_bytes()[..],
        &b"x".repeat(1 << 20)[..],
        b"q\x00",
    ]
    .concat();
    let copies = [&b"]("[..], &text[..], &b"h\x00".repeat(10_000), b"e"].concat();
    assert!(beside("texts.pth", &copies).is_null());
    // deep within one another
    assert!(beside("deep.pth", &[&b"]".repeat(300_000)[..], &b"a".repeat(299_999)].concat()).is_null());
    // a million calls of what a call gives
    let calls = [&b"cmine\nThing\n"[..], &b")R".repeat(1_000_000)[..]].concat();
    let nameless = serde_json::json!({ "__class__": "a class without a name" });
    assert_eq!(beside("calls.pth", &calls), nameless);
    // numbers of the memory that leave gaps
    assert_eq!(beside("memory.pth", b"K\x05r\xff\xff\xff\xffr\xfe\xff\xff\x7f"), 5);
}

#[test]
fn shared_values_cost_no_more_time_than_others() {
    const MANY: usize = 150_000;
    let long = [
        &b"X"[..],
        &(10_u32 << 20).to_le_bytes()[..],
        &b"k".repeat(10 << 20)[..],
        b"q\x00",
    ]
    .concat();
    let fill = b"}(".to_vec();
    // the dictionary in memory 1: many keys that are no text, without tensors
    let wide = [&fill[..], &b"NN".repeat(MANY), b"uq\x01"].concat();
    let shared = [&wide[..], b"0}(", &b"Nh\x01".repeat(MANY), b"u"].concat();
    assert!(
        beside("wide.pth", &shared)
            .as_object()
            .is_none_or(serde_json::Map::is_empty)
    );
    let within = dict(&[("model", &shared)]);
    refused(
        "wide-weights.pth",
        &file(&pickle(&[&within]), &NUMBERS),
        "too many dictionaries",
    );
    // a long key again and again, at the top
    let keys = [&b"}("[..], &long, b"N", &b"h\x00N".repeat(MANY), b"u"].concat();
    refused("long-keys.pth", &file(&pickle(&[&keys]), &NUMBERS), "without tensors");
    let weights = dict(&[("w", &tensor(4, 0, &[4], &[1]))]);
    let with_weights = [&keys[..], b"(", &text("model"), &weights, b"u"].concat();
    assert!(opened("long-keys-beside.pth", &file(&pickle(&[&with_weights]), &NUMBERS)).is_ok());
    // a long name of a class
    let names = [&long[..], b"0(", &b"h\x00h\x00\x93".repeat(MANY), b"l"].concat();
    refused(
        "long-names.pth",
        &file(&training(&names), &NUMBERS),
        "name that cannot be read",
    );
    // one list that becomes many dictionaries
    let list = [&b"]("[..], &b"]q\x02(NNe".repeat(10_000), b"eq\x01"].concat();
    let ordered = [
        &list[..],
        b"0(",
        &b"ccollections\nOrderedDict\nh\x01\x85R".repeat(10_000),
        b"l",
    ]
    .concat();
    refused("ordered.pth", &file(&training(&ordered), &NUMBERS), "more than");
    // dictionaries that hold the one before twice, beside a tensor
    let doubled: Vec<u8> = (0..25_u8)
        .flat_map(|index| {
            [
                &b"q"[..],
                &[index][..],
                b"0}(\x8c\x01ah",
                &[index],
                b"\x8c\x01bh",
                &[index],
                b"u",
            ]
            .concat()
        })
        .collect();
    let doubled = dict(&[
        ("w", &tensor(4, 0, &[4], &[1])),
        ("d", &[&b"}"[..], &doubled[..]].concat()),
    ]);
    refused(
        "doubled-weights.pth",
        &file(&pickle(&[&dict(&[("model", &doubled)])]), &NUMBERS),
        "too many names",
    );
}

#[test]
fn many_small_values_take_little_memory() {
    for (name, instructions) in [
        ("lists", b"]".repeat(3_000_000)),
        ("marks", b"(".repeat(3_000_000)),
        ("tuples", [&b"N"[..], &b"\x85".repeat(3_000_000)[..]].concat()),
        ("loads", [&b"Nq\x00"[..], &b"h\x00".repeat(3_000_000)[..]].concat()),
        ("memory", [&b"N"[..], &b"\x94".repeat(3_000_000)[..]].concat()),
        ("classes", b"ca\nb\n".repeat(1_000_000)),
        ("copies", [&b"N"[..], &b"2".repeat(60_000_000)[..]].concat()),
    ] {
        refused(name, &file(&pickle(&[&instructions]), &NUMBERS), "more than");
    }
    let header = |shape: &str| format!("{{\"w\":{{\"dtype\":\"F32\",\"shape\":[{shape}],\"data_offsets\":[0,4]}}}}");
    let safetensors = |header: &str| [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &[0; 4]].concat();
    let ones = ["1"; 4_000_000].join(",");
    refused("axes.safetensors", &safetensors(&header(&ones)), "axes");
    let entries: Vec<String> = (0..150_000)
        .map(|index| format!("\"{index}\":{{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]}}"))
        .collect();
    refused(
        "entries.safetensors",
        &safetensors(&format!("{{{}}}", entries.join(","))),
        "behind its last",
    );
    let empty: Vec<String> = (0..100_000).map(|index| format!("archive/data/{index}")).collect();
    let members: Vec<Member> = empty.iter().map(|name| Member::new(name, b"")).take(65_535).collect();
    refused("members.pth", &archive(&members), "data.pkl");
}

#[test]
fn lengths_are_held_against_the_bytes_that_are_there() {
    for (name, instructions, reason) in [
        ("long", &b"\x8b\xff\xff\xff\x7f\x01"[..], "a length of 2147483647"),
        ("negative-long", b"\x8b\xff\xff\xff\xff\x01", "a length of 4294967295"),
        ("text", b"\x8d\0\0\0\0\0\0\0\x80a", "a length of 9223372036854775808"),
        (
            "bytes",
            b"\x8e\xff\xff\xff\xff\xff\xff\xff\xffa",
            "a length of 18446744073709551615",
        ),
        (
            "array",
            b"\x96\xff\xff\xff\xff\xff\xff\xff\xffa",
            "a length of 18446744073709551615",
        ),
        (
            "frame",
            b"\x95\xff\xff\xff\xff\xff\xff\xff\xffN",
            "a length of 18446744073709551615",
        ),
        ("digits", b"I99999999999999999999\n", "cannot be read"),
        ("get", b"g-1\n", "cannot be read"),
        ("line", b"cos", "ends"),
        ("protocol", b"\x80\x06N", "protocol 6"),
        ("instruction", b"V\\u0041\n", "UNICODE"),
        ("person", b"Pabc\n", "PERSID"),
        ("unknown", b"\xf0", "0xf0"),
        ("mark", b"N1", "needs a mark"),
        ("below-the-mark", b"N(0a", "needs more values"),
        ("odd-pairs", b"}(Nu", "needs more values"),
        ("append", b"}Na", "APPEND of a dictionary"),
        ("set", b"]NNs", "SETITEM of a list"),
        ("call", b"K\x01)R", "REDUCE of an integer"),
        ("arguments", b"cmine\nThing\nNR", "REDUCE of None"),
        ("build", b"K\x01Nb", "BUILD of an integer"),
    ] {
        refused(name, &file(&pickle(&[instructions]), &NUMBERS), reason);
    }
}

#[test]
fn names_that_run_programs_are_refused_however_they_are_written() {
    for (name, instructions, reason) in [
        ("global", &b"cos\nsystem\n"[..], "`os.system`"),
        ("stack-global", b"\x8c\x02os\x8c\x06system\x93", "`os.system`"),
        ("inst", b"(\x8c\x02idios\nsystem\n", "`os.system`"),
        ("obj", b"(cos\nsystem\n\x8c\x02ido", "`os.system`"),
        ("build", b"csubprocess\nPopen\n)\x81}b", "`subprocess.Popen`"),
        ("newobj-ex", b"c__builtin__\neval\n)}\x92", "`__builtin__.eval`"),
        (
            "through",
            b"\x8c\x13torch.serializationX\x09\0\0\0os.system\x93",
            "os.system",
        ),
        ("no-texts", b"K\x01K\x02\x93", "STACK_GLOBAL of an integer"),
        ("no-text", b"\x8c\x02osN\x93", "STACK_GLOBAL of None"),
        ("control", b"cos\nsys\x1b[31mtem\n", "`os.sys"),
    ] {
        refused(name, &file(&training(instructions), &NUMBERS), reason);
    }
}

#[test]
fn archives_that_contradict_themselves_are_refused() {
    let good = training(b"N");
    let data = |bytes: &'static [u8]| Member::new("a/data/0", bytes);
    let pickle = || Member::new("a/data.pkl", &good);
    let sixteen = &[0; 16];
    assert!(opened("good", &archive(&[pickle(), data(sixteen)])).is_ok());
    let with = |change: fn(&mut Member)| {
        let mut member = data(sixteen);
        change(&mut member);
        archive(&[pickle(), member])
    };
    for (name, bytes, reason) in [
        (
            "twice",
            archive(&[pickle(), data(sixteen), data(sixteen)]),
            "occurs twice",
        ),
        (
            "two-pickles",
            archive(&[pickle(), Member::new("b/data.pkl", &good)]),
            "more than one",
        ),
        ("no-pickle", archive(&[data(sixteen)]), "without a `data.pkl`"),
        (
            "not-in-a-folder",
            archive(&[Member::new("data.pkl", &good)]),
            "without a `data.pkl`",
        ),
        ("deflated", with(|member| member.method = 8), "compressed"),
        ("encrypted", with(|member| member.flags = 1), "encrypted"),
        ("too-long", with(|member| member.length = Some(1 << 20)), "overlaps"),
        ("zip64", with(|member| member.length = Some(u64::MAX)), "overlaps"),
        (
            "zip64-to-the-end",
            with(|member| member.length = Some(1 << 40)),
            "overlaps",
        ),
        ("elsewhere", with(|member| member.at = Some(0)), "is not where"),
        ("behind", with(|member| member.at = Some(1 << 30)), "too early"),
        ("no-storage", archive(&[pickle()]), "tensor `w`: its storage `0` is not"),
        (
            "short-storage",
            archive(&[pickle(), data(&[0; 15])]),
            "tensor `w`: its storage",
        ),
        (
            "order",
            archive(&[pickle(), data(sixteen), Member::new("a/byteorder", b"odd")]),
            "byteorder",
        ),
        ("cut", archive(&[pickle(), data(sixteen)])[..300].to_vec(), "cut off"),
        (
            "comment",
            [&archive(&[pickle(), data(sixteen)])[..], b"x"].concat(),
            "cut off",
        ),
    ] {
        refused(name, &bytes, reason);
    }
}
