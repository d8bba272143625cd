//! What statements come to.

use serde_json::{Value, json};

/// What comes of a statement.
#[derive(Debug, Clone)]
pub struct Script {
    pub(super) columns: Vec<Value>,
    pub(super) rows: Rows,
    /// Class and message of the exception that the result is rejected with, once the rows are through.
    pub(super) failure: Option<(String, String)>,
    pub(super) is_query: bool,
    pub(super) has_job: bool,
    pub(super) is_configuring: bool,
}

#[derive(Debug, Clone)]
pub(super) enum Rows {
    These(Vec<Vec<Value>>),
    /// 0, 1, 2, …; perhaps without an end.
    Numbers(Option<u64>),
    /// The id of the job that it starts.
    Job,
}

impl Script {
    /// A query with columns, by name and type as in `BIGINT`, and rows.
    pub fn query<'a>(columns: impl IntoIterator<Item = (&'a str, &'a str)>, rows: Vec<Vec<Value>>) -> Self {
        let columns = columns.into_iter().map(|(name, kind)| column(name, kind)).collect();
        Self { columns, rows: Rows::These(rows), failure: None, is_query: true, has_job: true, is_configuring: false }
    }

    /// Fails after its rows, with the class and the message of an exception.
    pub fn fails(mut self, class: impl Into<String>, message: impl Into<String>) -> Self {
        self.failure = Some((class.into(), message.into()));
        self
    }

    /// One row "OK".
    pub fn ok() -> Self {
        let rows = vec![vec![json!("OK")]];
        Self { is_query: false, has_job: false, is_configuring: true, ..Self::query([("result", "VARCHAR")], rows) }
    }

    /// A job is submitted, and goes on: one row with its id.
    pub(super) fn job() -> Self {
        Self { rows: Rows::Job, is_query: false, ..Self::query([("job id", "VARCHAR")], Vec::new()) }
    }

    /// The few statements that a gateway understands on its own.
    pub(super) fn interpret(text: &str) -> Self {
        let text = text.trim().trim_end_matches(';').trim_end();
        let words: Vec<String> = text.split_whitespace().map(str::to_uppercase).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let numbers = |limit| Self { rows: Rows::Numbers(limit), ..Self::query([("n", "BIGINT")], Vec::new()) };
        if text.contains(';') {
            return Self::ok().fails("java.lang.IllegalArgumentException", "only single statement supported");
        }
        match words.as_slice() {
            ["SET" | "RESET" | "USE" | "CREATE" | "DROP" | "ALTER" | "LOAD" | "UNLOAD" | "ADD", ..] => Self::ok(),
            ["INSERT" | "EXECUTE", ..] => Self::job(),
            ["SELECT", "N", "FROM", "NUMBERS"] => numbers(None),
            ["SELECT", "N", "FROM", "NUMBERS", "LIMIT", limit] if limit.parse::<u64>().is_ok() => {
                numbers(limit.parse().ok())
            }
            ["SELECT", number] if number.parse::<i32>().is_ok() => {
                Self::query([("EXPR$0", "INTEGER")], vec![vec![json!(number.parse::<i32>().unwrap_or_default())]])
            }
            ["SELECT", .., "FROM", table] => {
                let why = format!("Object '{}' not found", table.to_lowercase());
                Self::ok().fails("org.apache.calcite.sql.validate.SqlValidatorException", why)
            }
            _ => {
                let first = words.first().copied().unwrap_or("<EOF>");
                let why = format!("Encountered \"{first}\" at line 1, column 1.");
                Self::ok().fails("org.apache.flink.sql.parser.impl.ParseException", why)
            }
        }
        .without_rows_if_failing()
    }

    fn without_rows_if_failing(mut self) -> Self {
        if self.failure.is_some() {
            self.rows = Rows::These(Vec::new());
        }
        self
    }
}

fn column(name: &str, kind: &str) -> Value {
    let mut logical = json!({"type": kind, "nullable": true});
    if matches!(kind, "VARCHAR" | "VARBINARY") {
        logical["length"] = json!(i32::MAX);
    }
    json!({"name": name, "logicalType": logical, "comment": null})
}
