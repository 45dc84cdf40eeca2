//! Why a request got no answer, in one line for a person.
//!
//! The SDK's own text ends in a debug print of every layer; the innermost cause has the useful message.

use std::error::Error;

/// The innermost cause of `error`, on one line.
pub(crate) fn cause(error: &dyn Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    let lines: Vec<String> = innermost.to_string().lines().map(|line| line.trim().to_owned()).collect();
    lines.join("; ")
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn the_innermost_cause_on_one_line() {
        let inner = io::Error::other("no credentials:\n  none in the environment");
        assert_eq!(cause(&io::Error::other(inner)), "no credentials:; none in the environment");
    }
}
