//! Results as streams of Arrow IPC.

use std::sync::Arc;

use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array, Int8Array,
    Int16Array, Int32Array, Int64Array, ListArray, NullArray, RecordBatch, RecordBatchOptions, StringArray,
    Time64NanosecondArray, TimestampMicrosecondArray, UInt8Array, UInt16Array, UInt32Array, UInt64Array,
};
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_ipc::writer::StreamWriter;
use arrow_schema::{ArrowError, Field, Schema};

use crate::sql::json::to_plain;
use crate::sql::{Column, Row, Type, Value};

/// How many rows are in a batch.
const BATCH_ROWS: usize = 8192;

/// A schema, batches of rows and an end marker; without the end marker if a value does not fit its type.
pub(super) fn stream(columns: &[Column], rows: &[Row]) -> Vec<u8> {
    let mut bytes = Vec::new();
    // What is written until an error is what a real server sends until one.
    let _ = write(&mut bytes, columns, rows);
    bytes
}

fn write(bytes: &mut Vec<u8>, columns: &[Column], rows: &[Row]) -> Result<(), ArrowError> {
    let arrays = |rows: &[Row]| {
        let of = |at: usize| array(&columns[at].kind, &rows.iter().map(|row| &row[at]).collect::<Vec<_>>());
        (0..columns.len()).map(of).collect::<Result<Vec<ArrayRef>, ArrowError>>()
    };
    let kinds = arrays(&[])?;
    let fields = columns.iter().zip(&kinds);
    let fields = fields.map(|(column, kind)| Field::new(&column.name, kind.data_type().clone(), column.nullable));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let mut writer = StreamWriter::try_new(bytes, &schema)?;
    for batch in rows.chunks(BATCH_ROWS) {
        let options = RecordBatchOptions::new().with_row_count(Some(batch.len()));
        writer.write(&RecordBatch::try_new_with_options(Arc::clone(&schema), arrays(batch)?, &options)?)?;
    }
    writer.finish()
}

/// The values of a column. Intervals are integers, and maps and JSON are texts.
fn array(kind: &Type, values: &[&Value]) -> Result<ArrayRef, ArrowError> {
    let floats = || values.iter().map(|value| if let Value::Float(number) = value { Some(number.get()) } else { None });
    Ok(match kind {
        Type::Null => Arc::new(NullArray::new(values.len())),
        Type::Boolean => {
            let truth = |value: &&Value| if let Value::Boolean(truth) = value { Some(*truth) } else { None };
            Arc::new(values.iter().map(truth).collect::<BooleanArray>())
        }
        Type::Integer { .. } => match kind.name() {
            "TINYINT" => Arc::new(integers(values).collect::<Int8Array>()),
            "SMALLINT" => Arc::new(integers(values).collect::<Int16Array>()),
            "INTEGER" => Arc::new(integers(values).collect::<Int32Array>()),
            "UTINYINT" => Arc::new(integers(values).collect::<UInt8Array>()),
            "USMALLINT" => Arc::new(integers(values).collect::<UInt16Array>()),
            "UINTEGER" => Arc::new(integers(values).collect::<UInt32Array>()),
            "UBIGINT" => Arc::new(integers(values).collect::<UInt64Array>()),
            _ => Arc::new(integers(values).collect::<Int64Array>()),
        },
        Type::Decimal { precision, scale } => {
            let scale = i8::try_from(*scale).unwrap_or(i8::MAX);
            Arc::new(integers(values).collect::<Decimal128Array>().with_precision_and_scale(*precision, scale)?)
        }
        #[expect(clippy::cast_possible_truncation, reason = "REAL has 32 bits")]
        Type::Real => Arc::new(floats().map(|number| number.map(|number| number as f32)).collect::<Float32Array>()),
        Type::Double => Arc::new(floats().collect::<Float64Array>()),
        Type::Date => Arc::new(integers(values).collect::<Date32Array>()),
        Type::Time => Arc::new(integers(values).collect::<Time64NanosecondArray>()),
        Type::Timestamp => Arc::new(integers(values).collect::<TimestampMicrosecondArray>()),
        Type::MonthInterval | Type::TimeInterval => Arc::new(integers(values).collect::<Int64Array>()),
        Type::Binary(_) => {
            let bytes = |value: &&Value| if let Value::Bytes(bytes) = value { Some(bytes.to_vec()) } else { None };
            Arc::new(values.iter().map(bytes).collect::<BinaryArray>())
        }
        Type::Array(element) => list(element, values)?,
        Type::Char(_) | Type::Varchar(_) | Type::Uuid | Type::Map(..) | Type::Variant | Type::Opaque(_) => {
            let text = |value: &&Value| (!value.is_null()).then(|| to_plain(value, kind, 'T'));
            Arc::new(values.iter().map(text).collect::<StringArray>())
        }
    })
}

/// The whole numbers that values are made of, where they fit.
fn integers<'a, T: TryFrom<i128>>(values: &'a [&'a Value]) -> impl Iterator<Item = Option<T>> + 'a {
    values.iter().map(|value| match value {
        Value::Integer(number) | Value::Decimal(number) => T::try_from(*number).ok(),
        Value::Date(number) | Value::Time(number) | Value::Timestamp(number) | Value::Interval(number) => {
            T::try_from(i128::from(*number)).ok()
        }
        _ => None,
    })
}

fn list(element: &Type, values: &[&Value]) -> Result<ArrayRef, ArrowError> {
    let items = |value: &&Value| if let Value::Array(items) = value { items.len() } else { 0 };
    let offsets = OffsetBuffer::from_lengths(values.iter().map(items));
    let inner = values.iter().flat_map(|value| if let Value::Array(items) = value { items.as_slice() } else { &[] });
    let inner = array(element, &inner.collect::<Vec<_>>())?;
    let nulls = NullBuffer::from(values.iter().map(|value| !value.is_null()).collect::<Vec<_>>());
    let field = Arc::new(Field::new("item", inner.data_type().clone(), true));
    Ok(Arc::new(ListArray::try_new(field, offsets, inner, Some(nulls))?))
}
