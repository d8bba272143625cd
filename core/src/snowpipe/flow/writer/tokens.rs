//! [`Tokens`]: distinguishes the offset tokens of a load from those of other loads.

use crate::error::BuildError;
use crate::snowpipe::channels::ChannelStatus;
use crate::snowpipe::flow::ChannelLost;
use crate::snowpipe::rows::Batch;
use crate::snowpipe::tuning::MAX_PREFIX_BYTES;

/// The separator between the prefix and the token on the wire. Without it, row `05` of the load `load-1` would have the
/// same token as row `5` of the load `load-10`.
const SEPARATOR: char = '|';

/// The settings of [`OpenWriter`](super::OpenWriter) for offset tokens.
///
/// The prefix exists only on the wire. It is added to each sent batch and removed from each status, so the rest of the
/// writer handles the caller's tokens.
#[derive(Clone, Debug, Default)]
pub(super) struct Tokens {
    pub(super) prefix: Option<String>,
    /// Whether a committed token without the prefix is ignored when the channel is opened for the first time.
    pub(super) ignores_other_prefixes: bool,
    /// The ignored token. Any other token without the prefix belongs to another load that is still running.
    pub(super) ignored: Option<String>,
    /// Whether equal tokens mean equal rows also without a prefix.
    pub(super) unique: bool,
}

impl Tokens {
    /// Returns an error if the prefix cannot be used.
    pub(super) fn check(&self) -> Result<(), BuildError> {
        let Some(prefix) = self.prefix.as_deref() else { return Ok(()) };
        let wrong = |value: &str, problem| Err(BuildError::value("OpenWriter", "token_prefix", value, problem));
        if prefix.is_empty() || prefix.len() > MAX_PREFIX_BYTES {
            return wrong(&format!("of {} bytes: {prefix}", prefix.len()), "a prefix has 1 to 128 bytes");
        }
        if prefix.contains(SEPARATOR) {
            return wrong(prefix, "a prefix has no `|`: the writer puts one between the prefix and the offset token");
        }
        Ok(())
    }

    /// Returns whether equal tokens mean equal rows.
    pub(super) fn are_unique(&self) -> bool {
        self.unique || self.prefix.is_some()
    }

    /// Adds the prefix to the tokens of a batch.
    pub(super) fn add_to(&self, mut batch: Batch) -> Batch {
        if let Some(prefix) = &self.prefix {
            for token in [&mut batch.start_offset_token, &mut batch.end_offset_token].into_iter().flatten() {
                if !token.is_empty() {
                    token.insert(0, SEPARATOR);
                    token.insert_str(0, prefix);
                }
            }
        }
        batch
    }

    /// Removes the prefix from the tokens of a status. `is_first` says that no row of this load was sent before, as far
    /// as is known.
    ///
    /// # Errors
    /// If the committed token is of another load: [`ChannelLost::OtherLoad`] if `is_first`, otherwise
    /// [`ChannelLost::ForeignToken`].
    pub(super) fn remove_from(&mut self, status: &mut ChannelStatus, is_first: bool) -> Result<(), ChannelLost> {
        let Some(prefix) = &self.prefix else { return Ok(()) };
        let own = |token: &str| {
            let token = token.strip_prefix(&**prefix)?.strip_prefix(SEPARATOR)?;
            // A writer never sends an empty token.
            (!token.is_empty()).then(|| token.to_owned())
        };
        if let Some(token) = status.committed() {
            let ours = own(token);
            if ours.is_none() && is_first && self.ignores_other_prefixes {
                self.ignored = Some(token.to_owned());
            }
            if ours.is_none() && self.ignored.as_deref() != Some(token) {
                let token = token.to_owned();
                let prefix = prefix.clone();
                return Err(if is_first {
                    ChannelLost::OtherLoad { token, prefix }
                } else {
                    ChannelLost::ForeignToken { token }
                });
            }
            status.last_committed_offset_token = ours;
        }
        let bound = status.last_error_offset_upper_bound.take();
        status.last_error_offset_upper_bound = bound.and_then(|bound| own(&bound));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(prefix: &str) -> Tokens {
        Tokens { prefix: Some(prefix.to_owned()), ..Tokens::default() }
    }

    fn status(token: &str) -> ChannelStatus {
        let text = format!(
            r#"{{"channel_status_code":"SUCCESS","last_committed_offset_token":"{token}","last_error_offset_upper_bound":"{token}"}}"#
        );
        serde_json::from_str(&text).expect("a status")
    }

    #[test]
    fn the_prefix_is_on_the_wire_only() {
        let mut tokens = of("load");
        let sent = tokens.add_to(Batch::new("{}\n", 1, "", "7"));
        assert_eq!(
            (sent.start_offset_token.unwrap_or_default(), sent.end_offset_token.as_deref()),
            (String::new(), Some("load|7"))
        );
        let mut own = status("load|7");
        tokens.remove_from(&mut own, false).expect("of this load");
        assert_eq!((own.committed(), own.last_error_offset_upper_bound.as_deref()), (Some("7"), Some("7")));
        let mut plain = status("7");
        Tokens::default().remove_from(&mut plain, false).expect("any token");
        assert_eq!(plain.committed(), Some("7"));
    }

    #[test]
    fn a_token_of_another_load_counts_as_none_only_if_it_was_there_before() {
        let mut tokens = of("load");
        let other = ChannelLost::OtherLoad { token: "7".to_owned(), prefix: "load".to_owned() };
        assert_eq!(tokens.remove_from(&mut status("7"), true), Err(other));
        tokens.ignores_other_prefixes = true;
        for is_first in [true, false] {
            let mut before = status("7");
            tokens.remove_from(&mut before, is_first).expect("of an earlier load");
            assert_eq!(before.committed(), None);
        }
        let foreign = ChannelLost::ForeignToken { token: "8".to_owned() };
        assert_eq!(tokens.remove_from(&mut status("8"), false), Err(foreign), "that load is still running");
    }

    #[test]
    fn a_prefix_that_begins_another_prefix_does_not_match_its_tokens() {
        let row_5_of_load_10 = of("load-10").add_to(Batch::new("{}\n", 1, "5", "5")).end_offset_token.expect("a token");
        for token in [&*row_5_of_load_10, "load-105", "load-1", "load-1|"] {
            let other = ChannelLost::OtherLoad { token: token.to_owned(), prefix: "load-1".to_owned() };
            assert_eq!(of("load-1").remove_from(&mut status(token), true), Err(other), "{token}");
            let mut ignoring = Tokens { ignores_other_prefixes: true, ..of("load-1") };
            let mut status = status(token);
            ignoring.remove_from(&mut status, true).expect("of another load");
            assert_eq!(status.committed(), None, "{token}");
        }
    }

    #[test]
    fn the_rejected_row_of_another_load_has_no_token_here() {
        let mut tokens = Tokens { ignores_other_prefixes: true, ..of("tuesday") };
        let mut before = status("monday|5");
        tokens.remove_from(&mut before, true).expect("of an earlier load");
        assert_eq!(before.last_error_offset_upper_bound, None);
    }

    #[test]
    fn a_prefix_that_is_empty_or_too_long_or_has_a_separator_is_rejected() {
        let check = |prefix: &str| of(prefix).check().map_err(|error| error.to_string());
        assert_eq!(check(&"x".repeat(MAX_PREFIX_BYTES)), Ok(()));
        for (prefix, problem) in
            [("", "of 0 bytes"), (&*"x".repeat(MAX_PREFIX_BYTES + 1), "of 129 bytes"), ("a|b", "`|`")]
        {
            let error = check(prefix).expect_err("no prefix");
            assert!(error.contains(problem), "{error}");
        }
    }
}
