//! Words of records and files as they are shown: never a control character, never a whole file.

/// The most characters that an error quotes of a file.
const QUOTED: usize = 60;

/// Whether a character moves the cursor, colours, hides or reorders what is shown instead of being
/// shown: control characters (C0 and C1), marks of direction, and separators of lines.
pub fn is_control(c: char) -> bool {
    let reorders = matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || reorders || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}')
}

/// The text with the replacement character for each control character but line ends and tabs.
pub fn printable(text: &str) -> String {
    let shown = |c: char| {
        if is_control(c) && !matches!(c, '\n' | '\t') {
            '\u{fffd}'
        } else {
            c
        }
    };
    text.replace("\r\n", "\n").chars().map(shown).collect()
}

/// The text on one line of printable characters.
pub fn on_one_line(text: &str) -> String {
    let shown = |c: char| match c {
        '\n' | '\r' | '\t' => ' ',
        c if is_control(c) => '\u{fffd}',
        c => c,
    };
    text.chars().map(shown).collect()
}

/// The start of a text on one line, for an error that quotes a file.
pub fn excerpt(text: &str) -> String {
    let start: String = text.chars().take(QUOTED).collect();
    let rest = if start.len() < text.len() { "..." } else { "" };
    format!("{}{rest}", on_one_line(&start))
}

/// JSON text with an escape for each control character that JSON itself lets stand.
pub fn json_escaped(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            c if is_control(c) && c != '\n' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_shown_and_text_stays() {
        let text = "a\u{1b}]0;title\u{7}\u{9b}31m \u{202e}gnp.exe \u{2066}\r\nnext\tü 日本 ± \u{1f600}";
        let shown = "a\u{fffd}]0;title\u{fffd}\u{fffd}31m \u{fffd}gnp.exe \u{fffd}\nnext\tü 日本 ± \u{1f600}";
        assert_eq!(printable(text), shown);
        assert!(!on_one_line(text).contains(is_control));
    }

    #[test]
    fn an_excerpt_is_short_and_on_one_line() {
        assert_eq!(excerpt("a\nb"), "a b");
        let long = "ä".repeat(70);
        assert_eq!(excerpt(&long), format!("{}...", "ä".repeat(60)));
    }

    #[test]
    fn escaped_json_is_the_same_json() {
        let value = serde_json::json!({ "a\u{85}": "\u{202e}b\n\u{1b}", "c": [1.5, null] });
        let text = json_escaped(&format!("{value:#}"));
        assert!(!text.contains(|c| is_control(c) && c != '\n'), "{text}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).ok(), Some(value));
    }
}
