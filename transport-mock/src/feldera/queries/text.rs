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
        // A width of a format ends at 65,535.
        let padded = |(cell, width): (&String, &usize)| {
            let missing = width.saturating_sub(cell.chars().count());
            format!(" {cell}{} ", " ".repeat(missing))
        };
        let cells: Vec<String> = cells.iter().zip(&widths).map(padded).collect();
        format!("|{}|", cells.join("|"))
    };
    let mut lines = vec![rule.clone(), line(columns), rule.clone()];
    lines.extend(cells.iter().map(|row| line(row)));
    lines.push(rule);
    lines
}

#[cfg(test)]
mod tests {
    use super::ascii;

    #[test]
    fn a_cell_may_be_wider_than_a_format_allows() {
        let wide = "x".repeat(70_000);
        let table = ascii(&["a".to_owned()], &[vec![wide.clone()], vec!["y".to_owned()]]);
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines[3], format!("| {wide} |"));
        assert_eq!(lines[4], format!("| y{} |", " ".repeat(69_999)));
    }
}
