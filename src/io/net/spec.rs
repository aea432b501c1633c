//! What the URI of a page says.

use std::fmt;
use std::hint::black_box;
use std::net::SocketAddr;

/// Where a page is, and for whom.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::io) struct PageSpec {
    pub(in crate::io) address: SocketAddr,
    pub(in crate::io) viewers: usize,
    /// Of the pictures, 1 to 100.
    pub(in crate::io) quality: u8,
    pub(in crate::io) token: Option<Token>,
}

impl PageSpec {
    /// Viewers that can be asked for.
    pub(in crate::io) const MOST_VIEWERS: usize = 16;
}

/// What whoever looks must know. Nothing prints it.
#[derive(Clone, PartialEq)]
pub struct Token(String);

impl Token {
    const LEAST: usize = 16;
    const MOST: usize = 128;

    /// # Errors
    ///
    /// When it is easily guessed, or would have to be written otherwise in a URL.
    pub fn new(text: String) -> Result<Self, String> {
        let plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b));
        match plain && (Self::LEAST..=Self::MOST).contains(&text.len()) {
            true => Ok(Self(text)),
            false => Err(format!(
                "token= has {} to {} letters, digits and -._~, as $(openssl rand -hex 16) makes them",
                Self::LEAST,
                Self::MOST
            )),
        }
    }

    pub(super) fn text(&self) -> &str {
        &self.0
    }

    /// Is it this? The time that takes tells at most its length.
    pub(super) fn is(&self, given: &str) -> bool {
        let pairs = self.0.bytes().zip(given.bytes());
        let differs = pairs.fold(0, |differs, (a, b)| black_box(differs | (a ^ b)));
        self.0.len() == given.len() && differs == 0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens() {
        let token = Token::new("0123456789abcdef".into()).unwrap();
        assert!(token.is("0123456789abcdef"));
        for wrong in ["", "0", "0123456789abcdeF", "1123456789abcdef", "0123456789abcdef0"] {
            assert!(!token.is(wrong), "{wrong}");
        }
        assert_eq!(format!("{token:?}"), "Token");
        for refused in ["short", "0123456789 abcdef", "0123456789%61bcdef", "0123456789abcdé.", &"x".repeat(129)] {
            let said = Token::new(refused.into()).unwrap_err();
            assert!(!said.contains(refused), "{said}");
        }
    }
}
