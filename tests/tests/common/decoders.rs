//! The decoders beside a simple model: in whatever pieces the bytes arrive, the items and the error are the same.

use pipewright::decode::{DecodeError, Decoder, End, LineLimit, Lines, NdJson};
use proptest::prelude::*;

/// What came out: the items, and how it ended.
type Outcome = (Vec<Vec<u8>>, Result<(), DecodeError>);

/// Feeds pieces as a driver does, and reads after each.
fn drive<D>(decoder: &mut D, pieces: &[&[u8]], end: End) -> Outcome
where
    D: for<'a> Decoder<Item<'a> = &'a [u8]> + 'static,
{
    let mut items = Vec::new();
    assert!(decoder.item().is_empty(), "before the first item");
    for piece in pieces {
        decoder.feed(piece);
        if let Err(error) = drain(decoder, &mut items) {
            return (items, Err(error));
        }
    }
    let ended = decoder.finish(end);
    let drained = drain(decoder, &mut items);
    decoder.feed(b"after the end\n");
    assert_eq!(drain(decoder, &mut items), drained, "bytes after the end are ignored");
    (items, ended.and(drained))
}

fn drain<D>(decoder: &mut D, items: &mut Vec<Vec<u8>>) -> Result<(), DecodeError>
where
    D: for<'a> Decoder<Item<'a> = &'a [u8]> + 'static,
{
    loop {
        match decoder.advance() {
            Ok(true) => items.push(decoder.item().to_vec()),
            Ok(false) => {
                assert!(decoder.item().is_empty(), "no item without input");
                return Ok(());
            }
            Err(error) => {
                decoder.feed(b"more\n");
                assert_eq!(decoder.advance(), Err(error.clone()), "errors stay");
                assert_eq!(decoder.finish(End::Complete), Err(error.clone()), "also at the end");
                return Err(error);
            }
        }
    }
}

/// Lines, by definition: leave out a byte order mark at the beginning, split at `\n`, strip one `\r`, and the last one
/// counts if there is anything in it.
fn model_lines(input: &[u8], limit: usize, end: End) -> Outcome {
    let input = input.strip_prefix(MARK).unwrap_or(input);
    let mut items = Vec::new();
    let mut rest = input.split(|byte| *byte == b'\n').collect::<Vec<_>>();
    let open = rest.pop().unwrap_or_default();
    for line in rest {
        match model_line(line, limit, items.len()) {
            Ok(line) => items.push(line),
            Err(error) => return (items, Err(error)),
        }
    }
    let number = items.len() as u64 + 1;
    // More than a line and its `\r` can hold is too long, whatever would have come.
    if open.len() > limit + 1 {
        return (items, Err(DecodeError::TooLong { item: number, limit }));
    }
    match end {
        _ if open.is_empty() => (items, Ok(())),
        End::Truncated => (items, Err(DecodeError::Truncated { item: number })),
        End::Complete => match model_line(open, limit, items.len()) {
            Ok(line) => {
                items.push(line);
                (items, Ok(()))
            }
            Err(error) => (items, Err(error)),
        },
    }
}

fn model_line(line: &[u8], limit: usize, before: usize) -> Result<Vec<u8>, DecodeError> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let error = DecodeError::TooLong { item: before as u64 + 1, limit };
    if line.len() > limit { Err(error) } else { Ok(line.to_vec()) }
}

/// Rows: the lines that are not blank, up to the first that is no JSON, with numbers of their own.
fn model_rows(input: &[u8], limit: usize, end: End) -> Outcome {
    let (lines, ended) = model_lines(input, limit, end);
    let mut rows = Vec::new();
    for line in lines {
        let row = line.trim_ascii().to_vec();
        if row.is_empty() {
            continue;
        }
        if serde_json::from_slice::<serde::de::IgnoredAny>(&row).is_err() {
            let text = String::from_utf8_lossy(&row).replace(['\t', '\r'], " ");
            let (item, problem) = (rows.len() as u64 + 1, "not a JSON value".to_owned());
            return (rows, Err(DecodeError::Malformed { item, problem, excerpt: text }));
        }
        rows.push(row);
    }
    let number = rows.len() as u64 + 1;
    let ended = ended.map_err(|error| match error {
        DecodeError::TooLong { limit, .. } => DecodeError::TooLong { item: number, limit },
        DecodeError::Truncated { .. } => DecodeError::Truncated { item: number },
        other => other,
    });
    (rows, ended)
}

/// Cuts the input at some places.
fn cut<'a>(input: &'a [u8], cuts: &[proptest::sample::Index]) -> Vec<&'a [u8]> {
    let mut places: Vec<_> = cuts.iter().map(|cut| cut.index(input.len() + 1)).collect();
    places.extend([0, input.len()]);
    places.sort_unstable();
    places.windows(2).map(|pair| &input[pair[0]..pair[1]]).collect()
}

/// Half of them begin with a byte order mark.
fn bytes(tokens: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    let tokens = proptest::collection::vec(proptest::sample::select(tokens), 0..40);
    (any::<bool>(), tokens).prop_map(|(marked, tokens)| {
        let mark = if marked { MARK } else { &[] };
        [mark, tokens.concat().as_bytes()].concat()
    })
}

const MARK: &[u8] = "\u{feff}".as_bytes();
const LINES: &[&str] = &["\n", "\n", "\r\n", "\r", "a", "bc", "long line", "é", "\0", "\u{feff}"];
const ROWS: &[&str] =
    &["\u{feff}", "\n", "\n", "\n", "\r\n", " ", "\t", "{\"a\":1}", "[1,2]", "\"x\"", "-1.5", "true", "null", "{", "x"];

fn end() -> impl Strategy<Value = End> {
    prop_oneof![Just(End::Complete), Just(End::Truncated)]
}

fn cuts() -> impl Strategy<Value = Vec<proptest::sample::Index>> {
    proptest::collection::vec(any::<proptest::sample::Index>(), 0..12)
}

fn config() -> ProptestConfig {
    ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn lines_are_those_of_the_model_however_they_are_cut(
        input in bytes(LINES), cuts in cuts(), limit in 0_usize..24, end in end(),
    ) {
        let expected = model_lines(&input, limit, end);
        let mut decoder = Lines::new(LineLimit(limit));
        prop_assert_eq!(&drive(&mut decoder, &cut(&input, &cuts), end), &expected);
        prop_assert_eq!(decoder.count(), expected.0.len() as u64);
        // Byte by byte, and all at once.
        let single: Vec<_> = input.chunks(1).collect();
        prop_assert_eq!(&drive(&mut Lines::new(LineLimit(limit)), &single, end), &expected);
        prop_assert_eq!(&drive(&mut Lines::new(LineLimit(limit)), &[&input[..]], end), &expected);
    }

    /// Reading only at the end finds the same lines; of a line that is cut off and too long, either may be said.
    #[test]
    fn lines_that_are_read_late_are_the_same(input in bytes(LINES), cuts in cuts(), end in end()) {
        let (expected, ended) = model_lines(&input, 1000, end);
        let mut decoder = Lines::new(LineLimit(1000));
        for piece in cut(&input, &cuts) {
            decoder.feed(piece);
        }
        prop_assert_eq!(decoder.finish(end), ended);
        let mut items = Vec::new();
        prop_assert_eq!(drain(&mut decoder, &mut items), Ok(()));
        prop_assert_eq!(items, expected);
    }

    #[test]
    fn rows_are_those_of_the_model_however_they_are_cut(
        input in bytes(ROWS), cuts in cuts(), limit in 0_usize..24, end in end(),
    ) {
        let expected = model_rows(&input, limit, end);
        let mut decoder = NdJson::new(LineLimit(limit));
        let found = drive(&mut decoder, &cut(&input, &cuts), end);
        // The decoder looks at the ends of a row only, and lets the caller's parser find what is wrong in between.
        let sure = found.0.iter().all(|row| serde_json::from_slice::<serde::de::IgnoredAny>(row).is_ok());
        if sure {
            prop_assert_eq!(&found, &expected);
            prop_assert_eq!(decoder.count(), expected.0.len() as u64);
        } else {
            prop_assert!(found.0.starts_with(&expected.0));
        }
        // And the pieces never matter.
        prop_assert_eq!(drive(&mut NdJson::new(LineLimit(limit)), &[&input[..]], end), found);
    }

    /// Rows that are read only at the end have the same numbers.
    #[test]
    fn rows_that_are_read_late_have_the_same_numbers(count in 0_usize..5, blank in 0_usize..4, read in any::<bool>()) {
        let input = "{}\n".repeat(count) + &"\r\n \n".repeat(blank) + "{\"cut\":";
        let mut decoder = NdJson::new(LineLimit::default());
        decoder.feed(input.as_bytes());
        let mut items = Vec::new();
        if read && decoder.advance().expect("good rows") {
            items.push(decoder.item().to_vec());
        }
        let expected = DecodeError::Truncated { item: count as u64 + 1 };
        prop_assert_eq!(decoder.finish(End::Truncated), Err(expected));
        prop_assert_eq!(drain(&mut decoder, &mut items), Ok(()));
        prop_assert_eq!(items.len(), count);
    }
}

#[test]
fn limits_are_exact() {
    for (line, good) in
        [("12345", true), ("123456", false), ("12345\r", true), ("123456\r", false), ("12345\r\r", false)]
    {
        for end in ["\n", ""] {
            let mut decoder = Lines::new(LineLimit(5));
            let input = format!("{line}{end}");
            let (items, ended) = drive(&mut decoder, &[input.as_bytes()], End::Complete);
            assert_eq!((items.len() == 1, ended.is_ok()), (good, good), "{line:?}");
        }
    }
    let error = DecodeError::TooLong { item: 1, limit: 5 }.to_string();
    assert!(error.contains("item 1") && error.contains("5 bytes") && error.contains("raise the limit"), "{error}");
}

/// What the decoder shows of itself grows with what it holds, so that this sees a buffer that is not emptied.
#[test]
fn a_line_without_an_end_is_not_collected() {
    let piece = [b'x'; 512];
    let mut decoder = Lines::new(LineLimit(1000));
    let size = |decoder: &Lines| format!("{decoder:?}").matches("120").count();
    for _ in 0..1000 {
        // Without reading in between, as the hardest case.
        decoder.feed(&piece);
        assert!(size(&decoder) <= 1002, "it holds {} bytes", size(&decoder));
    }
    assert_eq!(decoder.advance(), Err(DecodeError::TooLong { item: 1, limit: 1000 }));
    assert_eq!(size(&decoder), 0, "nothing of it is kept");
}

#[test]
fn lines_that_were_read_are_not_kept() {
    let mut decoder = Lines::new(LineLimit(1000));
    for _ in 0..10_000 {
        decoder.feed(b"xxxxxxxxxxxxxxxxxxxx\nxxxx\nxxx");
        while decoder.advance().expect("short lines") {}
        let held = format!("{decoder:?}").matches("120").count();
        assert!(held < 100, "it holds {held} bytes");
    }
}

#[test]
fn the_excerpt_of_a_bad_row_is_short() {
    let page = format!("<html>{}", "x".repeat(5000));
    let mut decoder = NdJson::new(LineLimit::default());
    decoder.feed(format!("{{}}\n\n{page}\n").as_bytes());
    assert_eq!(decoder.advance(), Ok(true));
    let error = decoder.advance().expect_err("no JSON").to_string();
    assert!(error.contains("item 2 cannot be read") && error.contains("<html>xx") && error.len() < 200, "{error}");
}
