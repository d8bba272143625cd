//! What SQL the simulator understands: tables, and views that pass a table through.

use serde_json::{Value, json};

use super::connectors::{Connector, Output, Sink};

/// A compiled program.
#[derive(Debug, Clone)]
pub(super) struct Program {
    pub(super) tables: Vec<Table>,
    pub(super) views: Vec<View>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Table {
    pub(super) name: String,
    pub(super) columns: Vec<Column>,
    /// It can be queried, and snapshots of it can be had.
    pub(super) materialized: bool,
    pub(super) connectors: Vec<Connector>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Column {
    pub(super) name: String,
    /// In upper case.
    pub(super) kind: String,
    pub(super) nullable: bool,
    pub(super) key: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct View {
    pub(super) name: String,
    pub(super) materialized: bool,
    /// What it passes through.
    pub(super) table: String,
    pub(super) sinks: Vec<Sink>,
}

impl Program {
    /// The table behind a name of a table or a view. Without quotes, case does not matter.
    pub(super) fn table(&self, name: &str) -> Option<&Table> {
        let name = folded(name);
        self.tables.iter().find(|table| table.name == name)
    }

    /// The table that a relation shows, and whether a snapshot can be had of it.
    pub(super) fn relation(&self, name: &str) -> Option<(&Table, bool)> {
        let folded = folded(name);
        match self.views.iter().find(|view| view.name == folded) {
            Some(view) => Some((self.tables.iter().find(|table| table.name == view.table)?, view.materialized)),
            None => self.table(name).map(|table| (table, table.materialized)),
        }
    }

    /// The output connectors of a new process.
    pub(super) fn outputs(&self) -> impl Iterator<Item = Output> {
        self.views.iter().flat_map(|view| {
            view.sinks.iter().map(|sink| Output {
                name: format!("{}.{}", view.name, sink.name),
                view: view.name.clone(),
                table: view.table.clone(),
                paused: sink.paused,
                records: 0,
            })
        })
    }

    /// What another program adds, removes and modifies.
    pub(super) fn diff(&self, other: &Self) -> Value {
        fn parts<T: PartialEq>(old: &[T], new: &[T], name: impl Fn(&T) -> &str) -> [Vec<String>; 3] {
            let of = |items: &[T], test: &dyn Fn(&T) -> bool| {
                items.iter().filter(|item| test(item)).map(|item| name(item).to_owned()).collect()
            };
            let same =
                |items: &[T], item: &T| items.iter().find(|other| name(other) == name(item)).map(|other| other == item);
            [
                of(new, &|item| same(old, item).is_none()),
                of(old, &|item| same(new, item).is_none()),
                of(new, &|item| same(old, item) == Some(false)),
            ]
        }
        let tables = parts(&self.tables, &other.tables, |table| &table.name);
        let views = parts(&self.views, &other.views, |view| &view.name);
        json!({ "added_tables": tables[0], "removed_tables": tables[1], "modified_tables": tables[2],
            "added_views": views[0], "removed_views": views[1], "modified_views": views[2] })
    }

    pub(super) fn information(&self) -> Value {
        let field = |column: &Column| {
            json!({ "name": column.name, "case_sensitive": false, "unused": false,
                "columntype": { "type": column.kind, "nullable": column.nullable } })
        };
        let fields = |table: &Table| table.columns.iter().map(field).collect::<Vec<_>>();
        let inputs: Vec<Value> = self
            .tables
            .iter()
            .map(|table| {
                let keys: Vec<&str> =
                    table.columns.iter().filter(|column| column.key).map(|column| column.name.as_str()).collect();
                json!({ "name": table.name, "case_sensitive": false, "fields": fields(table), "primary_key": keys,
                    "materialized": table.materialized, "properties": {}, "foreign_keys": [] })
            })
            .collect();
        let outputs: Vec<Value> = self
            .views
            .iter()
            .map(|view| {
                let fields = self.table(&view.table).map(fields);
                json!({ "name": view.name, "case_sensitive": false, "fields": fields,
                    "materialized": view.materialized, "properties": {} })
            })
            .collect();
        let connectors = self.tables.iter().flat_map(|table| {
            let named = |connector: &Connector| {
                (format!("{}.{}", table.name, connector.name), connector.information(&table.name))
            };
            table.connectors.iter().map(named)
        });
        let connectors = Value::Object(connectors.collect());
        let sinks = self.views.iter().flat_map(|view| {
            view.sinks.iter().map(|sink| (format!("{}.{}", view.name, sink.name), sink.information(&view.name)))
        });
        let sinks = Value::Object(sinks.collect());
        json!({ "schema": { "inputs": inputs, "outputs": outputs }, "udf_stubs": "", "input_connectors": connectors,
            "output_connectors": sinks })
    }
}

/// Why a program does not compile.
#[derive(Debug)]
pub(super) struct Mistake {
    line: usize,
    column: usize,
    what: Wrong,
}

/// What is wrong in a statement.
#[derive(Debug)]
enum Wrong {
    Statement(String),
    Connector(String),
}

impl<T: Into<String>> From<T> for Wrong {
    fn from(message: T) -> Self {
        Self::Statement(message.into())
    }
}

impl Mistake {
    /// As the compiler puts it.
    pub(super) fn message(&self) -> Value {
        let (kind, message) = match &self.what {
            Wrong::Statement(message) => ("Error in SQL statement", message),
            Wrong::Connector(message) => ("ConnectorGenerationError", message),
        };
        json!({ "start_line_number": self.line, "start_column": self.column, "end_line_number": self.line,
            "end_column": self.column, "warning": false, "error_type": kind, "message": message, "snippet": null })
    }

    /// With which code the compiler exits: connectors are looked at after it.
    pub(super) fn exit_code(&self) -> u8 {
        u8::from(matches!(self.what, Wrong::Statement(_)))
    }
}

/// Compiles a program.
pub(super) fn compile(code: &str) -> Result<Program, Mistake> {
    let code = without_comments(code);
    let mut program = Program { tables: Vec::new(), views: Vec::new() };
    let mut from = 0;
    for statement in code.split(';') {
        let start = from + statement.len() - statement.trim_start().len();
        from += statement.len() + 1;
        if let Err(what) = read(&mut program, statement.trim()) {
            let before = code.get(..start).unwrap_or_default();
            let line = before.matches('\n').count() + 1;
            let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
            return Err(Mistake { line, column, what });
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
            return Err(format!(
                "The simulator knows views that are SELECT * FROM a table, and '{name}' is not such a view"
            )
            .into());
        }
        let table = folded(words.get(last + 4).copied().unwrap_or_default());
        if !program.tables.iter().any(|have| have.name == table) {
            return Err(format!("Object '{table}' not found").into());
        }
        let sinks = Sink::declared(&name, statement).map_err(Wrong::Connector)?;
        program.views.push(View { name, materialized, table, sinks });
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
        let connectors = Connector::declared(&name, options).map_err(Wrong::Connector)?;
        let materialized = option(options, "materialized").is_some_and(|value| value.eq_ignore_ascii_case("true"));
        program.tables.push(Table { name, columns, materialized, connectors });
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
    Some(Column { name, kind, nullable: !upper.contains("NOT NULL") && !key, key })
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

/// An identifier as the compiler folds it.
pub(super) fn folded(name: &str) -> String {
    match name.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(quoted) => quoted.to_owned(),
        None => name.to_lowercase(),
    }
}
