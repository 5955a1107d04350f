//! Names as parts of paths and keys.

/// The text with `%` and two digits in the place of each byte of a character that does not stay. `stays` gets the place
/// of the character, in bytes, too.
pub(crate) fn percent_encoded(text: &str, stays: impl Fn(usize, char) -> bool) -> String {
    let mut encoded = String::with_capacity(text.len());
    for (at, c) in text.char_indices() {
        if stays(at, c) {
            encoded.push(c);
        } else {
            let mut bytes = [0; 4];
            c.encode_utf8(&mut bytes).bytes().for_each(|byte| encoded.push_str(&format!("%{byte:02X}")));
        }
    }
    encoded
}

/// The text that was encoded. `None`: what `%` begins is no byte, or the bytes are no text. Several spellings may stand
/// for one text: encode it again to know whether it is the right one.
pub(crate) fn percent_decoded(encoded: &str) -> Option<String> {
    let (mut bytes, mut rest) = (Vec::with_capacity(encoded.len()), encoded.as_bytes());
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        if *byte == b'%' {
            let (digits, after) = rest.split_at_checked(2)?;
            bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
            rest = after;
        } else {
            bytes.push(*byte);
        }
    }
    String::from_utf8(bytes).ok()
}

/// The text as a part of a key, without characters that have a meaning there: each text has one form.
pub(crate) fn key_part(text: &str) -> String {
    percent_encoded(text, |_, c| c.is_ascii_alphanumeric() || "._-:".contains(c))
}

/// The text of a part of a key; `None`: it is not in the form that [`key_part`] writes.
pub(crate) fn text_of_key_part(part: &str) -> Option<String> {
    percent_decoded(part).filter(|text| key_part(text) == part)
}
