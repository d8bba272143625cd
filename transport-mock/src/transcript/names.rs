//! Stable names for what differs from run to run.

use std::collections::BTreeMap;
use std::time::Duration;

use pipewright::Timestamp;

/// What ids are of, when the text before them says so.
const KINDS: [&str; 13] = [
    "taskmanager",
    "job",
    "trigger",
    "jar",
    "savepoint",
    "checkpoint",
    "vertex",
    "operation",
    "session",
    "statement",
    "pipeline",
    "channel",
    "dataset",
];

/// How far before an id that is looked for, in bytes.
const CONTEXT: usize = 24;

/// A number is a moment when it is this near to the start, in milliseconds.
const NEAR: u64 = 400 * 24 * 3600 * 1000;

const LOOPBACK: [&str; 3] = ["127.0.0.1:", "localhost:", "[::1]:"];

#[derive(Debug)]
pub(super) struct Names {
    start: Timestamp,
    ids: BTreeMap<String, String>,
    given: BTreeMap<String, usize>,
}

impl Names {
    pub(super) fn new(start: Timestamp) -> Self {
        Self { start, ids: BTreeMap::new(), given: BTreeMap::new() }
    }

    /// The text with everything replaced that has a name. An id of which nothing is known is of this kind.
    pub(super) fn rename(&mut self, text: &str, kind: &str) -> String {
        let mut renamed = String::new();
        let mut at = 0;
        while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
            let inside = text[..at].ends_with(|before: char| before.is_ascii_alphanumeric());
            let found = if inside { None } else { self.find(&text[..at], rest, kind) };
            let (length, name) = found.unwrap_or_else(|| {
                let first = rest.chars().next().map_or(1, char::len_utf8);
                (first, rest[..first].to_owned())
            });
            renamed.push_str(&name);
            at += length;
        }
        renamed
    }

    /// The name of a moment in milliseconds or microseconds, if it is one.
    pub(super) fn moment(&self, number: u64) -> Option<String> {
        let millis =
            [number, number / 1000].into_iter().find(|millis| millis.abs_diff(self.start.as_millis()) < NEAR)?;
        Some(self.relative(Timestamp::from_millis(millis)))
    }

    fn relative(&self, at: Timestamp) -> String {
        // Moments are often given in milliseconds, and the start is not.
        let start = Timestamp::from_millis(self.start.as_millis());
        let (sign, distance) = if at < start { ('-', start.since(at)) } else { ('+', at.since(start)) };
        format!("<{sign}{:.3} s>", distance.as_secs_f64())
    }

    /// What the rest of a text begins with, if that has a name: how long it is, and the name.
    fn find(&mut self, before: &str, rest: &str, kind: &str) -> Option<(usize, String)> {
        if let Some(host) = LOOPBACK.iter().find(|host| rest.starts_with(**host)) {
            let port = rest[host.len()..].bytes().take_while(u8::is_ascii_digit).count();
            let end = host.len() + port;
            return (port > 0).then(|| (end, format!("{host}{}", self.name(&rest[host.len()..end], "port"))));
        }
        if let Some((length, at)) = http_date(rest).or_else(|| rfc3339(rest)) {
            return Some((length, self.relative(at)));
        }
        let kind = kind_before(before).or_else(|| kind_after(rest)).unwrap_or(kind);
        if let Some(uuid) = rest.get(..36).filter(|uuid| is_uuid(uuid)) {
            return Some((36, self.name(uuid, kind)));
        }
        let word = &rest[..rest.bytes().take_while(u8::is_ascii_alphanumeric).count()];
        if !word.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            // A text with other letters is no id.
            return (!word.is_empty()).then(|| (word.len(), word.to_owned()));
        }
        let digits = word.bytes().filter(u8::is_ascii_digit).count();
        let mixed = digits > 0 && digits < word.len();
        let name = match word.len() {
            32 => self.name(word, kind),
            12..32 if mixed => self.name(word, kind),
            13 | 16 if digits == word.len() => self.moment(word.parse().ok()?)?,
            6..12 => {
                let (_, name) = self.ids.range(word.to_owned()..).next().filter(|(id, _)| id.starts_with(word))?;
                format!("{}…>", name.trim_end_matches('>'))
            }
            _ => return None,
        };
        Some((word.len(), name))
    }

    fn name(&mut self, id: &str, kind: &str) -> String {
        let id = id.to_ascii_lowercase();
        if let Some(name) = self.ids.get(&id) {
            return name.clone();
        }
        let given = self.given.entry(kind.to_owned()).or_default();
        *given += 1;
        let name = format!("<{kind}-{given}>");
        self.ids.insert(id, name.clone());
        name
    }
}

/// What an id is of, by the name of the field or parameter that it is the value of.
pub(super) fn kind_of(field: &str) -> String {
    let mut field: String = field.chars().filter(char::is_ascii_alphanumeric).collect();
    field.make_ascii_lowercase();
    let kind = match field.strip_suffix("ids").or_else(|| field.strip_suffix("id")) {
        Some("") => "id",
        Some("j") => "job",
        Some(stem) => stem,
        None => KINDS.into_iter().find(|kind| *kind == field).unwrap_or("id"),
    };
    kind.to_owned()
}

fn kind_before(text: &str) -> Option<&'static str> {
    let from = (text.len().saturating_sub(CONTEXT)..=text.len()).find(|at| text.is_char_boundary(*at))?;
    let context = text.get(from..)?.to_ascii_lowercase();
    KINDS.into_iter().filter(|kind| context.contains(kind)).max_by_key(|kind| context.rfind(kind))
}

/// The ids in the name of a jar are the jar's.
fn kind_after(text: &str) -> Option<&'static str> {
    let end = text.find(['/', ' ', '"', ',']).unwrap_or(text.len());
    text[..end].rsplit_once('.').is_some_and(|(_, end)| end == "jar").then_some("jar")
}

fn is_uuid(text: &str) -> bool {
    let parts: Vec<_> = text.split('-').collect();
    let hex = text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    hex && parts.iter().map(|part| part.len()).eq([8, 4, 4, 4, 12])
}

fn http_date(text: &str) -> Option<(usize, Timestamp)> {
    let length = text.find("GMT").filter(|at| *at < 40)? + 3;
    Some((length, Timestamp::from_http_date(&text[..length])?))
}

/// Reads `2026-01-01T00:00:00.250Z`, with any number of decimals.
fn rfc3339(text: &str) -> Option<(usize, Timestamp)> {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let shape = text.get(..19)?.bytes().zip(b"dddd-dd-ddTdd:dd:dd");
    if !shape.into_iter().all(|(byte, shape)| if *shape == b'd' { byte.is_ascii_digit() } else { byte == *shape }) {
        return None;
    }
    let month = MONTHS.get(text[5..7].parse::<usize>().ok()?.checked_sub(1)?)?;
    let date = format!("Day, {} {month} {} {} GMT", &text[8..10], &text[..4], &text[11..19]);
    let decimals = text[19..].strip_prefix('.').map_or(0, |rest| rest.bytes().take_while(u8::is_ascii_digit).count());
    let end = 19 + if decimals > 0 { decimals + 1 } else { 0 };
    let millis = format!("{:0<3}", &text[end - decimals..end]);
    let at = Timestamp::from_http_date(&date)? + Duration::from_millis(millis.get(..3)?.parse().ok()?);
    text[end..].starts_with('Z').then_some((end + 1, at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::START;

    const JOB: &str = "4c7e6f1c8d3b0a5fd2e19a7b3c8d4e5f";

    #[track_caller]
    fn renamed(text: &str, expected: &str) {
        assert_eq!(Names::new(START).rename(text, "id"), expected);
    }

    #[test]
    fn ids_are_named_by_what_is_said_before_them() {
        renamed(&format!("job {JOB}: RUNNING"), "job <job-1>: RUNNING");
        renamed(&format!("{JOB} and {}", JOB.to_uppercase()), "<id-1> and <id-1>");
        renamed("/tmp/1b4e28ba-2fa1-41d2-883f-0016d3cca427_a.jar", "/tmp/<jar-1>_a.jar");
        renamed("jars/1b4e28ba-2fa1-41d2-883f-0016d3cca427_a.jar", "jars/<jar-1>_a.jar");
        renamed(
            &format!("job {JOB} in savepoint-4c7e6f-9b8c7d6e5f4a"),
            "job <job-1> in savepoint-<job-1…>-<savepoint-1>",
        );
        renamed(&format!("job {JOB}, job {}", JOB.replace('4', "5")), "job <job-1>, job <job-2>");
        renamed("taskmanager 0123456789abcdef", "taskmanager <taskmanager-1>");
    }

    #[test]
    fn what_only_looks_like_an_id_stays() {
        for text in
            ["deadbeef", "effaced", "123456789012", "4c7e6f", "x4c7e6f1c8d3b0a5fd2e19a7b3c8d4e5f", "é 1700000000000"]
        {
            renamed(text, text);
        }
    }

    #[test]
    fn moments_are_relative() {
        renamed("again at 2026-01-01T00:00:00.250Z: no", "again at <+0.250 s>: no");
        renamed("2026-01-01T00:01:00Z and 2025-12-31T23:59:59.123456Z", "<+60.000 s> and <-0.877 s>");
        renamed("Thu, 01 Jan 2026 00:00:07 GMT", "<+7.000 s>");
        renamed("1767225600500250 us", "<+0.500 s> us");
        renamed("1767225600500 ms, 99:00:00", "<+0.500 s> ms, 99:00:00");
    }

    #[test]
    fn ports_on_loopback_have_names() {
        renamed(
            "127.0.0.1:40123, localhost:8081, [::1]:40123",
            "127.0.0.1:<port-1>, localhost:<port-2>, [::1]:<port-1>",
        );
        renamed("flink.test:8081, 127.0.0.1", "flink.test:8081, 127.0.0.1");
    }

    #[test]
    fn kinds_of_fields() {
        for (field, kind) in [
            ("jid", "job"),
            ("jobid", "job"),
            ("triggerId", "trigger"),
            ("request-id", "request"),
            ("id", "id"),
            ("job-ids", "job"),
            ("job", "job"),
            ("name", "id"),
        ] {
            assert_eq!(kind_of(field), kind);
        }
    }
}
