//! The command `jar`.

use std::path::PathBuf;

use lexopt::prelude::*;
use pipewright_mock::flink::{Exits, Program};

use super::{Result, Run, duration, help, value};

/// Writes a jar for the simulated Flink.
pub(super) fn jar(mut parser: lexopt::Parser) -> Result<Run> {
    let (mut kind, mut file, mut name, mut records) = (None, None, None, None);
    let mut changes: Vec<Box<dyn FnOnce(Program) -> Program>> = Vec::new();
    while let Some(argument) = parser.next()? {
        match argument {
            Value(word) if kind.is_none() => kind = Some(word.string()?),
            Short('o') | Long("output") => file = Some(PathBuf::from(parser.value()?)),
            Long("name") => name = Some(parser.value()?.string()?),
            Long("records") => records = Some(value(&mut parser, "--records")?),
            Long("rate") => changes.push(with(value(&mut parser, "--rate")?, Program::rate)),
            Long("parallelism") => changes.push(with(value(&mut parser, "--parallelism")?, Program::parallelism)),
            Long("restarts") => changes.push(with(value(&mut parser, "--restarts")?, Program::restarts)),
            Long("checkpoint-interval") => {
                let interval = duration(&mut parser, "--checkpoint-interval")?;
                changes.push(with(Some(interval), Program::checkpoint_interval));
            }
            Long("exits") => changes.push(with(exits(&mut parser)?, Program::exits)),
            Long("state-incompatible") => changes.push(Box::new(Program::state_incompatible)),
            Long("state-dropped") => changes.push(Box::new(Program::state_dropped)),
            Long("help") | Short('h') => return Ok(help()),
            other => return Err(other.unexpected().into()),
        }
    }
    let kind = kind.ok_or("the kind of jar is missing; use `endless`, `bounded`, `failing` or `exiting`")?;
    let file = file.ok_or("-o is missing; give the file to write, as in `-o orders.jar`")?;
    let name = name.unwrap_or_else(|| kind.clone());
    let program = match (kind.as_str(), records) {
        ("endless", None) => Program::endless(name),
        ("endless", Some(_)) => return Err("--records: an endless jar has no number of records; use `bounded`".into()),
        ("bounded", records) => Program::bounded(name, records.unwrap_or(1000)),
        ("failing", records) => Program::endless(name).fails_after(records.unwrap_or(500)).restarts(2),
        ("exiting", None) => Program::endless(name).exits(Exits::Always),
        ("exiting", Some(_)) => {
            return Err("--records: an exiting jar has no number of records; use `bounded --exits WHEN`".into());
        }
        (other, _) => {
            return Err(
                format!("unknown kind of jar `{other}`; use `endless`, `bounded`, `failing` or `exiting`").into()
            );
        }
    };
    let program = changes.into_iter().fold(program, |program, change| change(program));
    Ok(Box::new(move || {
        std::fs::write(&file, program.jar()).map_err(|error| format!("{}: {error}", file.display()).into())
    }))
}

fn exits(parser: &mut lexopt::Parser) -> Result<Exits> {
    match parser.value()?.to_string_lossy().as_ref() {
        "always" => Ok(Exits::Always),
        "before-execute" => Ok(Exits::BeforeExecute),
        "after-execute" => Ok(Exits::AfterExecute),
        other => Err(format!("--exits {other}: not a time; use `always`, `before-execute` or `after-execute`").into()),
    }
}

fn with<T: 'static>(value: T, change: fn(Program, T) -> Program) -> Box<dyn FnOnce(Program) -> Program> {
    Box::new(move |program| change(program, value))
}
