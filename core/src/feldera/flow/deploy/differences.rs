//! [`Differences`]: what of a pipeline is not as it should be.

use super::Deploy;
use crate::feldera::Json;
use crate::feldera::pipelines::{PatchPipeline, Pipeline, RuntimeConfig, Switch};
use crate::feldera::settings::{SettingValue, Spelled, Spelling, Spellings};

/// What is to change.
#[derive(Clone, Debug)]
pub(super) struct Differences(pub(super) PatchPipeline);

impl Differences {
    /// What of a pipeline is to change. A configuration is sent whole: what is not given stays as it was seen, also
    /// what this version of the library does not know.
    pub(super) fn between(goal: &Deploy, seen: &Pipeline, spellings: Spellings) -> Self {
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
            goal.program_config.as_ref().and_then(|wanted| changed(wanted, seen.program_config.as_ref()));
        patch.runtime_config = goal.runtime_config.0.as_ref().and_then(|wanted| {
            let has = seen.runtime_config.as_deref();
            changed(&storable(wanted, has, spellings), has)
        });
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
        let (changed, has) = (self.0.runtime_config.as_ref()?, seen.runtime_config.as_ref()?);
        [
            ("workers", changed.workers != has.workers),
            ("hosts", changed.hosts != has.hosts),
            ("fault_tolerance", changed.fault_tolerance != has.fault_tolerance),
        ]
        .into_iter()
        .find_map(|(name, differs)| differs.then_some(name))
    }
}

/// Whether SQL is the wanted SQL, but for a line feed at its end.
pub(super) fn is_same_program(wanted: &str, has: &str) -> bool {
    has.strip_prefix(wanted).is_some_and(|rest| matches!(rest, "" | "\n"))
}

/// A configuration with what is wanted, if that differs from what there is. Values are compared, not their spellings.
fn changed<T: SettingValue + PartialEq>(wanted: &T, has: Option<&T>) -> Option<T> {
    let Some(has) = has else { return Some(wanted.clone()) };
    let mut changed = has.clone();
    changed.overlay(wanted);
    (changed != *has).then_some(changed)
}

/// What is wanted, as the server can store it. Old names have whole numbers only. With new names there is no clock that
/// is off: the server stores nothing, and uses the default.
fn storable(wanted: &RuntimeConfig, has: Option<&RuntimeConfig>, spellings: Spellings) -> RuntimeConfig {
    let spellings = has.map_or(spellings, |has| spellings.or_as_in(has.source()));
    let sent = Json::of(&Spelled { value: wanted, spellings });
    let mut storable: RuntimeConfig = sent.and_then(|sent| sent.parse()).unwrap_or_else(|_| wanted.clone());
    let has_no_clock = spellings.durations != Spelling::Old && has.is_some_and(|has| has.clock_resolution.is_none());
    storable.clock_resolution = storable.clock_resolution.filter(|clock| !(has_no_clock && *clock == Switch::Off));
    storable
}
