//! `DROP`, `USE`, and what is loaded.

use super::catalog::Path;
use super::failure::Failure;
use super::statement::Script;
use super::table::Relation;
use super::words::Words;
use super::workspace::{Modules, Workspace};

impl Workspace {
    pub(super) fn drop_(&mut self, mut words: Words<'_>) -> Result<Script, Failure> {
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
            Some(what @ ("TABLE" | "VIEW")) => self.drop_relation(words, what == "VIEW", temporary),
            Some("DATABASE") => self.drop_database(words),
            Some("CATALOG") => self.drop_catalog(words),
            Some("FUNCTION") => self.drop_function(words, temporary, system),
            Some(what) => Err(Failure::not_simulated(&format!("DROP {what}"))),
            None => Err(words.unexpected()),
        }
    }

    fn drop_relation(&mut self, mut words: Words<'_>, view: bool, temporary: bool) -> Result<Script, Failure> {
        let if_exists = words.take(&["IF", "EXISTS"]);
        let path = self.catalogs.path(&words.path()?.0);
        words.end()?;
        let is_kind = |relation: &Relation| matches!(relation, Relation::View(_)) == view;
        let hidden_by = self.catalogs.temporary.get(&path).filter(|relation| is_kind(relation));
        if temporary {
            if hidden_by.is_some() {
                self.catalogs.temporary.remove(&path);
                return Ok(Script::ok());
            }
            let message = format!("Temporary table or view with identifier '{}' does not exist.", path.dotted());
            return if if_exists { Ok(Script::ok()) } else { Err(Failure::validation(message)) };
        }
        let (title, word) = if view { ("View", "view") } else { ("Table", "table") };
        if hidden_by.is_some() {
            let message = format!(
                "Temporary {word} with identifier '{}' exists. Drop it first before removing the permanent {word}.",
                path.quoted()
            );
            return Err(Failure::validation(message));
        }
        if !self.catalogs.permanent(&path).is_some_and(is_kind) {
            let message = format!("{title} with identifier '{}' does not exist.", path.dotted());
            return if if_exists { Ok(Script::ok()) } else { Err(Failure::validation(message)) };
        }
        let Path { catalog, database, object } = &path;
        if let Some(found) = self.catalogs.database_mut(catalog, database) {
            found.relations.remove(object);
        }
        Ok(Script::ok())
    }

    fn drop_database(&mut self, mut words: Words<'_>) -> Result<Script, Failure> {
        let if_exists = words.take(&["IF", "EXISTS"]);
        let (catalog, database) = self.catalogs.place(&words.path()?.0);
        let cascade = words.take_one_of(&["RESTRICT", "CASCADE"]) == Some("CASCADE");
        words.end()?;
        let failed = format!(
            "Could not execute DROP DATABASE {catalog}.{database} {}",
            if cascade { "CASCADE" } else { "RESTRICT" }
        );
        let Some(found) = self.catalogs.database(&catalog, &database) else {
            let message = format!("Database {database} does not exist in Catalog {catalog}.");
            let cause = Failure::catalog("DatabaseNotExistException", message);
            return if if_exists { Ok(Script::ok()) } else { Err(Failure::validation(failed).caused_by(cause)) };
        };
        if (&catalog, &database) == (&self.catalogs.catalog, &self.catalogs.database) {
            let cause = Failure::validation("Cannot drop a database which is currently in use.");
            return Err(Failure::table(failed).caused_by(cause));
        }
        let is_empty = found.relations.is_empty() && found.functions.is_empty();
        if !(cascade || is_empty) {
            let message = format!("Database {database} in catalog {catalog} is not empty.");
            let cause = Failure::catalog("DatabaseNotEmptyException", message);
            return Err(Failure::validation(failed).caused_by(cause));
        }
        if let Some(catalog) = self.catalogs.all.get_mut(&catalog) {
            catalog.databases.remove(&database);
        }
        Ok(Script::ok())
    }

    fn drop_catalog(&mut self, mut words: Words<'_>) -> Result<Script, Failure> {
        let if_exists = words.take(&["IF", "EXISTS"]);
        let name = words.name()?;
        words.end()?;
        let failed = format!("Could not execute DROP CATALOG: (catalogName: [{name}])");
        let cause = match self.catalogs.all.contains_key(&name) {
            false if if_exists => return Ok(Script::ok()),
            false => format!("Catalog {name} does not exist."),
            true if self.catalogs.catalog == name => "Cannot drop a catalog which is currently in use.".to_owned(),
            true => {
                self.catalogs.all.remove(&name);
                return Ok(Script::ok());
            }
        };
        Err(Failure::validation(failed).caused_by(Failure::catalog("CatalogException", cause)))
    }

    fn drop_function(&mut self, mut words: Words<'_>, temporary: bool, system: bool) -> Result<Script, Failure> {
        let if_exists = words.take(&["IF", "EXISTS"]);
        let path = self.catalogs.path(&words.path()?.0);
        words.end()?;
        let name = path.object.to_lowercase();
        let found = if temporary {
            self.catalogs.temporary_functions.remove(&name)
        } else {
            let database = self.catalogs.database_mut(&path.catalog, &path.database);
            database.is_some_and(|database| database.functions.remove(&name))
        };
        if found || if_exists {
            return Ok(Script::ok());
        }
        Err(match (temporary, system) {
            (_, true) => Failure::validation(format!(
                "Could not drop temporary system function. A function named '{}' doesn't exist.",
                path.object
            )),
            (true, _) => Failure::validation(format!("Temporary catalog function {} doesn't exist", path.quoted())),
            (false, _) => {
                let message =
                    format!("Function {}.{} does not exist in Catalog {}.", path.database, path.object, path.catalog);
                let cause = Failure::catalog("FunctionNotExistException", message.as_str());
                Failure::validation(message).caused_by(cause)
            }
        })
    }

    pub(super) fn use_(&mut self, mut words: Words<'_>) -> Result<Script, Failure> {
        let start = words.clone();
        if words.take(&["MODULES"]) {
            return self.use_modules(words);
        }
        let no_catalog =
            |name: &str| Failure::catalog("CatalogException", format!("A catalog with name [{name}] does not exist."));
        if words.take(&["CATALOG"]) {
            let name = words.name()?;
            words.end()?;
            let Some(catalog) = self.catalogs.all.get(&name) else { return Err(no_catalog(&name)) };
            // The present database stays if the catalog is already the present catalog.
            if self.catalogs.catalog != name {
                self.catalogs.database = catalog.databases.keys().next().cloned().unwrap_or_default();
                self.catalogs.catalog = name;
            }
            return Ok(Script::ok());
        }
        if start.is_at_end() {
            return Err(words.unexpected_keyword());
        }
        let (catalog, database) = self.catalogs.place(&words.path()?.0);
        words.end()?;
        if !self.catalogs.all.contains_key(&catalog) {
            return Err(no_catalog(&catalog));
        }
        if self.catalogs.database(&catalog, &database).is_none() {
            let message = format!("A database with name [{database}] does not exist in the catalog: [{catalog}].");
            return Err(Failure::catalog("CatalogException", message));
        }
        (self.catalogs.catalog, self.catalogs.database) = (catalog, database);
        Ok(Script::ok())
    }

    fn use_modules(&mut self, mut words: Words<'_>) -> Result<Script, Failure> {
        let mut names = vec![words.name()?];
        while words.take(&[","]) {
            names.push(words.name()?);
        }
        words.end()?;
        let failed = |why: String| {
            let message = format!("Could not execute USE MODULES: [{}]. {why}", names.join(", "));
            Failure::validation(message).caused_by(Failure::validation(why))
        };
        for (at, name) in names.iter().enumerate() {
            if names.iter().take(at).any(|other| other == name) {
                return Err(failed(format!("Module '{name}' appears more than once")));
            }
            if !self.modules.0.iter().any(|(module, _)| module == name) {
                return Err(failed(format!("No module with name '{name}' exists")));
            }
        }
        let unused =
            self.modules.0.iter().filter(|(name, _)| !names.contains(name)).map(|(name, _)| (name.clone(), false));
        let unused: Vec<(String, bool)> = unused.collect();
        self.modules = Modules(names.into_iter().map(|name| (name, true)).chain(unused).collect());
        Ok(Script::ok())
    }

    pub(super) fn load(&mut self, mut words: Words<'_>, loads: bool) -> Result<Script, Failure> {
        words.expect(&["MODULE"])?;
        let name = words.name()?;
        let at = self.modules.0.iter().position(|(module, _)| *module == name);
        let (statement, why) = match (loads, at) {
            (false, Some(at)) => {
                self.modules.0.remove(at);
                return Ok(Script::ok());
            }
            (false, None) => (format!("UNLOAD MODULE {name}"), format!("No module with name '{name}' exists")),
            (true, Some(_)) => (format!("LOAD MODULE `{name}`"), format!("A module with name '{name}' already exists")),
            (true, None) if name == "core" => {
                self.modules.0.push((name, true));
                return Ok(Script::ok());
            }
            (true, None) => (
                format!("LOAD MODULE `{name}`"),
                format!("Unable to create module '{name}'.\n\nModule options are:\n\n"),
            ),
        };
        let failure = Failure::validation(format!("Could not execute {statement}. {why}"));
        Err(failure.caused_by(Failure::validation(why)))
    }

    pub(super) fn add_jar(&mut self, mut words: Words<'_>, adds: bool) -> Result<Script, Failure> {
        words.expect(&["JAR"])?;
        let path = words.literal()?;
        words.end()?;
        if adds && !self.jars.contains(&path) {
            self.jars.push(path);
        } else if !adds {
            self.jars.retain(|jar| *jar != path);
        }
        Ok(Script::ok())
    }
}
