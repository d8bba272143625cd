//! Guide: how to test a program with simulators, faults and virtual time. This module has no items.
//!
#![doc = include_str!("../docs/testing.md")]
//!
//! [`FaultPlan`]: crate::FaultPlan
//! [`FaultPlan::flaky`]: crate::FaultPlan::flaky
//! [`FaultPlan::hostile`]: crate::FaultPlan::hostile
//! [`FaultPlan::nth_of`]: crate::FaultPlan::nth_of
//! [`Fault`]: crate::Fault
//! [`Script`]: crate::Script
//! [`World`]: crate::World
//! [`conformance`]: crate::conformance
//! [`conformance::check`]: crate::conformance::check
//! [`quick_snapshot_test`]: https://github.com/pipewright/pipewright/blob/main/examples/quick_snapshot_test.rs
//! [`schedule`]: crate::schedule
//! [`serve`]: crate::serve
//! [`strategies`]: crate::strategies
//! [`transcript`]: crate::transcript
//! [insta]: https://insta.rs
