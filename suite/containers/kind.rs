//! Tells what a file is by its first bytes, never by its name.

/// A file of weights by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Safetensors,
    Zip,
    /// A pickle, as the old form has several of.
    Pickle,
}

/// The kind of a file that begins with `bytes`, or why it is none, as a sentence.
pub(crate) fn kind(bytes: &[u8]) -> Result<Kind, String> {
    // the opcode of a pickle's protocol, which PyTorch has always written
    const PROTO: u8 = 0x80;
    if bytes.starts_with(b"PK\x03\x04") {
        return Ok(Kind::Zip);
    }
    // safetensors: 8 bytes of length, and a header of JSON
    if bytes.get(8) == Some(&b'{') {
        return Ok(Kind::Safetensors);
    }
    if bytes.first() == Some(&PROTO) {
        return Ok(Kind::Pickle);
    }
    if let Some(foreign) = bridle_files::foreign(bytes) {
        return Err(format!("it is {foreign}"));
    }
    if bytes.trim_ascii_start().starts_with(b"{") {
        return Err("it is text in JSON; name the folder that it lies in".to_owned());
    }
    Err("it is neither safetensors nor a zip archive nor a pickle of PyTorch".to_owned())
}
