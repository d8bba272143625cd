//! The serialized job graph that Flink's Java client submits: the simulator reads the job's id and name out of it, and
//! nothing else.
//!
//! A serialized Java object describes each class where it occurs first, and the fields of the object follow. The id of
//! a job is an object with two numbers, and in a graph its name is the field behind it:
//!
//! ```text
//! class JobID, its serial number, flags, 0 fields, x
//!   class AbstractID, its serial number, flags, 2 fields, x p      or a reference to it: q and 4 bytes
//! 16 bytes of the id
//! t, length, name                                                 or a reference to the same text elsewhere
//! ```

/// Begins each stream of serialized objects.
pub(super) const STREAM: &[u8] = &[0xac, 0xed, 0x00, 0x05];

const JOB_ID: &[u8] = b"\x00\x21org.apache.flink.api.common.JobID";
const ABSTRACT_ID: &[u8] = b"r\x00\x20org.apache.flink.util.AbstractID";
const FIELDS: &[u8] = b"\x00\x02J\x00\x09lowerPartJ\x00\x09upperPartxp";

/// What a graph says of its job.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct JobGraph {
    /// 32 hex digits.
    pub(super) id: String,
    /// `None` if the name is a reference to a text elsewhere in the stream.
    pub(super) name: Option<String>,
}

impl JobGraph {
    /// Reads a stream; `None` if it has no job.
    pub(super) fn read(stream: &[u8]) -> Option<Self> {
        let stream = stream.strip_prefix(STREAM)?;
        let at = stream.windows(JOB_ID.len()).position(|window| window == JOB_ID)?;
        // The serial number, the flags, no field, and the end of what the class is annotated with.
        let rest = stream.get(at + JOB_ID.len() + 8 + 1..)?.strip_prefix(b"\x00\x00x")?;
        let rest = match rest.strip_prefix(ABSTRACT_ID) {
            Some(rest) => rest.get(8 + 1..)?.strip_prefix(FIELDS)?,
            None => rest.strip_prefix(b"q")?.get(4..)?,
        };
        let (id, rest) = rest.split_first_chunk::<16>()?;
        Some(Self { id: format!("{:032x}", u128::from_be_bytes(*id)), name: text(rest) })
    }
}

fn text(rest: &[u8]) -> Option<String> {
    let (length, rest) = rest.strip_prefix(b"t")?.split_first_chunk::<2>()?;
    let text = rest.get(..usize::from(u16::from_be_bytes(*length)))?;
    Some(String::from_utf8_lossy(text).into_owned())
}

/// A stream with a job graph, as far as it is read here.
#[cfg(test)]
pub(super) fn written(id: [u8; 16], name: &str) -> Vec<u8> {
    let length = u16::try_from(name.len()).expect("a short name").to_be_bytes();
    let number = [0, 0, 0, 0, 0, 0, 0, 1, 2];
    let before = b"sr\x00\x1dsome.Graph, before it the JobIDsr";
    let parts: [&[u8]; 12] = [
        STREAM,
        before,
        JOB_ID,
        &number,
        b"\x00\x00x",
        ABSTRACT_ID,
        &number,
        FIELDS,
        &id,
        b"t",
        &length,
        name.as_bytes(),
    ];
    parts.concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: [u8; 16] = *b"\x22\x3d\xca\x8d\x26\xf6\x1f\x0d\xbf\x85\x9f\x76\xee\xee\xe3\xd8";

    #[test]
    fn id_and_name_are_read() {
        let expected = JobGraph { id: "223dca8d26f61f0dbf859f76eeeee3d8".into(), name: Some("endless".into()) };
        assert_eq!(JobGraph::read(&written(ID, "endless")), Some(expected));
    }

    #[test]
    fn a_name_that_is_a_reference_is_not_known() {
        let stream = written(ID, "endless");
        let mut stream = stream[..stream.len() - "t\0\x07endless".len()].to_vec();
        stream.extend(b"q\x00\x7e\x00\x05");
        assert_eq!(JobGraph::read(&stream).map(|graph| graph.name), Some(None));
    }

    #[test]
    fn a_stream_that_is_cut_anywhere_is_read_without_a_panic() {
        let stream = written(ID, "endless");
        let whole = stream.len();
        for end in 0..whole {
            let read = JobGraph::read(&stream[..end]);
            assert!(read.is_none_or(|graph| graph.name.is_none()), "{end} of {whole}");
        }
        assert_eq!(JobGraph::read(b"rubbish"), None);
    }
}
