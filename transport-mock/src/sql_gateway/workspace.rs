//! What a session works with: its catalogs and settings; and how a statement finds who carries it out.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::catalog::Catalogs;
use super::engine::Engine;
use super::failure::Failure;
use super::jobs::Jobs;
use super::statement::Script;
use super::words::Words;

/// What statements begin with.
const FIRST: [&str; 24] = [
    "SELECT", "WITH", "VALUES", "(", "INSERT", "EXECUTE", "SET", "RESET", "SHOW", "DESCRIBE", "DESC", "EXPLAIN", "USE",
    "CREATE", "DROP", "ALTER", "LOAD", "UNLOAD", "ADD", "REMOVE", "STOP", "DELETE", "UPDATE", "TRUNCATE",
];

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Workspace {
    pub(super) catalogs: Catalogs,
    pub(super) engine: Engine,
    /// What the session was opened with, and what was `SET`.
    pub(super) settings: BTreeMap<String, String>,
    /// What it was opened with, to which `RESET` returns.
    opened_with: BTreeMap<String, String>,
    /// Modules that are loaded, and whether they are used.
    pub(super) modules: Modules,
    pub(super) jars: Vec<String>,
}

/// The modules of a session, of which there is one at first.
#[derive(Debug)]
pub(super) struct Modules(pub(super) Vec<(String, bool)>);

impl Default for Modules {
    fn default() -> Self {
        Self(vec![("core".to_owned(), true)])
    }
}

/// What a statement is carried out with.
#[derive(Debug)]
pub(super) struct Context<'a> {
    pub(super) now: Duration,
    /// The job that the statement starts, if it starts one.
    pub(super) job: String,
    /// Settings of this statement alone.
    pub(super) settings: BTreeMap<String, String>,
    pub(super) jobs: &'a mut Jobs,
}

impl Workspace {
    pub(super) fn new(settings: BTreeMap<String, String>) -> Self {
        Self { opened_with: settings.clone(), settings, ..Self::default() }
    }

    /// Carries out a statement.
    pub(super) fn execute(&mut self, text: &str, context: &mut Context<'_>) -> Script {
        let outcome = self.dispatch(text, context).unwrap_or_else(Script::failure);
        self.engine.sync(&self.catalogs);
        outcome
    }

    fn dispatch(&mut self, text: &str, context: &mut Context<'_>) -> Result<Script, Failure> {
        let mut words = Words::new(text)?;
        let start = words.clone();
        match words.take_one_of(&FIRST) {
            Some("SELECT" | "WITH" | "VALUES" | "(") => self.query(&start, context),
            Some("INSERT") => self.insert(words, context),
            Some("EXECUTE") => self.run(words, context),
            Some("SET") => self.set(&mut words),
            Some("RESET") => Ok(self.reset(&mut words)),
            Some("SHOW") => self.show(words, context),
            Some("DESCRIBE" | "DESC") => self.describe(words, context),
            Some("EXPLAIN") => self.explain(words),
            Some("USE") => self.use_(words),
            Some("CREATE") => self.create(words),
            Some("DROP") => self.drop_(words),
            Some("ALTER") => self.alter(words),
            Some(verb @ ("LOAD" | "UNLOAD")) => self.load(words, verb == "LOAD"),
            Some(verb @ ("ADD" | "REMOVE")) => self.add_jar(words, verb == "ADD"),
            Some("STOP") => Self::stop(words, context),
            Some("TRUNCATE") => Err(Failure::table("TRUNCATE TABLE statement is not supported in streaming mode.")),
            Some(verb @ ("DELETE" | "UPDATE")) => Err(Failure::not_simulated(&format!("the statement {verb}"))),
            _ if start.is_at_end() => Err(start.unexpected()),
            _ => match words.take_one_of(&["ANALYZE", "CALL", "COMPILE", "BEGIN", "REFRESH"]) {
                Some(verb) => Err(Failure::not_simulated(&format!("the statement {verb}"))),
                None => Err(Failure::no_statement()),
            },
        }
    }

    fn set(&mut self, words: &mut Words<'_>) -> Result<Script, Failure> {
        if words.is_at_end() {
            let row = |(key, value): (&String, &String)| vec![json!(key), json!(value)];
            return Ok(Script::table(&["key", "value"], self.settings.iter().map(row).collect()));
        }
        let from = words.position();
        // A key without quotes is accepted, too, and may have dots and dashes.
        words.skip_until(&["="]);
        let key = unquoted(words.since(from));
        words.expect(&["="])?;
        let from = words.position();
        while words.take_any().is_some() {}
        let value = unquoted(words.since(from));
        if key.is_empty() || value.is_empty() && !words.since(from).starts_with('\'') {
            return Err(words.unexpected());
        }
        self.settings.insert(key, value);
        Ok(Script::ok())
    }

    fn reset(&mut self, words: &mut Words<'_>) -> Script {
        if words.is_at_end() {
            self.settings.clone_from(&self.opened_with);
            return Script::ok();
        }
        let from = words.position();
        while words.take_any().is_some() {}
        let key = unquoted(words.since(from));
        match self.opened_with.get(&key) {
            Some(value) => self.settings.insert(key, value.clone()),
            None => self.settings.remove(&key),
        };
        Script::ok()
    }

    /// A setting of the statement, of the session, or nothing.
    pub(super) fn setting<'a>(&'a self, context: &'a Context<'_>, key: &str) -> Option<&'a str> {
        context.settings.get(key).or_else(|| self.settings.get(key)).map(String::as_str)
    }

    /// What may come next: tables behind a word that a table follows.
    pub(super) fn candidates(&self, text: &str) -> Vec<String> {
        let (before, start) = text.rsplit_once(char::is_whitespace).unwrap_or(("", text));
        let word = before.split_whitespace().last().unwrap_or_default().to_uppercase();
        if !["FROM", "JOIN", "INTO", "TABLE", "VIEW", "DESCRIBE"].contains(&word.as_str()) {
            return Vec::new();
        }
        let (catalog, database) = self.catalogs.place(&[]);
        let mut names: Vec<&str> =
            self.catalogs.relations(&catalog, &database).into_keys().chain(["numbers"]).collect();
        names.retain(|name| name.starts_with(start));
        names.sort_unstable();
        names.dedup();
        names.iter().map(|name| format!("{catalog}.{database}.{name}")).collect()
    }

    /// All settings, as the session shows them.
    pub(super) fn properties(&self) -> Value {
        json!(self.settings)
    }
}

fn unquoted(text: &str) -> String {
    let text = text.trim();
    match text.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')) {
        Some(inside) => inside.replace("''", "'"),
        None => text.to_owned(),
    }
}
