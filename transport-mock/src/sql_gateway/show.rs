//! `SHOW` and `DESCRIBE`.

use std::collections::BTreeSet;
use std::time::Duration;

use pipewright::Timestamp;
use serde_json::{Value, json};

use super::failure::Failure;
use super::jobs::Job;
use super::statement::Script;
use super::table::{Column, Relation};
use super::types::Kind as TypeKind;
use super::words::Words;
use super::workspace::{Context, Workspace};

/// Some of the 251 functions of a real gateway.
const FUNCTIONS: [&str; 44] = [
    "abs",
    "acos",
    "and",
    "array",
    "asin",
    "atan",
    "avg",
    "between",
    "cast",
    "ceil",
    "charLength",
    "coalesce",
    "collect",
    "concat",
    "cos",
    "count",
    "currentDate",
    "currentTimestamp",
    "divide",
    "equals",
    "exp",
    "extract",
    "firstValue",
    "floor",
    "ifThenElse",
    "lastValue",
    "like",
    "ln",
    "lower",
    "max",
    "min",
    "minus",
    "mod",
    "not",
    "or",
    "plus",
    "power",
    "replace",
    "round",
    "sqrt",
    "substring",
    "sum",
    "times",
    "upper",
];

impl Workspace {
    pub(super) fn show(&self, mut words: Words<'_>, context: &Context<'_>) -> Result<Script, Failure> {
        const WHAT: [&str; 15] = [
            "CATALOGS",
            "DATABASES",
            "TABLES",
            "VIEWS",
            "FUNCTIONS",
            "MODULES",
            "JOBS",
            "JARS",
            "COLUMNS",
            "PARTITIONS",
            "CURRENT",
            "CREATE",
            "FULL",
            "USER",
            "PROCEDURES",
        ];
        let start = words.clone();
        let found = words.take_one_of(&WHAT);
        let script = match found {
            Some("CATALOGS") => {
                let names = self.catalogs.all.keys().cloned().collect();
                Script::list("catalog name", like(&mut words, names)?)
            }
            Some("DATABASES") => self.databases(&mut words)?,
            Some("TABLES") => self.relations("table name", &mut words, |_| true)?,
            Some("VIEWS") => {
                self.relations("view name", &mut words, |relation| matches!(relation, Relation::View(_)))?
            }
            Some("FUNCTIONS") => {
                let names = FUNCTIONS.iter().map(|name| (*name).to_owned()).chain(self.functions()).collect();
                Script::list("function name", like(&mut words, sorted(names))?)
            }
            Some("USER") => {
                words.expect(&["FUNCTIONS"])?;
                let names = self.functions().collect();
                Script::list("function name", like(&mut words, sorted(names))?)
            }
            Some("MODULES") => {
                let used = self.modules.0.iter().filter(|(_, used)| *used);
                Script::list("module name", used.map(|(name, _)| name.clone()))
            }
            Some("FULL") => {
                words.expect(&["MODULES"])?;
                self.all_modules()
            }
            Some("JARS") => Script::list("jars", self.jars.iter().cloned()),
            Some("JOBS") => jobs(context.jobs.iter()),
            Some("COLUMNS") => {
                if words.take_one_of(&["FROM", "IN"]).is_none() {
                    return Err(words.unexpected());
                }
                let (parts, _) = words.path()?;
                let names = self.relation(&parts)?.0.columns().iter().map(|column| column.name.clone()).collect();
                let shown = like(&mut words, names)?;
                self.described(&parts, &shown)?
            }
            Some("PARTITIONS") => self.partitions(&mut words)?,
            Some("CURRENT") => match words.take_one_of(&["CATALOG", "DATABASE"]) {
                Some("CATALOG") => Script::list("current catalog name", [self.catalogs.catalog.clone()]),
                Some(_) => Script::list("current database name", [self.catalogs.database.clone()]),
                None => return Err(words.unexpected()),
            },
            Some("CREATE") => self.show_create(&mut words)?,
            Some("PROCEDURES") => {
                let message = "listProcedures is not implemented for class org.apache.flink.table.catalog.GenericInMemoryCatalog.";
                return Err(Failure::new("java.lang.UnsupportedOperationException", message));
            }
            _ => return Err(start.unexpected_keyword()),
        };
        words.end()?;
        Ok(script)
    }

    fn databases(&self, words: &mut Words<'_>) -> Result<Script, Failure> {
        let catalog =
            if words.take_one_of(&["FROM", "IN"]).is_some() { words.name()? } else { self.catalogs.catalog.clone() };
        let Some(found) = self.catalogs.all.get(&catalog) else {
            return Err(Failure::validation(format!("Catalog {catalog} does not exist")));
        };
        let names = found.databases.keys().cloned().collect();
        Ok(Script::list("database name", like(words, names)?))
    }

    fn relations(
        &self,
        title: &str,
        words: &mut Words<'_>,
        is_shown: impl Fn(&Relation) -> bool,
    ) -> Result<Script, Failure> {
        let parts = if words.take_one_of(&["FROM", "IN"]).is_some() { words.path()?.0 } else { Vec::new() };
        let (catalog, database) = self.catalogs.place(&parts);
        if !self.catalogs.all.contains_key(&catalog) {
            return Err(Failure::validation(format!("Catalog {catalog} does not exist")));
        }
        if self.catalogs.database(&catalog, &database).is_none() {
            return Err(Failure::validation(format!("Database '{catalog}'.'{database}' doesn't exist.")));
        }
        let relations = self.catalogs.relations(&catalog, &database);
        let names = relations.into_iter().filter(|(_, relation)| is_shown(relation)).map(|(name, _)| name.to_owned());
        Ok(Script::list(title, like(words, names.collect())?))
    }

    fn functions(&self) -> impl Iterator<Item = String> {
        let (catalog, database) = self.catalogs.place(&[]);
        let own = self.catalogs.database(&catalog, &database).map(|database| database.functions.clone());
        own.into_iter().flatten().chain(self.catalogs.temporary_functions.clone())
    }

    fn all_modules(&self) -> Script {
        let rows = self.modules.0.iter().map(|(name, used)| vec![json!(name), json!(used)]).collect();
        let mut script = Script::table(&["module name", "used"], rows);
        if let Some(used) = script.columns.get_mut(1) {
            *used = Column::new("used", TypeKind::BOOLEAN.nullable()).described();
        }
        script
    }

    fn partitions(&self, words: &mut Words<'_>) -> Result<Script, Failure> {
        let path = self.catalogs.path(&words.path()?.0);
        match self.catalogs.find(&path) {
            Some((Relation::Table(table), _)) if !table.partitions.is_empty() => {
                Ok(Script::list("partition name", [""; 0]))
            }
            Some(_) => {
                let message = format!("Could not execute SHOW PARTITIONS {}", path.dotted());
                let (database, object) = (&path.database, &path.object);
                let cause = format!("Table {database}.{object} in catalog {} is not partitioned.", path.catalog);
                Err(Failure::table(message).caused_by(Failure::catalog("TableNotPartitionedException", cause)))
            }
            None => Err(Failure::validation(format!("Table {} doesn't exist.", path.quoted()))),
        }
    }

    fn show_create(&self, words: &mut Words<'_>) -> Result<Script, Failure> {
        match words.take_one_of(&["TABLE", "VIEW", "CATALOG"]) {
            Some("CATALOG") => {
                let name = words.name()?;
                let Some(catalog) = self.catalogs.all.get(&name).filter(|catalog| !catalog.options.is_empty()) else {
                    return Err(Failure::validation(format!(
                        "Cannot obtain metadata information from Catalog {name}."
                    )));
                };
                let options = catalog.options.iter().map(|(key, value)| format!("'{key}' = '{value}'"));
                let options = options.collect::<Vec<_>>().join(",\n  ");
                Ok(Script::list("result", [format!("CREATE CATALOG `{name}`\nWITH (\n  {options}\n)\n")]))
            }
            Some(what) => {
                let path = self.catalogs.path(&words.path()?.0);
                let (name, title) = (path.quoted(), if what == "TABLE" { "Table" } else { "View" });
                let only = |this: &str, is: &str, other: &str| {
                    Failure::table(format!(
                        "SHOW CREATE {what} is only supported for {this}s, but {name} is a {is}. Please use SHOW CREATE {other} instead."
                    ))
                };
                match (what, self.catalogs.find(&path)) {
                    ("TABLE", Some((Relation::Table(table), temporary))) => {
                        Ok(Script::list("result", [table.definition(&name, temporary)]))
                    }
                    ("VIEW", Some((Relation::View(view), temporary))) => {
                        Ok(Script::list("result", [view.definition(&name, temporary)]))
                    }
                    ("TABLE", Some(_)) => Err(only("table", "view", "VIEW")),
                    (_, Some(_)) => Err(only("view", "table", "TABLE")),
                    (_, None) => Err(Failure::validation(format!(
                        "Could not execute SHOW CREATE {what}. {title} with identifier {name} does not exist."
                    ))),
                }
            }
            None => Err(words.unexpected()),
        }
    }

    pub(super) fn describe(&self, mut words: Words<'_>, context: &Context<'_>) -> Result<Script, Failure> {
        if words.take(&["JOB"]) {
            let id = words.literal()?;
            words.end()?;
            let message = format!("Described job {id} does not exist in the cluster.");
            let class = "org.apache.flink.table.gateway.service.utils.SqlExecutionException";
            return context
                .jobs
                .find(&id)
                .map(|job| jobs([job].into_iter()))
                .ok_or_else(|| Failure::new(class, message));
        }
        if words.take(&["CATALOG"]) {
            let name = words.path()?.0.join(".");
            return Err(Failure::validation(format!("Cannot obtain metadata information from Catalog {name}.")));
        }
        words.take(&["EXTENDED"]);
        let (parts, _) = words.path()?;
        words.end()?;
        let names: Vec<String> = self.relation(&parts)?.0.columns().iter().map(|column| column.name.clone()).collect();
        self.described(&parts, &names)
    }

    /// # Errors
    ///
    /// If there is no table or view of this name.
    fn relation(&self, parts: &[String]) -> Result<(&Relation, bool), Failure> {
        let path = self.catalogs.path(parts);
        let message = format!("Tables or views with the identifier '{}' doesn't exist.", path.dotted());
        self.catalogs.find(&path).ok_or_else(|| Failure::validation(message))
    }

    fn described(&self, parts: &[String], names: &[String]) -> Result<Script, Failure> {
        let (mut rows, has_comments) = self.relation(parts)?.0.description();
        rows.retain(|row| {
            row.first().and_then(Value::as_str).is_some_and(|name| names.iter().any(|shown| shown == name))
        });
        let titles = ["name", "type", "null", "key", "extras", "watermark", "comment"];
        let shown = if has_comments { &titles[..] } else { &titles[..6] };
        let mut script = Script::table(shown, rows);
        if let Some(null) = script.columns.get_mut(2) {
            *null = Column::new("null", TypeKind::BOOLEAN.nullable()).described();
        }
        Ok(script)
    }
}

/// Newest first.
fn jobs<'a>(jobs: impl Iterator<Item = &'a Job>) -> Script {
    let row = |job: &'a Job| vec![json!(job.id), json!(job.name), json!(job.status), json!(time(job.started))];
    let mut rows: Vec<Vec<Value>> = jobs.map(row).collect();
    rows.reverse();
    let mut script = Script::table(&["job id", "job name", "status", "start time"], rows);
    if let Some(started) = script.columns.get_mut(3) {
        *started = Column::new("start time", TypeKind::TimestampLtz(6).nullable()).described();
    }
    script
}

/// With as many digits as it needs.
fn time(time: Duration) -> String {
    let text = Timestamp::from_unix(time).to_string();
    let seconds = text.get(..19).unwrap_or_default();
    match format!("{:09}", time.subsec_nanos()).trim_end_matches('0') {
        "" => format!("{seconds}Z"),
        fraction => format!("{seconds}.{fraction}Z"),
    }
}

fn sorted(names: Vec<String>) -> Vec<String> {
    names.into_iter().collect::<BTreeSet<_>>().into_iter().collect()
}

/// The names that `LIKE`, `ILIKE` or their opposites leave.
fn like(words: &mut Words<'_>, names: Vec<String>) -> Result<Vec<String>, Failure> {
    let negated = words.take(&["NOT"]);
    let Some(word) = words.take_one_of(&["LIKE", "ILIKE"]) else {
        return if negated { Err(words.unexpected()) } else { Ok(names) };
    };
    let fold = |text: &str| if word == "ILIKE" { text.to_lowercase() } else { text.to_owned() };
    let pattern: Vec<char> = fold(&words.literal()?).chars().collect();
    let fits = |name: &String| matches(&pattern, &fold(name).chars().collect::<Vec<_>>()) != negated;
    Ok(names.into_iter().filter(fits).collect())
}

/// `%` stands for any letters, `_` for one.
fn matches(pattern: &[char], name: &[char]) -> bool {
    let (mut at, mut read) = (0, 0);
    // Where to continue after the last `%`.
    let mut again: Option<(usize, usize)> = None;
    while read < name.len() {
        match pattern.get(at) {
            Some('%') => {
                again = Some((at + 1, read));
                at += 1;
            }
            Some(letter) if *letter == '_' || Some(letter) == name.get(read) => (at, read) = (at + 1, read + 1),
            _ => match again {
                Some((pattern_at, read_at)) => {
                    (at, read) = (pattern_at, read_at + 1);
                    again = Some((pattern_at, read_at + 1));
                }
                None => return false,
            },
        }
    }
    pattern.iter().skip(at).all(|letter| *letter == '%')
}
