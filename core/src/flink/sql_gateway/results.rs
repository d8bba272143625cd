//! Pages of a statement's result: columns, logical types, rows.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::flink::{JobId, PartialList};
use crate::schema::{WireField, json_structs, string_enums};

json_structs! {
    /// A page of a statement's result.
    pub struct ResultPage in camel {
        /// Whether the response has a page, and whether another page follows.
        pub result_type: ResultType,
        /// The address of the next page: path and query, with the version of the API, without host. See
        /// [`next_token`](Self::next_token). `None` at the end.
        pub next_result_uri: Option<String> = "nextResultUri" (decisive),
        /// Whether the statement is a query. `None` while the result is not ready.
        pub is_query_result: Option<bool>,
        /// The job of a query or an `INSERT`; `None` for other statements.
        pub job_id: Option<JobId> = "jobID" (decisive),
        /// Whether the rows are more than "OK". `None` while the result is not ready.
        pub result_kind: Option<ResultKind>,
        /// Columns and rows. `None` while the result is not ready.
        pub results: Option<ResultInfo> = "results" (decisive),
    }

    /// Columns and rows.
    pub struct ResultInfo {
        /// The columns, which are the same in each page.
        pub columns: Vec<ColumnInfo> = "columns" | "columnInfos" (decisive),
        /// How the fields of the rows are written.
        pub row_format: Option<RowFormat> = "rowFormat",
        /// The rows of this page, which may be empty. A row that cannot be read is counted: see
        /// [`PartialList::unreadable`].
        pub data: PartialList<Row> = "data" (decisive),
    }

    /// A column.
    pub struct ColumnInfo {
        pub name: String,
        pub logical_type: LogicalType = "logicalType",
        pub comment: Option<String>,
    }

    /// A SQL type. Fields that do not apply to the type are `None` or empty.
    pub struct LogicalType in camel {
        /// The kind of type.
        pub root: LogicalTypeRoot = "type",
        /// Whether NULL is a value of the type.
        pub nullable: Option<bool>,
        /// The number of characters or bytes; 2147483647 for `STRING` and `BYTES`.
        pub length: Option<u32>,
        /// The number of digits: of a decimal number, of a second's fraction, or of an interval's leading field.
        pub precision: Option<u32>,
        /// The number of decimal places.
        pub scale: Option<u32>,
        /// The number of digits of a second's fraction, for an interval of days and times.
        pub fractional_precision: Option<u32>,
        /// The fields of an interval, as in `DAY_TO_SECOND`.
        pub resolution: Option<String>,
        /// The type of the elements of an array or a multiset.
        pub element_type: Option<Box<LogicalType>>,
        /// The type of a map's keys.
        pub key_type: Option<Box<LogicalType>>,
        /// The type of a map's values.
        pub value_type: Option<Box<LogicalType>>,
        /// The fields of a row type.
        pub fields: Vec<RowField>,
        /// The Java class of a raw type.
        pub class: Option<String>,
        /// The serializer of the class of a raw type.
        pub serializer: Option<String>,
    }

    /// A field of a row type.
    pub struct RowField {
        pub name: String,
        pub field_type: LogicalType = "fieldType",
        pub description: Option<String>,
    }

    /// A row, or a change of a row.
    pub struct Row {
        /// The change. Always an insertion, except in the changelog of a streaming query.
        pub kind: RowKind,
        /// The fields, in the order of the columns.
        pub fields: Fields,
    }
}

string_enums! {
    /// Whether a response has a page, and whether another page follows.
    pub enum ResultType {
        /// The page is not ready: request the same token again.
        NotReady = "NOT_READY",
        /// A page, which may be empty. Another page follows.
        Payload = "PAYLOAD",
        /// The end of the result.
        Eos = "EOS",
    }

    /// The kind of a result.
    pub enum ResultKind {
        /// A single row "OK".
        Success = "SUCCESS",
        /// Rows of data.
        SuccessWithContent = "SUCCESS_WITH_CONTENT",
    }

    /// How fields are written.
    pub enum RowFormat {
        /// As JSON: numbers as numbers, but NaN and the infinities as text; binary as Base64; dates and times as text;
        /// intervals as whole months or milliseconds; arrays as lists; maps, multisets and rows as objects.
        Json = "JSON",
        /// Each field as text, as a SQL client shows it; NULL as `null`.
        PlainText = "PLAIN_TEXT",
    }

    /// How a row changes the result.
    pub enum RowKind {
        /// Adds a row.
        Insert = "INSERT",
        /// Removes the row that the next `UPDATE_AFTER` replaces.
        UpdateBefore = "UPDATE_BEFORE",
        /// Adds the new version of a row.
        UpdateAfter = "UPDATE_AFTER",
        /// Removes a row.
        Delete = "DELETE",
    }

    /// Kinds of types.
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/sql/reference/data-types/).
    pub enum LogicalTypeRoot {
        /// `CHAR(n)`: text.
        Char = "CHAR",
        /// `VARCHAR(n)`, `STRING`: text.
        Varchar = "VARCHAR",
        /// `BOOLEAN`.
        Boolean = "BOOLEAN",
        /// `BINARY(n)`: Base64 in JSON.
        Binary = "BINARY",
        /// `VARBINARY(n)`, `BYTES`: Base64 in JSON.
        Varbinary = "VARBINARY",
        /// `DECIMAL(p, s)`: a number in JSON, with all its digits.
        Decimal = "DECIMAL",
        /// `TINYINT`: 8 bits.
        Tinyint = "TINYINT",
        /// `SMALLINT`: 16 bits.
        Smallint = "SMALLINT",
        /// `INT`: 32 bits.
        Integer = "INTEGER",
        /// `BIGINT`: 64 bits.
        Bigint = "BIGINT",
        /// `FLOAT`: 32 bits.
        Float = "FLOAT",
        /// `DOUBLE`: 64 bits.
        Double = "DOUBLE",
        /// `DATE`, as in `2024-02-29`.
        Date = "DATE",
        /// `TIME(p)`, as in `12:34:56`.
        TimeWithoutTimeZone = "TIME_WITHOUT_TIME_ZONE",
        /// `TIMESTAMP(p)`, as in `2024-02-29T12:34:56.789`.
        TimestampWithoutTimeZone = "TIMESTAMP_WITHOUT_TIME_ZONE",
        /// `TIMESTAMP(p) WITH TIME ZONE`.
        TimestampWithTimeZone = "TIMESTAMP_WITH_TIME_ZONE",
        /// `TIMESTAMP_LTZ(p)`, as in `2024-02-29T12:34:56.789Z`.
        TimestampWithLocalTimeZone = "TIMESTAMP_WITH_LOCAL_TIME_ZONE",
        /// `INTERVAL YEAR TO MONTH`: months in JSON.
        IntervalYearMonth = "INTERVAL_YEAR_MONTH",
        /// `INTERVAL DAY TO SECOND`: milliseconds in JSON.
        IntervalDayTime = "INTERVAL_DAY_TIME",
        /// `ARRAY<t>`.
        Array = "ARRAY",
        /// `MULTISET<t>`: an object of counts in JSON.
        Multiset = "MULTISET",
        /// `MAP<k, v>`.
        Map = "MAP",
        /// `ROW<…>`.
        Row = "ROW",
        /// A user-defined type that differs from another by its name.
        DistinctType = "DISTINCT_TYPE",
        /// A user-defined type of several fields.
        StructuredType = "STRUCTURED_TYPE",
        /// The type of `NULL`.
        Null = "NULL",
        /// A Java object.
        Raw = "RAW",
        /// A type that only the Table API names.
        Symbol = "SYMBOL",
        /// A type that is not known yet.
        Unresolved = "UNRESOLVED",
        /// A list of columns, as the argument of a function.
        Descriptor = "DESCRIPTOR",
        /// Semi-structured data. Since 2.1.
        Variant = "VARIANT",
        /// A set of whole numbers. Since 2.3.
        Bitmap = "BITMAP",
    }
}

impl ResultPage {
    /// Returns the token of the next page, from [`next_result_uri`](Self::next_result_uri). `None` at the end, and if
    /// the address has no token.
    pub fn next_token(&self) -> Option<u64> {
        let (_, rest) = self.next_result_uri.as_deref()?.rsplit_once("/result/")?;
        rest.split(['?', '/']).next()?.parse().ok()
    }

    /// Reads the rows of the page, each with its kind, as [`Row::read`] does.
    ///
    /// ```
    /// use pipewright::flink::sql_gateway::results::{ResultPage, RowKind};
    /// let page = r#"{"resultType":"PAYLOAD","results":{"columns":[],"data":[{"kind":"INSERT","fields":["a",2]}]}}"#;
    /// let page: ResultPage = serde_json::from_str(page)?;
    /// let rows: Vec<(&RowKind, (&str, i64))> = page.rows().collect::<Result<_, _>>()?;
    /// assert_eq!(rows, [(&RowKind::Insert, ("a", 2))]);
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    ///
    /// # Errors
    /// The iterator yields the errors of [`Row::read`]. An error of a row does not end the iteration. Rows in a form
    /// that this version does not know are left out: `data` of [`results`](Self::results) has their number.
    pub fn rows<'a, T: Deserialize<'a>>(&'a self) -> impl Iterator<Item = Result<(&'a RowKind, T), serde_json::Error>> {
        let rows = self.results.iter().flat_map(|results| &results.data);
        rows.map(|row| Ok((&row.kind, row.read()?)))
    }
}

impl Row {
    /// Reads the fields, in the order of the columns, into a tuple, a list, or a struct of fields without names.
    ///
    /// ```
    /// use pipewright::flink::sql_gateway::results::{Double, Row};
    /// let row: Row = serde_json::from_str(r#"{"kind":"INSERT","fields":["a",2,null,"NaN"]}"#)?;
    /// let (word, count, note, mean): (&str, i64, Option<i32>, Double) = row.read()?;
    /// assert_eq!((word, count, note, mean.0.is_nan()), ("a", 2, None, true));
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    ///
    /// # Errors
    /// If the number or the types of the fields differ. Read text that may contain escapes as `String` or `Cow<str>`,
    /// not as `&str`. Read `FLOAT` and `DOUBLE` as [`Double`]: an `f64` cannot be read from a NaN.
    pub fn read<'a, T: Deserialize<'a>>(&'a self) -> Result<T, serde_json::Error> {
        serde_json::from_str(self.fields.as_str())
    }
}

/// A `FLOAT` or `DOUBLE` of a row in [`RowFormat::Json`], including NaN and the infinities, which the gateway writes as
/// text.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Double(pub f64);

impl<'de> Deserialize<'de> for Double {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        f64::read(deserializer).map(Self)
    }
}

/// The fields of a row: the original JSON array. Its content depends on the columns and the [`RowFormat`].
#[derive(Clone)]
pub struct Fields(Box<RawValue>);

impl Fields {
    /// Returns the JSON array.
    pub fn as_str(&self) -> &str {
        self.0.get()
    }

    /// Returns each field as original JSON; `null` for NULL.
    ///
    /// # Errors
    /// If the fields are not a JSON array.
    pub fn cells(&self) -> Result<Vec<&RawValue>, serde_json::Error> {
        serde_json::from_str(self.as_str())
    }
}

impl PartialEq for Fields {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl WireField for Fields {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        if raw.get().starts_with('[') {
            Ok(Self(raw))
        } else {
            Err(serde::de::Error::custom("the fields of a row are no list"))
        }
    }

    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

/// Shows the type in SQL's notation, if SQL has a name for it: `TIMESTAMP_LTZ(3) NOT NULL`.
impl fmt::Display for LogicalType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use LogicalTypeRoot as Root;
        let endless = self.length == Some(i32::MAX.unsigned_abs());
        match &self.root {
            Root::Integer => f.write_str("INT")?,
            Root::Varchar if endless => f.write_str("STRING")?,
            Root::Varbinary if endless => f.write_str("BYTES")?,
            Root::TimeWithoutTimeZone => write!(f, "TIME{}", digits(self.precision))?,
            Root::TimestampWithoutTimeZone => write!(f, "TIMESTAMP{}", digits(self.precision))?,
            Root::TimestampWithTimeZone => write!(f, "TIMESTAMP{} WITH TIME ZONE", digits(self.precision))?,
            Root::TimestampWithLocalTimeZone => write!(f, "TIMESTAMP_LTZ{}", digits(self.precision))?,
            Root::IntervalYearMonth | Root::IntervalDayTime => self.write_interval(f)?,
            root => {
                let numbers = self.length.into_iter().chain(self.precision).chain(self.scale);
                write!(f, "{root}{}", listed("(", numbers.map(|number| number.to_string()), ")"))?;
                let inner = [&self.element_type, &self.key_type, &self.value_type].into_iter().flatten();
                let fields = self.fields.iter();
                let fields = fields.map(|field| format!("`{}` {}", field.name.replace('`', "``"), field.field_type));
                f.write_str(&listed("<", inner.map(ToString::to_string).chain(fields), ">"))?;
            }
        }
        f.write_str(if self.nullable == Some(false) { " NOT NULL" } else { "" })
    }
}

impl LogicalType {
    /// `INTERVAL DAY(2) TO SECOND(3)`.
    fn write_interval(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("INTERVAL")?;
        for (at, field) in self.resolution.iter().flat_map(|resolution| resolution.split("_TO_")).enumerate() {
            let precision = match field {
                "YEAR" | "DAY" => self.precision,
                "SECOND" => self.fractional_precision,
                _ => None,
            };
            write!(f, "{} {field}{}", if at > 0 { " TO" } else { "" }, digits(precision))?;
        }
        Ok(())
    }
}

fn digits(number: Option<u32>) -> String {
    listed("(", number.map(|number| number.to_string()).into_iter(), ")")
}

/// Nothing at all for an empty list.
fn listed(open: &str, items: impl Iterator<Item = String>, close: &str) -> String {
    let items: Vec<_> = items.collect();
    if items.is_empty() { String::new() } else { format!("{open}{}{close}", items.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(text: &str) -> Result<ResultPage, serde_json::Error> {
        serde_json::from_str(text)
    }

    #[test]
    fn the_next_token_is_found_behind_any_prefix() {
        for (uri, token) in [
            ("/v3/sessions/a/operations/b/result/14?rowFormat=JSON", Some(14)),
            ("/sessions/a/operations/b/result/0", Some(0)),
            ("/result/1/v2/sessions/a/operations/b/result/18446744073709551615?x", Some(u64::MAX)),
            ("/v3/sessions/a/operations/b/result/-1", None),
            ("/v3/sessions", None),
        ] {
            let page = page(&format!(r#"{{"resultType":"PAYLOAD","nextResultUri":"{uri}"}}"#)).expect("a page");
            assert_eq!(page.next_token(), token, "{uri}");
        }
    }

    #[test]
    fn intervals_are_written_as_in_sql() {
        let interval = |root: &str, resolution: &str| {
            let text = format!(
                r#"{{"type":"{root}","nullable":true,"precision":2,"fractionalPrecision":6,"resolution":"{resolution}"}}"#
            );
            serde_json::from_str::<LogicalType>(&text).expect("a type").to_string()
        };
        assert_eq!(interval("INTERVAL_YEAR_MONTH", "YEAR_TO_MONTH"), "INTERVAL YEAR(2) TO MONTH");
        assert_eq!(interval("INTERVAL_DAY_TIME", "DAY_TO_SECOND"), "INTERVAL DAY(2) TO SECOND(6)");
        assert_eq!(interval("INTERVAL_DAY_TIME", "HOUR_TO_MINUTE"), "INTERVAL HOUR TO MINUTE");
    }

    #[test]
    fn doubles_may_be_no_numbers() {
        let row: Row =
            serde_json::from_str(r#"{"kind":"INSERT","fields":[1,2.5,"NaN","-Infinity",null]}"#).expect("a row");
        let (one, half, nan, least, none): (Double, Double, Double, Double, Option<Double>) =
            row.read().expect("doubles");
        assert_eq!((one.0, half.0, least.0, none), (1.0, 2.5, f64::NEG_INFINITY, None));
        assert!(nan.0.is_nan());
        assert!(serde_json::from_str::<Double>(r#""2.5""#).is_err(), "text of a text column");
    }

    #[test]
    fn fields_stay_as_they_came() {
        let fields = r#"[9223372036854775807, 0.1000000000000000055511151231257827, null,"a\"b", {"a" : [1]}]"#;
        let text = format!(r#"{{"kind":"INSERT","fields":{fields}}}"#);
        let row: Row = serde_json::from_str(&text).expect("a row");
        assert_eq!(row.fields.as_str(), fields);
        let cells: Vec<_> = row.fields.cells().expect("a list").iter().map(|cell| cell.get()).collect();
        assert_eq!(cells[1], "0.1000000000000000055511151231257827");
        assert_eq!(serde_json::to_string(&row).expect("a row"), text);
        assert!(row.read::<(i64,)>().is_err());
        assert!(serde_json::from_str::<Row>(r#"{"kind":"INSERT","fields":{}}"#).is_err());
    }
}
