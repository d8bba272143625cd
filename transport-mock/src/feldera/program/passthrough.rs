//! What SQL is understood without the feature `sql`: tables, and views that pass a table through.

use super::super::connectors::{Connector, Sink};
use super::{Column, ErrorType, Mistake, Program, Source, Table, View, folded};

/// Compiles a program.
pub(crate) fn compile(code: &str) -> Result<Program, Mistake> {
    let code = without_comments(code);
    let mut program = Program::default();
    let mut from = 0;
    for statement in code.split(';') {
        let start = from + statement.len() - statement.trim_start().len();
        from += statement.len() + 1;
        if let Err(wrong) = read(&mut program, statement.trim()) {
            let before = code.get(..start).unwrap_or_default();
            let line = before.matches('\n').count() + 1;
            let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
            return Err(Mistake::at(wrong, line, column));
        }
    }
    Ok(program)
}

/// Comments are blanked, so that positions stay.
fn without_comments(code: &str) -> String {
    let blank = |line: &str| match line.find("--") {
        Some(at) => format!("{}{}", &line[..at], " ".repeat(line.len() - at)),
        None => line.to_owned(),
    };
    code.split('\n').map(blank).collect::<Vec<_>>().join("\n")
}

fn read(program: &mut Program, statement: &str) -> Result<(), Wrong> {
    if statement.is_empty() {
        return Ok(());
    }
    let words: Vec<&str> = statement.split_whitespace().collect();
    let is = |at: usize, word: &str| words.get(at).is_some_and(|have| have.eq_ignore_ascii_case(word));
    let materialized = is(1, "materialized");
    let at = if materialized { 2 } else { 1 };
    if is(0, "create") && is(at, "view") {
        let name = folded(words.get(at + 1).copied().unwrap_or_default());
        // The options of a view stand before `AS`.
        let last = words.len().saturating_sub(5).max(at + 2);
        let has_options = last == at + 2 || is(at + 2, "with");
        let passes = has_options
            && (is(last, "as") && is(last + 1, "select") && is(last + 2, "*") && is(last + 3, "from"))
            && words.len() == last + 5;
        if !passes {
            let message = format!(
                "view '{name}' is not SELECT * FROM a table: build pipewright-mock with its feature `sql` to compile it"
            );
            return Err(message.into());
        }
        let table = folded(words.get(last + 4).copied().unwrap_or_default());
        let Some(shown) = program.tables.iter().find(|have| have.name == table) else {
            return Err(format!("Object '{table}' not found").into());
        };
        let columns = shown.columns.clone();
        let sinks = Sink::declared(&name, statement).map_err(Wrong::connector)?;
        let (quoted, local, source) = (false, false, Source::Table(table));
        program.views.push(View { name, quoted, local, materialized, source, columns, sinks });
        return Ok(());
    }
    if is(0, "create") && is(1, "table") {
        let (head, rest) = statement.split_once('(').ok_or("Encountered \"<EOF>\": a table needs columns")?;
        let name = folded(head.split_whitespace().nth(2).unwrap_or_default());
        let (columns, options) =
            columns(rest).ok_or_else(|| format!("Encountered \"<EOF>\": the columns of '{name}' do not end"))?;
        if columns.is_empty() || name.is_empty() {
            return Err("A table needs a name and columns".into());
        }
        if let Some(column) = columns.iter().find(|column| !is_type(&column.kind)) {
            return Err(format!("Unknown identifier '{}'", column.kind).into());
        }
        let connectors = Connector::declared(&name, options).map_err(Wrong::connector)?;
        let materialized = option(options, "materialized").is_some_and(|value| value.eq_ignore_ascii_case("true"));
        let properties = serde_json::Map::new();
        program.tables.push(Table { name, quoted: false, columns, materialized, connectors, properties });
        return Ok(());
    }
    Err(format!("Non-query expression encountered in illegal context: {}", words.first().unwrap_or(&"")).into())
}

/// The columns up to the parenthesis that ends them, and what is behind it.
fn columns(text: &str) -> Option<(Vec<Column>, &str)> {
    let mut depth = 0_usize;
    let (mut pieces, mut piece) = (Vec::new(), String::new());
    let mut rest = None;
    for (at, letter) in text.char_indices() {
        match letter {
            ')' if depth == 0 => {
                rest = text.get(at + 1..);
                break;
            }
            ',' if depth == 0 => pieces.push(std::mem::take(&mut piece)),
            _ => {
                depth = match letter {
                    '(' => depth + 1,
                    ')' => depth - 1,
                    _ => depth,
                };
                piece.push(letter);
            }
        }
    }
    pieces.push(piece);
    let mut columns = Vec::new();
    let mut keys = Vec::new();
    for piece in &pieces {
        let upper = piece.trim().to_uppercase();
        if upper.starts_with("PRIMARY KEY") {
            let list = piece.split_once('(').and_then(|(_, list)| list.split_once(')')).map_or("", |(list, _)| list);
            keys.extend(list.split(',').map(|name| folded(name.trim())));
        } else if !upper.starts_with("FOREIGN KEY") {
            columns.extend(column(piece));
        }
    }
    for column in columns.iter_mut().filter(|column| keys.contains(&column.name)) {
        (column.key, column.nullable) = (true, false);
    }
    rest.map(|rest| (columns, rest))
}

fn column(piece: &str) -> Option<Column> {
    let upper = piece.to_uppercase();
    let mut words = piece.split_whitespace();
    let name = folded(words.next()?);
    let kind = words.next()?.to_uppercase();
    let kind = kind.split(['(', '<']).next().unwrap_or_default().to_owned();
    let key = upper.contains("PRIMARY KEY");
    let nullable = !upper.contains("NOT NULL") && !key;
    Some(Column { name, quoted: false, kind, nullable, key })
}

/// The names of types that the compiler knows, with their aliases. `FLOAT` is not among them.
const TYPES: [&str; 42] = [
    "ARRAY",
    "BIGINT",
    "BINARY",
    "BOOL",
    "BOOLEAN",
    "BYTEA",
    "CHAR",
    "CHARACTER",
    "DATE",
    "DATETIME",
    "DEC",
    "DECIMAL",
    "DOUBLE",
    "FLOAT32",
    "FLOAT4",
    "FLOAT64",
    "FLOAT8",
    "INT",
    "INT2",
    "INT4",
    "INT64",
    "INT8",
    "INTEGER",
    "INTERVAL",
    "MAP",
    "NUMBER",
    "NUMERIC",
    "REAL",
    "ROW",
    "SIGNED",
    "SMALLINT",
    "STRING",
    "TEXT",
    "TIME",
    "TIMESTAMP",
    "TINYINT",
    "UNSIGNED",
    "UUID",
    "VARBINARY",
    "VARCHAR",
    "VARIANT",
    "GEOMETRY",
];

fn is_type(kind: &str) -> bool {
    TYPES.contains(&kind.trim_end_matches("[]"))
}

/// The value of an option behind the columns of a table, as in `WITH ('materialized' = 'true')`.
fn option<'a>(options: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = options.split_once(&format!("'{name}'"))?;
    rest.trim_start().strip_prefix('=')?.trim_start().strip_prefix('\'')?.split('\'').next()
}

/// What is wrong in a statement.
#[derive(Debug)]
struct Wrong(ErrorType, String);

impl<T: Into<String>> From<T> for Wrong {
    fn from(message: T) -> Self {
        Self(ErrorType::Statement, message.into())
    }
}

impl Wrong {
    fn connector(message: String) -> Self {
        Self(ErrorType::Connector, message)
    }
}

impl Mistake {
    fn at(Wrong(kind, message): Wrong, line: usize, column: usize) -> Self {
        Self { kind, message, start: (line, column), end: (line, column), snippet: None }
    }
}
