//! Results as tables of text.

/// How many rows of a query are made at once. Real batches differ in size.
const BATCH_ROWS: usize = 1000;

/// A table as people like it; its last line has no end. Each batch has the widths that its own rows take, and only the
/// first has a head: so columns grow and shrink on the way, and the last border may be of another width than the first.
pub(super) fn ascii(columns: &[String], rows: &[Vec<String>]) -> String {
    let mut lines = Vec::new();
    let batches = rows.chunks(BATCH_ROWS).chain(rows.is_empty().then_some(rows));
    for (number, batch) in batches.enumerate() {
        // The border of the batch before.
        lines.pop();
        lines.extend(ascii_batch(columns, batch).into_iter().skip(if number == 0 { 0 } else { 3 }));
    }
    lines.join("\n")
}

/// The lines of a table of its own: two borders around the names of the columns, the rows, a border.
fn ascii_batch(columns: &[String], cells: &[Vec<String>]) -> Vec<String> {
    let width = |at: usize| {
        let widest = cells.iter().filter_map(|row| row.get(at)).map(String::len).max().unwrap_or(0);
        widest.max(columns.get(at).map_or(0, String::len))
    };
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    let rule = format!("+{}+", widths.iter().map(|width| "-".repeat(width + 2)).collect::<Vec<_>>().join("+"));
    let line = |cells: &[String]| {
        let cells: Vec<String> = cells.iter().zip(&widths).map(|(cell, width)| format!(" {cell:<width$} ")).collect();
        format!("|{}|", cells.join("|"))
    };
    let mut lines = vec![rule.clone(), line(columns), rule.clone()];
    lines.extend(cells.iter().map(|row| line(row)));
    lines.push(rule);
    lines
}
