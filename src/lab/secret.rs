//! Random texts that only those know to whom the lab has given them.

use std::fmt;
use std::io;

use subtle::ConstantTimeEq as _;

/// 64 hexadecimal digits from the system's generator.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// Draws a new one; fails if the system has no randomness to give.
    pub(crate) fn draw() -> io::Result<Self> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(|error| io::Error::other(error.to_string()))?;
        Ok(Self(
            bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
        ))
    }

    /// Returns a known one.
    #[cfg(test)]
    pub(crate) fn of(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// Returns the text, for those who may know it.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// True if this is what was said. The time that it takes tells nothing of the secret.
    pub(crate) fn is(&self, said: &str) -> bool {
        same(&self.0, said)
    }
}

/// Compares two texts in a time that depends on their lengths only.
pub(crate) fn same(one: &str, other: &str) -> bool {
    one.as_bytes().ct_eq(other.as_bytes()).into()
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_known_by_its_text_only() {
        let [one, other] = [Secret::draw().unwrap(), Secret::draw().unwrap()];
        assert_eq!(one.text().len(), 64);
        assert!(one.is(one.text()) && !one.is(other.text()));
        assert!(!one.is("") && !one.is(&one.text()[..63]));
        assert_eq!(format!("{one:?}"), "Secret");
    }
}
