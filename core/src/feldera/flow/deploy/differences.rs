//! [`Differences`]: what a deployment has to change in a pipeline.

use super::Deploy;
use crate::feldera::Json;
use crate::feldera::pipelines::{PatchPipeline, Pipeline, RuntimeConfig, Switch};
use crate::feldera::settings::{SettingValue, Spelled, Spelling, Spellings};

/// The changes that a deployment has to make.
#[derive(Clone, Debug)]
pub(super) struct Differences(pub(super) PatchPipeline);

impl Differences {
    /// Compares the goal with a pipeline. A configuration is sent whole: settings that are not given keep the values
    /// that were seen, including settings that this version of the library does not know.
    pub(super) fn between(goal: &Deploy, seen: &Pipeline, spellings: Spellings) -> Self {
        let differs = |wanted: &Option<String>, has: &Option<String>| {
            wanted.clone().filter(|wanted| has.as_deref().unwrap_or_default() != wanted)
        };
        let mut patch = PatchPipeline::new(goal.name());
        let has = seen.program_code.as_deref().unwrap_or_default();
        // A running pipeline is not restarted for the line feed that an interrupted recompilation leaves.
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

    /// Returns whether the pipeline has to be stopped for these changes.
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

    /// Returns a field that can change only while the storage is clear.
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

/// Returns whether two programs are equal, apart from a line feed at the end.
pub(super) fn is_same_program(wanted: &str, has: &str) -> bool {
    has.strip_prefix(wanted).is_some_and(|rest| matches!(rest, "" | "\n"))
}

/// Returns the configuration to send; `None` if all wanted settings have the wanted values. Values are compared, not
/// their spellings.
fn changed<T: SettingValue + PartialEq>(wanted: &T, has: Option<&T>) -> Option<T> {
    let Some(has) = has else { return Some(wanted.clone()) };
    let mut changed = has.clone();
    changed.overlay(wanted);
    (changed != *has).then_some(changed)
}

/// Returns the wanted configuration as the server can store it. Under their old names, settings are whole numbers.
/// Under the new names, a clock cannot be off: the server stores nothing, and uses the default.
fn storable(wanted: &RuntimeConfig, has: Option<&RuntimeConfig>, spellings: Spellings) -> RuntimeConfig {
    let spellings = has.map_or(spellings, |has| spellings.or_as_in(has.source()));
    let sent = Json::of(&Spelled { value: wanted, spellings });
    let mut storable: RuntimeConfig = sent.and_then(|sent| sent.parse()).unwrap_or_else(|_| wanted.clone());
    let has_no_clock = spellings.durations != Spelling::Old && has.is_some_and(|has| has.clock_resolution.is_none());
    storable.clock_resolution = storable.clock_resolution.filter(|clock| !(has_no_clock && *clock == Switch::Off));
    storable
}
