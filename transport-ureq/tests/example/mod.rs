//! Runs an example as a process.

use std::env::consts::EXE_SUFFIX;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::SystemTime;

/// The program that `cargo test` has built beside this test.
///
/// # Panics
/// When it is not there, or older than what it is made from: `cargo test --test …` builds no examples.
pub(crate) fn example(name: &str) -> Command {
    let test = std::env::current_exe().expect("this test's own file");
    let profile = test.parent().and_then(Path::parent).expect("it is in target/<profile>/deps");
    let program = profile.join("examples").join(format!("{name}{EXE_SUFFIX}"));
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    // One is a file with a folder beside it, or a folder alone.
    let newest = [sources.join("support"), sources.join(name)]
        .iter()
        .filter_map(|folder| std::fs::read_dir(folder).ok())
        .flatten()
        .map(|entry| entry.expect("readable").path())
        .chain(Some(sources.join(format!("{name}.rs"))).filter(|file| file.exists()))
        .map(|source| changed(&source))
        .max();
    let is_fresh = program.exists() && newest <= Some(changed(&program));
    assert!(
        is_fresh,
        "{} is not built: cargo build -p pipewright-ureq --all-features --example {name}",
        program.display()
    );
    let mut command = Command::new(program);
    command.stdin(Stdio::null());
    command
}

fn changed(path: &Path) -> SystemTime {
    path.metadata().and_then(|data| data.modified()).expect("a file has a time")
}
