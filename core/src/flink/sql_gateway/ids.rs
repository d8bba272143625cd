//! Ids as newtypes, so that the compiler tells them apart.

use std::fmt;

use crate::flink::ids::ids;

/// Five groups of hexadecimal digits, of either case.
fn uuid(text: &str) -> Option<u128> {
    let mut bits = 0_u128;
    let mut groups = text.split('-');
    for length in [8, 4, 4, 4, 12] {
        let group = groups.next().filter(|group| group.len() == length)?;
        for digit in group.chars() {
            bits = bits << 4 | u128::from(digit.to_digit(16)?);
        }
    }
    groups.next().is_none().then_some(bits)
}

/// The same, in lower case.
fn write_uuid(bits: u128, to: &mut dyn fmt::Write) -> fmt::Result {
    let part = |shift: u32, digits: u32| (bits >> shift) & ((1 << (4 * digits)) - 1);
    let (first, second, third, fourth, last) = (part(96, 8), part(80, 4), part(64, 4), part(48, 4), part(0, 12));
    write!(to, "{first:08x}-{second:04x}-{third:04x}-{fourth:04x}-{last:012x}")
}

ids! {
    "a UUID", uuid, write_uuid;
    /// The id of a session of the gateway.
    SessionHandle;
    /// The id of a statement that was submitted to a session.
    OperationHandle;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuids_are_read_in_either_case_and_written_in_lower() {
        let text = "8eedbabe-e89b-48d3-a631-479f4c7d928e";
        for given in [text, &text.to_uppercase()] {
            assert_eq!(given.parse::<SessionHandle>().map(|handle| handle.to_string()), Ok(text.to_owned()));
        }
        for bad in [
            "",
            "xyz",
            "8eedbabee89b48d3a631479f4c7d928e",
            "8eedbabe-e89b-48d3-a631-479f4c7d928e-",
            "+eedbabe-e89b-48d3-a631-479f4c7d928e",
        ] {
            let error = bad.parse::<OperationHandle>().expect_err(bad).to_string();
            assert!(error.contains("must be a UUID"), "{error}");
        }
    }
}
