//! What a running pipeline does for its own upkeep when it is told to: it rebalances, compacts, and advances its clock.

use super::errors::{Answer, Rejection, Reply};
use super::request::Call;
use super::store::Store;

/// There is one host, and so nothing moves.
pub(super) fn rebalance(store: &mut Store, name: &str) -> Answer {
    store.process(name)?;
    Ok(Reply::empty())
}

/// Nothing on disk could become smaller.
pub(super) fn start_compaction(store: &mut Store, name: &str) -> Answer {
    store.process(name)?;
    Ok(Reply::empty())
}

/// Rejected unless the program asks for the time. The clock of a program that does is not simulated.
pub(super) fn advance_clock(store: &mut Store, call: &Call, name: &str) -> Answer {
    call.object()?;
    let pipeline = store.running(name)?;
    if pipeline.code.to_uppercase().contains("NOW()") {
        return Err(Rejection::not_simulated(&call.method, &call.target));
    }
    let error =
        "this pipeline's program does not reference `NOW()`; the clock connector is not active and cannot be advanced";
    Err(Rejection::invalid_parameter(error))
}
