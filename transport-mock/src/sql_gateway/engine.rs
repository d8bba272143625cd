//! The rows of tables, and the queries over them: each database of a session has one of the simulators' SQL engines.
//!
//! The engine follows the catalogs: after each statement that may have changed a table, [`Engine::sync`] compares.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::catalog::{Catalogs, Path};
use super::counted::Counted;
use super::failure::{Failure, Span};
use super::table::{Column, Origin, Relation, Table};
use super::types::{Kind, Type};
use super::words::Words;
use crate::sql::types::{Type as EngineType, Width};
use crate::sql::value::Value as EngineValue;
use crate::sql::{Database, Dialect, Error, ErrorKind, Outcome, json as values};

/// How many rows a bounded generator gives to a query.
const MOST_ROWS: u64 = 1_000;

/// See the module.
#[derive(Debug, Clone, Default)]
pub(super) struct Engine {
    /// By catalog and database.
    databases: BTreeMap<(String, String), Database>,
    /// What the databases have been told, and whether it is temporary.
    known: BTreeMap<Path, (Relation, bool)>,
    /// The rows of tables that a temporary one hides, in a copy of their database.
    hidden: BTreeMap<Path, Database>,
    /// Why a table or view cannot be queried.
    lacking: BTreeMap<Path, String>,
}

impl Engine {
    /// Follows the catalogs. A table that is altered or renamed keeps its rows.
    pub(super) fn sync(&mut self, catalogs: &Catalogs) {
        self.hidden.retain(|path, _| catalogs.permanent(path).is_some());
        let mut wanted = BTreeMap::new();
        for (catalog, databases) in &catalogs.all {
            for database in databases.databases.keys() {
                for (object, relation) in catalogs.relations(catalog, database) {
                    let (catalog, database, object) = (catalog.clone(), database.clone(), object.to_owned());
                    let path = Path { catalog, database, object };
                    let is_temporary = catalogs.temporary.contains_key(&path);
                    wanted.insert(path, (relation.clone(), is_temporary));
                }
            }
        }
        if wanted == self.known {
            return;
        }
        let known = std::mem::replace(&mut self.known, wanted.clone());
        let mut old: Vec<(&Path, &(Relation, bool), Database)> = Vec::new();
        for (path, found) in known.iter().filter(|(path, found)| wanted.get(*path) != Some(*found)) {
            let database = self.database(path);
            let before = database.clone();
            let what = if matches!(found.0, Relation::View(_)) { "VIEW" } else { "TABLE" };
            // It may never have been there.
            let _ = database.execute(&format!("DROP {what} IF EXISTS `{}`", path.object));
            self.lacking.remove(path);
            if !found.1 && wanted.get(path).is_some_and(|(_, is_temporary)| *is_temporary) {
                self.hidden.insert(path.clone(), before.clone());
            }
            old.push((path, found, before));
        }
        for (path, found) in wanted.iter().filter(|(path, found)| known.get(*path) != Some(*found)) {
            let (Relation::Table(table), is_temporary) = found else { continue };
            let same = old.iter().find(|(other, _, _)| *other == path);
            let before = match same {
                Some((_, other, database)) if other.1 == *is_temporary => Some((path, database.clone())),
                Some(_) if *is_temporary => None,
                Some(_) => self.hidden.remove(path).map(|database| (path, database)),
                // With the same definition: it was renamed.
                None => old
                    .iter()
                    .find(|(other, before, _)| *before == found && !wanted.contains_key(*other))
                    .map(|(other, _, database)| (*other, database.clone())),
            };
            let rows = before.map(|(path, database)| (path.object.clone(), database));
            if let Err(why) = self.create(path, table, rows) {
                self.lacking.insert(path.clone(), why);
            }
        }
        self.create_views(&wanted);
    }

    /// # Errors
    ///
    /// If the engine does not have this table or view, or not all of its rows.
    pub(super) fn check(&self, path: &Path) -> Result<(), Failure> {
        self.lacking.get(path).map_or(Ok(()), |why| Err(Failure::not_simulated(why)))
    }

    fn database(&mut self, path: &Path) -> &mut Database {
        let place = (path.catalog.clone(), path.database.clone());
        self.databases.entry(place).or_insert_with(|| Database::new(Dialect::Flink))
    }

    /// Returns why the table cannot be queried, if it cannot.
    fn create(&mut self, path: &Path, table: &Table, rows: Option<(String, Database)>) -> Result<(), String> {
        let physical: Vec<&Column> = table.columns.iter().filter(|column| column.origin == Origin::Physical).collect();
        let mut columns: Vec<String> =
            physical.iter().map(|column| format!("`{}` {}", column.name, column.kind.sql())).collect();
        if let Some((_, key)) = &table.key {
            columns.push(format!("PRIMARY KEY (`{}`) NOT ENFORCED", key.join("`, `")));
        }
        let object = &path.object;
        let lost = |what: &str, error: &Error| format!("the rows of table {object} {what}: {}", error.message);
        let database = self.database(path);
        if let Err(error) = database.execute(&format!("CREATE TABLE `{object}` ({})", columns.join(", "))) {
            return Err(match physical.iter().find(|column| !has_type(&column.kind)) {
                Some(column) => {
                    format!("column {} of type {} in table {object}", column.name, column.kind.summary())
                }
                None => format!("table {object}: {}", error.message),
            });
        }
        let generated = generated(table, &physical);
        if !generated.is_empty() {
            let insert = format!("INSERT INTO `{object}` VALUES {}", generated.join(", "));
            database.execute(&insert).map_err(|error| lost("that are generated", &error))?;
        }
        let Some((name, mut before)) = rows.filter(|_| table.generated().is_none()) else { return Ok(()) };
        let had = before.columns(&name).unwrap_or_default().to_vec();
        let has = database.columns(object).unwrap_or_default().to_vec();
        let (mut from, mut to) = (Vec::new(), Vec::new());
        for (at, column) in has.iter().enumerate() {
            let same = had.iter().find(|other| other.name == column.name);
            // Renamed, and otherwise as before.
            let renamed = had.get(at).filter(|other| {
                had.len() == has.len()
                    && other.kind == column.kind
                    && !has.iter().any(|column| column.name == other.name)
            });
            if let Some(other) = same.or(renamed) {
                from.push(format!("`{}`", other.name));
                to.push(format!("`{}`", column.name));
            }
        }
        if to.is_empty() {
            return Ok(());
        }
        let changed = "that it had before it was changed";
        let select = format!("SELECT {} FROM `{name}`", from.join(", "));
        let Outcome::Rows(found) = before.execute(&select).map_err(|error| lost(changed, &error))? else {
            return Ok(());
        };
        let row = |row: &Vec<EngineValue>| {
            let literals = row.iter().zip(&found.columns).map(|(value, column)| literal(value, &column.kind));
            format!("({})", literals.collect::<Vec<_>>().join(", "))
        };
        let rows: Vec<String> = found.rows.iter().map(row).collect();
        if rows.is_empty() {
            return Ok(());
        }
        let insert = format!("INSERT INTO `{object}` ({}) VALUES {}", to.join(", "), rows.join(", "));
        database.execute(&insert).map(|_| ()).map_err(|error| lost(changed, &error))
    }

    /// Views over views need several rounds. A view that the engine cannot plan is left out.
    fn create_views(&mut self, wanted: &BTreeMap<Path, (Relation, bool)>) {
        let views: Vec<(&Path, String)> = wanted
            .iter()
            .filter_map(|(path, (relation, _))| match relation {
                Relation::View(view) => Some((path, view.query.clone())),
                Relation::Table(_) => None,
            })
            .collect();
        for (path, _) in &views {
            // It may never have been there.
            let _ = self.database(path).execute(&format!("DROP VIEW IF EXISTS `{}`", path.object));
            self.lacking.remove(*path);
        }
        let mut left = views;
        loop {
            let before = left.len();
            left.retain(|(path, query)| {
                let names = wanted.get(path).map(|(relation, _)| relation.columns()).unwrap_or_default();
                let names: Vec<String> = names.iter().map(|column| format!("`{}`", column.name)).collect();
                let names = if names.is_empty() { String::new() } else { format!(" ({})", names.join(", ")) };
                let create = format!("CREATE VIEW `{}`{names} AS {query}", path.object);
                match self.database(path).execute(&create) {
                    Ok(_) => {
                        self.lacking.remove(*path);
                        false
                    }
                    Err(error) => {
                        if error.kind == ErrorKind::Unsupported {
                            self.lacking.insert((*path).clone(), format!("view {}: {}", path.object, error.message));
                        }
                        true
                    }
                }
            });
            if left.len() == before {
                return;
            }
        }
    }

    /// The columns of a query.
    ///
    /// # Errors
    ///
    /// If the query names something that does not exist, or that the engine does not have.
    pub(super) fn columns(&self, catalogs: &Catalogs, text: &str) -> Result<Vec<Column>, Failure> {
        let columns = self.of_query(catalogs, text).describe(text).map_err(|error| failure(&error))?;
        Ok(columns.iter().map(column).collect())
    }

    /// Columns and rows of a query.
    ///
    /// # Errors
    ///
    /// As for the columns; if a value cannot be computed, its job fails.
    pub(super) fn query(&self, catalogs: &Catalogs, text: &str) -> Result<(Vec<Column>, Vec<Vec<Value>>), Failure> {
        let mut snapshot = self.of_query(catalogs, text).clone();
        match snapshot.execute(text).map_err(|error| failure(&error))? {
            Outcome::Rows(found) => {
                let row = |row: &Vec<EngineValue>| {
                    row.iter().zip(&found.columns).map(|(value, column)| shown(value, &column.kind)).collect()
                };
                Ok((found.columns.iter().map(column).collect(), found.rows.iter().map(row).collect()))
            }
            Outcome::Done | Outcome::Changed(_) => Ok((Vec::new(), Vec::new())),
        }
    }

    /// Carries an `INSERT` out; a sink `keeps` no rows. Returns whether that is the end of it.
    ///
    /// # Errors
    ///
    /// As for a query, and if the columns do not fit.
    pub(super) fn insert(
        &mut self,
        catalogs: &Catalogs,
        table: &Path,
        text: &str,
        keeps: bool,
    ) -> Result<bool, Failure> {
        self.check_columns(catalogs, table, text)?;
        let database = self.database(table);
        let outcome = if keeps { database.execute(text) } else { database.clone().execute(text) };
        outcome.map(|_| true).map_err(|error| failure(&error))
    }

    /// # Errors
    ///
    /// If the query has another number of columns than the table.
    fn check_columns(&self, catalogs: &Catalogs, table: &Path, text: &str) -> Result<(), Failure> {
        let mut words = Words::new(text)?;
        words.take(&["INSERT"]);
        words.take(&["INTO"]);
        words.path()?;
        if words.peek().is_some_and(|word| word.text == "(") {
            return Ok(());
        }
        let query = self.columns(catalogs, words.rest()).unwrap_or_default();
        let Some((Relation::Table(sink), _)) = catalogs.find(table) else { return Ok(()) };
        let sink: Vec<&Column> = sink.columns.iter().filter(|column| column.origin == Origin::Physical).collect();
        if query.is_empty() || query.len() == sink.len() {
            return Ok(());
        }
        let schema = |columns: &mut dyn Iterator<Item = &Column>| {
            let field = |column: &Column| {
                let required = if column.kind.nullable { "" } else { " NOT NULL" };
                format!("{}: {}{required}", column.name, column.kind.summary())
            };
            columns.map(field).collect::<Vec<_>>().join(", ")
        };
        Err(Failure::validation(format!(
            "Column types of query result and sink for '{}' do not match.\nCause: Different number of columns.\n\nQuery schema: [{}]\nSink schema:  [{}]",
            table.dotted(),
            schema(&mut query.iter()),
            schema(&mut sink.into_iter())
        )))
    }

    /// The database that a query reads: that of its first table if the query names it, or the current database.
    fn of_query(&self, catalogs: &Catalogs, text: &str) -> &Database {
        static EMPTY: std::sync::LazyLock<Database> = std::sync::LazyLock::new(|| Database::new(Dialect::Flink));
        let first = Words::new(text).ok().and_then(|words| words.sources().into_iter().next());
        let place = match first {
            Some((parts, _)) if parts.len() > 1 => {
                let path = catalogs.path(&parts);
                (path.catalog, path.database)
            }
            _ => catalogs.place(&[]),
        };
        self.databases.get(&place).unwrap_or(&EMPTY)
    }
}

fn has_type(kind: &Type) -> bool {
    Database::new(Dialect::Flink).execute(&format!("CREATE TABLE t (c {})", kind.sql())).is_ok()
}

/// Rows of a bounded generator, in parentheses.
fn generated(table: &Table, columns: &[&Column]) -> Vec<String> {
    let Some(limit) = table.generated().filter(|limit| *limit < u64::MAX) else { return Vec::new() };
    let counted: Vec<Counted> = columns.iter().map(|column| table.counted(column, &column.name)).collect();
    let literal = |column: &Counted, number| match (column.value(number), &column.kind.kind) {
        (Value::String(text), Kind::Char(_) | Kind::Varchar(_)) => format!("'{text}'"),
        (Value::String(text), _) => {
            let kind = Type { nullable: true, ..column.kind.clone() };
            format!("CAST('{}' AS {})", text.replace('T', " "), kind.sql())
        }
        (other, _) => other.to_string().to_uppercase(),
    };
    let row = |number| counted.iter().map(|column| literal(column, number)).collect::<Vec<_>>().join(", ");
    (0..limit.min(MOST_ROWS)).map(|number| format!("({})", row(number))).collect()
}

/// A value as a statement writes it.
fn literal(value: &EngineValue, kind: &EngineType) -> String {
    if *value == EngineValue::Null {
        return format!("CAST(NULL AS {kind})");
    }
    let plain = values::to_plain(value, kind, ' ').replace('\'', "''");
    match value {
        EngineValue::Boolean(_) | EngineValue::Integer(_) | EngineValue::Decimal(_) => plain,
        EngineValue::Text(_) => format!("'{plain}'"),
        _ => format!("CAST('{plain}' AS {kind})"),
    }
}

fn column(column: &crate::sql::types::Column) -> Column {
    Column::new(column.name.as_str(), Type { kind: kind(&column.kind), nullable: column.nullable })
}

fn kind(of: &EngineType) -> Kind {
    let element = |of: &EngineType| Box::new(kind(of).nullable());
    match of {
        EngineType::Null => Kind::Plain("NULL", "NULL"),
        EngineType::Boolean => Kind::BOOLEAN,
        EngineType::Integer { width: Width::Tiny, .. } => Kind::Plain("TINYINT", "TINYINT"),
        EngineType::Integer { width: Width::Small, .. } => Kind::Plain("SMALLINT", "SMALLINT"),
        EngineType::Integer { width: Width::Int, .. } => Kind::INT,
        EngineType::Integer { width: Width::Big, .. } => Kind::BIGINT,
        EngineType::Decimal { precision, scale } => Kind::Decimal((*precision).into(), (*scale).into()),
        EngineType::Real => Kind::Plain("FLOAT", "FLOAT"),
        EngineType::Double => Kind::Plain("DOUBLE", "DOUBLE"),
        EngineType::Char(length) => Kind::Char(*length),
        EngineType::Varchar(Some(length)) => Kind::Varchar(*length),
        EngineType::Varchar(None) | EngineType::Uuid | EngineType::Opaque(_) => Kind::STRING,
        EngineType::Binary(Some(length)) => Kind::Binary(*length),
        EngineType::Binary(None) => Kind::BYTES,
        EngineType::Date => Kind::Plain("DATE", "DATE"),
        EngineType::Time => Kind::Time(0),
        EngineType::Timestamp => Kind::Timestamp(6),
        EngineType::MonthInterval => Kind::Plain("INTERVAL_YEAR_MONTH", "INTERVAL YEAR TO MONTH"),
        EngineType::TimeInterval => Kind::Plain("INTERVAL_DAY_TIME", "INTERVAL DAY TO SECOND"),
        EngineType::Array(of) => Kind::Array(element(of)),
        EngineType::Map(key, value) => Kind::Map(Box::new(kind(key).required()), element(value)),
        EngineType::Variant => Kind::Plain("VARIANT", "VARIANT"),
    }
}

/// A value as a result in JSON has it.
fn shown(value: &EngineValue, kind: &EngineType) -> Value {
    match (value, kind) {
        // A float would not hold all digits.
        (EngineValue::Decimal(_), _) => json!(values::to_plain(value, kind, 'T')),
        (EngineValue::Interval(months), EngineType::MonthInterval) => json!(months),
        (EngineValue::Interval(micros), _) => json!(micros / 1000),
        (EngineValue::Bytes(bytes), _) => json!(STANDARD.encode(bytes)),
        (EngineValue::Timestamp(_) | EngineValue::Date(_) | EngineValue::Time(_), _) => {
            json!(values::to_plain(value, kind, 'T'))
        }
        (EngineValue::Float(number), _) if !number.get().is_finite() => json!(values::to_plain(value, kind, 'T')),
        (EngineValue::Array(items), EngineType::Array(element)) => {
            items.iter().map(|item| shown(item, element)).collect()
        }
        (EngineValue::Map(items), EngineType::Map(of_key, of_value)) => {
            let items = items.iter().map(|(key, item)| (values::to_plain(key, of_key, ' '), shown(item, of_value)));
            Value::Object(items.collect())
        }
        _ => values::to_json(value, kind),
    }
}

/// An error of the engine, as the real planner, parser or job puts it.
fn failure(error: &Error) -> Failure {
    let span =
        error.at.map(|span| Span { from: (span.start.line, span.start.column), to: (span.end.line, span.end.column) });
    match error.kind {
        ErrorKind::Syntax if error.message.contains("<EOF>") => {
            Failure::end_of_text(span.map(|span| span.to).unwrap_or_default())
        }
        ErrorKind::Syntax => Failure::parse(&error.message),
        ErrorKind::Validation => Failure::query(&error.message, span),
        ErrorKind::Unsupported => Failure::not_simulated(&error.message),
        ErrorKind::Evaluation if error.message.contains("zero") => {
            Failure::new("java.lang.ArithmeticException", "Division by zero")
        }
        ErrorKind::Evaluation => Failure::of_job("java.lang.RuntimeException", error.message.as_str()),
    }
}
