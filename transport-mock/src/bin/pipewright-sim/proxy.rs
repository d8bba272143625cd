//! The command `proxy`.

use std::path::PathBuf;
use std::sync::Arc;

use lexopt::prelude::*;
use pipewright_mock::serve::{Proxy, ProxyOptions};
use pipewright_mock::{FaultKind, FaultPlan};

use super::signals::{Signals, within_grace};
use super::{CommonOptions, GRACE, Result, Run, announce, help, log, report, seconds, value};

/// Serves a proxy with faults.
pub(super) fn proxy(mut parser: lexopt::Parser) -> Result<Run> {
    let (mut common, mut upstream, mut recording) = (CommonOptions::new(), None, None);
    let mut changes: Vec<Box<dyn FnOnce(FaultPlan) -> FaultPlan>> = Vec::new();
    while let Some(argument) = parser.next()? {
        let name = match argument {
            Long("help") | Short('h') => return Ok(help()),
            Long("upstream") => {
                upstream = Some(parser.value()?.string()?);
                continue;
            }
            Long("record") => {
                recording = Some(PathBuf::from(parser.value()?));
                continue;
            }
            Long("chance") => {
                let (kind, chance) = chance(&parser.value()?.string()?)?;
                changes.push(Box::new(move |plan| plan.chance(kind, chance)));
                continue;
            }
            Long("at-most") => {
                let faults = value(&mut parser, "--at-most")?;
                changes.push(Box::new(move |plan| plan.at_most(faults)));
                continue;
            }
            Long("delays") => {
                let delays = seconds(&mut parser, "--delays")?;
                changes.push(Box::new(move |plan| plan.delays(delays)));
                continue;
            }
            Long(name @ ("port" | "seed" | "faults")) => name.to_owned(),
            other => return Err(other.unexpected().into()),
        };
        common.read(&name, &mut parser)?;
    }
    let upstream = upstream
        .ok_or("--upstream is missing; give the address of the server, as in `--upstream http://127.0.0.1:8081`")?;
    let plan = changes.into_iter().fold(common.plan()?, |plan, change| change(plan));
    let mut options = ProxyOptions::new(&upstream)?.port(common.port).faults(plan).on_request(log);
    if let Some(file) = &recording {
        options = options.record(file);
    }
    Ok(Box::new(move || {
        let signals = Signals::register()?;
        let proxy = Arc::new(Proxy::start(options)?);
        announce(proxy.url());
        signals.wait_while(|| true);
        let stopped = Arc::clone(&proxy);
        let finished = within_grace(move || stopped.shutdown(GRACE));
        let failure = proxy.recording_failure();
        report(finished);
        match failure {
            Some(failure) => {
                Err(format!("the recording is not complete: {failure}; free some space and repeat it").into())
            }
            None => Ok(()),
        }
    }))
}

/// Parses a kind of fault and its probability.
fn chance(text: &str) -> Result<(FaultKind, f64)> {
    let wrong = || {
        format!("--chance {text}: not a chance; use a kind of fault and a number from 0 to 1, as in `reply-lost=0.1`")
    };
    let (kind, chance) = text.split_once('=').ok_or_else(wrong)?;
    let chance = chance.parse().ok().filter(|chance| (0.0..=1.0).contains(chance)).ok_or_else(wrong)?;
    Ok((kind.parse()?, chance))
}
