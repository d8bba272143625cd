//! Serialized Java objects in answers, whole and as `java.io.ObjectOutputStream` writes them: Java clients read them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// All of an `OptionalFailure` around a `Long` that stands before the number.
const LONG: &[u8] = b"\xac\xed\x00\x05\
    sr\x00\x25org.apache.flink.util.OptionalFailure\x00\x00\x00\x00\x00\x00\x00\x01\x03\x00\x01\
    L\x00\x0cfailureCauset\x00\x15Ljava/lang/Throwable;xp\
    psr\x00\x0ejava.lang.Long\x3b\x8b\xe4\x90\xcc\x8f\x23\xdf\x02\x00\x01J\x00\x05value\
    xr\x00\x10java.lang.Number\x86\xac\x95\x1d\x0b\x94\xe0\x8b\x02\x00\x00xp";

/// The start of a stream, and the class of the object in it with its two superclasses.
const THROWABLE: &[u8] = b"\xac\xed\x00\x05\
    sr\x00\x29org.apache.flink.util.SerializedThrowable\x65\x16\x9d\xf5\x1f\xa7\x13\xf3\x02\x00\x03\
    L\x00\x19fullStringifiedStackTracet\x00\x12Ljava/lang/String;\
    L\x00\x16originalErrorClassNameq\x00\x7e\x00\x01\
    [\x00\x13serializedExceptiont\x00\x02[B\
    xr\x00\x13java.lang.Exception\xd0\xfd\x1f\x3e\x1a\x3b\x1c\xc4\x02\x00\x00\
    xr\x00\x13java.lang.Throwable\xd5\xc6\x35\x27\x39\x77\xb8\xcb\x03\x00\x04\
    L\x00\x05causet\x00\x15Ljava/lang/Throwable;\
    L\x00\x0ddetailMessageq\x00\x7e\x00\x01\
    [\x00\x0astackTracet\x00\x1e[Ljava/lang/StackTraceElement;\
    L\x00\x14suppressedExceptionst\x00\x10Ljava/util/List;xp";

/// Another object of the class that the stream began with.
const SAME_CLASS: &[u8] = b"sq\x00\x7e\x00\x00";
const NULL: u8 = b'p';
const END_OF_BLOCK: u8 = b'x';

/// The result of an accumulator.
pub(super) fn long(value: u64) -> String {
    let mut stream = LONG.to_vec();
    stream.extend(value.to_be_bytes());
    stream.push(END_OF_BLOCK);
    STANDARD.encode(stream)
}

/// A throwable of a chain, without its causes.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) class: &'static str,
    pub(super) message: String,
    /// With the causes.
    pub(super) stack_trace: String,
}

/// A `SerializedThrowable` with its causes. It has their texts, and not the exceptions that they are of.
pub(super) fn throwable(chain: &[Link]) -> String {
    let mut stream = THROWABLE.to_vec();
    // Each object begins with its cause; the innermost has none.
    for _ in chain.iter().skip(1) {
        stream.extend(SAME_CLASS);
    }
    stream.push(NULL);
    for link in chain.iter().rev() {
        text(&mut stream, &link.message);
        // Neither stack trace elements nor suppressed exceptions.
        stream.extend([NULL, NULL, END_OF_BLOCK]);
        text(&mut stream, &link.stack_trace);
        text(&mut stream, link.class);
        stream.push(NULL);
    }
    STANDARD.encode(stream)
}

/// Writes a text in Java's own UTF-8, in which what is not ASCII here is replaced.
fn text(stream: &mut Vec<u8>, text: &str) {
    let bytes: Vec<u8> = text.chars().map(|c| u8::try_from(c).ok().filter(u8::is_ascii).unwrap_or(b'?')).collect();
    if let Ok(length) = u16::try_from(bytes.len()) {
        stream.push(b't');
        stream.extend(length.to_be_bytes());
    } else {
        stream.push(b'|');
        stream.extend((bytes.len() as u64).to_be_bytes());
    }
    stream.extend(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_accumulator_is_serialized_as_a_server_does() {
        assert!(long(200).ends_with("TgiwIAAHhwAAAAAAAAAMh4"));
        assert!(long(574).ends_with("TgiwIAAHhwAAAAAAAAAj54"));
    }

    #[test]
    fn a_throwable_holds_its_cause_before_its_own_texts() {
        let link =
            |class, message: &str| Link { class, message: message.into(), stack_trace: format!("{message}, at") };
        let stream = STANDARD.decode(throwable(&[link("a.B", "öuter"), link("c.D", "inner")])).expect("base64");
        let rest = stream.strip_prefix(THROWABLE).expect("the head that servers send");
        let inner = b"pt\x00\x05innerppxt\x00\x09inner, att\x00\x03c.Dp";
        let outer = b"t\x00\x05?uterppxt\x00\x09?uter, att\x00\x03a.Bp";
        assert_eq!(rest, [SAME_CLASS, inner, outer].concat());
    }

    #[test]
    fn a_long_text_has_a_long_length() {
        let mut stream = Vec::new();
        text(&mut stream, &"x".repeat(70_000));
        assert_eq!(&stream[..9], b"|\x00\x00\x00\x00\x00\x01\x11\x70");
    }
}
