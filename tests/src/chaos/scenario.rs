//! What a seed decides.

use std::fmt;
use std::time::Duration;

use pipewright::Seed;
use pipewright_mock::{FaultKind, FaultPlan};

/// An operation on the job of a scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// `TakeSavepoint`.
    Savepoint,
    /// `TriggerCheckpoint`.
    Checkpoint,
    /// `UpgradeJob`.
    Upgrade(NewJar),
    /// `UpgradeJob` to a good jar; its process is killed, and every later one asks for the old jar again.
    RollBack,
    /// `StopWithSavepoint`.
    Stop,
    /// `RunJar` from the savepoint of the stop.
    Restart,
}

/// The jar that a job is upgraded to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewJar {
    /// Continues from the savepoint.
    Good,
    /// No snapshot of it succeeds, so that it never completes a checkpoint.
    FailsAtOnce,
    /// Fails some seconds after it has started, again and again.
    FailsLater,
    /// Has no operators for the state of the savepoint.
    Incompatible,
    /// Reads the state as another type.
    OtherState,
    /// Its main method throws.
    Throws,
    /// Its main method throws after it has submitted the job.
    ThrowsLate,
    /// Is not a jar.
    Broken,
}

impl NewJar {
    const ALL: [Self; 8] = [
        Self::Good,
        Self::FailsAtOnce,
        Self::FailsLater,
        Self::Incompatible,
        Self::OtherState,
        Self::Throws,
        Self::ThrowsLate,
        Self::Broken,
    ];

    /// Returns the file, and the arguments beyond those that every jar gets.
    pub fn program(self) -> (&'static str, &'static [&'static str]) {
        match self {
            Self::Good => ("endless.jar", &["--rate", "40"]),
            Self::FailsAtOnce => ("endless.jar", &["--fail-snapshot", "true"]),
            Self::FailsLater => ("endless.jar", &["--fail-at", "100"]),
            Self::Incompatible => ("failing.jar", &[]),
            Self::OtherState => ("endless.jar", &["--other-state", "true"]),
            Self::Throws => ("params.jar", &["--throw", "told to"]),
            Self::ThrowsLate => ("endless.jar", &["--throw-late", "true"]),
            Self::Broken => ("broken.jar", &[]),
        }
    }

    /// Returns whether an upgrade to it may end with an error although nothing goes wrong: its main method throws, or
    /// it is not a jar. All others run, or are rolled back.
    pub fn may_be_rejected(self) -> bool {
        matches!(self, Self::Throws | Self::ThrowsLate | Self::Broken)
    }

    /// Returns whether an upgrade to it may succeed if it must stay stable for some seconds, or need not. One that
    /// fails late may have completed a checkpoint before. That a main method has thrown is not known if the answer is
    /// lost, and its job runs.
    pub fn may_succeed(self, is_verified: bool) -> bool {
        matches!(self, Self::Good | Self::ThrowsLate) || (self == Self::FailsLater && !is_verified)
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Savepoint => f.write_str("savepoint"),
            Self::Checkpoint => f.write_str("checkpoint"),
            Self::Upgrade(jar) => write!(f, "upgrade({jar:?})"),
            Self::RollBack => f.write_str("roll-back"),
            Self::Stop => f.write_str("stop"),
            Self::Restart => f.write_str("restart"),
        }
    }
}

/// What happens under one seed. The first operation, running the job, is always there.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The seed.
    pub seed: u64,
    /// What is done with the job.
    pub operations: Vec<Operation>,
    /// Where processes are killed.
    pub kills: Seed,
    /// How many of ten processes are killed.
    pub kills_of_ten: u64,
    /// Whether the new job of an upgrade must stay stable for some seconds.
    pub is_verified: bool,
    /// Draws the faults of each operation.
    faults: Seed,
    /// How much goes wrong.
    busy: f64,
    /// How many faults there are for an operation, at most.
    at_most: u64,
}

impl Scenario {
    /// Draws the scenario of a seed.
    pub fn new(seed: u64) -> Self {
        let mut source = Seed::new(u128::from(seed) + 1);
        let (kills, faults) = (source.split(), source.split());
        let mut operations = Vec::new();
        for _ in 0..source.below(3) {
            let checkpoint = source.below(3) == 0;
            operations.push(if checkpoint { Operation::Checkpoint } else { Operation::Savepoint });
        }
        // Every other jar is good; the others take turns.
        let jar = if seed.is_multiple_of(2) {
            NewJar::Good
        } else {
            usize::try_from(seed / 2 % 7).ok().and_then(|at| NewJar::ALL.get(at + 1)).copied().unwrap_or(NewJar::Good)
        };
        operations.push(Operation::Upgrade(jar));
        if source.below(3) == 0 {
            operations.push(Operation::Savepoint);
        }
        if source.below(4) == 0 {
            operations.push(Operation::RollBack);
        }
        if source.below(2) == 0 {
            operations.push(Operation::Stop);
            if source.below(2) == 0 {
                operations.push(Operation::Restart);
            }
        }
        let kills_of_ten = [0, 3, 6, 9].into_iter().nth(usize::try_from(source.below(4)).unwrap_or(0)).unwrap_or(0);
        let is_verified = source.below(2) == 0;
        // From an unstable to a hostile network.
        let busy = [0.5, 1.0, 1.5, 2.0].into_iter().nth(usize::try_from(source.below(4)).unwrap_or(0)).unwrap_or(1.0);
        let at_most = 2 + source.below(20);
        Self { seed, operations, kills, kills_of_ten, is_verified, faults, busy, at_most }
    }

    /// The plan for the next operation. Some delays outlast the time that a request may take.
    pub fn next_faults(&mut self) -> FaultPlan {
        let (seed, busy) = (self.faults.next_u64(), self.busy);
        [
            (FaultKind::NotSent, 0.04),
            (FaultKind::ReplyLost, 0.05),
            (FaultKind::DelayRequest, 0.02),
            (FaultKind::DelayReply, 0.03),
            (FaultKind::TooManyRequests, 0.01),
            (FaultKind::Unavailable, 0.02),
            (FaultKind::ProxyPage, 0.04),
            (FaultKind::CutOff, 0.02),
            (FaultKind::ShortBody, 0.01),
            (FaultKind::MalformedBody, 0.01),
            (FaultKind::Restart, 0.01),
            (FaultKind::LostRoute, 0.03),
            (FaultKind::DeliveredTwice, 0.04),
        ]
        .into_iter()
        .fold(FaultPlan::seeded(seed), |plan, (kind, chance)| plan.chance(kind, chance * busy))
        .at_most(self.at_most)
        .delays(Duration::from_millis(50)..=Duration::from_secs(6))
        .downtimes(Duration::from_millis(200)..=Duration::from_secs(2))
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("run")?;
        self.operations.iter().try_for_each(|operation| write!(f, ", {operation}"))
    }
}
