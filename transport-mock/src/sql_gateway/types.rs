//! Flink's types: as statements write them, as `DESCRIBE` shows them, and as JSON.

use serde_json::{Value, json};

use super::failure::Failure;
use super::words::Words;

/// The length of `STRING` and `BYTES`.
const LONGEST: u32 = i32::MAX as u32;

/// How deep types may nest.
const MOST_DEPTH: usize = 50;

/// A type that may be nullable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Type {
    pub(super) kind: Kind,
    pub(super) nullable: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// Without a parameter: its name in JSON, and in SQL.
    Plain(&'static str, &'static str),
    Char(u32),
    Varchar(u32),
    Binary(u32),
    Varbinary(u32),
    Decimal(u32, u32),
    Time(u32),
    Timestamp(u32),
    TimestampLtz(u32),
    Array(Box<Type>),
    Multiset(Box<Type>),
    Map(Box<Type>, Box<Type>),
    Row(Vec<(String, Type)>),
}

/// Names in SQL, in JSON, and as they are shown.
const PLAIN: [(&str, &str, &str); 11] = [
    ("TINYINT", "TINYINT", "TINYINT"),
    ("SMALLINT", "SMALLINT", "SMALLINT"),
    ("INT", "INTEGER", "INT"),
    ("INTEGER", "INTEGER", "INT"),
    ("BIGINT", "BIGINT", "BIGINT"),
    ("FLOAT", "FLOAT", "FLOAT"),
    ("DOUBLE", "DOUBLE", "DOUBLE"),
    ("BOOLEAN", "BOOLEAN", "BOOLEAN"),
    ("DATE", "DATE", "DATE"),
    ("VARIANT", "VARIANT", "VARIANT"),
    ("NULL", "NULL", "NULL"),
];

impl Kind {
    pub(super) const STRING: Self = Self::Varchar(LONGEST);
    pub(super) const BYTES: Self = Self::Varbinary(LONGEST);
    pub(super) const BIGINT: Self = Self::Plain("BIGINT", "BIGINT");
    pub(super) const BOOLEAN: Self = Self::Plain("BOOLEAN", "BOOLEAN");
    pub(super) const INT: Self = Self::Plain("INTEGER", "INT");

    /// A type without parameters, by its name in SQL or in JSON.
    pub(super) fn plain(name: &str) -> Option<Self> {
        let found = PLAIN.iter().find(|(sql, ..)| sql.eq_ignore_ascii_case(name))?;
        Some(Self::Plain(found.1, found.2))
    }

    pub(super) fn nullable(self) -> Type {
        Type { kind: self, nullable: true }
    }

    pub(super) fn required(self) -> Type {
        Type { kind: self, nullable: false }
    }
}

impl Type {
    /// Reads a type, with `NOT NULL` behind it.
    ///
    /// # Errors
    ///
    /// If it is unknown.
    pub(super) fn read(words: &mut Words<'_>) -> Result<Self, Failure> {
        Self::read_at(words, 0)
    }

    /// Reads a type that is so deep inside another type.
    fn read_at(words: &mut Words<'_>, mut depth: usize) -> Result<Self, Failure> {
        let mut kind = read_kind(words, depth)?;
        while words.take(&["ARRAY"]) {
            depth += 1;
            check_depth(depth)?;
            kind = Kind::Array(Box::new(kind.nullable()));
        }
        let nullable = !words.take(&["NOT", "NULL"]);
        words.take(&["NULL"]);
        Ok(Self { kind, nullable })
    }

    /// Of a column in a script: as in SQL, or as JSON names it.
    pub(super) fn named(text: &str) -> Option<Self> {
        let mut words = Words::new(text).ok()?;
        let read = Self::read(&mut words).ok()?;
        words.is_at_end().then_some(read)
    }

    /// As results describe it.
    pub(super) fn logical(&self) -> Value {
        let mut logical = match &self.kind {
            Kind::Plain(name @ "INTERVAL_YEAR_MONTH", _) => {
                json!({ "type": name, "precision": 2, "resolution": "MONTH" })
            }
            Kind::Plain(name @ "INTERVAL_DAY_TIME", _) => {
                json!({ "type": name, "precision": 2, "fractionalPrecision": 3, "resolution": "SECOND" })
            }
            Kind::Plain(name, _) => json!({ "type": name }),
            Kind::Char(length) => json!({ "type": "CHAR", "length": length }),
            Kind::Varchar(length) => json!({ "type": "VARCHAR", "length": length }),
            Kind::Binary(length) => json!({ "type": "BINARY", "length": length }),
            Kind::Varbinary(length) => json!({ "type": "VARBINARY", "length": length }),
            Kind::Decimal(precision, scale) => json!({ "type": "DECIMAL", "precision": precision, "scale": scale }),
            Kind::Time(precision) => json!({ "type": "TIME_WITHOUT_TIME_ZONE", "precision": precision }),
            Kind::Timestamp(precision) => json!({ "type": "TIMESTAMP_WITHOUT_TIME_ZONE", "precision": precision }),
            Kind::TimestampLtz(precision) => {
                json!({ "type": "TIMESTAMP_WITH_LOCAL_TIME_ZONE", "precision": precision })
            }
            Kind::Array(element) => json!({ "type": "ARRAY", "elementType": element.logical() }),
            Kind::Multiset(element) => json!({ "type": "MULTISET", "elementType": element.logical() }),
            Kind::Map(key, value) => {
                json!({ "type": "MAP", "keyType": key.logical(), "valueType": value.logical() })
            }
            Kind::Row(fields) => {
                let field = |(name, kind): &(String, Self)| json!({ "name": name, "fieldType": kind.logical() });
                json!({ "type": "ROW", "fields": fields.iter().map(field).collect::<Vec<_>>() })
            }
        };
        logical["nullable"] = json!(self.nullable);
        logical
    }

    /// As `DESCRIBE` shows it: without `NOT NULL`, and short.
    pub(super) fn summary(&self) -> String {
        match &self.kind {
            Kind::Varchar(LONGEST) => "STRING".to_owned(),
            Kind::Varbinary(LONGEST) => "BYTES".to_owned(),
            Kind::TimestampLtz(precision) => format!("TIMESTAMP_LTZ({precision})"),
            kind => written(kind, &Self::summary_of_part),
        }
    }

    fn summary_of_part(&self) -> String {
        format!("{}{}", self.summary(), if self.nullable { "" } else { " NOT NULL" })
    }

    /// As `SHOW CREATE TABLE` writes it.
    pub(super) fn sql(&self) -> String {
        format!("{}{}", written(&self.kind, &Self::sql), if self.nullable { "" } else { " NOT NULL" })
    }
}

fn written(kind: &Kind, part: &dyn Fn(&Type) -> String) -> String {
    match kind {
        Kind::Plain(_, name) => (*name).to_owned(),
        Kind::Char(length) => format!("CHAR({length})"),
        Kind::Varchar(length) => format!("VARCHAR({length})"),
        Kind::Binary(length) => format!("BINARY({length})"),
        Kind::Varbinary(length) => format!("VARBINARY({length})"),
        Kind::Decimal(precision, scale) => format!("DECIMAL({precision}, {scale})"),
        Kind::Time(precision) => format!("TIME({precision})"),
        Kind::Timestamp(precision) => format!("TIMESTAMP({precision})"),
        Kind::TimestampLtz(precision) => format!("TIMESTAMP({precision}) WITH LOCAL TIME ZONE"),
        Kind::Array(element) => format!("ARRAY<{}>", part(element)),
        Kind::Multiset(element) => format!("MULTISET<{}>", part(element)),
        Kind::Map(key, value) => format!("MAP<{}, {}>", part(key), part(value)),
        Kind::Row(fields) => {
            let fields: Vec<String> = fields.iter().map(|(name, kind)| format!("`{name}` {}", part(kind))).collect();
            format!("ROW<{}>", fields.join(", "))
        }
    }
}

fn check_depth(depth: usize) -> Result<(), Failure> {
    if depth < MOST_DEPTH {
        return Ok(());
    }
    Err(Failure::parse(&format!("The type nests deeper than {MOST_DEPTH} levels.")))
}

fn read_kind(words: &mut Words<'_>, depth: usize) -> Result<Kind, Failure> {
    check_depth(depth)?;
    let Some(first) = words.take_any() else { return Err(words.unexpected()) };
    let name = first.text.to_uppercase();
    let kind = match name.as_str() {
        "STRING" => Kind::STRING,
        "BYTES" => Kind::BYTES,
        "CHAR" | "CHARACTER" if words.take(&["VARYING"]) => Kind::Varchar(parameter(words)?.unwrap_or(1)),
        "CHAR" | "CHARACTER" => Kind::Char(parameter(words)?.unwrap_or(1)),
        "VARCHAR" => Kind::Varchar(parameter(words)?.unwrap_or(LONGEST)),
        "BINARY" if words.take(&["VARYING"]) => Kind::Varbinary(parameter(words)?.unwrap_or(1)),
        "BINARY" => Kind::Binary(parameter(words)?.unwrap_or(1)),
        "VARBINARY" => Kind::Varbinary(parameter(words)?.unwrap_or(LONGEST)),
        "DECIMAL" | "DEC" | "NUMERIC" => decimal(words)?,
        "DOUBLE" => {
            words.take(&["PRECISION"]);
            Kind::Plain("DOUBLE", "DOUBLE")
        }
        "TIME" => {
            let precision = parameter(words)?.unwrap_or(0);
            words.take(&["WITHOUT", "TIME", "ZONE"]);
            Kind::Time(precision)
        }
        "TIMESTAMP" => {
            let precision = parameter(words)?.unwrap_or(6);
            if words.take(&["WITH", "LOCAL", "TIME", "ZONE"]) {
                return Ok(Kind::TimestampLtz(precision));
            }
            words.take(&["WITHOUT", "TIME", "ZONE"]);
            Kind::Timestamp(precision)
        }
        "TIMESTAMP_LTZ" => Kind::TimestampLtz(parameter(words)?.unwrap_or(6)),
        "ARRAY" => {
            words.expect(&["<"])?;
            let element = Type::read_at(words, depth + 1)?;
            words.expect(&[">"])?;
            Kind::Array(Box::new(element))
        }
        "MULTISET" => {
            words.expect(&["<"])?;
            let element = Type::read_at(words, depth + 1)?;
            words.expect(&[">"])?;
            Kind::Multiset(Box::new(element))
        }
        "MAP" => {
            words.expect(&["<"])?;
            let key = Type::read_at(words, depth + 1)?;
            words.expect(&[","])?;
            let value = Type::read_at(words, depth + 1)?;
            words.expect(&[">"])?;
            Kind::Map(Box::new(key), Box::new(value))
        }
        "ROW" => row(words, depth)?,
        "REAL" => return Err(Failure::table("Type is not supported: REAL")),
        name => {
            let message = format!("Unknown identifier '{}'", first.text);
            let mut failure = Failure::query(&message, Some(first.span));
            // Not in a query, and so without the first exception.
            failure.chain.remove(0);
            return Kind::plain(name).ok_or(failure);
        }
    };
    Ok(kind)
}

/// `(10)`
fn parameter(words: &mut Words<'_>) -> Result<Option<u32>, Failure> {
    if !words.take(&["("]) {
        return Ok(None);
    }
    let number = words.number()?;
    words.expect(&[")"])?;
    Ok(Some(number))
}

fn decimal(words: &mut Words<'_>) -> Result<Kind, Failure> {
    let (mut precision, mut scale) = (10, 0);
    if words.take(&["("]) {
        precision = words.number()?;
        if words.take(&[","]) {
            scale = words.number()?;
        }
        words.expect(&[")"])?;
    }
    Ok(Kind::Decimal(precision, scale))
}

fn row(words: &mut Words<'_>, depth: usize) -> Result<Kind, Failure> {
    let end = if words.take(&["<"]) {
        ">"
    } else {
        words.expect(&["("])?;
        ")"
    };
    let mut fields = Vec::new();
    loop {
        let name = words.name()?;
        fields.push((name, Type::read_at(words, depth + 1)?));
        if !words.take(&[","]) {
            words.expect(&[end])?;
            return Ok(Kind::Row(fields));
        }
    }
}
