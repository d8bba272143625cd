//! The table of all seeds.

use std::collections::BTreeMap;
use std::fmt;

use pipewright_mock::FaultKind;

use super::verdict::{End, Verdict};

/// What became of all seeds.
#[derive(Debug, Default)]
pub struct Report {
    verdicts: Vec<Verdict>,
}

impl Report {
    /// Adds a seed.
    pub fn add(&mut self, verdict: Verdict) {
        self.verdicts.push(verdict);
        self.verdicts.sort_by_key(|verdict| verdict.seed);
    }

    /// Returns how many violations there are.
    pub fn violations(&self) -> usize {
        self.verdicts.iter().map(|verdict| verdict.violations.len()).sum()
    }

    /// Returns how many operations ended without anybody knowing how.
    pub fn unknown(&self) -> usize {
        self.count(|end| matches!(end, End::Unknown(_)))
    }

    fn count(&self, wanted: impl Fn(&End) -> bool) -> usize {
        self.verdicts.iter().flat_map(|verdict| &verdict.steps).filter(|step| wanted(&step.end)).count()
    }
}

/// One line for each seed, the totals, and what has to be explained.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for verdict in &self.verdicts {
            writeln!(f, "{verdict}")?;
        }
        let steps = || self.verdicts.iter().flat_map(|verdict| &verdict.steps);
        let seeds = self.verdicts.first().map(|first| first.seed).zip(self.verdicts.last().map(|last| last.seed));
        let (first, last) = seeds.unwrap_or_default();
        writeln!(f, "\nseeds {first} to {last}: {} runs, {} operations", self.verdicts.len(), steps().count())?;
        let row = |f: &mut fmt::Formatter<'_>, name: &str, count: usize| writeln!(f, "  {name:<28}{count:>6}");
        row(f, "ended", self.count(|end| *end == End::Done))?;
        row(f, "upgraded", self.count(|end| *end == End::Upgraded))?;
        row(f, "rolled back", self.count(|end| *end == End::RolledBack))?;
        let mut classes: BTreeMap<String, usize> = BTreeMap::new();
        for step in steps() {
            if let End::Failed(class) = step.end {
                *classes.entry(format!("failed: {}: {class}", step.operation)).or_default() += 1;
            }
        }
        for (class, count) in &classes {
            row(f, class, *count)?;
        }
        row(f, "unknown", self.unknown())?;
        row(f, "unknown, cleared later", steps().map(|step| step.cleared).sum())?;
        row(f, "processes killed", steps().map(|step| step.kills).sum())?;
        row(f, "violations", self.violations())?;
        let mut faults: BTreeMap<FaultKind, u64> = BTreeMap::new();
        for (kind, count) in self.verdicts.iter().flat_map(|verdict| &verdict.faults) {
            *faults.entry(*kind).or_default() += count;
        }
        write!(f, "  faults:")?;
        faults.iter().try_for_each(|(kind, count)| write!(f, " {kind} {count}"))?;
        writeln!(f)?;
        for verdict in &self.verdicts {
            for step in &verdict.steps {
                if let End::Unknown(why) = &step.end {
                    writeln!(f, "unknown: seed {}, {}: {why}", verdict.seed, step.operation)?;
                }
            }
            for violation in &verdict.violations {
                writeln!(f, "VIOLATION: seed {} (alone: --seed {0}): {violation}", verdict.seed)?;
            }
        }
        Ok(())
    }
}

/// One line.
impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let faults: u64 = self.faults.values().sum();
        write!(f, "seed {:>4} {:>4} s {faults:>3} faults:", self.seed, self.took.as_secs())?;
        for step in &self.steps {
            let end = match &step.end {
                End::Done => "ok".to_owned(),
                End::Upgraded => "upgraded".to_owned(),
                End::RolledBack => "rolled back".to_owned(),
                End::Failed(class) => format!("failed ({class})"),
                End::Unknown(_) => "UNKNOWN".to_owned(),
            };
            write!(f, " {} {end}", step.operation)?;
            if step.kills > 0 {
                write!(f, " ({} kills)", step.kills)?;
            }
            if step.cleared > 0 {
                write!(f, " ({} unknown before)", step.cleared)?;
            }
            f.write_str(";")?;
        }
        if !self.violations.is_empty() {
            write!(f, " {} VIOLATIONS", self.violations.len())?;
        }
        Ok(())
    }
}
