//! [`read`]: reads a document that has another shape than expected, without the values that do not fit.
//!
//! Only a document that was not read is repaired, so that ordinary documents are read as fast as before. The position
//! in the reader's error tells which value does not fit. Then:
//!
//! | the value | it becomes |
//! |---|---|
//! | a number or a truth value | a text; if that does not fit either, `null` |
//! | a text that is a number | the number; if that does not fit either, `null` |
//! | anything else | `null`, which in an object is the same as absent |
//! | `null` in a list or a map | nothing: it is removed |
//! | the document | an error |
//!
//! If a field that must be there is `null` or absent, its object is the value that does not fit. After each step the
//! document is read again.
//!
//! In a `PartialList`, `null` stays: the list counts it as an item that cannot be read.
//!
//! If the same field does not fit in several objects, it is repaired in all objects of the document at once. A decisive
//! field is never made absent, and no item of a decisive list is removed: the object around it is the value that does
//! not fit. Errors name the decisive fields that they passed, see [`decisive`].

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::ops::Range;

use serde_json::error::Category;

/// Begins the error about a value in a decisive field; behind it come the key, a colon and the error.
const DECISIVE: &str = "the field ";
/// After how many repairs of a field it is repaired in all objects.
const SINGLE_REPAIRS: usize = 4;
/// After how many repaired values of a map all its values are repaired. No object has so many fields that do not fit.
const MAP_REPAIRS: usize = 32;
/// How many bytes are read again in total, and how many of a short document.
const MAX_WORK: usize = 64 << 20;

/// Names the decisive field in an error about its value.
#[cold]
pub(crate) fn decisive<E: serde::de::Error>(key: &str, error: &E) -> E {
    E::custom(format_args!("{DECISIVE}{key}: {error}"))
}

/// Reads a text by repairing it. `None` if it cannot be repaired.
#[cold]
#[inline(never)]
pub(super) fn read<T>(
    text: &str,
    first: &serde_json::Error,
    parse: impl Fn(&str) -> Result<T, serde_json::Error>,
) -> Option<T> {
    let mut text = text.to_owned();
    let mut last = None;
    let mut repairs = Repairs::default();
    let mut work = 0;
    while work < MAX_WORK {
        work += text.len() + 64 * 1024;
        let error = last.as_ref().unwrap_or(first);
        if error.classify() != Category::Data {
            return None;
        }
        text = repairs.repair(&text, error)?;
        match parse(&text) {
            Ok(value) => return Some(value),
            Err(error) => last = Some(error),
        }
    }
    None
}

/// What was done so far, by the paths of values.
#[derive(Default)]
struct Repairs {
    by_path: BTreeMap<u64, usize>,
    by_parent: BTreeMap<u64, BTreeSet<u64>>,
    to_text: BTreeSet<u64>,
    to_number: BTreeSet<u64>,
}

/// What a value becomes.
#[derive(Clone, Copy)]
enum Repair {
    Text,
    Number,
    /// A `null` has no smaller form.
    Null,
}

impl Repairs {
    /// The text with one step less to go; `None` if the document itself does not fit.
    fn repair(&mut self, text: &str, error: &serde_json::Error) -> Option<String> {
        let nodes = nodes(text);
        let mut target = innermost(text, &nodes, error)?;
        let repair = self.conversion(text, nodes.get(target)?);
        if matches!(repair, Repair::Null) {
            target = undecisive(text, &nodes, target, &error.to_string())?;
        }
        let node = nodes.get(target)?;
        let parent = nodes.get(node.parent?)?;
        let of_path = self.by_path.entry(node.path).or_default();
        *of_path += 1;
        let is_of_path = |other: &Node| (other.path, other.kind) == (node.path, node.kind);
        let siblings = self.by_parent.entry(parent.path).or_default();
        siblings.insert(node.path);
        let is_sibling = |other: &Node| {
            let path = other.parent.and_then(|parent| nodes.get(parent)).map(|parent| parent.path);
            (path, other.kind) == (Some(parent.path), node.kind)
        };
        // An earlier value that was not changed has been read: then the others may fit, too.
        let is_first = |is_alike: &dyn Fn(&Node) -> bool| !nodes.iter().take(target).any(is_alike);
        let chosen: Vec<&Node> = if *of_path > SINGLE_REPAIRS && is_first(&is_of_path) {
            nodes.iter().filter(|node| is_of_path(node)).collect()
        } else if siblings.len() > MAP_REPAIRS && is_first(&is_sibling) {
            nodes.iter().filter(|node| is_sibling(node)).collect()
        } else {
            vec![node]
        };
        Some(replaced(text, &chosen, repair))
    }

    /// A number becomes a text or a text a number, but not the same back.
    fn conversion(&mut self, text: &str, node: &Node) -> Repair {
        let value = text.get(node.span.clone()).unwrap_or_default();
        let is_number = || value.trim_matches('"').parse::<f64>().is_ok_and(f64::is_finite);
        match node.kind {
            b'0' | b't' if !self.to_number.contains(&node.path) => {
                self.to_text.insert(node.path);
                Repair::Text
            }
            b'"' if !self.to_text.contains(&node.path) && is_number() => {
                self.to_number.insert(node.path);
                Repair::Number
            }
            _ => Repair::Null,
        }
    }
}

/// A value of the document.
struct Node {
    /// Where it is.
    span: Range<usize>,
    /// Where it begins with its key; the same as the span's start in a list.
    entry: usize,
    /// Its first byte: `{`, `[`, `"`, `n`, `t` for both truth values, `0` for all numbers.
    kind: u8,
    parent: Option<usize>,
    /// The key of a field; empty for others.
    key: Range<usize>,
    /// The keys on the way to it.
    path: u64,
}

/// All values of a text that is JSON, each behind the value that holds it.
fn nodes(text: &str) -> Vec<Node> {
    let bytes = text.as_bytes();
    let (mut nodes, mut open): (Vec<Node>, Vec<usize>) = (Vec::new(), Vec::new());
    let (mut at, mut key) = (0, None);
    while let Some(&byte) = bytes.get(at) {
        let start = at;
        match byte {
            b'}' | b']' => {
                at += 1;
                if let Some(node) = open.pop().and_then(|container| nodes.get_mut(container)) {
                    node.span.end = at;
                }
                continue;
            }
            b'{' | b'[' => at += 1,
            b'"' => at = string_end(bytes, at),
            b',' | b':' | b' ' | b'\t' | b'\n' | b'\r' => {
                at += 1;
                continue;
            }
            _ => at += bytes.get(at..).unwrap_or_default().iter().take_while(|byte| is_literal(**byte)).count().max(1),
        }
        let parent = open.last().copied();
        let is_in_object = parent.and_then(|parent| nodes.get(parent)).is_some_and(|parent| parent.kind == b'{');
        if is_in_object && key.is_none() {
            key = Some(start..at);
            continue;
        }
        let key = key.take().unwrap_or(start..start);
        let mut path = DefaultHasher::new();
        let name = text.get(key.clone()).unwrap_or_default();
        (parent.and_then(|parent| nodes.get(parent)).map_or(0, |parent| parent.path), name).hash(&mut path);
        let kind = match byte {
            b'f' => b't',
            b'-' | b'0'..=b'9' => b'0',
            byte => byte,
        };
        nodes.push(Node { span: start..at, entry: key.start, kind, parent, key, path: path.finish() });
        if matches!(byte, b'{' | b'[') {
            open.push(nodes.len() - 1);
        }
    }
    nodes
}

/// Where a string ends that begins at a quotation mark.
fn string_end(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    bytes.len()
}

fn is_literal(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.')
}

/// Which value does not fit, by the position of the error.
fn innermost(text: &str, nodes: &[Node], error: &serde_json::Error) -> Option<usize> {
    let line_start = match error.line() {
        0 => return None,
        1 => 0,
        line => text.match_indices('\n').nth(line - 2).map(|(at, _)| at + 1)?,
    };
    // The column counts the bytes up to the last byte that was read.
    let at = (line_start + error.column()).checked_sub(1)?;
    let at = text.as_bytes().get(..=at)?.iter().rposition(|byte| !byte.is_ascii_whitespace())?;
    if matches!(text.as_bytes().get(at), Some(b',' | b':' | b'[')) {
        // The next value is a list or an object where another value is expected: it was not read.
        let behind = text.get(at + 1..).unwrap_or_default();
        let start = text.len() - behind.trim_start().len();
        if let Some(node) = nodes.iter().position(|node| node.span.start == start) {
            return Some(node);
        }
    }
    // A value is behind the value that holds it, so the last value is the innermost.
    nodes.iter().rposition(|node| (node.entry..node.span.end).contains(&at))
}

/// The value that may be made absent: the first one around `target` that is not in a decisive field.
fn undecisive(text: &str, nodes: &[Node], mut target: usize, message: &str) -> Option<usize> {
    let decisive = decisive_keys(message);
    let is_decisive = |node: &Node| {
        let key = text.get(node.key.clone()).unwrap_or_default();
        !key.is_empty() && decisive.contains(&key.trim_matches('"'))
    };
    loop {
        let node = nodes.get(target)?;
        let list = node.parent.and_then(|parent| nodes.get(parent)).filter(|parent| parent.kind == b'[');
        let is_removed = node.kind == b'n' && list.is_some_and(is_decisive);
        if !is_removed && !is_decisive(node) {
            return Some(target);
        }
        target = node.parent?;
    }
}

/// The decisive fields that an error has passed on its way, the outermost first.
fn decisive_keys(mut message: &str) -> Vec<&str> {
    let mut keys = Vec::new();
    while let Some((key, rest)) = message.strip_prefix(DECISIVE).and_then(|rest| rest.split_once(": ")) {
        keys.push(key);
        message = rest;
    }
    keys
}

/// The text with these values repaired.
fn replaced(text: &str, nodes: &[&Node], repair: Repair) -> String {
    let mut out = String::with_capacity(text.len());
    let mut copied = 0;
    for node in nodes {
        let (start, end) =
            if node.kind == b'n' { (node.entry, node.span.end) } else { (node.span.start, node.span.end) };
        // One that is in another which was replaced.
        if start < copied {
            continue;
        }
        let mut before = text.get(copied..start).unwrap_or_default();
        copied = end;
        if node.kind == b'n' {
            // With the comma behind it, or else the comma before it.
            let rest = text.get(end..).unwrap_or_default();
            let trimmed = before.trim_end();
            if let Some(behind) = rest.trim_start().strip_prefix(',') {
                copied = text.len() - behind.len();
            } else if let Some(without_comma) = trimmed.strip_suffix(',') {
                before = without_comma;
            } else if trimmed.is_empty() {
                let length = out.trim_end().strip_suffix(',').map(str::len);
                out.truncate(length.unwrap_or(out.len()));
            }
            out.push_str(before);
        } else {
            out.push_str(before);
            let value = text.get(start..end).unwrap_or_default();
            match repair {
                Repair::Text => out.extend(["\"", value, "\""]),
                Repair::Number => out.push_str(value.trim_matches('"')),
                Repair::Null => out.push_str("null"),
            }
        }
    }
    out.push_str(text.get(copied..).unwrap_or_default());
    out
}

#[cfg(test)]
mod tests {
    use crate::json::read_answer;
    use crate::schema::json_structs;

    json_structs! {
        /// A document.
        struct Document {
            /// Must be there.
            pub id: u32,
            /// May be absent.
            pub size: Option<u64>,
            /// A list.
            pub items: Vec<Item>,
            /// A map.
            pub by_name: std::collections::BTreeMap<String, u64>,
            /// A list that must be whole.
            pub parts: Vec<Item> = "parts" (decisive),
        }

        /// An item.
        struct Item {
            /// Must be there.
            pub id: u32,
            /// May be absent.
            pub note: Option<bool>,
            /// May be absent, but is never made so.
            pub state: Option<bool> = "state" (decisive),
        }
    }

    /// The size, ids of items, names, ids of parts.
    type Read = (Option<u64>, Vec<u32>, Vec<String>, Vec<u32>);

    fn read(text: &str) -> Option<Read> {
        let document: Document = read_answer(text.as_bytes()).ok()?;
        let ids = |items: Vec<Item>| items.into_iter().map(|item| item.id).collect();
        Some((document.size, ids(document.items), document.by_name.into_keys().collect(), ids(document.parts)))
    }

    #[test]
    fn what_does_not_fit_costs_no_more_than_it_must() {
        for odd in ["{}", "{\"a\":[1,{}]}", "[]", "[null]", "\"text, \\\"}\"", "-1", "1e99"] {
            let read = |text: &str| {
                read(&text.replace(' ', "\n ").replace("ODD", odd)).map_or((None, vec![], vec![], vec![9]), |it| it)
            };
            let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
            assert_eq!(read(r#"{"size": ODD , "id": 1}"#), (None, vec![], names(&[]), vec![]), "{odd}");
            assert_eq!(read(r#"{"id":1,"items":[{"id":1,"note":ODD},{"id":2,"note":true}]}"#).1, [1, 2], "{odd}");
            assert_eq!(read(r#"{"id":1,"items":[{"id":1,"state":ODD},{"id":2}]}"#).1, [2], "{odd}");
            assert_eq!(read(r#"{"id":1,"parts":[{"id":1,"note":ODD},{"id":2}]}"#).3, [1, 2], "{odd}");
            assert_eq!(read(r#"{"id":1,"parts":[{"id":1,"state":ODD},{"id":2}]}"#).3, [9], "{odd}");
            assert_eq!(read(r#"{"id":1,"items":[{"id":ODD},{"id":2}, ODD , {"id":3},ODD]}"#).1, [2, 3], "{odd}");
            assert_eq!(read(r#"{"id":1,"by_name":{"a":ODD,"b":2,"c":ODD}}"#).2, names(&["b"]), "{odd}");
            assert_eq!(read(r#"{"id":1,"parts":[{"id":ODD},{"id":2}]}"#).3, [9], "{odd}");
            assert_eq!(read(r#"{"id":ODD,"size":1}"#).3, [9], "{odd}");
        }
        assert_eq!(read("[]"), None);
        assert_eq!(read(r#"{"id":1,"size":{},"items":["#), None, "cut off");
    }

    /// A field of the next release has another type in all of many items.
    #[test]
    fn what_does_not_fit_in_many_places_is_repaired_at_once() {
        let items: Vec<_> = (0..5000).map(|id| format!(r#"{{"note":"{id}","id":{id}}}"#)).collect();
        let text = format!(r#"{{"id":1,"items":[{}]}}"#, items.join(","));
        assert_eq!(read(&text).expect("read").1.len(), 5000);
        let names: Vec<_> = (0..5000).map(|id| format!(r#""n{id}":{{"id":{id}}}"#)).collect();
        let text = format!(r#"{{"id":1,"by_name":{{{}}},"size":7}}"#, names.join(","));
        let (size, _, names, _) = read(&text).expect("read");
        assert_eq!((size, names.len()), (Some(7), 0));
    }
}
