//! [`Tokens`]: how the offset tokens of a load differ from those of other loads.

use crate::error::BuildError;
use crate::snowpipe::flow::ChannelLost;
use crate::snowpipe::{Batch, ChannelStatus};

/// The longest prefix, in bytes. Two tokens with their prefixes must fit into a request line, percent-encoded.
pub(super) const MAX_PREFIX: usize = 128;

/// What [`OpenWriter`](super::OpenWriter) says about offset tokens.
///
/// The prefix exists on the wire only. It is added to a batch that is sent and removed from a status that comes, so that
/// everything in between knows the caller's own tokens.
#[derive(Clone, Debug, Default)]
pub(super) struct Tokens {
    pub(super) prefix: Option<String>,
    /// Whether a committed token without the prefix counts as none when the channel is opened for the first time.
    pub(super) ignores_other_prefixes: bool,
    /// The token that was committed then. Any other one without the prefix is of a load that goes on beside this one.
    pub(super) ignored: Option<String>,
    /// Whether equal tokens mean equal rows also without a prefix.
    pub(super) unique: bool,
}

impl Tokens {
    /// What is wrong with the prefix.
    pub(super) fn check(&self) -> Result<(), BuildError> {
        match self.prefix.as_deref() {
            Some(prefix) if prefix.len() > MAX_PREFIX => {
                let value = format!("of {} bytes: {prefix}", prefix.len());
                Err(BuildError::value("OpenWriter", "token_prefix", &value, "a prefix has up to 128 bytes"))
            }
            _ => Ok(()),
        }
    }

    /// Whether equal tokens mean equal rows.
    pub(super) fn are_unique(&self) -> bool {
        self.unique || self.prefix.is_some()
    }

    /// A batch as it is sent.
    pub(super) fn add_to(&self, mut batch: Batch) -> Batch {
        if let Some(prefix) = &self.prefix {
            for token in [&mut batch.start_offset_token, &mut batch.end_offset_token].into_iter().flatten() {
                if !token.is_empty() {
                    token.insert_str(0, prefix);
                }
            }
        }
        batch
    }

    /// A status with the caller's own tokens. `is_first` says that nothing of this load was ever sent, as far as is known.
    ///
    /// # Errors
    /// [`ChannelLost::ForeignToken`] if the committed token is of another load.
    pub(super) fn remove_from(&mut self, status: &mut ChannelStatus, is_first: bool) -> Result<(), ChannelLost> {
        let Some(prefix) = &self.prefix else { return Ok(()) };
        let own = |token: &str| token.strip_prefix(&**prefix).map(str::to_owned);
        if let Some(token) = status.committed() {
            let ours = own(token);
            if ours.is_none() && is_first && self.ignores_other_prefixes {
                self.ignored = Some(token.to_owned());
            }
            if ours.is_none() && self.ignored.as_deref() != Some(token) {
                return Err(ChannelLost::ForeignToken { token: token.to_owned() });
            }
            status.last_committed_offset_token = ours;
        }
        if let Some(bound) = &mut status.last_error_offset_upper_bound {
            *bound = own(bound).unwrap_or_default();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(token: &str) -> ChannelStatus {
        let text = format!(
            r#"{{"channel_status_code":"SUCCESS","last_committed_offset_token":"{token}","last_error_offset_upper_bound":"{token}"}}"#
        );
        serde_json::from_str(&text).expect("a status")
    }

    #[test]
    fn the_prefix_is_on_the_wire_only() {
        let mut tokens = Tokens { prefix: Some("load-".to_owned()), ..Tokens::default() };
        let sent = tokens.add_to(Batch::new("{}\n", 1, "", "7"));
        assert_eq!(
            (sent.start_offset_token.unwrap_or_default(), sent.end_offset_token.as_deref()),
            (String::new(), Some("load-7"))
        );
        let mut own = status("load-7");
        tokens.remove_from(&mut own, false).expect("of this load");
        assert_eq!((own.committed(), own.last_error_offset_upper_bound.as_deref()), (Some("7"), Some("7")));
        let mut plain = status("7");
        Tokens::default().remove_from(&mut plain, false).expect("any token");
        assert_eq!(plain.committed(), Some("7"));
    }

    #[test]
    fn a_token_of_another_load_counts_as_none_only_if_it_was_there_before() {
        let mut tokens = Tokens { prefix: Some("load-".to_owned()), ..Tokens::default() };
        let foreign = |token: &str| Err(ChannelLost::ForeignToken { token: token.to_owned() });
        assert_eq!(tokens.remove_from(&mut status("7"), true), foreign("7"));
        tokens.ignores_other_prefixes = true;
        for is_first in [true, false] {
            let mut before = status("7");
            tokens.remove_from(&mut before, is_first).expect("of an earlier load");
            assert_eq!(before.committed(), None);
        }
        assert_eq!(tokens.remove_from(&mut status("8"), false), foreign("8"), "that load goes on");
    }

    #[test]
    fn a_prefix_that_would_not_fit_is_rejected() {
        let tokens = |length| Tokens { prefix: Some("x".repeat(length)), ..Tokens::default() };
        assert!(tokens(MAX_PREFIX).check().is_ok());
        let error = tokens(MAX_PREFIX + 1).check().expect_err("too long").to_string();
        assert!(error.contains("of 129 bytes") && error.contains("up to 128 bytes"), "{error}");
    }
}
