//! Results of ad-hoc queries in each format: complete, cut off and failed.

use pipewright::decode::{DecodeError, End};
use pipewright::feldera::stream::QueryFormat;

use super::{query, text};

const TABLE: &[u8] = b"+----+---+\n| id | s |\n+----+---+\n| 1  | x |\n+----+---+";
const EMPTY_TABLE: &[u8] = b"+----+\n| id |\n+----+\n+----+";
const ROWS: &[u8] = b"{\"n\":1}\n{\"n\":2}\n";
const FILE: &[u8] = b"PAR1 some columns \x10\0\0\0PAR1";
const ARROW: &[u8] = b"\xff\xff\xff\xff\x10\0\0\0schema\xff\xff\xff\xff\0\0\0\0";
const HASH: &[u8] = b"8C1F0A7D5B2E4936A0C4D8E2F6B19375C0FFEE00112233445566778899AABBCC";

/// Rows come in batches, each as wide as its own rows: the last border may be wider or narrower than the first.
const WIDENED: &[u8] = b"+-----+--------+\n| id  | item   |\n+-----+--------+\n| 0   | item 0 |\n| 99999 | item 99999 |\n+-------+------------+";
const NARROWED: &[u8] = b"+----+---+\n| id | s |\n+----+---+\n| 10 | x |\n| 1 |  |\n+---+--+";
/// The name of a column may have several lines.
const TALL: &[u8] = b"+---+\n| a |\n| b |\n| c |\n+---+\n| 1 |\n+---+";

#[test]
fn a_text_result_is_whole_if_its_last_line_is_a_border_of_any_width() {
    for body in [WIDENED, NARROWED] {
        let (items, ended) = query(&QueryFormat::Text, body, End::Complete);
        assert_eq!((items.len(), ended), (6, Ok(())), "{}", text(body));
    }
}

#[test]
fn whole_results_end_without_an_error() {
    let results: [(QueryFormat, &[u8]); 10] = [
        (QueryFormat::Text, TABLE),
        (QueryFormat::Text, WIDENED),
        (QueryFormat::Text, NARROWED),
        (QueryFormat::Text, TALL),
        (QueryFormat::Text, EMPTY_TABLE),
        (QueryFormat::Json, ROWS),
        (QueryFormat::Json, b""),
        (QueryFormat::Parquet, FILE),
        (QueryFormat::ArrowIpc, ARROW),
        (QueryFormat::Hash, HASH),
    ];
    for (format, body) in results {
        let (items, ended) = query(&format, body, End::Complete);
        assert_eq!(ended, Ok(()), "{format:?}");
        let sent = text(body).replace('\n', "");
        assert_eq!(items.concat(), sent, "{format:?}");
        // The connection broke off behind the last byte: JSON alone cannot tell.
        let (_, ended) = query(&format, body, End::Truncated);
        assert_eq!(ended.is_ok(), format == QueryFormat::Json, "{format:?}");
    }
}

/// A proxy ends every body properly. Wherever it does, a format that knows its own end says that it was not there; of
/// JSON a cut between two lines cannot be told.
#[test]
fn results_that_are_cut_off_are_truncated_although_the_body_ends_properly() {
    let results: [(QueryFormat, &[u8]); 8] = [
        (QueryFormat::Text, TABLE),
        (QueryFormat::Text, WIDENED),
        (QueryFormat::Text, NARROWED),
        (QueryFormat::Text, TALL),
        (QueryFormat::Json, ROWS),
        (QueryFormat::Parquet, FILE),
        (QueryFormat::ArrowIpc, ARROW),
        (QueryFormat::Hash, HASH),
    ];
    for (format, body) in results {
        for length in 0..body.len() {
            let cut = &body[..length];
            let (_, ended) = query(&format, cut, End::Complete);
            let untold = format == QueryFormat::Json && (cut.is_empty() || cut.ends_with(b"\n"));
            match ended {
                Ok(()) => assert!(untold, "{format:?} {length}"),
                Err(DecodeError::Truncated { .. }) => assert!(!untold && format != QueryFormat::Hash, "{format:?}"),
                Err(DecodeError::Malformed { .. }) => assert_eq!(format, QueryFormat::Hash),
                Err(other) => panic!("{format:?} {length}: {other}"),
            }
        }
    }
}

/// What ends as a file of the format does, and begins as none.
#[test]
fn a_file_is_known_by_its_beginning_too() {
    let body = b"<html>an error, and then PAR1";
    assert_eq!(query(&QueryFormat::Parquet, body, End::Complete).1, Err(DecodeError::Truncated { item: 1 }));
}

#[test]
fn an_error_in_the_middle_of_a_result_fails_it() {
    let failed = |message: &str| Err(DecodeError::Failed { message: message.to_owned() });
    let body = [ROWS, br#"{"error":"Divide by zero"}"#].concat();
    assert_eq!(
        query(&QueryFormat::Json, &body, End::Complete),
        (vec!["{\"n\":1}".into(), "{\"n\":2}".into()], failed("Divide by zero"))
    );
    // A row with a column of that name has its line end.
    let body = [ROWS, b"{\"error\":\"Divide by zero\"}\n"].concat();
    assert_eq!(query(&QueryFormat::Json, &body, End::Complete).1, Ok(()));
    let body = b"+---+\n| a |\n+---+\n| 1 |\nERROR: Divide by zero.";
    let (items, ended) = query(&QueryFormat::Text, body, End::Complete);
    assert_eq!((items.len(), ended), (4, failed("Divide by zero.")));
    // When the connection broke off, the error may be half of one.
    for (format, body) in [(QueryFormat::Json, &b"{\"error\":\"D\"}"[..]), (QueryFormat::Text, b"ERROR: D")] {
        assert_eq!(query(&format, body, End::Truncated).1, Err(DecodeError::Truncated { item: 1 }));
    }
}

/// An error may have several lines, and none of them is a row of the table.
#[test]
fn an_error_in_text_is_no_row() {
    let body = b"+---+\n| n |\n+---+\n| 1 |\nERROR: it broke\nfor two reasons\n";
    let (items, ended) = query(&QueryFormat::Text, body, End::Complete);
    assert_eq!(items.last().map(String::as_str), Some("| 1 |"));
    assert_eq!(ended, Err(DecodeError::Failed { message: "it broke\nfor two reasons".to_owned() }));
    let (items, ended) = query(&QueryFormat::Text, b"ERROR: at once", End::Complete);
    assert_eq!((items.len(), ended), (0, Err(DecodeError::Failed { message: "at once".to_owned() })));
}

#[test]
fn a_hash_is_hexadecimal() {
    let body = [b'x'; 64];
    assert!(matches!(query(&QueryFormat::Hash, &body, End::Complete).1, Err(DecodeError::Malformed { .. })));
}
