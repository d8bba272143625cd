//! `CREATE`.

use std::collections::BTreeMap;

use super::catalog::{Catalog, Database};
use super::columns::elements;
use super::failure::Failure;
use super::select::Simple;
use super::statement::Script;
use super::table::{Column, Relation, Table, View};
use super::words::Words;
use super::workspace::Workspace;

impl Workspace {
    pub(super) fn create(&mut self, mut words: Words<'_>) -> Result<Script, Failure> {
        let replace = words.take(&["OR", "REPLACE"]) || words.take(&["OR", "ALTER"]);
        let temporary = words.take(&["TEMPORARY"]);
        let system = temporary && words.take(&["SYSTEM"]);
        match words.take_one_of(&[
            "TABLE",
            "VIEW",
            "DATABASE",
            "CATALOG",
            "FUNCTION",
            "MATERIALIZED",
            "MODEL",
            "CONNECTION",
        ]) {
            Some("TABLE") => self.create_table(words, replace, temporary),
            Some("VIEW") => self.create_view(words, temporary),
            Some("DATABASE") => self.create_database(words),
            Some("CATALOG") => self.create_catalog(words),
            Some("FUNCTION") => self.create_function(words, temporary, system),
            Some(what) => Err(Failure::not_simulated(&format!("CREATE {what}"))),
            None => Err(words.unexpected()),
        }
    }

    fn create_table(&mut self, mut words: Words<'_>, replace: bool, temporary: bool) -> Result<Script, Failure> {
        let unless_exists = words.take(&["IF", "NOT", "EXISTS"]);
        let path = self.catalogs.path(&words.path()?.0);
        let mut table = Table::default();
        if words.peek().is_some_and(|word| word.text == "(") {
            table.declare(elements(&mut words)?)?;
        }
        if words.take(&["COMMENT"]) {
            table.comment = Some(words.literal()?);
        }
        if words.take(&["DISTRIBUTED"]) {
            return Err(Failure::not_simulated("CREATE TABLE … DISTRIBUTED"));
        }
        if words.take(&["PARTITIONED", "BY", "("]) {
            table.partitions.push(words.name()?);
            while words.take(&[","]) {
                table.partitions.push(words.name()?);
            }
            words.expect(&[")"])?;
        }
        if words.take(&["WITH"]) {
            table.options = words.options()?.into_iter().collect();
        }
        if words.take(&["LIKE"]) {
            self.copy(&mut table, &mut words)?;
        }
        if words.take(&["AS"]) {
            return Err(Failure::not_simulated("CREATE TABLE … AS; create the table, and INSERT INTO it"));
        }
        words.end()?;
        self.catalogs.create(&path, Relation::Table(table), temporary, replace, unless_exists)?;
        Ok(Script::ok())
    }

    /// Takes over what another table has: all but its comment.
    fn copy(&self, table: &mut Table, words: &mut Words<'_>) -> Result<(), Failure> {
        let (parts, span) = words.path()?;
        let path = self.catalogs.path(&parts);
        if words.take(&["("]) {
            return Err(Failure::not_simulated("options of LIKE"));
        }
        let Some((Relation::Table(source), _)) = self.catalogs.find(&path) else {
            let (line, column) = span.from;
            let message = format!(
                "Source table '{}' of the LIKE clause not found in the catalog, at line {line}, column {column}",
                path.quoted()
            );
            return Err(Failure::validation(message));
        };
        let mut columns = source.columns.clone();
        columns.append(&mut table.columns);
        let mut options = source.options.clone();
        options.append(&mut table.options);
        (table.columns, table.options) = (columns, options);
        table.watermark = table.watermark.take().or_else(|| source.watermark.clone());
        table.key = table.key.take().or_else(|| source.key.clone());
        if table.partitions.is_empty() {
            table.partitions.clone_from(&source.partitions);
        }
        Ok(())
    }

    fn create_view(&mut self, mut words: Words<'_>, temporary: bool) -> Result<Script, Failure> {
        let unless_exists = words.take(&["IF", "NOT", "EXISTS"]);
        let path = self.catalogs.path(&words.path()?.0);
        let mut names = Vec::new();
        if words.take(&["("]) {
            loop {
                names.push(words.name()?);
                if words.take(&["COMMENT"]) {
                    words.literal()?;
                }
                if !words.take(&[","]) {
                    words.expect(&[")"])?;
                    break;
                }
            }
        }
        let comment = if words.take(&["COMMENT"]) { Some(words.literal()?) } else { None };
        words.expect(&["AS"])?;
        if words.is_at_end() {
            return Err(words.unexpected());
        }
        let query = words.rest().to_owned();
        let columns = renamed(self.columns_of(&words)?, names)?;
        let view = View { columns, query, comment };
        self.catalogs.create(&path, Relation::View(view), temporary, false, unless_exists)?;
        Ok(Script::ok())
    }

    /// The columns of a query; none if they cannot be known.
    ///
    /// # Errors
    ///
    /// If the query names something that does not exist.
    pub(super) fn columns_of(&self, words: &Words<'_>) -> Result<Vec<Column>, Failure> {
        match Simple::read(words.clone()) {
            Some(simple) => Ok(simple.resolve(&self.catalogs).map_err(in_view)?.1),
            None => self.engine.columns(&self.catalogs, words.rest()).map_err(in_view),
        }
    }

    fn create_database(&mut self, mut words: Words<'_>) -> Result<Script, Failure> {
        let unless_exists = words.take(&["IF", "NOT", "EXISTS"]);
        let (catalog, database) = self.catalogs.place(&words.path()?.0);
        if words.take(&["COMMENT"]) {
            words.literal()?;
        }
        if words.take(&["WITH"]) {
            words.options()?;
        }
        words.end()?;
        let failed = format!(
            "Could not execute CREATE DATABASE: (catalogDatabase: [{{}}], catalogName: [{catalog}], databaseName: [{database}], ignoreIfExists: [{unless_exists}])"
        );
        let Some(found) = self.catalogs.all.get_mut(&catalog) else {
            let cause = Failure::validation(format!("Catalog {catalog} does not exist"));
            return Err(Failure::table(failed).caused_by(cause));
        };
        if found.databases.contains_key(&database) {
            if unless_exists {
                return Ok(Script::ok());
            }
            let message = format!("Database {database} already exists in Catalog {catalog}.");
            let cause = Failure::catalog("DatabaseAlreadyExistException", message);
            return Err(Failure::validation(failed).caused_by(cause));
        }
        found.databases.insert(database, Database::default());
        Ok(Script::ok())
    }

    fn create_catalog(&mut self, mut words: Words<'_>) -> Result<Script, Failure> {
        let unless_exists = words.take(&["IF", "NOT", "EXISTS"]);
        let name = words.name()?;
        if words.take(&["COMMENT"]) {
            words.literal()?;
        }
        let options: BTreeMap<String, String> =
            if words.take(&["WITH"]) { words.options()?.into_iter().collect() } else { BTreeMap::new() };
        words.end()?;
        let shown: Vec<String> = options.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let shown = shown.join(", ");
        let failed = format!(
            "Could not execute CREATE CATALOG: (catalogName: [{name}], properties: [{{{shown}}}], ignoreIfExists: [{unless_exists}])"
        );
        if self.catalogs.all.contains_key(&name) {
            if unless_exists {
                return Ok(Script::ok());
            }
            let cause = Failure::catalog("CatalogException", format!("Catalog {name} already exists."));
            return Err(Failure::validation(failed).caused_by(cause));
        }
        match options.get("type").map(String::as_str) {
            Some("generic_in_memory") => {}
            Some(other) => {
                return Err(Failure::not_simulated(&format!("a catalog of type '{other}'; use 'generic_in_memory'")));
            }
            None => {
                let cause = Failure::validation(
                    "Catalog options do not contain an option key 'type' for discovering a catalog.",
                );
                return Err(Failure::validation(failed).caused_by(cause));
            }
        }
        let default = options.get("default-database").cloned().unwrap_or_else(|| "default".to_owned());
        let catalog = Catalog { options, databases: [(default, Database::default())].into() };
        self.catalogs.all.insert(name, catalog);
        Ok(Script::ok())
    }

    fn create_function(&mut self, mut words: Words<'_>, temporary: bool, system: bool) -> Result<Script, Failure> {
        let unless_exists = words.take(&["IF", "NOT", "EXISTS"]);
        let path = self.catalogs.path(&words.path()?.0);
        words.expect(&["AS"])?;
        let class = words.literal()?;
        if temporary {
            // The class is needed at once, and does not exist.
            let missing = Failure::new("java.lang.ClassNotFoundException", class);
            let why = "due to implementation errors.";
            let message = if system {
                format!("Could not register temporary system function '{}' {why}", path.object)
            } else {
                format!("Could not register temporary catalog function '{}' {why}", path.dotted())
            };
            return Err(Failure::validation(message).caused_by(missing));
        }
        let Some(found) = self.catalogs.database_mut(&path.catalog, &path.database) else {
            let message = format!("Database {} does not exist in Catalog {}.", path.database, path.catalog);
            return Err(Failure::validation(message));
        };
        if !found.functions.insert(path.object.to_lowercase()) && !unless_exists {
            let message =
                format!("Function {}.{} already exists in Catalog {}.", path.database, path.object, path.catalog);
            let cause = Failure::catalog("FunctionAlreadyExistException", message.as_str());
            return Err(Failure::validation(message).caused_by(cause));
        }
        Ok(Script::ok())
    }
}

/// A view's query is validated without the exception that wraps a query's own.
fn in_view(mut failure: Failure) -> Failure {
    if failure.chain.len() > 2 {
        failure.chain.remove(0);
    }
    failure
}

fn renamed(mut columns: Vec<Column>, names: Vec<String>) -> Result<Vec<Column>, Failure> {
    if names.is_empty() || columns.is_empty() {
        return Ok(columns);
    }
    if names.len() != columns.len() {
        let found: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
        let message = format!(
            "VIEW definition and input fields not match:\n\tDef fields: [{}].\n\tInput fields: [{}].",
            names.join(", "),
            found.join(", ")
        );
        return Err(Failure::validation(message));
    }
    for (column, name) in columns.iter_mut().zip(names) {
        column.name = name;
    }
    Ok(columns)
}
