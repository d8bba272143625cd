//! Queries.

use std::cell::RefCell;

use super::super::Dialect;
use super::super::ast::{
    Alias, Body, Condition, Expression, Item, JoinKind, Kind, Name, Order, Query, Select, SetOperation, Source,
};
use super::super::error::{Error, Span};
use super::super::plan::{Join, Node, Plan, Scalar, ScalarNode, SortKey};
use super::super::types::{Column, Type};
use super::super::value::Value;
use super::calls::coalesced;
use super::grouping::{Grouping, has_aggregate};
use super::joins::{pushed, split};
use super::names::named;
use super::scope::Scope;
use super::{Binder, Context, Found, With, check_depth, joined, made_unique};

impl Binder<'_> {
    pub(super) fn query(&mut self, query: &Query, parent: Option<&Scope<'_>>) -> Result<Plan, Error> {
        let outer = self.with.len();
        let result = self.query_with(query, parent);
        self.with.truncate(outer);
        result
    }

    fn query_with(&mut self, query: &Query, parent: Option<&Scope<'_>>) -> Result<Plan, Error> {
        for with in &query.with {
            let before = self.parts;
            let mut plan = self.query(&with.query, parent)?;
            check_depth(&plan, "common table expressions", with.name.at)?;
            rename(&mut plan.columns, &with.columns, &with.name)?;
            self.with.push(With { name: with.name.text.clone(), plan, parts: self.parts - before });
        }
        if let Body::Select(select) = &query.body {
            let plan = self.select(select, &query.order, parent)?;
            return Ok(limited(plan, query));
        }
        let plan = self.body(&query.body, parent)?;
        let mut by = Vec::new();
        for order in &query.order {
            let mut scope = Scope::new(parent);
            scope.add(None, &plan.columns);
            let value = match output_column(&order.by, &plan.columns)? {
                Some(value) => value,
                None => self.scalar(&order.by, Context::new(&scope))?,
            };
            by.push(self.sort_key(order, value));
        }
        Ok(limited(sorted(plan, by), query))
    }

    fn body(&mut self, body: &Body, parent: Option<&Scope<'_>>) -> Result<Plan, Error> {
        match body {
            Body::Select(select) => self.select(select, &[], parent),
            Body::Query(query) => self.query(query, parent),
            Body::Values(rows, at) => self.values(rows, *at, parent),
            Body::Set { operation, all, left, right, at } => {
                let (left, right) = (self.body(left, parent)?, self.body(right, parent)?);
                set(*operation, *all, left, right, *at)
            }
        }
    }

    fn values(&mut self, rows: &[Vec<Expression>], at: Span, parent: Option<&Scope<'_>>) -> Result<Plan, Error> {
        let wrong = || Error::validation("Values passed to VALUES operator must have compatible types", at);
        let scope = Scope::new(parent);
        let mut bound = Vec::new();
        for row in rows {
            let row = row.iter().map(|value| self.scalar(value, Context::new(&scope)));
            bound.push(row.collect::<Result<Vec<Scalar>, Error>>()?);
        }
        let width = bound.first().map_or(0, Vec::len);
        if bound.iter().any(|row| row.len() != width) {
            return Err(wrong());
        }
        let mut columns = Vec::new();
        for index in 0..width {
            let mut kind = Type::Null;
            for row in &bound {
                kind = kind.common(&row[index].kind).ok_or_else(wrong)?;
            }
            let name = match self.dialect {
                Dialect::AdHoc => format!("column{}", index + 1),
                _ => format!("EXPR${index}"),
            };
            columns.push(Column::new(name, kind, bound.iter().any(|row| row[index].nullable)));
        }
        let cast =
            |row: Vec<Scalar>| row.into_iter().zip(&columns).map(|(value, column)| value.cast(&column.kind)).collect();
        let rows = bound.into_iter().map(cast).collect();
        Ok(Plan { columns, node: Node::Values(rows) })
    }

    fn select(&mut self, select: &Select, order: &[Order], parent: Option<&Scope<'_>>) -> Result<Plan, Error> {
        let (mut input, mut scope) = match &select.from {
            Some(source) => self.source(source, parent)?,
            None => (Plan { columns: Vec::new(), node: Node::Values(vec![Vec::new()]) }, Scope::new(parent)),
        };
        if let Some(filter) = &select.filter {
            if has_aggregate(filter) {
                return Err(Error::validation("Aggregate expression is illegal in WHERE clause", filter.at));
            }
            let condition = self.condition(filter, Context::new(&scope))?;
            if let Some(condition) = pushed(condition, &mut input) {
                input = Plan { columns: input.columns.clone(), node: Node::Filter(Box::new(input), condition) };
            }
        }
        let items = items(select, &scope)?;
        let aggregates = select.group.is_some()
            || select.having.is_some()
            || items.iter().any(|(value, _)| has_aggregate(value))
            || order.iter().any(|order| has_aggregate(&order.by));
        let grouping = if aggregates { Some(RefCell::new(self.grouping(select, &items, &scope)?)) } else { None };
        scope.keys = grouping.as_ref().map(|grouping| grouping.borrow().keys.clone());
        let context = Context { scope: &scope, grouping: grouping.as_ref() };
        let mut values = Vec::new();
        let mut columns = Vec::new();
        for (position, (value, alias)) in items.iter().enumerate() {
            let scalar = self.scalar(value, context)?;
            let (name, quoted) = match (alias, &*value.kind) {
                (Some(alias), _) => (alias.text.clone(), alias.quoted),
                (None, Kind::Column(names)) => {
                    let quoted = names.last().is_some_and(|name| name.quoted);
                    (named(self.dialect, value, position, Some(&scope)), quoted)
                }
                (None, _) => (named(self.dialect, value, position, Some(&scope)), false),
            };
            columns.push(Column { name, quoted, kind: scalar.kind.clone(), nullable: scalar.nullable });
            values.push(scalar);
        }
        let having = match &select.having {
            Some(having) => {
                let scalar = self.scalar(having, context)?;
                Some(as_condition(scalar, having.at)?)
            }
            None => None,
        };
        let visible = columns.len();
        let mut by = Vec::new();
        for order in order {
            let value = if let Some(value) = output_column(&order.by, &columns[..visible])? {
                value
            } else {
                let scalar = self.scalar(&order.by, context)?;
                let found = values.iter().position(|value| *value == scalar);
                let at = found.unwrap_or_else(|| {
                    columns.push(Column::new("", scalar.kind.clone(), scalar.nullable));
                    values.push(scalar);
                    values.len() - 1
                });
                if at >= visible && select.distinct {
                    let message = "Expression in ORDER BY of SELECT DISTINCT must be selected";
                    return Err(Error::validation(message, order.by.at));
                }
                Scalar::column(at, &columns[at])
            };
            by.push(self.sort_key(order, value));
        }
        if let Some(Grouping { keys, calls }) = grouping.map(RefCell::into_inner) {
            let key_columns = keys.iter().map(|key| Column::new("", key.kind.clone(), key.nullable));
            let call_columns = calls.iter().map(|(call, nullable)| Column::new("", call.kind.clone(), *nullable));
            let columns = key_columns.chain(call_columns).collect();
            let calls = calls.into_iter().map(|(call, _)| call).collect();
            input = Plan { columns, node: Node::Aggregate { input: Box::new(input), keys, calls } };
        }
        if let Some(having) = having {
            input = Plan { columns: input.columns.clone(), node: Node::Filter(Box::new(input), having) };
        }
        let mut plan = Plan { columns: columns.clone(), node: Node::Project(Box::new(input), values) };
        if select.distinct {
            plan = Plan { columns: plan.columns.clone(), node: Node::Distinct(Box::new(plan)) };
        }
        plan = sorted(plan, by);
        if columns.len() > visible {
            let values = plan.all().into_iter().take(visible).collect();
            columns.truncate(visible);
            plan = Plan { columns, node: Node::Project(Box::new(plan), values) };
        }
        if self.dialect != Dialect::AdHoc {
            made_unique(&mut plan.columns);
        }
        Ok(plan)
    }

    fn sort_key(&self, order: &Order, by: Scalar) -> SortKey {
        // Calcite takes NULL for the smallest value, the engine of ad-hoc queries for the largest value.
        let nulls_first = if self.dialect == Dialect::AdHoc { order.descending } else { !order.descending };
        SortKey { by, descending: order.descending, nulls_first: order.nulls_first.unwrap_or(nulls_first) }
    }

    fn source<'s>(&mut self, source: &Source, parent: Option<&'s Scope<'s>>) -> Result<(Plan, Scope<'s>), Error> {
        match source {
            Source::Relation { name, alias } => self.relation(name, alias.as_ref(), parent),
            Source::Query { query, alias } => {
                let plan = self.query(query, parent)?;
                // A name that no text has, for what `*` stands for.
                self.count(1, query.at)?;
                aliased(plan, Some(&format!("${}", self.parts)), alias.as_ref(), parent)
            }
            Source::Join { left, right, kind, condition, at } => {
                let (left, left_scope) = self.source(left, parent)?;
                let (right, right_scope) = self.source(right, parent)?;
                self.join((left, left_scope), (right, right_scope), *kind, condition, *at)
            }
        }
    }

    fn relation<'s>(
        &mut self,
        names: &[Name],
        alias: Option<&Alias>,
        parent: Option<&'s Scope<'s>>,
    ) -> Result<(Plan, Scope<'s>), Error> {
        let [.., name] = names else { unreachable!("a relation has a name") };
        self.count(1, name.at)?;
        let known = self.with.iter().rposition(|with| names.len() == 1 && with.name == name.text);
        if let Some(known) = known {
            self.count(self.with[known].parts, name.at)?;
            return aliased(self.with[known].plan.clone(), Some(&name.text), alias, parent);
        }
        match self.catalog.relation(&name.text) {
            Some(Found::Columns(columns)) => {
                let plan = Plan { columns: columns.to_vec(), node: Node::Scan(name.text.clone()) };
                aliased(plan, Some(&name.text), alias, parent)
            }
            Some(Found::Scripted) => {
                Err(Error::unsupported(format!("'{}', whose rows a test scripts,", name.text), name.at))
            }
            Some(Found::Hidden(why)) => Err(Error::validation(why, name.at)),
            None => Err(Error::validation(self.dialect.missing_relation(&name.text), name.at)),
        }
    }

    fn join<'s>(
        &mut self,
        (left, mut scope): (Plan, Scope<'s>),
        (right, right_scope): (Plan, Scope<'s>),
        kind: JoinKind,
        condition: &Condition,
        at: Span,
    ) -> Result<(Plan, Scope<'s>), Error> {
        let width = left.columns.len();
        let names = match condition {
            Condition::Using(names) => names.iter().map(|name| (name.text.clone(), name.at)).collect(),
            Condition::Natural => {
                let mut shared: Vec<(String, Span)> = Vec::new();
                for column in &left.columns {
                    let is_shared = right.columns.iter().any(|other| other.name == column.name);
                    if is_shared && !shared.iter().any(|(name, _)| *name == column.name) {
                        shared.push((column.name.clone(), at));
                    }
                }
                shared
            }
            Condition::On(_) | Condition::None => Vec::new(),
        };
        let mut keys = Vec::new();
        let mut merged = Vec::new();
        for (name, at) in names {
            let (a, b) = (scope.shared(&name, at)?, right_scope.shared(&name, at)?);
            let common = a
                .kind
                .common(&b.kind)
                .ok_or_else(|| Error::validation(format!("Column '{name}' has two types"), at))?;
            keys.push((a.clone().cast(&common), b.clone().cast(&common)));
            let index = |scalar: &Scalar| if let ScalarNode::Column(index) = scalar.node { Some(index) } else { None };
            scope.hidden.extend(index(&a).into_iter().chain(index(&b).map(|index| index + width)));
            merged.push((name, a, b.moved(width)));
        }
        let of_left = scope.merged.len();
        scope.append(right_scope);
        for (at, (_, value)) in scope.merged.iter_mut().enumerate() {
            let absent = if at < of_left { JoinKind::Right } else { JoinKind::Left };
            value.nullable |= kind == absent || kind == JoinKind::Full;
        }
        let mut columns = joined(&left.columns, &right.columns);
        let optional = |kinds: [JoinKind; 2]| kinds.contains(&kind);
        for (index, column) in columns.iter_mut().enumerate() {
            let absent =
                if index < width { [JoinKind::Right, JoinKind::Full] } else { [JoinKind::Left, JoinKind::Full] };
            column.nullable |= optional(absent);
        }
        for relation in &mut scope.relations {
            let of_plan = columns[relation.first..].iter();
            relation.columns.iter_mut().zip(of_plan).for_each(|(column, of_plan)| column.nullable = of_plan.nullable);
        }
        for (name, left, right) in merged {
            let value = match kind {
                JoinKind::Inner | JoinKind::Left => left,
                JoinKind::Right => right,
                JoinKind::Full => coalesced(left, right, at)?,
            };
            scope.merged.retain(|(known, _)| *known != name);
            scope.merged.push((name, value));
        }
        let mut rest = None;
        if let Condition::On(condition) = condition {
            let condition = self.condition(condition, Context::new(&scope))?;
            rest = split(condition, width, &mut keys);
        }
        let node = Node::Join(Box::new(Join { left, right, kind, keys, condition: rest }));
        Ok((Plan { columns, node }, scope))
    }

    pub(super) fn condition(&mut self, value: &Expression, context: Context<'_>) -> Result<Scalar, Error> {
        let scalar = self.scalar(value, context)?;
        as_condition(scalar, value.at)
    }
}

/// The items of a `SELECT`, with `*` written out.
fn items(select: &Select, scope: &Scope<'_>) -> Result<Vec<(Expression, Option<Name>)>, Error> {
    let mut items = Vec::new();
    for item in &select.items {
        match item {
            Item::Expression(value, alias) => items.push((value.clone(), alias.clone())),
            Item::All(relation, at) => {
                let before = items.len();
                if relation.is_none() {
                    items.extend(scope.merged.iter().map(|(name, _)| (column(None, name, false, *at), None)));
                }
                for found in &scope.relations {
                    if relation.as_ref().is_some_and(|name| found.name.as_deref() != Some(&name.text)) {
                        continue;
                    }
                    for (index, declared) in found.columns.iter().enumerate() {
                        if relation.is_none() && scope.hidden.contains(&(found.first + index)) {
                            continue;
                        }
                        let value = column(found.name.as_deref(), &declared.name, declared.quoted, *at);
                        items.push((value, None));
                    }
                }
                if let (Some(name), true) = (relation, items.len() == before) {
                    return Err(Error::validation(format!("Unknown identifier '{}'", name.text), name.at));
                }
                if items.len() == before {
                    return Err(Error::validation("SELECT * requires a FROM clause", *at));
                }
            }
        }
    }
    Ok(items)
}

/// The column of the output that an item of `ORDER BY` names, by its number or its name.
fn output_column(value: &Expression, columns: &[Column]) -> Result<Option<Scalar>, Error> {
    match &*value.kind {
        Kind::Literal(Value::Integer(number), _) => {
            let at = usize::try_from(*number).ok().and_then(|number| number.checked_sub(1));
            let column = at.and_then(|at| Some(Scalar::column(at, columns.get(at)?)));
            column.map(Some).ok_or_else(|| Error::validation("Ordinal out of range", value.at))
        }
        Kind::Column(names) if names.len() == 1 => {
            let at = columns.iter().position(|column| column.name == names[0].text);
            Ok(at.map(|at| Scalar::column(at, &columns[at])))
        }
        _ => Ok(None),
    }
}

fn as_condition(scalar: Scalar, at: Span) -> Result<Scalar, Error> {
    match scalar.kind {
        Type::Boolean => Ok(scalar),
        Type::Null | Type::Variant => Ok(scalar.cast(&Type::Boolean)),
        _ => Err(Error::validation("Condition must be a value of type BOOLEAN", at)),
    }
}

fn set(operation: SetOperation, all: bool, left: Plan, right: Plan, at: Span) -> Result<Plan, Error> {
    let word = match operation {
        SetOperation::Union => "UNION",
        SetOperation::Except => "EXCEPT",
        SetOperation::Intersect => "INTERSECT",
    };
    if left.columns.len() != right.columns.len() {
        return Err(Error::validation(format!("Column count mismatch in {word}"), at));
    }
    let mut columns = Vec::new();
    for (number, (a, b)) in left.columns.iter().zip(&right.columns).enumerate() {
        let message = || format!("Type mismatch in column {} of {word}", number + 1);
        let kind = a.kind.common(&b.kind).ok_or_else(|| Error::validation(message(), at))?;
        columns.push(Column { kind, nullable: a.nullable || b.nullable, ..a.clone() });
    }
    let converted = |plan: Plan| {
        if plan.columns.iter().zip(&columns).all(|(have, want)| have.kind == want.kind) {
            return Box::new(plan);
        }
        let values = plan.all().into_iter().zip(&columns).map(|(value, column)| value.cast(&column.kind)).collect();
        Box::new(Plan { columns: columns.clone(), node: Node::Project(Box::new(plan), values) })
    };
    let (left, right) = (converted(left), converted(right));
    Ok(Plan { node: Node::Set { operation, all, left, right }, columns })
}

fn sorted(plan: Plan, by: Vec<SortKey>) -> Plan {
    if by.is_empty() {
        return plan;
    }
    let columns = plan.columns.clone();
    Plan { columns, node: Node::Sort { input: Box::new(plan), by, limit: None, offset: 0 } }
}

/// A plan with the limit and offset of its query.
fn limited(plan: Plan, query: &Query) -> Plan {
    if query.limit.is_none() && query.offset == 0 {
        return plan;
    }
    let columns = plan.columns.clone();
    let (limit, offset) = (query.limit, query.offset);
    Plan { columns, node: Node::Sort { input: Box::new(plan), by: Vec::new(), limit, offset } }
}

fn aliased<'s>(
    mut plan: Plan,
    name: Option<&str>,
    alias: Option<&Alias>,
    parent: Option<&'s Scope<'s>>,
) -> Result<(Plan, Scope<'s>), Error> {
    let mut scope = Scope::new(parent);
    if let Some(alias) = alias {
        rename(&mut plan.columns, &alias.columns, &alias.name)?;
    }
    let name = alias.map(|alias| alias.name.text.as_str()).or(name);
    scope.add(name.map(str::to_owned), &plan.columns);
    Ok((plan, scope))
}

/// Gives columns other names, if there are any.
pub(crate) fn rename(columns: &mut [Column], names: &[Name], of: &Name) -> Result<(), Error> {
    if names.is_empty() {
        return Ok(());
    }
    if names.len() != columns.len() {
        let message = format!("'{}' has {} columns, and names for {}", of.text, columns.len(), names.len());
        return Err(Error::validation(message, of.at));
    }
    for (column, name) in columns.iter_mut().zip(names) {
        name.text.clone_into(&mut column.name);
        column.quoted = name.quoted;
    }
    Ok(())
}

/// A column as it would be written.
fn column(relation: Option<&str>, name: &str, quoted: bool, at: Span) -> Expression {
    let relation = relation.map(|relation| Name { text: relation.to_owned(), quoted: false, at });
    let names = relation.into_iter().chain([Name { text: name.to_owned(), quoted, at }]);
    Expression { kind: Box::new(Kind::Column(names.collect())), at }
}
