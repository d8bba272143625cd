//! The table of all seeds.

use std::collections::BTreeMap;
use std::fmt;

use pipewright_mock::FaultKind;

use super::verdict::{End, Verdict};

/// The outcomes of all seeds.
#[derive(Debug, Default)]
pub struct Report {
    verdicts: Vec<Verdict>,
    /// The seeds without a verdict, and why.
    failures: Vec<(u64, String)>,
}

impl Report {
    /// Adds a seed.
    pub fn add(&mut self, verdict: Verdict) {
        self.verdicts.push(verdict);
        self.verdicts.sort_by_key(|verdict| verdict.seed);
    }

    /// Adds a seed that has no verdict.
    pub fn fail(&mut self, seed: u64, why: impl Into<String>) {
        self.failures.push((seed, why.into()));
    }

    /// Returns whether each of this many seeds has a verdict, nothing was violated, and at most one outcome stayed
    /// unknown.
    pub fn has_passed(&self, seeds: u64) -> bool {
        let is_complete = self.failures.is_empty() && u64::try_from(self.verdicts.len()) == Ok(seeds) && seeds > 0;
        is_complete && self.violations() == 0 && self.unknown() <= 1
    }

    /// Returns how many violations there are.
    pub fn violations(&self) -> usize {
        self.verdicts.iter().map(|verdict| verdict.violations.len()).sum()
    }

    /// Returns how many operations ended with an unknown outcome.
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
        row(f, "seeds without a verdict", self.failures.len())?;
        let mut faults: BTreeMap<FaultKind, u64> = BTreeMap::new();
        for (kind, count) in self.verdicts.iter().flat_map(|verdict| &verdict.faults) {
            *faults.entry(*kind).or_default() += count;
        }
        write!(f, "  faults:")?;
        faults.iter().try_for_each(|(kind, count)| write!(f, " {kind} {count}"))?;
        writeln!(f)?;
        for (seed, why) in &self.failures {
            writeln!(f, "NO VERDICT: seed {seed} (alone: --seed {seed}): {why}")?;
        }
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::verdict::Step;
    use super::*;

    fn verdict(seed: u64, end: End, violations: &[&str]) -> Verdict {
        Verdict {
            seed,
            scenario: String::new(),
            steps: vec![Step { operation: "run".to_owned(), end, cleared: 0, kills: 0 }],
            violations: violations.iter().map(|&what| what.to_owned()).collect(),
            faults: BTreeMap::new(),
            took: Duration::ZERO,
        }
    }

    #[test]
    fn a_report_passes_only_if_every_seed_has_a_verdict() {
        let mut report = Report::default();
        assert!(!report.has_passed(0) && !report.has_passed(1));
        report.add(verdict(1, End::Done, &[]));
        assert!(report.has_passed(1) && !report.has_passed(2));
        report.add(verdict(2, End::Unknown("why".to_owned()), &[]));
        assert!(report.has_passed(2));
        report.add(verdict(3, End::Unknown("why".to_owned()), &[]));
        assert!(!report.has_passed(3));
    }

    #[test]
    fn a_seed_without_a_verdict_does_not_hide_violations() {
        let mut report = Report::default();
        report.add(verdict(1, End::Done, &["two jobs"]));
        assert!(!report.has_passed(1));
        report.add(verdict(2, End::Done, &[]));
        report.fail(3, "panicked");
        let text = report.to_string();
        assert!(text.contains("VIOLATION: seed 1 (alone: --seed 1): two jobs"), "{text}");
        assert!(text.contains("NO VERDICT: seed 3 (alone: --seed 3): panicked"), "{text}");
        let mut report = Report::default();
        report.add(verdict(1, End::Done, &[]));
        report.fail(2, "panicked");
        assert!(!report.has_passed(1) && !report.has_passed(2));
    }
}
