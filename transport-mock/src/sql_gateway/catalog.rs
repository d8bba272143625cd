//! What a session knows by name: catalogs, their databases, tables and views, functions, and what is temporary.

use std::collections::{BTreeMap, BTreeSet};

use super::failure::Failure;
use super::table::Relation;

/// The whole name of a table or view.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Path {
    pub(super) catalog: String,
    pub(super) database: String,
    pub(super) object: String,
}

impl Path {
    /// As in `default_catalog.default_database.t`.
    pub(super) fn dotted(&self) -> String {
        format!("{}.{}.{}", self.catalog, self.database, self.object)
    }

    pub(super) fn quoted(&self) -> String {
        format!("`{}`.`{}`.`{}`", self.catalog, self.database, self.object)
    }
}

/// A database of a catalog.
#[derive(Debug, Clone, Default)]
pub(super) struct Database {
    pub(super) relations: BTreeMap<String, Relation>,
    pub(super) functions: BTreeSet<String>,
}

/// A catalog in memory, which ends with its session.
#[derive(Debug, Clone, Default)]
pub(super) struct Catalog {
    pub(super) options: BTreeMap<String, String>,
    pub(super) databases: BTreeMap<String, Database>,
}

/// See the module.
#[derive(Debug, Clone)]
pub(super) struct Catalogs {
    pub(super) all: BTreeMap<String, Catalog>,
    pub(super) catalog: String,
    pub(super) database: String,
    pub(super) temporary: BTreeMap<Path, Relation>,
    pub(super) temporary_functions: BTreeSet<String>,
}

pub(super) const CATALOG: &str = "default_catalog";
pub(super) const DATABASE: &str = "default_database";

impl Default for Catalogs {
    fn default() -> Self {
        let databases = [(DATABASE.to_owned(), Database::default())].into();
        let catalog = Catalog { options: BTreeMap::new(), databases };
        Self {
            all: [(CATALOG.to_owned(), catalog)].into(),
            catalog: CATALOG.to_owned(),
            database: DATABASE.to_owned(),
            temporary: BTreeMap::new(),
            temporary_functions: BTreeSet::new(),
        }
    }
}

impl Catalogs {
    /// The whole name behind one to three parts.
    pub(super) fn path(&self, parts: &[String]) -> Path {
        let mut parts = parts.iter().rev().cloned();
        let object = parts.next().unwrap_or_default();
        let database = parts.next().unwrap_or_else(|| self.database.clone());
        let catalog = parts.next().unwrap_or_else(|| self.catalog.clone());
        Path { catalog, database, object }
    }

    /// Catalog and database behind one or two parts, or the present catalog and database.
    pub(super) fn place(&self, parts: &[String]) -> (String, String) {
        let mut parts = parts.iter().rev().cloned();
        let database = parts.next().unwrap_or_else(|| self.database.clone());
        (parts.next().unwrap_or_else(|| self.catalog.clone()), database)
    }

    pub(super) fn database(&self, catalog: &str, database: &str) -> Option<&Database> {
        self.all.get(catalog)?.databases.get(database)
    }

    pub(super) fn database_mut(&mut self, catalog: &str, database: &str) -> Option<&mut Database> {
        self.all.get_mut(catalog)?.databases.get_mut(database)
    }

    /// A table or view, and whether it is temporary. A temporary one hides the other of its name.
    pub(super) fn find(&self, path: &Path) -> Option<(&Relation, bool)> {
        if let Some(relation) = self.temporary.get(path) {
            return Some((relation, true));
        }
        self.permanent(path).map(|relation| (relation, false))
    }

    pub(super) fn permanent(&self, path: &Path) -> Option<&Relation> {
        self.database(&path.catalog, &path.database)?.relations.get(&path.object)
    }

    pub(super) fn permanent_mut(&mut self, path: &Path) -> Option<&mut Relation> {
        self.database_mut(&path.catalog, &path.database)?.relations.get_mut(&path.object)
    }

    /// The tables and views of a database, each once.
    pub(super) fn relations(&self, catalog: &str, database: &str) -> BTreeMap<&str, &Relation> {
        let permanent = self.database(catalog, database).into_iter().flat_map(|database| &database.relations);
        let temporary = self.temporary.iter().filter(|(path, _)| path.catalog == catalog && path.database == database);
        let mut relations: BTreeMap<&str, &Relation> = permanent.map(|(name, found)| (name.as_str(), found)).collect();
        relations.extend(temporary.map(|(path, relation)| (path.object.as_str(), relation)));
        relations
    }

    /// # Errors
    ///
    /// If the name is taken, unless that does not matter. Returns whether the relation is there now.
    pub(super) fn create(
        &mut self,
        path: &Path,
        relation: Relation,
        is_temporary: bool,
        replace: bool,
        unless_exists: bool,
    ) -> Result<bool, Failure> {
        if is_temporary {
            if self.temporary.contains_key(path) && !replace {
                let message = format!("Temporary table '{}' already exists", path.quoted());
                return if unless_exists { Ok(false) } else { Err(Failure::validation(message)) };
            }
            self.temporary.insert(path.clone(), relation);
            return Ok(true);
        }
        let failed = format!("Could not execute CreateTable in path {}", path.quoted());
        let Path { catalog, database, object } = path;
        let Some(found) = self.database_mut(catalog, database) else {
            let message = format!("Database {database} does not exist in Catalog {catalog}.");
            return Err(Failure::validation(failed).caused_by(Failure::catalog("DatabaseNotExistException", message)));
        };
        if found.relations.contains_key(object) && !replace {
            let message = format!("Table (or view) {database}.{object} already exists in Catalog {catalog}.");
            let cause = Failure::catalog("TableAlreadyExistException", message);
            return if unless_exists { Ok(false) } else { Err(Failure::validation(failed).caused_by(cause)) };
        }
        found.relations.insert(object.clone(), relation);
        Ok(true)
    }
}
