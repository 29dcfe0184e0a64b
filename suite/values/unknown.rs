//! A name that no list has, with the closest one that exists.

/// A name that is in no registry, with the names that are.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown {kind} `{name}`{}", self.advice())]
pub struct UnknownName {
    /// What the name should have been one of: "task", "preset", "plan value".
    pub kind: &'static str,
    pub name: String,
    /// All names that exist.
    pub known: Vec<String>,
}

/// Longer lists are not printed if there is a close name.
const LONG_LIST: usize = 16;

impl UnknownName {
    /// Says that `name` is no `kind`.
    pub fn new<S: Into<String>>(kind: &'static str, name: &str, known: impl IntoIterator<Item = S>) -> Self {
        Self {
            kind,
            name: name.to_owned(),
            known: known.into_iter().map(Into::into).collect(),
        }
    }

    fn advice(&self) -> String {
        let close = closest(&self.name, &self.known);
        let listed = if self.known.len() <= LONG_LIST || close.is_none() {
            format!("known: {}", self.known.join(", "))
        } else {
            String::new()
        };
        match close {
            Some(close) if listed.is_empty() => format!("; did you mean `{close}`?"),
            Some(close) => format!("; did you mean `{close}`? ({listed})"),
            None => format!("; {listed}"),
        }
    }
}

/// The known name most like `name`, if one is close enough to be a slip of the hand.
///
/// The last part of a dotted name is enough: `epochs` finds `pretrain.encoder.epochs`.
pub fn closest<'a>(name: &str, known: &'a [String]) -> Option<&'a str> {
    let likeness = |candidate: &str| {
        let whole = strsim::jaro_winkler(name, candidate);
        let last = candidate
            .rsplit('.')
            .next()
            .map_or(0.0, |part| strsim::jaro_winkler(name, part));
        whole.max(last)
    };
    known
        .iter()
        .map(|candidate| (likeness(candidate), candidate.as_str()))
        .filter(|(likeness, _)| *likeness >= 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(a.1)))
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_find_their_name_and_strangers_see_the_list() {
        let known = ["esc50", "synthetic", "synthetic-image"];
        let slip = UnknownName::new("task", "ecs50", known).to_string();
        assert_eq!(
            slip,
            "unknown task `ecs50`; did you mean `esc50`? (known: esc50, synthetic, synthetic-image)"
        );
        let stranger = UnknownName::new("task", "zzz", known).to_string();
        assert_eq!(stranger, "unknown task `zzz`; known: esc50, synthetic, synthetic-image");
    }

    #[test]
    fn the_last_part_of_a_dotted_name_is_enough() {
        let known = ["pretrain.encoder.epochs".to_owned(), "pretrain.batch".to_owned()];
        assert_eq!(closest("epoch", &known), Some("pretrain.encoder.epochs"));
        assert_eq!(closest("pretrain.bacth", &known), Some("pretrain.batch"));
        assert_eq!(closest("frobnicate", &known), None);
    }
}
