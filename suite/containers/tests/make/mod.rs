//! Makes archives and pickles by hand: good ones, and ones that PyTorch would never write.

/// A member of an archive.
pub struct Member<'a> {
    pub name: &'a str,
    pub content: &'a [u8],
    /// Of the archive's methods: 0 stores, 8 deflates.
    pub method: u16,
    /// Bit 0: encrypted.
    pub flags: u16,
    /// The length that the directory tells, unless it is the content's.
    pub length: Option<u64>,
    /// Where the directory says that the member is, unless it is there.
    pub at: Option<u64>,
}

impl<'a> Member<'a> {
    pub fn new(name: &'a str, content: &'a [u8]) -> Self {
        Self {
            name,
            content,
            method: 0,
            flags: 0,
            length: None,
            at: None,
        }
    }
}

/// A zip archive of these members.
pub fn archive(members: &[Member]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut directory = Vec::new();
    for member in members {
        let at = member.at.unwrap_or(bytes.len() as u64);
        let length = member.length.unwrap_or(member.content.len() as u64);
        let name = member.name.as_bytes();
        // sizes of 64 bits go to the field for large archives
        let mut large = vec![1, 0, 16, 0];
        large.extend([length.to_le_bytes(), length.to_le_bytes()].concat());
        let is_large = length >= u64::from(u32::MAX);
        let (short, extra) = match is_large {
            true => (u32::MAX, &large[..]),
            false => (length as u32, &[][..]),
        };
        let mut fields = [
            10_u16.to_le_bytes(),
            member.flags.to_le_bytes(),
            member.method.to_le_bytes(),
        ]
        .concat();
        fields.extend([0; 8]); // time and checksum
        fields.extend([short.to_le_bytes(), short.to_le_bytes()].concat());
        fields.extend((name.len() as u16).to_le_bytes());
        bytes.extend([&b"PK\x03\x04"[..], &fields[..], &[0, 0], name, member.content].concat());
        directory.extend([&b"PK\x01\x02"[..], &[10, 0], &fields[..]].concat());
        directory.extend((extra.len() as u16).to_le_bytes());
        directory.extend([0; 10]);
        directory.extend((at as u32).to_le_bytes());
        directory.extend([name, extra].concat());
    }
    let start = bytes.len() as u32;
    bytes.extend(&directory);
    let count = (members.len() as u16).to_le_bytes();
    bytes.extend([&b"PK\x05\x06"[..], &[0; 4][..], &count, &count].concat());
    bytes.extend((directory.len() as u32).to_le_bytes());
    bytes.extend(start.to_le_bytes());
    bytes.extend([0, 0]);
    bytes
}

/// A file of PyTorch with this pickle and one storage, `0`, of these numbers.
pub fn file(pickle: &[u8], numbers: &[f32]) -> Vec<u8> {
    let numbers: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    archive(&[
        Member::new("archive/data.pkl", pickle),
        Member::new("archive/byteorder", b"little"),
        Member::new("archive/data/0", &numbers),
    ])
}

/// Instructions one after the other, with the first and the last one of a pickle.
pub fn pickle(instructions: &[&[u8]]) -> Vec<u8> {
    [&b"\x80\x04"[..], &instructions.concat()[..], b"."].concat()
}

/// A short text.
pub fn text(text: &str) -> Vec<u8> {
    [&[0x8c, text.len() as u8][..], text.as_bytes()].concat()
}

/// A whole number.
pub fn int(number: i32) -> Vec<u8> {
    [&b"J"[..], &number.to_le_bytes()[..]].concat()
}

fn tuple(items: &[i32]) -> Vec<u8> {
    let items: Vec<u8> = items.iter().flat_map(|&item| int(item)).collect();
    [&b"("[..], &items[..], b"t"].concat()
}

/// A tensor of the storage `0` of 32-bit floats.
pub fn tensor(count: i32, offset: i32, shape: &[i32], strides: &[i32]) -> Vec<u8> {
    [
        &b"ctorch._utils\n_rebuild_tensor_v2\n(("[..],
        &text("storage")[..],
        b"ctorch\nFloatStorage\n",
        &text("0"),
        &text("cpu"),
        &int(count),
        b"tQ",
        &int(offset),
        &tuple(shape),
        &tuple(strides),
        b"\x89ccollections\nOrderedDict\n)RtR",
    ]
    .concat()
}

/// A dictionary of these keys and values.
pub fn dict(pairs: &[(&str, &[u8])]) -> Vec<u8> {
    let pairs: Vec<u8> = pairs
        .iter()
        .flat_map(|(key, value)| [&text(key)[..], *value].concat())
        .collect();
    [&b"}("[..], &pairs[..], b"u"].concat()
}

/// The pickle of a training: four weights called `w` under `model`, and this value beside them.
pub fn training(value: &[u8]) -> Vec<u8> {
    let weights = dict(&[("w", &tensor(4, 0, &[2, 2], &[2, 1]))]);
    pickle(&[&dict(&[("model", &weights), ("beside", value)])])
}

/// The numbers of [`training`].
pub const NUMBERS: [f32; 4] = [1.0, 2.0, 3.0, 4.0];
