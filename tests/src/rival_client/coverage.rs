//! Which faults and acts of the rival met which flows.

use std::collections::{BTreeMap, BTreeSet};

use pipewright_mock::feldera::Release;

use super::{Act, Trial};

/// How often each fault, and each act of the rival, met each flow while it ran.
#[derive(Clone, Debug, Default)]
pub struct Coverage {
    counts: BTreeMap<String, BTreeMap<&'static str, u64>>,
    flows: BTreeSet<&'static str>,
}

impl Coverage {
    /// Takes note of a trial of a flow on a release.
    pub fn add<T>(&mut self, flow: &'static str, release: Release, trial: &Trial<T>) {
        self.flows.insert(flow);
        let acts = trial.history.iter().filter_map(|moment| moment.act.as_ref()).map(Act::name);
        for what in acts.chain(trial.faults.iter().cloned()).chain(["(all)".to_owned(), release.version().to_owned()]) {
            *self.counts.entry(what).or_default().entry(flow).or_default() += 1;
        }
    }

    /// Which of these never met which flow.
    fn missing(&self, what: &[&str]) -> Vec<String> {
        let never = |what: &str, flow: &str| self.counts.get(what).is_none_or(|counts| !counts.contains_key(flow));
        let pairs = what.iter().flat_map(|what| self.flows.iter().map(move |flow| (*what, *flow)));
        pairs.filter(|(what, flow)| never(what, flow)).map(|(what, flow)| format!("{what} in {flow}")).collect()
    }

    /// The end of a property over all flows: prints the table.
    ///
    /// # Panics
    /// With what failed; or, if there were cases enough, when something of this never met a flow.
    pub fn conclude(&self, result: Result<(), impl std::fmt::Display>, is_enough: bool, what: &[&str]) {
        println!("{self}");
        if let Err(error) = result {
            panic!("{error}");
        }
        let missing = self.missing(what);
        assert!(missing.is_empty() || !is_enough, "never happened: {missing:?}");
    }
}

/// A table: a line for each fault and act, a column for each flow.
impl std::fmt::Display for Coverage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:18}", "")?;
        for flow in &self.flows {
            write!(f, " {flow:>12.12}")?;
        }
        for (what, counts) in &self.counts {
            write!(f, "\n{what:18.18}")?;
            for flow in &self.flows {
                write!(f, " {:12}", counts.get(flow).copied().unwrap_or_default())?;
            }
        }
        writeln!(f)
    }
}
