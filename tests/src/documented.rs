//! The tables of operations in the documentation, held against the operations.

use pipewright::operation::OperationInfo;

/// Each operation has one row in the page of its service, under its own name, and there is no other row. Operations are
/// given by their type with its path, as `std::any::type_name` has it.
///
/// # Panics
/// When that is not so.
pub fn assert_lists(page: &str, operations: impl IntoIterator<Item = (&'static str, &'static OperationInfo)>) {
    let rows = page.lines().filter(|line| line.starts_with("| [`"));
    let mut documented: Vec<_> = rows
        .map(|row| {
            let cells: Vec<_> = row.split('|').map(|cell| cell.trim().trim_end_matches(" †")).collect();
            format!("{} {} {}", cells[1], cells[2], cells[3])
        })
        .collect();
    let mut expected: Vec<_> = operations
        .into_iter()
        .map(|(kind, info)| {
            let parts: Vec<_> = kind.split("::").collect();
            let (room, name) = (parts[2], parts[parts.len() - 1]);
            format!("[`{name}`]({room}::{name}) {} `{}`", info.method, info.path)
        })
        .collect();
    documented.sort_unstable();
    expected.sort_unstable();
    assert_eq!(documented, expected);
}
