//! JSON, written straight into text and squeezed out of it.
//!
//! An event is mostly one large string between a few fixed pieces; a tree of values would be built
//! only to be walked once. What is written here is exact JSON: the two rules are which characters
//! are escaped and how.

/// What each byte becomes inside a string: 0 as it is, `u` as `\u00XX`, else `\` and that letter.
const ESCAPES: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 0x20 {
        table[byte] = b'u';
        byte += 1;
    }
    table[0x08] = b'b';
    table[0x09] = b't';
    table[0x0a] = b'n';
    table[0x0c] = b'f';
    table[0x0d] = b'r';
    table[b'"' as usize] = b'"';
    table[b'\\' as usize] = b'\\';
    table
};

/// Appends a string, quotes included.
pub(crate) fn string(text: &str, out: &mut String) {
    out.push('"');
    contents(text, out);
    out.push('"');
}

/// Appends what stands between a string's quotes.
pub(crate) fn contents(text: &str, out: &mut String) {
    let mut done = 0;
    for (at, byte) in text.bytes().enumerate() {
        let escape = ESCAPES[usize::from(byte)];
        if escape == 0 {
            continue;
        }
        // What is escaped is ASCII, so `at` is where a character begins, and `at + 1` too.
        out.push_str(&text[done..at]);
        out.push('\\');
        if escape == b'u' {
            const DIGITS: &[u8; 16] = b"0123456789abcdef";
            out.push_str("u00");
            out.push(DIGITS[usize::from(byte >> 4)].into());
            out.push(DIGITS[usize::from(byte & 15)].into());
        } else {
            out.push(escape.into());
        }
        done = at + 1;
    }
    out.push_str(&text[done..]);
}

/// Whether valid JSON has blanks between its tokens.
pub(crate) fn is_loose(json: &[u8]) -> bool {
    let mut strings = Strings::default();
    json.iter().any(|byte| !strings.within(*byte) && is_blank(*byte))
}

/// Valid JSON without blanks between its tokens; strings and numbers keep their spelling.
pub(crate) fn compact(json: &[u8]) -> Vec<u8> {
    let mut strings = Strings::default();
    json.iter().copied().filter(|byte| strings.within(*byte) || !is_blank(*byte)).collect()
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// Follows strings through JSON.
#[derive(Default)]
struct Strings {
    inside: bool,
    escaped: bool,
}

// === impl Strings ===

impl Strings {
    /// Whether this byte, the next one, belongs to a string.
    fn within(&mut self, byte: u8) -> bool {
        let was_inside = self.inside;
        if self.escaped {
            self.escaped = false;
        } else if byte == b'"' {
            self.inside = !self.inside;
        } else if byte == b'\\' && self.inside {
            self.escaped = true;
        }
        was_inside || self.inside
    }
}

#[cfg(test)]
mod tests;
