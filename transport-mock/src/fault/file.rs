//! Reads a plan of faults from the text of a file.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::{FaultKind, FaultPlan};

/// A line of a plan is invalid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanError {
    line: usize,
    problem: String,
}

impl PlanError {
    /// The number of the line, counted from 1.
    pub fn line(&self) -> usize {
        self.line
    }
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.problem)
    }
}

impl std::error::Error for PlanError {}

impl FaultPlan {
    /// Reads a plan from the text of a file. `seed` decides the drawn faults.
    ///
    /// Each line is a setting, a section, a comment that begins with `#`, or empty:
    ///
    /// | Line | Meaning |
    /// |---|---|
    /// | `start = flaky` | begins with the plan `none` (default), `flaky` or `hostile`; must be the first setting |
    /// | `reply-lost = 0.1` | the probability of this [kind](FaultKind) of fault, from 0 to 1. See [`chance`](Self::chance) |
    /// | `at-most = 20` | how many faults are drawn at most. See [`at_most`](Self::at_most) |
    /// | `delays = 0.1..2` | the range of a delay, in seconds. See [`delays`](Self::delays) |
    /// | `downtimes = 0.5..5` | the range of a downtime, in seconds. See [`downtimes`](Self::downtimes) |
    /// | `[POST /v1/jobs/*/stop]` | begins a section. The kinds below it apply only to requests with this method and path, and these requests meet no other faults. An empty section protects them from all faults. See [`chance_of`](Self::chance_of) |
    ///
    /// ```
    /// use pipewright_mock::FaultPlan;
    ///
    /// let text = "
    ///     start = flaky
    ///     at-most = 20
    ///
    ///     ## A stop loses every second answer, and the overview loses none.
    ///     [POST /v1/jobs/*/stop]
    ///     reply-lost = 0.5
    ///     [GET /v1/overview]
    ///     reply-lost = 0
    /// ";
    /// let plan = FaultPlan::parse(text, 7)?;
    /// # let _ = plan;
    /// let error = FaultPlan::parse("reply-lost = 7", 7).expect_err("too likely");
    /// assert_eq!(error.to_string(), "line 1: reply-lost = 7: not a chance; use a number from 0 to 1");
    /// # Ok::<(), pipewright_mock::fault::PlanError>(())
    /// ```
    ///
    /// # Errors
    /// [`PlanError`] names the first invalid line, and what to write instead.
    pub fn parse(text: &str, seed: u64) -> Result<Self, PlanError> {
        let mut reading = Reading { plan: Self::seeded(seed), seed, route: None, has_begun: false };
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if !line.is_empty() && !line.starts_with('#') {
                reading.read(line).map_err(|problem| PlanError { line: index + 1, problem })?;
            }
        }
        Ok(reading.plan)
    }
}

struct Reading {
    plan: FaultPlan,
    seed: u64,
    /// The method and path of the current section.
    route: Option<(String, String)>,
    /// Whether a setting was read. Then `start` is too late.
    has_begun: bool,
}

impl Reading {
    fn read(&mut self, line: &str) -> Result<(), String> {
        let first = !std::mem::replace(&mut self.has_begun, true);
        if let Some(section) = line.strip_prefix('[') {
            let (method, path) = route(section).ok_or_else(|| {
                format!("{line}: not a section; use a method and a path, as in `[POST /v1/jobs/*/stop]`")
            })?;
            check_pattern(&path).map_err(|problem| format!("{line}: {problem}"))?;
            self.plan.add_route(&method, &path);
            self.route = Some((method, path));
            return Ok(());
        }
        let (name, value) = line
            .split_once('=')
            .map(|(name, value)| (name.trim(), value.trim()))
            .ok_or_else(|| format!("{line}: not a setting; use a name and a value, as in `reply-lost = 0.1`"))?;
        let plan = self.plan.clone();
        self.plan = match (name, &self.route) {
            ("start", None) if first => start(value, self.seed)?,
            ("start", _) => return Err("start: comes too late; move it before all other settings".to_owned()),
            ("at-most" | "delays" | "downtimes", Some((method, path))) => {
                return Err(format!(
                    "{name}: cannot be set for [{method} {path}] alone; move it before the first section"
                ));
            }
            ("at-most", None) => plan.at_most(value.parse().map_err(|_| {
                format!("at-most = {value}: not a number of faults; use a whole number, as in `at-most = 20`")
            })?),
            ("delays", None) => plan.delays(seconds(name, value)?),
            ("downtimes", None) => plan.downtimes(seconds(name, value)?),
            (name, route) => {
                let kind = name.parse::<FaultKind>().map_err(|_| unknown(name))?;
                let chance = value.parse().ok().filter(|chance| (0.0..=1.0).contains(chance));
                let chance =
                    chance.ok_or_else(|| format!("{name} = {value}: not a chance; use a number from 0 to 1"))?;
                match route {
                    Some((method, path)) => plan.chance_of(method, path, kind, chance),
                    None => plan.chance(kind, chance),
                }
            }
        };
        Ok(())
    }
}

fn start(name: &str, seed: u64) -> Result<FaultPlan, String> {
    match name {
        "none" => Ok(FaultPlan::seeded(seed)),
        "flaky" => Ok(FaultPlan::flaky(seed)),
        "hostile" => Ok(FaultPlan::hostile(seed)),
        other => Err(format!("start = {other}: unknown plan; use none, flaky or hostile")),
    }
}

fn route(section: &str) -> Option<(String, String)> {
    let (method, path) = section.strip_suffix(']')?.trim().split_once(' ')?;
    let path = path.trim();
    let has_method = method == "*" || method.bytes().all(|byte| byte.is_ascii_uppercase());
    (has_method && path.starts_with('/') && !path.contains([' ', '?'])).then(|| (method.to_owned(), path.to_owned()))
}

/// Rejects a pattern that would match no path.
fn check_pattern(path: &str) -> Result<(), &'static str> {
    let mut segments = path.split('/').peekable();
    while let Some(segment) = segments.next() {
        match segment {
            "**" if segments.peek().is_some() => {
                return Err("`**` stands for the rest of a path; use `*` for one segment, or end the path with `**`");
            }
            "*" | "**" => {}
            segment if segment.contains('*') => {
                return Err(
                    "`*` stands for a whole segment; use `*` instead of a part of one, as in `/v1/jobs/*/stop`",
                );
            }
            _ => {}
        }
    }
    Ok(())
}

fn seconds(name: &str, value: &str) -> Result<RangeInclusive<Duration>, String> {
    let (from, to) = value.split_once("..").unwrap_or((value, value));
    let read = |text: &str| text.trim().parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let range = read(from).zip(read(to)).map(|(from, to)| from..=to).filter(|range| !range.is_empty());
    range.ok_or_else(|| format!("{name} = {value}: not a range of seconds; use one, as in `{name} = 0.1..2`"))
}

fn unknown(name: &str) -> String {
    let kinds: Vec<_> = FaultKind::ALL.iter().map(FaultKind::to_string).collect();
    format!("unknown setting {name:?}; use start, at-most, delays, downtimes or a kind of fault: {}", kinds.join(", "))
}

#[cfg(test)]
mod tests {
    use http::Method;
    use pipewright::Timestamp;

    use super::*;
    use crate::Fault;

    /// The kinds of the faults that a route meets first.
    fn drawn(plan: &FaultPlan, method: &Method, path: &str, requests: usize) -> Vec<FaultKind> {
        let mut plan = plan.clone();
        let faults = (0..requests).filter_map(|_| plan.next(Timestamp::from_millis(0), "", method, path));
        faults.map(Fault::kind).collect()
    }

    #[test]
    fn settings_are_those_of_the_builder() {
        let text = "# all\nstart = flaky\n\nat-most = 3\r\ndelays=0.5 .. 0.5\ndowntimes = 1\n delay-reply = 1 \n";
        let plan = FaultPlan::parse(text, 7).expect("a plan");
        let built = FaultPlan::flaky(7)
            .at_most(3)
            .delays(Duration::from_millis(500)..=Duration::from_millis(500))
            .downtimes(Duration::from_secs(1)..=Duration::from_secs(1))
            .chance(FaultKind::DelayReply, 1.0);
        assert_eq!(format!("{plan:?}"), format!("{built:?}"));
        assert_eq!(drawn(&plan, &Method::GET, "/", 100).len(), 3);
    }

    #[test]
    fn a_section_is_for_its_method_and_path_alone() {
        let text = "
            reply-lost = 1
            [POST /v1/jobs/*/stop]
            unavailable = 1
            [* /v1/jars/**]
            not-sent = 1
            [GET /v1/overview]
            reply-lost = 0
            [GET /v1/config]
        ";
        let plan = FaultPlan::parse(text, 7).expect("a plan");
        for (method, path, kind) in [
            (Method::POST, "/v1/jobs/a/stop", Some(FaultKind::Unavailable)),
            (Method::GET, "/v1/jobs/a/stop", Some(FaultKind::ReplyLost)),
            (Method::POST, "/v1/jobs/a/b/stop", Some(FaultKind::ReplyLost)),
            (Method::POST, "/v1/jobs/a/stop/b", Some(FaultKind::ReplyLost)),
            (Method::DELETE, "/v1/jars/a/b", Some(FaultKind::NotSent)),
            (Method::GET, "/v1/overview", None),
            (Method::GET, "/v1/config", None),
        ] {
            assert_eq!(drawn(&plan, &method, path, 2), kind.map_or(vec![], |kind| vec![kind; 2]), "{method} {path}");
        }
    }

    #[test]
    fn an_error_names_the_line_and_what_to_write() {
        for (text, line, problem) in [
            (
                "\n\nreply-lots = 1",
                3,
                "unknown setting \"reply-lots\"; use start, at-most, delays, downtimes or a kind",
            ),
            ("reply-lost", 1, "reply-lost: not a setting; use a name and a value, as in `reply-lost = 0.1`"),
            ("reply-lost = -1", 1, "reply-lost = -1: not a chance; use a number from 0 to 1"),
            ("reply-lost = NaN", 1, "reply-lost = NaN: not a chance"),
            ("at-most = 0.5", 1, "at-most = 0.5: not a number of faults; use a whole number"),
            ("delays = 2..1", 1, "delays = 2..1: not a range of seconds; use one, as in `delays = 0.1..2`"),
            ("at-most = 1\nstart = flaky", 2, "start: comes too late; move it before all other settings"),
            ("start = bad", 1, "start = bad: unknown plan; use none, flaky or hostile"),
            ("[POST]", 1, "[POST]: not a section; use a method and a path"),
            ("[POST /a?b=c]", 1, "[POST /a?b=c]: not a section"),
            ("[GET /v1/**/stop]", 1, "[GET /v1/**/stop]: `**` stands for the rest of a path; use `*` for one segment"),
            ("[GET /v1/**/]", 1, "[GET /v1/**/]: `**` stands for the rest of a path"),
            ("[GET /v1/job-*]", 1, "[GET /v1/job-*]: `*` stands for a whole segment; use `*` instead of a part"),
            ("[GET /***]", 1, "[GET /***]: `*` stands for a whole segment"),
            ("[POST /a]\nat-most = 1", 2, "at-most: cannot be set for [POST /a] alone; move it before"),
        ] {
            let error = FaultPlan::parse(text, 7).expect_err(text);
            assert_eq!(error.line(), line, "{text}");
            assert!(error.to_string().starts_with(&format!("line {line}: {problem}")), "{error}");
        }
    }
}
