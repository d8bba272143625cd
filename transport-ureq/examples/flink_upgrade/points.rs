//! [`Points`]: where tests kill the tool.

use std::cell::Cell;
use std::env;

/// The environment variable that the tests of this tool set: `7:before` aborts the process at the seventh notice,
/// before its state is saved, and `7:after` once it is. The steps of the tool itself count as notices, too. **For tests
/// alone.**
const VARIABLE: &str = "FLINK_UPGRADE_ABORT_AT";

/// Counts notices.
pub(crate) struct Points {
    count: Cell<u64>,
    abort_at: Option<(u64, bool)>,
}

impl Points {
    pub(crate) fn from_env() -> Self {
        let abort_at = env::var(VARIABLE).ok().and_then(|text| {
            let (number, when) = text.split_once(':')?;
            Some((number.parse().ok()?, when == "after"))
        });
        Self { count: Cell::new(0), abort_at }
    }

    /// Runs what a notice stands for: the tool may be killed before it and after it.
    pub(crate) fn pass<T>(&self, handle: impl FnOnce() -> T) -> T {
        self.count.set(self.count.get() + 1);
        self.abort(false);
        let result = handle();
        self.abort(true);
        result
    }

    /// As a kill, and without the dump of a core.
    fn abort(&self, after: bool) {
        if self.abort_at == Some((self.count.get(), after)) {
            std::process::abort();
        }
    }
}
