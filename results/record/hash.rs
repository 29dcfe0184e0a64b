//! The hash that a record holds of itself, which tells whether it is as it was written.

use super::{RecordError, RunRecord, sha256};

impl RunRecord {
    /// The record with the hash of its content.
    pub(crate) fn with_hash(self) -> Result<Self, RecordError> {
        // of what will be read: reading may round a number
        let read = Self::from_json(&self.to_json()?)?;
        let content_sha256 = Some(read.content_hash()?);
        Ok(Self { content_sha256, ..self })
    }

    /// Whether what is the same in every run of the plan is as it was written. Times, speeds, memory,
    /// id and machine are not looked at. True for older records, which hold no hash.
    pub fn is_unchanged(&self) -> bool {
        let written = self.content_sha256.as_ref();
        written.is_none_or(|written| self.content_hash().is_ok_and(|found| found == *written))
    }

    fn content_hash(&self) -> Result<String, RecordError> {
        Ok(sha256(self.comparable()?.to_string().as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

    use super::*;
    use crate::fixtures;

    #[test]
    fn every_flipped_bit_is_noticed_or_of_what_may_vary() {
        let record = fixtures::record(0, 165).with_hash().unwrap();
        let text = record.to_json().unwrap();
        assert!(RunRecord::from_json(&text).unwrap().is_unchanged());
        let (mut noticed, mut harmless) = (0, 0);
        for bit in 0..8 * text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let Some(read) = String::from_utf8(bytes)
                .ok()
                .and_then(|text| RunRecord::from_json(&text).ok())
            else {
                continue;
            };
            if read.is_unchanged() {
                assert_eq!(read.comparable().unwrap(), record.comparable().unwrap(), "bit {bit}");
                harmless += 1;
            } else {
                noticed += 1;
            }
        }
        assert!(noticed > harmless, "{noticed} and {harmless}");
    }
}
