//! [`Differences`]: what of a pipeline is not as it should be.

use serde::Serialize;
use serde_json::Value;

use super::Deploy;
use crate::feldera::pipelines::{PatchPipeline, Pipeline};

/// What is to change.
#[derive(Clone, Debug)]
pub(super) struct Differences(pub(super) PatchPipeline);

impl Differences {
    /// What of a pipeline is to change.
    pub(super) fn between(goal: &Deploy, seen: &Pipeline) -> Self {
        let differs = |wanted: &Option<String>, has: &Option<String>| {
            wanted.clone().filter(|wanted| has.as_deref().unwrap_or_default() != wanted)
        };
        let mut patch = PatchPipeline::new(goal.name());
        let has = seen.program_code.as_deref().unwrap_or_default();
        // What runs is not restarted for the line feed that an interrupted recompilation leaves.
        let is_enough = !seen.is_at_rest() && is_same_program(&goal.program_code.0, has);
        patch.program_code = differs(&Some(goal.program_code.0.clone()), &seen.program_code).filter(|_| !is_enough);
        patch.udf_rust = differs(&goal.udf_rust.0, &seen.udf_rust);
        patch.udf_toml = differs(&goal.udf_toml.0, &seen.udf_toml);
        patch.program_config =
            goal.program_config.clone().filter(|wanted| !is_part(wanted, seen.program_config.as_ref()));
        patch.runtime_config =
            goal.runtime_config.0.clone().filter(|wanted| !is_part(wanted, seen.runtime_config.as_deref()));
        patch.description = differs(&goal.description, &seen.description);
        patch.tags = goal.tags.clone().filter(|tags| *tags != seen.tags);
        Self(patch)
    }

    /// Whether it can change only while the pipeline is stopped.
    pub(super) fn need_a_stop(&self) -> bool {
        let PatchPipeline { program_code, udf_rust, udf_toml, program_config, runtime_config, .. } = &self.0;
        program_code.is_some()
            || udf_rust.is_some()
            || udf_toml.is_some()
            || program_config.is_some()
            || runtime_config.is_some()
    }

    pub(super) fn any(&self) -> bool {
        self.need_a_stop() || self.0.description.is_some() || self.0.tags.is_some()
    }

    /// What can change only while the storage is clear, as far as is known.
    pub(super) fn need_clear_storage(&self, seen: &Pipeline) -> Option<&'static str> {
        let (wanted, has) = (self.0.runtime_config.as_ref()?, seen.runtime_config.as_ref()?);
        let other = |wanted: Value, has: Value| !wanted.is_null() && !contains(&has, &wanted);
        [
            ("workers", other(wanted.workers.into(), has.workers.into())),
            ("hosts", other(wanted.hosts.into(), has.hosts.into())),
            ("fault_tolerance", other(value(&wanted.fault_tolerance), value(&has.fault_tolerance))),
        ]
        .into_iter()
        .find_map(|(name, differs)| differs.then_some(name))
    }
}

/// Whether SQL is the wanted one, but for a line feed at its end.
pub(super) fn is_same_program(wanted: &str, has: &str) -> bool {
    has.strip_prefix(wanted).is_some_and(|rest| matches!(rest, "" | "\n"))
}

fn value<T: Serialize>(of: &T) -> Value {
    serde_json::to_value(of).unwrap_or_default()
}

/// Whether all that is given is so already: a setting that is not given is absent, and one that is to be off is `null`.
/// What is not given has defaults that only the service knows.
fn is_part<T: Serialize>(wanted: &T, has: Option<&T>) -> bool {
    has.is_some_and(|has| contains(&value(has), &value(wanted)))
}

fn contains(has: &Value, wanted: &Value) -> bool {
    match (has, wanted) {
        (Value::Object(has), Value::Object(wanted)) => {
            wanted.iter().all(|(key, wanted)| contains(has.get(key).unwrap_or(&Value::Null), wanted))
        }
        (has, wanted) => has == wanted,
    }
}
