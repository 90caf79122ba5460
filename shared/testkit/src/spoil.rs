//! A record with a text that its types cannot hold, as a stranger may write it.

/// `value` with `by` in the place of the text `text`, which must be in it and as long: Avro writes
/// a text with its length before it.
///
/// # Panics
/// When `text` is not in `value`, or not as long as `by`.
pub fn spoil(value: &mut [u8], text: &str, by: &str) {
    assert_eq!(text.len(), by.len(), "{by:?} is not as long as {text:?}");
    let found = value.windows(text.len()).position(|window| window == text.as_bytes());
    let at = found.unwrap_or_else(|| panic!("there is no {text:?} in the value"));
    value[at..at + by.len()].copy_from_slice(by.as_bytes());
}
