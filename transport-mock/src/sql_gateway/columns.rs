//! The columns of a table, as `CREATE TABLE` and `ALTER TABLE` write them.

use super::failure::{Failure, Span};
use super::table::{Column, Origin, Table};
use super::types::{Kind as TypeKind, Type};
use super::words::{Kind, Words};

/// Where `ALTER TABLE` puts a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Position {
    Last,
    First,
    After(String),
}

/// An element between the parentheses of a table.
#[derive(Debug)]
pub(super) enum Element {
    Column(Column, Position),
    /// Column and expression.
    Watermark(String, String),
    /// The name, and the columns with their places.
    Key(Option<String>, Vec<(String, Span)>),
}

const ENDS: [&str; 3] = [",", ")", "COMMENT"];

/// Reads a list of elements in parentheses.
///
/// # Errors
///
/// If it is wrong, or does not end.
pub(super) fn elements(words: &mut Words<'_>) -> Result<Vec<Element>, Failure> {
    words.expect(&["("])?;
    let mut elements = Vec::new();
    loop {
        elements.extend(element(words)?);
        if !words.take(&[","]) {
            words.expect(&[")"])?;
            return Ok(elements);
        }
    }
}

/// Reads one element; a column may have its key with it.
///
/// # Errors
///
/// If it is wrong.
pub(super) fn element(words: &mut Words<'_>) -> Result<Vec<Element>, Failure> {
    if words.take(&["WATERMARK", "FOR"]) {
        let (column, _) = words.path()?;
        words.expect(&["AS"])?;
        let from = words.position();
        words.skip_until(&ENDS);
        return Ok(vec![Element::Watermark(column.join("."), words.since(from).to_owned())]);
    }
    let name = if words.take(&["CONSTRAINT"]) { Some(words.name()?) } else { None };
    if name.is_some()
        || words.peek().is_some_and(|word| word.kind == Kind::Word && word.text.eq_ignore_ascii_case("PRIMARY"))
    {
        words.expect(&["PRIMARY", "KEY", "("])?;
        let mut columns = Vec::new();
        loop {
            let (parts, span) = words.path()?;
            columns.push((parts.join("."), span));
            if !words.take(&[","]) {
                words.expect(&[")"])?;
                break;
            }
        }
        not_enforced(words)?;
        return Ok(vec![Element::Key(name, columns)]);
    }
    column(words)
}

fn column(words: &mut Words<'_>) -> Result<Vec<Element>, Failure> {
    let span = words.peek().map(|word| word.span);
    let name = words.name()?;
    if words.take(&["AS"]) {
        let from = words.position();
        words.skip_until(&[",", ")", "COMMENT", "FIRST", "AFTER"]);
        let expression = words.since(from).to_owned();
        // Its type is known when all columns are.
        let column = Column { origin: Origin::Computed(expression), ..Column::new(name, TypeKind::STRING.nullable()) };
        return Ok(vec![finished(words, column)?]);
    }
    let kind = Type::read(words)?;
    let mut column = Column::new(name, kind);
    if words.take(&["METADATA"]) {
        let key = if words.take(&["FROM"]) { Some(words.literal()?) } else { None };
        column.origin = Origin::Metadata(key, words.take(&["VIRTUAL"]));
    }
    let mut elements = Vec::new();
    if words.take(&["PRIMARY", "KEY"]) {
        not_enforced(words)?;
        column.kind.nullable = false;
        let span = span.unwrap_or(Span { from: (1, 1), to: (1, 1) });
        elements.push(Element::Key(None, vec![(column.name.clone(), span)]));
    }
    elements.insert(0, finished(words, column)?);
    Ok(elements)
}

fn finished(words: &mut Words<'_>, mut column: Column) -> Result<Element, Failure> {
    if words.take(&["COMMENT"]) {
        column.comment = Some(words.literal()?);
    }
    let position = match words.take_one_of(&["FIRST", "AFTER"]) {
        Some("FIRST") => Position::First,
        Some(_) => Position::After(words.name()?),
        None => Position::Last,
    };
    Ok(Element::Column(column, position))
}

fn not_enforced(words: &mut Words<'_>) -> Result<(), Failure> {
    if words.take(&["NOT", "ENFORCED"]) {
        return Ok(());
    }
    let message = "Flink doesn't support ENFORCED mode for PRIMARY KEY constraint. ENFORCED/NOT ENFORCED controls if the constraint checks are performed on the incoming/outgoing data. Flink does not own the data therefore the only supported mode is the NOT ENFORCED mode";
    Err(Failure::new("org.apache.flink.sql.parser.error.SqlValidateException", message))
}

impl Table {
    /// Adds what `CREATE TABLE` declares.
    ///
    /// # Errors
    ///
    /// If a column is there twice, or one of the key is not there.
    pub(super) fn declare(&mut self, elements: Vec<Element>) -> Result<(), Failure> {
        for element in elements {
            match element {
                Element::Column(column, _) => {
                    if self.columns.iter().any(|other| other.name == column.name) {
                        let message = format!("A regular Column named '{}' already exists in the table.", column.name);
                        return Err(Failure::validation(message));
                    }
                    self.columns.push(column);
                }
                Element::Watermark(column, expression) => self.watermark = Some((column, expression)),
                Element::Key(name, columns) => self.set_key(name, &columns)?,
            }
        }
        self.finish();
        Ok(())
    }

    pub(super) fn set_key(&mut self, name: Option<String>, columns: &[(String, Span)]) -> Result<(), Failure> {
        for (column, span) in columns {
            if let Some(found) = self.columns.iter_mut().find(|other| other.name == *column) {
                found.kind.nullable = false;
                continue;
            }
            let (line, at) = span.from;
            let message =
                format!("Primary key column '{column}' is not defined in the schema at line {line}, column {at}");
            return Err(Failure::validation(message));
        }
        let columns: Vec<String> = columns.iter().map(|(column, _)| column.clone()).collect();
        self.key = Some((name.unwrap_or_else(|| format!("PK_{}", columns.join("_"))), columns));
        Ok(())
    }

    /// Writes out expressions as a real gateway does, and types of computed columns as far as they are known.
    pub(super) fn finish(&mut self) {
        let names: Vec<String> = self.columns.iter().map(|column| column.name.clone()).collect();
        let physical = self.columns.clone();
        for column in &mut self.columns {
            if let Origin::Computed(expression) = &mut column.origin {
                *expression = written_out(expression, &names);
                column.kind = computed(expression, &physical);
            }
        }
        if let Some((_, expression)) = &mut self.watermark {
            *expression = written_out(expression, &names);
        }
    }
}

/// The type of an expression: of a column, of a few functions, of a cast. Any other is a text.
fn computed(expression: &str, columns: &[Column]) -> Type {
    if expression == "PROCTIME()" {
        return TypeKind::TimestampLtz(3).required();
    }
    if expression.starts_with("TO_TIMESTAMP_LTZ(") {
        return TypeKind::TimestampLtz(3).nullable();
    }
    if expression.starts_with("TO_TIMESTAMP(") {
        return TypeKind::Timestamp(3).nullable();
    }
    let cast = expression.strip_prefix("CAST(").and_then(|rest| rest.strip_suffix(')'));
    if let Some((_, kind)) = cast.and_then(|cast| cast.rsplit_once(" AS "))
        && let Some(kind) = Type::named(kind)
    {
        return kind;
    }
    let inside = expression.strip_prefix("UPPER(").or_else(|| expression.strip_prefix("LOWER("));
    let name = inside.and_then(|rest| rest.strip_suffix(')')).unwrap_or(expression).trim_matches('`');
    let found = columns.iter().find(|column| column.name == name && column.origin == Origin::Physical);
    found.map_or(TypeKind::STRING.nullable(), |column| column.kind.clone())
}

/// Columns in backticks, and functions in capitals.
fn written_out(expression: &str, columns: &[String]) -> String {
    let Ok(mut words) = Words::new(expression) else { return expression.to_owned() };
    let (mut text, mut end) = (String::new(), 0);
    while let Some(token) = words.take_any() {
        text.push_str(expression.get(end..token.at.start).unwrap_or_default());
        end = token.at.end;
        let calls = words.peek().is_some_and(|next| next.text == "(" && next.kind == Kind::Symbol);
        match token.kind {
            Kind::Word if calls => text.push_str(&token.text.to_uppercase()),
            Kind::Word if columns.contains(&token.text) => text.extend(["`", &token.text, "`"]),
            _ => text.push_str(expression.get(token.at).unwrap_or_default()),
        }
    }
    text
}
