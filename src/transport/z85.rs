//! Z85, the text form of keys: ZeroMQ's specification 32. Four bytes are five letters.

/// Length of a key in bytes.
pub const KEY_BYTES: usize = 32;
/// Length of a key as text.
pub const KEY_LETTERS: usize = 40;

/// The letters, by their values.
const LETTERS: &[u8; 85] =
    b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#";

/// Returns a key as text.
#[must_use]
pub fn encode(key: &[u8; KEY_BYTES]) -> String {
    let mut text = String::with_capacity(KEY_LETTERS);
    for part in key.chunks_exact(4) {
        let number = part.iter().fold(0u32, |number, &byte| number << 8 | u32::from(byte));
        let digits = [85u32.pow(4), 85u32.pow(3), 85u32.pow(2), 85, 1].map(|unit| number / unit % 85);
        text.extend(digits.map(|digit| char::from(LETTERS[digit as usize])));
    }
    text
}

/// Reads a key.
///
/// # Errors
/// The place of the first letter that cannot be there, or of the end if letters are missing, in bytes.
pub fn decode(text: &[u8]) -> Result<[u8; KEY_BYTES], usize> {
    let mut key = [0; KEY_BYTES];
    for (at, &letter) in text.iter().enumerate() {
        if at == KEY_LETTERS || !LETTERS.contains(&letter) {
            return Err(at);
        }
    }
    if text.len() < KEY_LETTERS {
        return Err(text.len());
    }
    for (part, letters) in (0..).zip(text.chunks_exact(5)) {
        let value = |letter: &u8| LETTERS.iter().position(|known| known == letter).unwrap_or_default() as u64;
        let number = letters.iter().fold(0, |number, letter| number * 85 + value(letter));
        let number = u32::try_from(number).map_err(|_| part * 5)?;
        key[part * 4..][..4].copy_from_slice(&number.to_be_bytes());
    }
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification, four times.
    const EXAMPLE: ([u8; 8], &str) = ([0x86, 0x4f, 0xd2, 0x6f, 0xb5, 0x59, 0xf7, 0x5b], "HelloWorld");

    #[test]
    fn z85_is_as_the_specification_has_it() {
        let (bytes, text) = EXAMPLE;
        let key: [u8; KEY_BYTES] = bytes.repeat(4).try_into().unwrap();
        assert_eq!(encode(&key), text.repeat(4));
        assert_eq!(decode(text.repeat(4).as_bytes()), Ok(key));
        for key in [[0; KEY_BYTES], [0xff; KEY_BYTES]] {
            assert_eq!(decode(encode(&key).as_bytes()), Ok(key));
        }
    }

    #[test]
    fn z85_tells_where_a_text_is_no_key() {
        let good = "HelloWorld".repeat(4);
        for (text, at) in [
            (String::new(), 0),
            (good[..39].to_owned(), 39),
            (format!("{good}x"), 40),
            (good.replacen('W', "~", 1), 5),
            (format!("{}ä", &good[..38]), 38),
            // More than 32 bits.
            (good.replacen("World", "%nSc1", 1), 5),
            (good.replacen("World", "#####", 1), 5),
        ] {
            assert_eq!(decode(text.as_bytes()), Err(at), "{text}");
        }
    }
}
