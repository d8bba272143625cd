//! Answers of later releases: every recorded answer, with one place changed.
//!
//! One odd field never costs more than itself, and one odd item of a list never costs the list. [`EXCEPTIONS`] are the
//! places where that is not so, each with its reason.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::Path;

use http::Response;
use pipewright::operation::OperationInfo;
use pipewright_tests::har::{self, Entry};
use pipewright_tests::{replies, routes};
use serde_json::{Value, json};

const SERVICES: [&str; 4] = ["feldera", "flink", "flink-sql-gateway", "snowpipe"];

/// How many items of a list are kept, and how many answers of an operation are used.
const ITEMS: usize = 2;
const ANSWERS: usize = 4;

/// Why a field must be there for its object to be read, and the keys of such fields. A place that must be there under
/// another key, or in another answer than the snapshot has, needs a decision: make the field optional, or add it.
const REQUIRED: &[(&str, &str)] = &[
    (
        "id or name: a request or a flow finds the object by it",
        "id name uuid key jid jobid jobId jobVertexId applicationid rescaleUuid slotSharingGroupId endpoint_name event_id \
        user_id checkpoint_uuid transaction_id node filename",
    ),
    (
        "status: a flow decides by it",
        "status state deployment_status channel_status_code error_code message resultType kind is_savepoint \
        last-modification total running finished endTimestamp",
    ),
    ("token: a later request needs it", "token api_key request-id sessionHandle operationHandle"),
    (
        "position or number: it tells the object apart from others of its list, or is sent back",
        "subtask index checkpoint_sequence_number sequence_number lowerBound upperBound mode duration triggerTime",
    ),
    ("content: the object has nothing else to say", "url jobUrl hostname fields"),
    ("holds a field of these kinds", "global_metrics tasks channel_status channel_statuses"),
];

const PIPELINES: &str = "get_pipeline list_pipelines post_pipeline put_pipeline patch_pipeline post_update_runtime";

/// What is never taken for absent, because a flow would decide by that: operations, a place and all that is in it, and
/// the reason. An answer in which it cannot be read costs at least its object.
const EXCEPTIONS: &[(&str, &str, &str)] = &[
    (PIPELINES, ".deployment_id", "no deployment is a stopped pipeline, and another deployment is another client's"),
    (PIPELINES, ".deployment_desired_status", "older servers have none, and flows then take the actual status"),
    (PIPELINES, ".deployment_resources_status", "without it a server is an old server, which starts in another way"),
    (PIPELINES, ".program_version", "Compile and Deploy notice another client's program by it"),
    (PIPELINES, ".program_status", "Compile waits for it"),
    (PIPELINES, ".storage_status", "ClearStorage and Deploy would take the storage for empty"),
    (PIPELINES, ".runtime_config", "Deploy changes it as a whole, and would reset all settings"),
    (PIPELINES, ".program_config", "the same"),
    ("get_pipeline_stats", ".global_metrics.incarnation_uuid", "flows notice a restart of the process by it"),
    ("get_pipeline_stats", ".global_metrics.transaction_id", "Transaction would take a transaction for committed"),
    ("get_pipeline_stats", ".global_metrics.transaction_status", "the same"),
    ("get_pipeline_stats", ".global_metrics.transaction_initiators", "the same"),
    (
        "get_pipeline_stats get_pipeline_input_connector_status",
        ".fatal_error",
        "AwaitConnectorsFinished would take a failed connector for a sound connector",
    ),
    ("checkpoint_pipeline sync_checkpoint", ".incarnation_uuid", "numbers of checkpoints count within a process"),
    ("get_checkpoint_status get_checkpoint_sync_status", ".success", "Checkpoint would wait for a finished checkpoint"),
    ("get_checkpoint_status get_checkpoint_sync_status", ".failure", "Checkpoint would wait for a failed checkpoint"),
    (
        "getSavepointStatus getSavepointDisposalStatus getCheckpointStatus getClusterDataSetDeleteStatus",
        ".operation",
        "without a failure in it, an operation has succeeded",
    ),
    ("getJobExecutionResult", ".job-execution-result", "the same of a job"),
    (
        "getJobsOverview getJobIdsWithStatusesOverview",
        ".jobs$",
        "a job that is not in the list has vanished from the cluster",
    ),
    ("getCheckpointingStatistics", ".history$", "a checkpoint that is not in the list is not among the newest"),
    ("getCheckpointingStatistics", ".latest", "flows would take an older place to restore from"),
    (
        "getCheckpointStatisticDetails getCheckpointingStatistics",
        ".external_path",
        "a checkpoint without a path cannot be restored",
    ),
    ("fetchResults", ".nextResultUri", "without one the result has ended"),
    ("fetchResults", ".jobID", "RunStatement cancels the job by it"),
    ("fetchResults", ".results$", "rows would be missing without a sign"),
    ("fetchResults", ".results.columns", "the fields of rows are found by their columns"),
    ("fetchResults", ".results.data$", "rows would be missing without a sign"),
    ("openChannel bulkGetChannelStatus", ".last_committed_offset_token", "rows would be sent twice"),
    ("openChannel bulkGetChannelStatus", ".rows_error_count", "rejected rows would not be noticed"),
    ("openChannel bulkGetChannelStatus", ".created_on_ms", "the writer notices by it that the channel was recreated"),
    ("openChannel appendRows appendElastic", ".next_continuation_token", "the next append needs it"),
];

/// A recorded answer that is JSON, with short lists.
struct Answer<'a> {
    info: &'static OperationInfo,
    entry: &'a Entry,
    body: Value,
}

impl Answer<'_> {
    /// What the type makes of a body; `None` if it cannot be read.
    fn read(&self, body: &Value) -> Option<Value> {
        let (head, _) = self.entry.response.clone().into_parts();
        let parsed = replies::parse_with(self.info.name, Response::from_parts(head, body.to_string().into()))?.ok()?;
        serde_json::from_str(&parsed.json).ok()
    }
}

/// The steps to a value: keys and indices.
type Steps = Vec<Step>;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Key(String),
    Item(usize),
}

fn shorten(value: &mut Value) {
    match value {
        Value::Array(items) => {
            items.truncate(ITEMS);
            items.iter_mut().for_each(shorten);
        }
        Value::Object(fields) => fields.values_mut().for_each(shorten),
        _ => {}
    }
}

/// All values below one, with their places.
fn places(value: &Value, steps: &Steps, found: &mut Vec<Steps>) {
    let below = |step: Step| [&steps[..], &[step]].concat();
    match value {
        Value::Object(fields) => fields.iter().for_each(|(key, value)| {
            found.push(below(Step::Key(key.clone())));
            places(value, &below(Step::Key(key.clone())), found);
        }),
        Value::Array(items) => items.iter().enumerate().for_each(|(at, value)| {
            found.push(below(Step::Item(at)));
            places(value, &below(Step::Item(at)), found);
        }),
        _ => {}
    }
}

fn at<'v>(value: &'v Value, steps: &[Step]) -> Option<&'v Value> {
    steps.iter().try_fold(value, |value, step| match step {
        Step::Key(key) => value.get(key),
        Step::Item(at) => value.get(at),
    })
}

fn at_mut<'v>(value: &'v mut Value, steps: &[Step]) -> Option<&'v mut Value> {
    steps.iter().try_fold(value, |value, step| match step {
        Step::Key(key) => value.get_mut(key),
        Step::Item(at) => value.get_mut(at),
    })
}

/// A place without what is data in it, as in `[].status`. Ids and names of vertices, metrics and connectors are data.
fn general(steps: &[Step]) -> String {
    let mut text = String::new();
    for step in steps {
        match step {
            Step::Item(_) => text.push_str("[]"),
            Step::Key(key) => {
                let is_name = key.bytes().all(|byte| byte.is_ascii_alphabetic() || b"_-@".contains(&byte));
                text.push('.');
                text.push_str(if is_name && key.len() < 60 { key } else { "*" });
            }
        }
    }
    text
}

/// What the value at a place may be in another release.
fn variations(value: &Value) -> Vec<(&'static str, Value)> {
    let mut all = vec![("null", Value::Null), ("an object", json!({ "of_the_future": [1, { "a": null }] }))];
    all.extend(match value {
        Value::String(_) => vec![("a future value", json!("word_of_the_future")), ("a number", json!(7))],
        Value::Number(_) => vec![("a text with a unit", json!("16Gi")), ("a large number", json!(1e300))],
        Value::Object(_) | Value::Array(_) => {
            vec![("a number", json!(7)), ("a text", json!("text")), ("an empty list", json!([]))]
        }
        _ => vec![("a text", json!("yes"))],
    });
    all
}

/// Every object of a value gets a field that no type knows.
fn with_unknown_fields(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(with_unknown_fields),
        Value::Object(fields) => {
            fields.values_mut().for_each(with_unknown_fields);
            fields.insert("field_of_the_future".to_owned(), json!({ "a": [1, "b", null] }));
        }
        _ => {}
    }
}

/// What a change cost besides the changed place: nothing, the object around it, or more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Cost {
    Field,
    Object,
    More,
}

/// A recorded answer, as the type reads it.
struct Baseline {
    leaves: BTreeMap<String, usize>,
    body: Value,
}

impl Baseline {
    /// Compares it with what the type makes of a changed answer.
    fn cost(&self, changed: Option<&Value>, steps: &[Step]) -> Cost {
        let Some(changed) = changed else { return Cost::More };
        let mut after = leaves(changed);
        let lost = |(leaf, count): (&String, &usize)| count.saturating_sub(after.remove(leaf).unwrap_or(0));
        let lost: usize = self.leaves.iter().map(lost).sum();
        let size = |steps: &[Step]| at(&self.body, steps).map_or(0, |value| leaves(value).values().sum());
        // The item of the innermost list, or else the object that has the field.
        let item = steps[..steps.len().saturating_sub(1)].iter().rposition(|step| matches!(step, Step::Item(_)));
        let around = item.map_or(steps.len().saturating_sub(1), |item| item + 1);
        if lost <= size(steps).max(1) {
            Cost::Field
        } else if around > 0 && lost <= size(&steps[..around]) {
            Cost::Object
        } else {
            Cost::More
        }
    }
}

/// How often each leaf is there, wherever in its list it is.
fn leaves(value: &Value) -> BTreeMap<String, usize> {
    fn collect(value: &Value, path: &str, found: &mut BTreeMap<String, usize>) {
        match value {
            Value::Object(fields) => {
                fields.iter().for_each(|(key, value)| collect(value, &format!("{path}.{key}"), found));
            }
            Value::Array(items) => items.iter().for_each(|item| collect(item, &format!("{path}[]"), found)),
            Value::Null => {}
            leaf => *found.entry(format!("{path}: {leaf}")).or_default() += 1,
        }
    }
    let mut found = BTreeMap::new();
    collect(value, "", &mut found);
    found
}

/// Recorded answers of a service that together have every place that any of them has.
fn answers<'a>(service: &str, entries: impl Iterator<Item = &'a Entry>) -> Vec<Answer<'a>> {
    let (mut chosen, mut seen): (Vec<Answer<'_>>, BTreeSet<(&str, String)>) = (Vec::new(), BTreeSet::new());
    for entry in entries {
        let Some(info) = routes::of(service, entry) else { continue };
        let Ok(mut body) = serde_json::from_slice::<Value>(entry.response.body()) else { continue };
        let is_text = |body: &Value| match replies::parse_with(info.name, entry.response.clone()) {
            Some(Ok(parsed)) => parsed.is_text || !(body.is_object() || body.is_array()),
            _ => true,
        };
        if is_text(&body) || chosen.iter().filter(|answer| answer.info.name == info.name).count() >= ANSWERS {
            continue;
        }
        shorten(&mut body);
        let mut found = Vec::new();
        places(&body, &Vec::new(), &mut found);
        let is_new = found.iter().filter(|steps| seen.insert((info.name, general(steps)))).count() > 0;
        if is_new {
            chosen.push(Answer { info, entry, body });
        }
    }
    chosen
}

/// What a release may do to a field that every release had so far.
#[derive(Debug, Default)]
struct Findings {
    /// A change that costs more than it may.
    bad: BTreeSet<String>,
    /// Fields without which their object cannot be read.
    required: BTreeSet<String>,
    used: BTreeSet<(&'static str, &'static str, &'static str)>,
    tried: usize,
}

impl Findings {
    fn vary(&mut self, service: &str, answer: &Answer<'_>, baseline: &Baseline, steps: &Steps) {
        let name = answer.info.name;
        let place = format!("{service} {name} {}", general(steps));
        let mut try_out = |odd: Option<Value>| {
            let mut body = answer.body.clone();
            change(&mut body, steps, odd);
            self.tried += 1;
            baseline.cost(answer.read(&body).as_ref(), steps)
        };
        // Without a field that must be there, its object cannot be read, and in an odd shape it costs the same.
        let absent = if matches!(steps.last(), Some(Step::Key(_))) { try_out(None) } else { Cost::Field };
        let is_in_list = steps.iter().any(|step| matches!(step, Step::Item(_)));
        let allowed = match exception(name, &general(steps)) {
            Some(_) => Cost::More,
            None if absent > Cost::Field => {
                self.required.insert(place.clone());
                // An item at the most, and not the list.
                if is_in_list { Cost::Object } else { absent }
            }
            None => Cost::Field,
        };
        let costs: Vec<_> = variations(at(&answer.body, steps).expect("it is there"))
            .into_iter()
            .map(|(what, odd)| (what, try_out(Some(odd))))
            .chain([("absent", absent)])
            .collect();
        // An exception that costs no more than its field is no longer needed.
        let is_needed = costs.iter().any(|(_, cost)| *cost > Cost::Field);
        self.used.extend(exception(name, &general(steps)).filter(|_| is_needed));
        for (what, cost) in costs {
            if cost > allowed {
                self.bad.insert(format!("{place}: {what}: {cost:?}"));
            }
        }
    }
}

/// The exception that is about a place of an answer, and all that is in it; with `$` about the place alone.
fn exception(operation: &str, place: &str) -> Option<&'static (&'static str, &'static str, &'static str)> {
    EXCEPTIONS.iter().find(|(operations, exception, _)| {
        let (exception, is_alone) = exception.strip_suffix('$').map_or((*exception, false), |place| (place, true));
        let is_in = |rest: &str| rest.is_empty() || !is_alone && rest.starts_with(['.', '[']);
        operations.split(' ').any(|name| name == operation)
            && place.match_indices(exception).any(|(at, found)| is_in(&place[at + found.len()..]))
    })
}

#[test]
fn one_odd_thing_in_an_answer_costs_no_more_than_itself() {
    let mut findings = Findings::default();
    for service in SERVICES {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(service);
        let recordings = har::read_folder(&folder).expect("the recordings");
        let mut done = HashSet::new();
        for answer in answers(service, recordings.iter().flat_map(|recording| &recording.entries)) {
            let name = answer.info.name;
            let read = answer.read(&answer.body).unwrap_or_else(|| panic!("{name}: {}", answer.entry.name));
            let baseline = Baseline { leaves: leaves(&read), body: answer.body.clone() };
            let mut unknown = answer.body.clone();
            with_unknown_fields(&mut unknown);
            if baseline.cost(answer.read(&unknown).as_ref(), &[]) != Cost::Field {
                findings.bad.insert(format!("{service} {name}: unknown fields"));
            }
            let mut all = Vec::new();
            places(&answer.body, &Vec::new(), &mut all);
            for steps in all {
                let kind = std::mem::discriminant(at(&answer.body, &steps).expect("it is there"));
                if done.insert((name, general(&steps), kind)) {
                    findings.vary(service, &answer, &baseline, &steps);
                }
            }
        }
    }
    let Findings { bad, required, used, tried } = findings;
    assert!(bad.is_empty(), "{} of {tried}:\n{}", bad.len(), Vec::from_iter(bad).join("\n"));
    assert!(tried > 5_000, "{tried} answers");
    let unused: Vec<_> = EXCEPTIONS.iter().filter(|exception| !used.contains(*exception)).collect();
    assert!(unused.is_empty(), "{unused:?}");
    let reasons: Vec<_> = required.iter().map(|place| (reason(place), place)).collect();
    let without: Vec<_> = reasons.iter().filter(|(reason, _)| reason.is_none()).map(|(_, place)| &***place).collect();
    assert!(without.is_empty(), "{} places must be there without a reason:\n{}", without.len(), without.join("\n"));
    let mut by_reason: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (reason, place) in &reasons {
        by_reason.entry(reason.unwrap_or_default()).or_default().push(place);
    }
    let list = |(reason, places): (&str, Vec<&str>)| format!("{reason} ({}):\n  {}", places.len(), places.join("\n  "));
    let text: Vec<_> = by_reason.into_iter().map(list).collect();
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../snapshots/required");
    settings.set_prepend_module_to_snapshot(false);
    settings.bind(|| insta::assert_snapshot!("required_fields", text.join("\n")));
}

/// Why a place must be there, by its key.
fn reason(place: &str) -> Option<&'static str> {
    let (_, key) = place.rsplit_once('.')?;
    let key = key.trim_end_matches("[]");
    REQUIRED.iter().find(|(_, keys)| keys.split(' ').any(|known| known == key)).map(|(reason, _)| *reason)
}

fn change(body: &mut Value, steps: &[Step], odd: Option<Value>) {
    let Some((last, before)) = steps.split_last() else { return };
    match (odd, at_mut(body, before).expect("it is there"), last) {
        (Some(odd), around, step) => *at_mut(around, std::slice::from_ref(step)).expect("it is there") = odd,
        (None, Value::Object(fields), Step::Key(key)) => {
            fields.remove(key);
        }
        _ => {}
    }
}
