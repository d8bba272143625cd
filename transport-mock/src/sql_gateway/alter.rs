//! `ALTER`.

use super::catalog::Path;
use super::columns::{Element, Position, element, elements};
use super::failure::Failure;
use super::statement::Script;
use super::table::{Column, Relation, Table};
use super::words::Words;
use super::workspace::Workspace;

impl Workspace {
    pub(super) fn alter(&mut self, mut words: Words<'_>) -> Result<Script, Failure> {
        match words.take_one_of(&[
            "TABLE",
            "VIEW",
            "DATABASE",
            "FUNCTION",
            "CATALOG",
            "MATERIALIZED",
            "MODEL",
            "CONNECTION",
        ]) {
            Some("TABLE") => self.alter_table(words),
            Some("VIEW") => self.alter_view(words),
            Some("DATABASE") => self.alter_database(words),
            Some(what) => Err(Failure::not_simulated(&format!("ALTER {what}"))),
            None => Err(words.unexpected()),
        }
    }

    fn alter_table(&mut self, mut words: Words<'_>) -> Result<Script, Failure> {
        let if_exists = words.take(&["IF", "EXISTS"]);
        let path = self.catalogs.path(&words.path()?.0);
        if words.is_at_end() {
            return Err(words.unexpected());
        }
        let is_hidden = self.catalogs.temporary.contains_key(&path);
        match self.catalogs.permanent(&path).filter(|_| !is_hidden) {
            Some(Relation::Table(_)) => {}
            Some(Relation::View(_)) => return Err(Failure::validation("ALTER TABLE for a view is not allowed")),
            None if if_exists => return Ok(Script::ok()),
            None => {
                let message = format!("Table {} doesn't exist or is a temporary table.", path.quoted());
                return Err(Failure::validation(message));
            }
        }
        if words.take(&["RENAME", "TO"]) {
            return self.rename(&path, &words.path()?.0, "TABLE");
        }
        let Some(Relation::Table(found)) = self.catalogs.permanent(&path) else { return Ok(Script::ok()) };
        let mut table = found.clone();
        change(&mut table, &mut words)?;
        words.end()?;
        if let Some(relation) = self.catalogs.permanent_mut(&path) {
            *relation = Relation::Table(table);
        }
        Ok(Script::ok())
    }

    fn rename(&mut self, path: &Path, name: &[String], what: &str) -> Result<Script, Failure> {
        let to = self.catalogs.path(name);
        if self.catalogs.permanent(&to).is_some() {
            let Path { catalog, database, object } = &to;
            let message = format!("Could not execute ALTER {what} {} RENAME TO {}", path.dotted(), to.dotted());
            let cause = format!("Table (or view) {database}.{object} already exists in Catalog {catalog}.");
            let cause = Failure::catalog("TableAlreadyExistException", cause);
            return Err(Failure::validation(message).caused_by(cause));
        }
        let database = self.catalogs.database_mut(&path.catalog, &path.database);
        if let Some(database) = database
            && let Some(relation) = database.relations.remove(&path.object)
        {
            database.relations.insert(to.object, relation);
        }
        Ok(Script::ok())
    }

    fn alter_view(&mut self, mut words: Words<'_>) -> Result<Script, Failure> {
        let path = self.catalogs.path(&words.path()?.0);
        if !matches!(self.catalogs.permanent(&path), Some(Relation::View(_))) {
            let message = format!("View {} doesn't exist or is a temporary view.", path.quoted());
            return Err(Failure::validation(message));
        }
        if words.take(&["RENAME", "TO"]) {
            return self.rename(&path, &words.path()?.0, "VIEW");
        }
        words.expect(&["AS"])?;
        let query = words.rest().to_owned();
        let columns = self.columns_of(&words)?;
        if let Some(Relation::View(view)) = self.catalogs.permanent_mut(&path) {
            (view.query, view.columns) = (query, columns);
        }
        Ok(Script::ok())
    }

    /// Databases have no options that anything depends on.
    fn alter_database(&mut self, mut words: Words<'_>) -> Result<Script, Failure> {
        let (catalog, database) = self.catalogs.place(&words.path()?.0);
        words.expect(&["SET"])?;
        words.options()?;
        words.end()?;
        if self.catalogs.database(&catalog, &database).is_none() {
            let message = format!("Database {database} does not exist in Catalog {catalog}.");
            let cause = Failure::catalog("DatabaseNotExistException", message);
            return Err(Failure::validation(format!("Database {database} not exists")).caused_by(cause));
        }
        Ok(Script::ok())
    }
}

fn failed(why: &str) -> Failure {
    Failure::validation(format!("Failed to execute ALTER TABLE statement.\n{why}"))
}

fn change(table: &mut Table, words: &mut Words<'_>) -> Result<(), Failure> {
    match words.take_one_of(&["SET", "RESET", "ADD", "MODIFY", "DROP", "RENAME"]) {
        Some("SET") => table.options.extend(words.options()?),
        Some("RESET") => {
            words.expect(&["("])?;
            loop {
                let key = words.literal()?;
                if key == "connector" {
                    return Err(Failure::validation("ALTER TABLE RESET does not support changing 'connector'"));
                }
                table.options.remove(&key);
                if !words.take(&[","]) {
                    return words.expect(&[")"]);
                }
            }
        }
        Some("RENAME") => {
            let (from, _) = words.path()?;
            words.expect(&["TO"])?;
            let to = words.name()?;
            column(table, &from.join("."))?.name = to;
        }
        Some("DROP") => drop_parts(table, words)?,
        Some(verb) => {
            let adds = verb == "ADD";
            let is_list = words.peek().is_some_and(|word| word.text == "(");
            for element in if is_list { elements(words)? } else { element(words)? } {
                match element {
                    Element::Column(column, position) if adds => add(table, column, &position)?,
                    Element::Column(column, position) => modify(table, column, &position)?,
                    Element::Watermark(column, expression) => table.watermark = Some((column, expression)),
                    Element::Key(name, columns) => table.set_key(name, &columns)?,
                }
            }
            table.finish();
        }
        None => return Err(words.unexpected()),
    }
    Ok(())
}

fn drop_parts(table: &mut Table, words: &mut Words<'_>) -> Result<(), Failure> {
    if words.take(&["PRIMARY", "KEY"]) {
        return table.key.take().map(|_| ()).ok_or_else(|| failed("The base table does not define any primary key."));
    }
    if words.take(&["CONSTRAINT"]) {
        let name = words.name()?;
        let found = table.key.take_if(|(key, _)| *key == name).is_some();
        let why = format!("The base table does not define a primary key constraint named '{name}'.");
        return if found { Ok(()) } else { Err(failed(&why)) };
    }
    if words.take(&["WATERMARK"]) {
        let found = table.watermark.take();
        return found.map(|_| ()).ok_or_else(|| failed("The base table does not define any watermark strategy."));
    }
    let is_list = words.take(&["("]);
    loop {
        let name = words.path()?.0.join(".");
        column(table, &name)?;
        table.columns.retain(|column| column.name != name);
        if !(is_list && words.take(&[","])) {
            return if is_list { words.expect(&[")"]) } else { Ok(()) };
        }
    }
}

/// # Errors
///
/// If the table has no such column.
fn column<'a>(table: &'a mut Table, name: &str) -> Result<&'a mut Column, Failure> {
    let why = format!("The column `{name}` does not exist in the base table.");
    table.columns.iter_mut().find(|column| column.name == name).ok_or_else(|| failed(&why))
}

fn add(table: &mut Table, column: Column, position: &Position) -> Result<(), Failure> {
    if table.columns.iter().any(|other| other.name == column.name) {
        return Err(failed(&format!("Column `{}` already exists in the table.", column.name)));
    }
    let at = match position {
        Position::Last => table.columns.len(),
        Position::First => 0,
        Position::After(name) => {
            let why = format!("Referenced column `{name}` by 'AFTER' does not exist in the table.");
            table.columns.iter().position(|other| other.name == *name).ok_or_else(|| failed(&why))? + 1
        }
    };
    table.columns.insert(at, column);
    Ok(())
}

fn modify(table: &mut Table, column: Column, position: &Position) -> Result<(), Failure> {
    let Some(at) = table.columns.iter().position(|other| other.name == column.name) else {
        return Err(failed(&format!("Column `{}` does not exist in the table.", column.name)));
    };
    if *position == Position::Last {
        if let Some(found) = table.columns.get_mut(at) {
            *found = column;
        }
        return Ok(());
    }
    table.columns.remove(at);
    add(table, column, position)
}
