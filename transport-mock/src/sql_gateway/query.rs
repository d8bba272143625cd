//! Queries, `INSERT`, `EXPLAIN`, and the jobs that they start.

use std::collections::BTreeSet;

use serde_json::json;

use super::catalog::Path;
use super::counted::Counted;
use super::failure::Failure;
use super::select::Simple;
use super::statement::{Rows, Script};
use super::table::{Column, Relation, Table};
use super::types::Kind as TypeKind;
use super::words::{Kind, Words};
use super::workspace::{Context, Workspace};

/// Connectors that only take rows.
const SINKS: [&str; 2] = ["blackhole", "print"];

impl Workspace {
    pub(super) fn query(&mut self, words: &Words<'_>, context: &mut Context<'_>) -> Result<Script, Failure> {
        // A real one writes the query out.
        let name = self.setting(context, "pipeline.name").unwrap_or(words.rest()).to_owned();
        let script = self.rows_of(words)?;
        let is_endless = matches!(script.rows, Rows::Counted(_, None));
        context.jobs.start(&context.job, &name, context.now, if is_endless { "RUNNING" } else { "FINISHED" });
        Ok(script)
    }

    fn rows_of(&self, words: &Words<'_>) -> Result<Script, Failure> {
        let simple = Simple::read(words.clone());
        let Some(simple) = simple else { return self.computed(words, None) };
        if let Some(numbers) = self.numbers(&simple) {
            return Ok(numbers);
        }
        let (path, columns) = simple.resolve(&self.catalogs)?;
        let Some(path) = path else {
            let row = simple.columns.iter().flatten().map(|item| json!(item.number())).collect();
            return Ok(Script::select(&columns, Rows::These(vec![row])));
        };
        let Some((Relation::Table(table), _)) = self.catalogs.find(&path) else { return self.computed(words, None) };
        check_source(table, &path)?;
        let Some(rows) = table.generated() else { return self.computed(words, Some(&columns)) };
        let limit = simple.limit.map_or(rows, |limit| limit.min(rows));
        let counted = columns.iter().map(|column| table.counted(column, simple.origin(column))).collect();
        Ok(Script::select(&columns, Rows::Counted(counted, (limit < u64::MAX).then_some(limit))))
    }

    /// A query that the engine evaluates. Columns of one table have their types from the table.
    fn computed(&self, words: &Words<'_>, columns: Option<&[Column]>) -> Result<Script, Failure> {
        if let Some(endless) = self.check_sources(words)? {
            let what =
                format!("a query over the endless table {endless} that computes; bound it with 'number-of-rows'");
            return Err(Failure::not_simulated(&what));
        }
        let (found, rows) = self.engine.query(&self.catalogs, words.text)?;
        Ok(Script::select(columns.unwrap_or(&found), Rows::These(rows)))
    }

    /// Checks the tables that a query reads, behind views too; the name of one that has no end.
    fn check_sources(&self, words: &Words<'_>) -> Result<Option<String>, Failure> {
        let mut endless = None;
        let mut seen = BTreeSet::new();
        let mut paths: Vec<Path> = words.sources().iter().map(|(parts, _)| self.catalogs.path(parts)).collect();
        while let Some(path) = paths.pop() {
            if !seen.insert(path.clone()) {
                continue;
            }
            match self.catalogs.find(&path) {
                Some((Relation::View(view), _)) => {
                    // The engine reads its names in the database of the view.
                    let inside = |parts: &Vec<String>| match parts.as_slice() {
                        [object] => Path { object: object.clone(), ..path.clone() },
                        _ => self.catalogs.path(parts),
                    };
                    paths.extend(Words::new(&view.query)?.sources().iter().map(|(parts, _)| inside(parts)));
                    self.engine.check(&path)?;
                }
                Some((Relation::Table(table), _)) => {
                    check_source(table, &path)?;
                    self.engine.check(&path)?;
                    if table.generated() == Some(u64::MAX) {
                        endless = Some(path.object);
                    }
                }
                None if path.object.eq_ignore_ascii_case("numbers") => endless = Some(path.object),
                _ => {}
            }
        }
        Ok(endless)
    }

    /// `SELECT n FROM numbers`, unless there is a table of this name.
    fn numbers(&self, simple: &Simple) -> Option<Script> {
        let (parts, _) = simple.table.as_ref()?;
        let columns = simple.columns.as_ref()?;
        let is_it = matches!(parts.as_slice(), [table] if table.eq_ignore_ascii_case("numbers"))
            && matches!(columns.as_slice(), [column] if column.name.eq_ignore_ascii_case("n"));
        if !is_it || self.catalogs.find(&self.catalogs.path(parts)).is_some() {
            return None;
        }
        let column = Column::new("n", TypeKind::BIGINT.nullable());
        let counted = Counted { kind: column.kind.clone(), first: 0 };
        Some(Script::select(&[column], Rows::Counted(vec![counted], simple.limit)))
    }

    pub(super) fn insert(&mut self, words: Words<'_>, context: &mut Context<'_>) -> Result<Script, Failure> {
        let inserted = self.insert_rows(words)?;
        self.start_inserts(&[inserted], context);
        Ok(Script::job())
    }

    /// The job of these tables, and whether each is through.
    fn start_inserts(&self, inserts: &[(Path, bool)], context: &mut Context<'_>) {
        let names: Vec<String> = inserts.iter().map(|(path, _)| path.dotted()).collect();
        let name = format!("insert-into_{}", names.join(","));
        let name = self.setting(context, "pipeline.name").map_or(name, str::to_owned);
        let is_through = inserts.iter().all(|(_, is_through)| *is_through);
        context.jobs.start(&context.job, &name, context.now, if is_through { "FINISHED" } else { "RUNNING" });
    }

    /// Carries out `EXECUTE STATEMENT SET`, whose statements are between `BEGIN` and `END`: all of them, or none.
    fn insert_set(&mut self, mut words: Words<'_>, context: &mut Context<'_>) -> Result<Script, Failure> {
        words.expect(&["BEGIN"])?;
        let mut texts = Vec::new();
        while !words.take(&["END"]) {
            let start = words.position();
            words.expect(&["INSERT"])?;
            while words.peek().is_some_and(|token| token.kind != Kind::Symbol || token.text != ";") {
                words.take_any();
            }
            // Blank before it, so that its places are those in the whole statement.
            let before = words.text.get(..start).unwrap_or_default();
            let mut text: String = before.chars().map(|letter| if letter == '\n' { '\n' } else { ' ' }).collect();
            text.push_str(words.since(start));
            texts.push(text);
            words.expect(&[";"])?;
        }
        words.end()?;
        if texts.is_empty() {
            return Err(Failure::validation("NO statements in statement set"));
        }
        let before = self.engine.clone();
        let insert = |text: &String| {
            let mut words = Words::new(text)?;
            words.expect(&["INSERT"])?;
            self.insert_rows(words)
        };
        let inserts: Result<Vec<(Path, bool)>, Failure> = texts.iter().map(insert).collect();
        if inserts.is_err() {
            self.engine = before;
        }
        self.start_inserts(&inserts?, context);
        Ok(Script::job())
    }

    /// Carries an `INSERT` out; its table, and whether that is the end of it.
    fn insert_rows(&mut self, mut words: Words<'_>) -> Result<(Path, bool), Failure> {
        match words.take_one_of(&["INTO", "OVERWRITE"]) {
            Some("INTO") => {}
            Some(_) => return Err(Failure::not_simulated("INSERT OVERWRITE; use INSERT INTO")),
            None => return Err(words.unexpected()),
        }
        let path = self.catalogs.path(&words.path()?.0);
        if words.is_at_end() {
            return Err(words.unexpected());
        }
        let Some((relation, _)) = self.catalogs.find(&path) else {
            let catalogs: Vec<&str> = self.catalogs.all.keys().map(String::as_str).collect();
            let message = format!(
                "Cannot find table '{}' in any of the catalogs [{}], nor as a temporary table.",
                path.quoted(),
                catalogs.join(", ")
            );
            return Err(Failure::validation(message));
        };
        let keeps = match relation {
            Relation::Table(table) => {
                check_sink(table, &path)?;
                self.engine.check(&path)?;
                table.options.get("connector").is_some_and(|connector| !SINKS.contains(&connector.as_str()))
            }
            Relation::View(_) => {
                return Err(Failure::validation(format!("View '{}' cannot be written.", path.dotted())));
            }
        };
        let is_through = match self.check_sources(&words)? {
            Some(_) => false,
            None => self.engine.insert(&self.catalogs, &path, words.text, keeps)?,
        };
        Ok((path, is_through))
    }

    /// `EXECUTE`, of a query, an `INSERT` or a set of them.
    pub(super) fn run(&mut self, mut words: Words<'_>, context: &mut Context<'_>) -> Result<Script, Failure> {
        if words.take(&["STATEMENT", "SET"]) {
            return self.insert_set(words, context);
        }
        if words.take(&["PLAN"]) {
            let name = self.setting(context, "pipeline.name").unwrap_or("insert-into").to_owned();
            context.jobs.start(&context.job, &name, context.now, "RUNNING");
            return Ok(Script::job());
        }
        let start = words.clone();
        match words.take_one_of(&["INSERT", "SELECT", "WITH", "VALUES"]) {
            Some("INSERT") => self.insert(words, context),
            Some(_) => self.query(&start, context),
            None => Err(words.unexpected()),
        }
    }

    /// A plan of a query that reads columns of one table; of any other, the text says that it is not simulated.
    pub(super) fn explain(&self, mut words: Words<'_>) -> Result<Script, Failure> {
        let _ = words.take(&["PLAN", "FOR"]);
        while words
            .take_one_of(&["ESTIMATED_COST", "CHANGELOG_MODE", "JSON_EXECUTION_PLAN", "PLAN_ADVICE", ","])
            .is_some()
        {}
        let start = words.clone();
        match words.take_one_of(&["SELECT", "WITH", "VALUES", "INSERT", "EXECUTE", "("]) {
            Some(_) => {}
            None if words.is_at_end() => return Err(words.unexpected()),
            None => return Err(Failure::no_statement()),
        }
        let Some(simple) = Simple::read(start.clone()) else {
            // Errors of the query, if the engine can tell.
            self.engine.columns(&self.catalogs, start.rest()).map_err(in_explain).or_else(unless_missing)?;
            let text = format!("not simulated by pipewright-sim: {}", start.rest());
            return Ok(plan([text.clone(), text.clone(), text]));
        };
        let (path, columns) = simple.resolve(&self.catalogs).map_err(in_explain)?;
        let Some(path) = path else {
            let numbers = simple.columns.iter().flatten().zip(&columns);
            let of = |sign: &str| {
                numbers
                    .clone()
                    .map(|(item, column)| match sign {
                        "=" => format!("{}=[{}]", column.name, item.name),
                        _ => format!("{} AS {}", item.name, column.name),
                    })
                    .collect::<Vec<_>>()
                    .join(", ")
            };
            return Ok(plan([
                format!("LogicalProject({})\n+- LogicalValues(tuples=[[{{ 0 }}]])", of("=")),
                format!("Calc(select=[{}])\n+- Values(type=[RecordType(INTEGER ZERO)], tuples=[[{{ 0 }}]])", of("AS")),
                format!("Calc(select=[{}])\n+- Values(tuples=[[{{ 0 }}]])", of("AS")),
            ]));
        };
        if let Some((Relation::Table(table), _)) = self.catalogs.find(&path) {
            check_source(table, &path)?;
        }
        let all: Vec<&str> = self
            .catalogs
            .find(&path)
            .into_iter()
            .flat_map(|(relation, _)| relation.columns())
            .map(|column| column.name.as_str())
            .collect();
        let read: Vec<&str> = match &simple.columns {
            Some(items) => items.iter().map(|item| item.name.as_str()).collect(),
            None => all.clone(),
        };
        let table = format!("table=[[{}, {}, {}]]", path.catalog, path.database, path.object);
        let project = read.iter().zip(&columns).map(|(name, column)| {
            let at = all.iter().position(|other| other == name).unwrap_or_default();
            format!("{}=[${at}]", column.name)
        });
        let project = project.collect::<Vec<_>>().join(", ");
        let scan = format!("TableSourceScan({table}, fields=[{}])", all.join(", "));
        let physical = if read == all { scan } else { format!("Calc(select=[{}])\n+- {scan}", read.join(", ")) };
        let ast = format!("LogicalProject({project})\n+- LogicalTableScan({table})");
        Ok(plan([ast, physical.clone(), physical]))
    }

    /// `STOP JOB 'id' WITH SAVEPOINT`
    pub(super) fn stop(mut words: Words<'_>, context: &mut Context<'_>) -> Result<Script, Failure> {
        words.expect(&["JOB"])?;
        let id = words.literal()?;
        let mut with_savepoint = false;
        while words.take(&["WITH"]) {
            match words.take_one_of(&["SAVEPOINT", "DRAIN"]) {
                Some(what) => with_savepoint |= what == "SAVEPOINT",
                None => return Err(words.unexpected()),
            }
        }
        words.end()?;
        if context.jobs.find(&id).is_none_or(|job| job.status != "RUNNING") {
            let class = "org.apache.flink.table.gateway.service.utils.SqlExecutionException";
            let cause = Failure::new(
                "org.apache.flink.runtime.messages.FlinkJobNotFoundException",
                format!("Could not find Flink job ({id})"),
            );
            return Err(Failure::new(class, format!("Could not stop job {id}.")).caused_by(cause));
        }
        context.jobs.end(&id, if with_savepoint { "FINISHED" } else { "CANCELED" });
        if !with_savepoint {
            return Ok(Script::ok());
        }
        let short = id.get(..6).unwrap_or(&id);
        Ok(Script::list(
            "savepoint path",
            [format!("file:/savepoints/savepoint-{short}-{}", context.job.get(..12).unwrap_or_default())],
        ))
    }
}

fn plan([ast, physical, execution]: [String; 3]) -> Script {
    let text = format!(
        "== Abstract Syntax Tree ==\n{ast}\n\n== Optimized Physical Plan ==\n{physical}\n\n== Optimized Execution Plan ==\n{execution}\n"
    );
    Script::list("result", [text])
}

/// What the engine does not have is no error of the query, nor is a statement that is not a query.
fn unless_missing(failure: Failure) -> Result<Vec<Column>, Failure> {
    let is_missing =
        failure.chain.iter().any(|(_, message)| message.contains("simulat") || message.contains("not a query"));
    if is_missing { Ok(Vec::new()) } else { Err(failure) }
}

/// A query in `EXPLAIN` is validated twice, and each says so.
fn in_explain(failure: Failure) -> Failure {
    let Some((_, message)) = failure.chain.first() else { return failure };
    Failure::validation(format!("SQL validation failed. {message}")).caused_by(failure)
}

/// # Errors
///
/// If nothing can be read from the table.
pub(super) fn check_source(table: &Table, path: &Path) -> Result<(), Failure> {
    let why = match table.options.get("connector").map(String::as_str) {
        None => NO_CONNECTOR.to_owned(),
        Some(connector) if SINKS.contains(&connector) => {
            format!("Connector '{connector}' can only be used as a sink. It cannot be used as a source.")
        }
        Some(_) => return Ok(()),
    };
    Err(unable("source for reading", table, path, why))
}

/// # Errors
///
/// If nothing can be written into the table.
pub(super) fn check_sink(table: &Table, path: &Path) -> Result<(), Failure> {
    let why = match table.options.get("connector").map(String::as_str) {
        None => NO_CONNECTOR.to_owned(),
        Some("datagen") => "Connector 'datagen' can only be used as a source. It cannot be used as a sink.".to_owned(),
        Some(_) => return Ok(()),
    };
    Err(unable("sink for writing", table, path, why))
}

const NO_CONNECTOR: &str = "Table options do not contain an option key 'connector' for discovering a connector.";

fn unable(what: &str, table: &Table, path: &Path, why: String) -> Failure {
    let options: Vec<String> = table.options.iter().map(|(key, value)| format!("'{key}'='{value}'")).collect();
    let message =
        format!("Unable to create a {what} table '{}'.\n\nTable options are:\n\n{}", path.dotted(), options.join("\n"));
    Failure::validation(message).caused_by(Failure::validation(why))
}
