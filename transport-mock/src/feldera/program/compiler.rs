//! The compilation of programs with the feature `sql`.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::super::connectors::{Connector, Sink};
use super::warnings::{Warning, snippet};
use super::{Column, ErrorType, Mistake, Program, Source, Table, View};
use crate::sql::ast::{CreateTable, CreateView, Item, Name, Property, Query, Statement, ViewKind};
use crate::sql::{self, Binder, Catalog, Dialect, Error, ErrorKind, Found, Node, Parser, Plan, Scalar, Span, Type};

/// Compiles a program.
pub(crate) fn compile(code: &str) -> Result<Program, Mistake> {
    let mut compiler = Compiler { code, ..Compiler::default() };
    let mut parser = Parser::new(code, Dialect::Feldera).map_err(|error| compiler.mistake(&error))?;
    while let Some((statement, at)) = parser.next_statement().map_err(|error| compiler.mistake(&error))? {
        compiler.statement(statement, at)?;
    }
    Ok(compiler.program)
}

#[derive(Default)]
struct Compiler<'a> {
    code: &'a str,
    program: Program,
    /// By name, what plans are made of.
    columns: BTreeMap<String, Vec<sql::Column>>,
    /// Views whose rows a test emits.
    scripted: Vec<String>,
    functions: BTreeMap<String, Type>,
}

impl Catalog for Compiler<'_> {
    fn relation(&self, name: &str) -> Option<Found<'_>> {
        if self.scripted.iter().any(|scripted| scripted == name) {
            return Some(Found::Scripted);
        }
        self.columns.get(name).map(|columns| Found::Columns(columns))
    }

    fn function(&self, name: &str) -> Option<&Type> {
        self.functions.get(name)
    }
}

impl Compiler<'_> {
    fn mistake(&self, error: &Error) -> Mistake {
        let kind = if error.kind == ErrorKind::Syntax { ErrorType::Syntax } else { ErrorType::Statement };
        let message = match error.kind {
            ErrorKind::Unsupported => format!("the simulator does not know {}", error.message),
            _ => error.message.clone(),
        };
        self.mistake_at(kind, message, error.at)
    }

    fn mistake_at(&self, kind: ErrorType, message: String, at: Option<Span>) -> Mistake {
        let position = |at: Option<sql::Position>| at.map_or((1, 1), |at| (at.line, at.column));
        let (start, end) = (position(at.map(|at| at.start)), position(at.map(|at| at.end)));
        Mistake { kind, message, start, end, snippet: at.map(|at| snippet(self.code, at)) }
    }

    fn wrong(&self, message: String, at: Span) -> Mistake {
        self.mistake_at(ErrorType::Statement, message, Some(at))
    }

    fn warn(&mut self, warning: &Warning<'_>, at: Span) {
        self.program.warnings.push(warning.message(self.code, at));
    }

    fn statement(&mut self, statement: Statement, at: Span) -> Result<(), Mistake> {
        match statement {
            Statement::CreateTable(table) => self.table(&table),
            Statement::CreateView(view) => self.view(&view),
            Statement::DeclareView(name) => {
                self.scripted.push(name.text);
                Ok(())
            }
            Statement::CreateFunction(name, kind) => {
                self.functions.insert(name.text, kind);
                Ok(())
            }
            Statement::Lateness => {
                self.warn(&Warning::Lateness, at);
                Ok(())
            }
            Statement::CreateType(..) | Statement::CreateIndex => Ok(()),
            Statement::Query(_) => {
                let message = "Raw 'SELECT' statements are not supported; did you forget to CREATE VIEW?";
                Err(self.wrong(message.to_owned(), at))
            }
            Statement::Insert(_) | Statement::Delete(_) | Statement::Drop(_) => {
                let first = self.code.lines().nth(at.start.line - 1).unwrap_or_default();
                let word: String =
                    first.chars().skip(at.start.column - 1).take_while(char::is_ascii_alphabetic).collect();
                Err(self.wrong(format!("Non-query expression encountered in illegal context: {word}"), at))
            }
        }
    }

    fn check_name(&self, name: &Name) -> Result<(), Mistake> {
        if self.columns.contains_key(&name.text) || self.program.views.iter().any(|view| view.name == name.text) {
            return Err(self.wrong(format!("Object '{}' already defined", name.text), name.at));
        }
        Ok(())
    }

    fn table(&mut self, create: &CreateTable) -> Result<(), Mistake> {
        let name = &create.name;
        self.check_name(name)?;
        let (declared, key) = sql::table_columns(create).map_err(|error| self.mistake(&error))?;
        for column in &create.columns {
            if let Some(default) = &column.default {
                match Binder::new(self, Dialect::Feldera).constant(default) {
                    Err(error) if error.kind != ErrorKind::Unsupported => return Err(self.mistake(&error)),
                    _ => {}
                }
                self.warn(&Warning::Default, column.at);
            }
        }
        if let Some(at) = create.lateness {
            self.warn(&Warning::Lateness, at);
        }
        let connectors = match option(&create.options, "connectors") {
            Some(Property { value, value_at, .. }) => Connector::described(&name.text, value)
                .map_err(|error| self.mistake_at(ErrorType::Connector, error, Some(*value_at)))?,
            None => Vec::new(),
        };
        let materialized = option(&create.options, "materialized");
        let materialized = materialized.is_some_and(|property| property.value.eq_ignore_ascii_case("true"));
        let columns = declared.iter().enumerate().map(|(at, column)| described(column, key.contains(&at))).collect();
        let properties = create.options.iter().map(property).collect();
        self.columns.insert(name.text.clone(), declared);
        let (name, quoted) = (name.text.clone(), name.quoted);
        self.program.tables.push(Table { name, quoted, columns, materialized, connectors, properties });
        Ok(())
    }

    fn view(&mut self, create: &CreateView) -> Result<(), Mistake> {
        let name = &create.name;
        self.check_name(name)?;
        let planned = create.query.as_ref().map_err(Clone::clone);
        let planned = planned.and_then(|query| Binder::new(self, Dialect::Feldera).plan(query));
        let (source, columns) = match planned {
            Ok(mut plan) => {
                sql::rename(&mut plan.columns, &create.columns, name).map_err(|error| self.mistake(&error))?;
                let columns = plan.columns.iter().map(|column| described(column, false)).collect();
                self.columns.insert(name.text.clone(), plan.columns.clone());
                self.scripted.retain(|scripted| *scripted != name.text);
                (self.source(plan), columns)
            }
            Err(error) if error.kind == ErrorKind::Unsupported => {
                let at = error.at.unwrap_or(create.at);
                self.warn(&Warning::Scripted { view: &name.text, what: &error.message }, at);
                self.scripted.push(name.text.clone());
                (Source::Scripted, named_columns(create))
            }
            Err(error) => return Err(self.mistake(&error)),
        };
        let sinks = match option(&create.options, "connectors") {
            Some(Property { value, value_at, .. }) => Sink::described(&name.text, value)
                .map_err(|error| self.mistake_at(ErrorType::Connector, error, Some(*value_at)))?,
            None => Vec::new(),
        };
        let (local, materialized) = (create.kind == ViewKind::Local, create.kind == ViewKind::Materialized);
        let (name, quoted) = (name.text.clone(), name.quoted);
        self.program.views.push(View { name, quoted, local, materialized, source, columns, sinks });
        Ok(())
    }

    /// A plan, or the table whose rows it has as they are.
    fn source(&self, plan: Plan) -> Source {
        if let Node::Project(input, values) = &plan.node
            && let Node::Scan(name) = &input.node
            && self.program.tables.iter().any(|table| table.name == *name)
            && values.len() == input.columns.len()
            && values.iter().enumerate().all(|(at, value)| *value == Scalar::column(at, &input.columns[at]))
            && plan.columns.iter().zip(&input.columns).all(|(shown, column)| shown.name == column.name)
        {
            return Source::Table(name.clone());
        }
        Source::Query(Box::new(plan))
    }
}

fn option<'a>(options: &'a [Property], name: &str) -> Option<&'a Property> {
    options.iter().find(|option| option.key == name)
}

/// A property with its place, as `program_info` has it.
fn property(option: &Property) -> (String, Value) {
    let position = |at: Span| {
        json!({ "start_line_number": at.start.line, "start_column": at.start.column, "end_line_number": at.end.line,
            "end_column": at.end.column })
    };
    let described = json!({ "value": option.value, "key_position": position(option.key_at),
        "value_position": position(option.value_at) });
    (option.key.clone(), described)
}

fn described(column: &sql::Column, key: bool) -> Column {
    let sql::Column { name, quoted, kind, nullable } = column.clone();
    Column { name, quoted, kind: kind.name().to_owned(), nullable, key, sql: kind }
}

/// The columns of a view without a plan, as far as they have names.
fn named_columns(create: &CreateView) -> Vec<Column> {
    let column =
        |name: String, quoted| described(&sql::Column { name, quoted, kind: Type::Variant, nullable: true }, false);
    if !create.columns.is_empty() {
        return create.columns.iter().map(|name| column(name.text.clone(), name.quoted)).collect();
    }
    let Ok(Query { body: sql::ast::Body::Select(select), .. }) = &create.query else { return Vec::new() };
    let mut columns = Vec::new();
    for (position, item) in select.items.iter().enumerate() {
        match item {
            Item::All(..) => return Vec::new(),
            Item::Expression(_, Some(alias)) => columns.push(column(alias.text.clone(), alias.quoted)),
            Item::Expression(value, None) => {
                columns.push(column(sql::item_name(Dialect::Feldera, value, position), false));
            }
        }
    }
    columns
}

impl Column {
    pub(super) fn schema(&self) -> Value {
        let nullable = self.nullable;
        Value::Object(schema(&self.sql, nullable))
    }
}

/// A type, as `program_info` has it.
fn schema(kind: &Type, nullable: bool) -> Map<String, Value> {
    let mut schema = Map::new();
    schema.insert("type".to_owned(), json!(kind.name()));
    schema.insert("nullable".to_owned(), json!(nullable));
    match kind {
        Type::Varchar(length) => {
            schema.insert("precision".to_owned(), length.map_or(json!(-1), |length| json!(length)))
        }
        Type::Binary(length) => schema.insert("precision".to_owned(), length.map_or(json!(-1), |length| json!(length))),
        Type::Char(length) => schema.insert("precision".to_owned(), json!(length)),
        Type::Time | Type::Timestamp => schema.insert("precision".to_owned(), json!(0)),
        Type::Decimal { precision, scale } => {
            schema.insert("precision".to_owned(), json!(precision));
            schema.insert("scale".to_owned(), json!(scale))
        }
        Type::Array(element) => schema.insert("component".to_owned(), json!(self::schema(element, true))),
        Type::Map(key, value) => {
            schema.insert("key".to_owned(), json!(self::schema(key, false)));
            schema.insert("value".to_owned(), json!(self::schema(value, true)))
        }
        _ => None,
    };
    schema
}
