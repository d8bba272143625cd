//! Keys of fields in other styles than their names, while compiling.
#![allow(
    clippy::indexing_slicing,
    reason = "slices have no `get` in constants, and a panic here is an error of the compiler"
)]

/// `start_time` as `start-time`.
pub(crate) mod kebab {
    pub(crate) const fn length(name: &str) -> usize {
        name.len()
    }

    pub(crate) const fn key<const LENGTH: usize>(name: &str) -> [u8; LENGTH] {
        let mut key = [0; LENGTH];
        let mut at = 0;
        while at < LENGTH {
            key[at] = if name.as_bytes()[at] == b'_' { b'-' } else { name.as_bytes()[at] };
            at += 1;
        }
        key
    }
}

/// `start_time` as `startTime`.
pub(crate) mod camel {
    pub(crate) const fn length(name: &str) -> usize {
        let (mut at, mut length) = (0, 0);
        while at < name.len() {
            length += (name.as_bytes()[at] != b'_') as usize;
            at += 1;
        }
        length
    }

    pub(crate) const fn key<const LENGTH: usize>(name: &str) -> [u8; LENGTH] {
        let mut key = [0; LENGTH];
        let (mut at, mut length, mut is_first) = (0, 0, false);
        while at < name.len() {
            let byte = name.as_bytes()[at];
            if byte != b'_' {
                key[length] = if is_first { byte.to_ascii_uppercase() } else { byte };
                length += 1;
            }
            is_first = byte == b'_';
            at += 1;
        }
        key
    }
}

/// A key that one of these has made.
#[allow(clippy::panic, reason = "an error of the compiler")]
pub(crate) const fn text(key: &[u8]) -> &str {
    match std::str::from_utf8(key) {
        Ok(key) => key,
        Err(_) => panic!("the names of fields are ASCII"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_take_the_style_of_the_record() {
        assert_eq!(text(&kebab::key::<10>("start_time")), "start-time");
        let name = "slot_sharing_group_id";
        assert_eq!(text(&camel::key::<{ camel::length("slot_sharing_group_id") }>(name)), "slotSharingGroupId");
    }
}
