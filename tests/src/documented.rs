//! Compares the tables of operations in the documentation with the operations.

use pipewright::operation::OperationInfo;

/// Asserts that the page of a service has exactly one row for each operation. Pass each operation with the path of its
/// type, from `std::any::type_name`.
///
/// # Panics
/// If a row is missing or superfluous.
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
