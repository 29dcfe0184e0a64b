//! What lies in a file's place when it is not what its name says: a packed file, a pointer of
//! version control, a page that a server sent instead.

/// First bytes that tell.
const START: usize = 512;

/// What a file is by its first bytes, as a phrase after "it is", if that is none of the kinds that
/// this program reads.
pub fn foreign(bytes: &[u8]) -> Option<&'static str> {
    let bytes = &bytes[..bytes.len().min(START)];
    let starts = |start: &[u8]| bytes.starts_with(start);
    Some(match bytes {
        [] => "an empty file",
        _ if starts(&[0x1f, 0x8b]) => "packed by gzip; `gunzip` unpacks it",
        _ if starts(b"BZh") => "packed by bzip2; `bunzip2` unpacks it",
        _ if starts(&[0xfd, b'7', b'z', b'X', b'Z', 0]) => "packed by xz; `unxz` unpacks it",
        _ if starts(&[0x28, 0xb5, 0x2f, 0xfd]) => "packed by Zstandard; `unzstd` unpacks it",
        _ if starts(b"7z\xbc\xaf\x27\x1c") => "a 7z archive; `7z x` unpacks it",
        _ if starts(b"Rar!") => "a RAR archive; `unrar x` unpacks it",
        _ if starts(b"PK\x03\x04") || starts(b"PK\x05\x06") => "a zip archive",
        _ if bytes.get(257..262) == Some(b"ustar") => "a tar archive",
        _ if starts(b"version https://git-lfs.github.com/") => "a pointer of Git LFS; `git lfs pull` fetches the file",
        _ if starts(b"/annex/objects/") => "a pointer of git-annex; `git annex get` fetches the file",
        _ if is_page(bytes) => "a web page, not the file that was asked for",
        _ => return None,
    })
}

fn is_page(bytes: &[u8]) -> bool {
    let text = bytes.trim_ascii_start();
    let begins = |start: &[u8]| {
        text.get(..start.len())
            .is_some_and(|text| text.eq_ignore_ascii_case(start))
    };
    begins(b"<!doctype html") || begins(b"<html")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_in_the_place_of_a_file_is_named_and_its_own_kinds_are_not() {
        let mut tar = vec![0; 512];
        tar[257..262].copy_from_slice(b"ustar");
        for (bytes, word) in [
            (&b""[..], "empty"),
            (b"\x1f\x8b\x08\0", "gunzip"),
            (b"PK\x03\x04\x14", "zip"),
            (&tar, "tar"),
            (
                b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
                "git lfs pull",
            ),
            (b"/annex/objects/SHA256E-s1--0.wav\n", "git annex get"),
            (b"\n<!DOCTYPE HTML><html>", "web page"),
        ] {
            assert!(foreign(bytes).is_some_and(|kind| kind.contains(word)), "{word}");
        }
        for bytes in [&b"RIFF\0\0\0\0WAVE"[..], b"path,label\n", b"PAR1", &[0xff, 0xd8, 0xff]] {
            assert_eq!(foreign(bytes), None, "{bytes:?}");
        }
    }
}
