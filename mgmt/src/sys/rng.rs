//! Randomness from the system, suitable for secrets.

use std::io;

use zeroize::{Zeroize as _, Zeroizing};

use super::if_simulated;

/// Fills the buffer with random bytes.
///
/// # Errors
/// The system has no randomness to give (very early during boot, in a sandbox).
pub fn fill(buffer: &mut [u8]) -> io::Result<()> {
    if_simulated!(host => {
        host.fill(buffer);
        Ok(())
    });
    getrandom::fill(buffer).map_err(io::Error::from)
}

/// A random number.
///
/// # Errors
/// As [`fill`].
pub fn number() -> io::Result<u64> {
    let mut bytes = [0; 8];
    fill(&mut bytes)?;
    Ok(u64::from_ne_bytes(bytes))
}

/// `count` characters drawn evenly and independently from the alphabet. The text is wiped from memory when dropped.
///
/// # Errors
/// The alphabet is empty or has more than 256 characters, or the system has no randomness to give.
pub fn letters(count: usize, alphabet: &str) -> io::Result<Zeroizing<String>> {
    let alphabet: Vec<char> = alphabet.chars().collect();
    if alphabet.is_empty() || alphabet.len() > 256 {
        let why = format!("an alphabet has 1 to 256 characters, not {}", alphabet.len());
        return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    }
    // A byte beyond the last whole multiple would favour the first letters: draw again.
    let limit = 256 - 256 % alphabet.len();
    let width = alphabet.iter().map(|c| c.len_utf8()).max().unwrap_or(1);
    // The text never grows, so no copy stays behind in freed memory.
    let mut text = Zeroizing::new(String::with_capacity(count * width));
    let mut bytes = [0; 64];
    let mut missing = count;
    while missing > 0 {
        fill(&mut bytes)?;
        for byte in bytes.iter().map(|b| usize::from(*b)).filter(|b| *b < limit).take(missing) {
            text.push(alphabet[byte % alphabet.len()]);
            missing -= 1;
        }
    }
    bytes.zeroize();
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_differ_from_call_to_call() {
        let (mut a, mut b) = ([0; 32], [0; 32]);
        fill(&mut a).unwrap();
        fill(&mut b).unwrap();
        assert_ne!(a, b);
        assert_ne!(a, [0; 32]);
    }

    #[test]
    fn letters_come_from_the_alphabet_in_the_number_asked_for() {
        assert_eq!(*letters(0, "ab").unwrap(), "");
        assert_eq!(*letters(1000, "x").unwrap(), "x".repeat(1000));
        let text = letters(500, "aä€😀").unwrap();
        assert_eq!(text.chars().count(), 500);
        assert!(text.chars().all(|c| "aä€😀".contains(c)));
        assert!("aä€😀".chars().all(|c| text.contains(c)), "each of four letters is among 500 draws");
        assert!(letters(1, "").is_err());
        assert!(letters(1, &"a".repeat(257)).is_err());
    }

    #[test]
    fn no_letter_is_favoured() {
        // 256 is not a multiple of 200: with the remainder, the first 56 letters would be drawn twice as often as the
        // others.
        let alphabet: String = (0..200).map(|n| char::from_u32(0x4e00 + n).unwrap()).collect();
        let draws = 100_000;
        let text = letters(draws, &alphabet).unwrap();
        let first = text.chars().filter(|c| (*c as u32) < 0x4e00 + 56).count();
        // Expected 28 000 with a standard deviation of 142; biased it would be 43 750.
        assert!((27_000..29_000).contains(&first), "{first}");
    }
}
