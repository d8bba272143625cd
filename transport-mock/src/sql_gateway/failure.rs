//! Why a statement fails: a chain of exceptions, as in a Java stack trace.

/// Classes by their short names.
const API: &str = "org.apache.flink.table.api";
const CATALOG: &str = "org.apache.flink.table.catalog.exceptions";
const CALCITE: &str = "org.apache.calcite";
const PARSER: &str = "org.apache.flink.sql.parser.impl";

/// A piece of a statement: line and column of its first and of its last character, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) from: (usize, usize),
    pub(super) to: (usize, usize),
}

/// See the module. The first exception is the outermost, the last the cause of all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    /// Class and message of each.
    pub(super) chain: Vec<(String, String)>,
    /// The job whose failure it is; `None` if the statement itself fails.
    pub(super) job: bool,
}

impl Failure {
    /// One exception, with the whole name of its class.
    pub(super) fn new(class: impl Into<String>, message: impl Into<String>) -> Self {
        Self { chain: vec![(class.into(), message.into())], job: false }
    }

    /// The statement is right, and its job fails.
    pub(super) fn of_job(class: impl Into<String>, message: impl Into<String>) -> Self {
        Self { job: true, ..Self::new(class, message) }
    }

    pub(super) fn validation(message: impl Into<String>) -> Self {
        Self::new(format!("{API}.ValidationException"), message)
    }

    pub(super) fn table(message: impl Into<String>) -> Self {
        Self::new(format!("{API}.TableException"), message)
    }

    /// An exception of the catalog.
    pub(super) fn catalog(class: &str, message: impl Into<String>) -> Self {
        Self::new(format!("{CATALOG}.{class}"), message)
    }

    /// Adds the cause of what is here.
    pub(super) fn caused_by(mut self, cause: Self) -> Self {
        self.chain.extend(cause.chain);
        self
    }

    /// The parser does not expect a word. Real messages continue with a list of what it expects.
    pub(super) fn parse(message: &str) -> Self {
        Self::new(format!("{API}.SqlParserException"), format!("SQL parse failed. {message}"))
            .caused_by(Self::new(format!("{CALCITE}.sql.parser.SqlParseException"), message))
            .caused_by(Self::new(format!("{PARSER}.ParseException"), message))
    }

    /// The statement begins with a word that begins no statement.
    pub(super) fn no_statement() -> Self {
        let message = "Non-query expression encountered in illegal context";
        Self::new(format!("{API}.SqlParserException"), format!("SQL parse failed. {message}"))
            .caused_by(Self::new(format!("{CALCITE}.sql.parser.SqlParseException"), message))
            .caused_by(Self::new(format!("{CALCITE}.runtime.CalciteException"), message))
    }

    /// The statement ends too early.
    pub(super) fn end_of_text((line, column): (usize, usize)) -> Self {
        let message = format!("Encountered \"<EOF>\" at line {line}, column {column}.");
        Self::new(format!("{API}.SqlParserEOFException"), message.as_str())
            .caused_by(Self::new(format!("{CALCITE}.sql.parser.SqlParseException"), message.as_str()))
            .caused_by(Self::new(format!("{PARSER}.ParseException"), message.as_str()))
    }

    /// A query names something that does not exist, or does not fit.
    pub(super) fn query(message: &str, span: Option<Span>) -> Self {
        let place = span.map(|Span { from, to }| {
            if from == to {
                return format!("At line {}, column {}: ", from.0, from.1);
            }
            format!("From line {}, column {} to line {}, column {}: ", from.0, from.1, to.0, to.1)
        });
        let placed = format!("{}{message}", place.unwrap_or_default());
        Self::validation(format!("SQL validation failed. {placed}"))
            .caused_by(Self::new(format!("{CALCITE}.runtime.CalciteContextException"), placed))
            .caused_by(Self::new(format!("{CALCITE}.sql.validate.SqlValidatorException"), message))
    }

    /// A real gateway carries it out.
    pub(super) fn not_simulated(what: &str) -> Self {
        let message = format!("not simulated by pipewright-sim: {what}");
        Self::new("java.lang.UnsupportedOperationException", message)
    }
}
