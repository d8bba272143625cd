//! Types.

use super::super::error::Error;
use super::super::types::{Type, Width};
use super::Parser;

/// How many digits a decimal has that gives no precision: as many as there can be.
const DEFAULT_PRECISION: u8 = 38;

impl Parser<'_> {
    /// A type, without what says whether `NULL` is one of its values.
    pub(super) fn kind(&mut self) -> Result<Type, Error> {
        self.nested(|parser| {
            let mut kind = parser.plain_kind()?;
            while parser.take_word("ARRAY") {
                parser.link()?;
                kind = Type::Array(Box::new(kind));
            }
            Ok(kind)
        })
    }

    fn plain_kind(&mut self) -> Result<Type, Error> {
        let at = self.span();
        let name = self.name()?;
        let integer = |width, signed| Type::Integer { width, signed };
        let upper = if name.quoted { String::new() } else { name.text.to_uppercase() };
        Ok(match upper.as_str() {
            "BOOLEAN" | "BOOL" => Type::Boolean,
            "TINYINT" => integer(Width::Tiny, !self.take_word("UNSIGNED")),
            "SMALLINT" | "INT2" => integer(Width::Small, !self.take_word("UNSIGNED")),
            "INT" | "INTEGER" | "SIGNED" | "INT4" => integer(Width::Int, !self.take_word("UNSIGNED")),
            "BIGINT" | "INT8" | "INT64" => integer(Width::Big, !self.take_word("UNSIGNED")),
            "UNSIGNED" => integer(Width::Int, false),
            "DECIMAL" | "DEC" | "NUMERIC" | "NUMBER" => self.decimal()?,
            "REAL" | "FLOAT4" | "FLOAT32" => Type::Real,
            "FLOAT" if self.dialect.has_float() => Type::Real,
            "DOUBLE" => {
                self.take_word("PRECISION");
                Type::Double
            }
            "FLOAT8" | "FLOAT64" => Type::Double,
            "VARCHAR" => Type::Varchar(self.length()?),
            "STRING" | "TEXT" => Type::TEXT,
            "CHAR" | "CHARACTER" if self.take_word("VARYING") => Type::Varchar(self.length()?),
            "CHAR" | "CHARACTER" => Type::Char(self.length()?.unwrap_or(1)),
            "BINARY" if self.take_word("VARYING") => self.bytes()?,
            "BINARY" => Type::Binary(Some(self.length()?.unwrap_or(1))),
            "VARBINARY" => self.bytes()?,
            "BYTEA" | "BYTES" => Type::Binary(None),
            "DATE" => Type::Date,
            "TIME" => self.without_zone(Type::Time)?,
            "TIMESTAMP" | "DATETIME" | "TIMESTAMP_LTZ" => self.without_zone(Type::Timestamp)?,
            "INTERVAL" => self.interval_kind()?,
            "UUID" => Type::Uuid,
            "VARIANT" => Type::Variant,
            "GEOMETRY" => Type::Opaque("GEOMETRY"),
            "ROW" => {
                self.skip_parentheses()?;
                Type::Opaque("STRUCT")
            }
            "ARRAY" => {
                self.expect_symbol("<")?;
                let element = self.kind()?;
                self.take_word("NULL");
                self.expect_symbol(">")?;
                Type::Array(Box::new(element))
            }
            "MAP" => {
                self.expect_symbol("<")?;
                let key = self.kind()?;
                self.expect_symbol(",")?;
                let value = self.kind()?;
                self.expect_symbol(">")?;
                Type::Map(Box::new(key), Box::new(value))
            }
            _ => match self.types.get(&name.text) {
                Some(kind) => kind.clone(),
                None => return Err(Error::validation(format!("Unknown identifier '{}'", self.original(at)), at)),
            },
        })
    }

    /// The identifier or keyword at a piece, as it was written.
    fn original(&self, at: super::Span) -> String {
        let token = self.tokens.iter().find(|token| token.at == at);
        token.and_then(|token| self.text.get(token.bytes.0..token.bytes.1)).unwrap_or_default().to_owned()
    }

    fn length(&mut self) -> Result<Option<u32>, Error> {
        if !self.take_symbol("(") {
            return Ok(None);
        }
        let at = self.span();
        let length = self.number()?;
        self.expect_symbol(")")?;
        let length = u32::try_from(length).ok().filter(|length| *length > 0);
        length.map(Some).ok_or_else(|| Error::validation("A length is a number from 1 to 4294967295", at))
    }

    fn bytes(&mut self) -> Result<Type, Error> {
        self.length().map(|_| Type::Binary(None))
    }

    fn decimal(&mut self) -> Result<Type, Error> {
        if !self.take_symbol("(") {
            return Ok(Type::decimal(DEFAULT_PRECISION, 0));
        }
        let at = self.span();
        let precision = self.number()?;
        let scale = if self.take_symbol(",") { self.number()? } else { 0 };
        self.expect_symbol(")")?;
        match (u8::try_from(precision), u8::try_from(scale)) {
            (Ok(precision @ 1..=38), Ok(scale)) if scale <= precision => Ok(Type::Decimal { precision, scale }),
            _ => {
                let message = format!(
                    "DECIMAL({precision}, {scale}): precision must be between 1 and 38, and scale at most the precision"
                );
                Err(Error::validation(message, at))
            }
        }
    }

    fn without_zone(&mut self, kind: Type) -> Result<Type, Error> {
        self.length()?;
        if self.is_word("WITH") && (self.is_word_at(1, "LOCAL") || self.is_word_at(1, "TIME")) {
            return self.unsupported("types with a time zone");
        }
        self.take_words(&["WITHOUT", "TIME", "ZONE"]);
        Ok(kind)
    }

    fn interval_kind(&mut self) -> Result<Type, Error> {
        let unit = self.name()?;
        if self.take_word("TO") {
            self.name()?;
        }
        Ok(match unit.text.to_uppercase().as_str() {
            "YEAR" | "YEARS" | "MONTH" | "MONTHS" => Type::MonthInterval,
            _ => Type::TimeInterval,
        })
    }

    /// Everything between two parentheses.
    pub(super) fn skip_parentheses(&mut self) -> Result<(), Error> {
        if !self.is_symbol("(") {
            return Err(self.unexpected());
        }
        let mut depth = 0_usize;
        loop {
            if self.is_symbol("(") {
                depth += 1;
            } else if self.is_symbol(")") {
                depth -= 1;
            } else if self.is_symbol(";") || self.peek().kind == super::Kind::End {
                return Err(self.unexpected());
            }
            self.bump();
            if depth == 0 {
                return Ok(());
            }
        }
    }
}
