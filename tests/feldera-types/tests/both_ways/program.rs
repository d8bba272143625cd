//! What the compiler finds out about a program, and how programs differ.

use std::collections::{BTreeMap, HashMap};

use feldera_ir::{CalciteId, CalcitePlan, Condition, Dataflow, MirInput, MirNode, Op, Operand, Rel};
use feldera_types::config::{InputEndpointConfig, OutputEndpointConfig};
use feldera_types::pipeline_diff::{PipelineDiff, ProgramDiff};
use feldera_types::program_schema::{
    ColumnType, Field, IntervalUnit, ProgramSchema, PropertyValue, Relation, SourcePosition, SqlType,
};
use pipewright::feldera::pipelines;
use serde_json::{Value, json};

use crate::compare::{compare, each};

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

/// Differences with and without those of the program.
pub(crate) fn pipeline_diff() -> [PipelineDiff; 2] {
    let program = ProgramDiff::new()
        .with_added_tables(names(&["a"]))
        .with_removed_tables(names(&["b", "c"]))
        .with_modified_tables(names(&["d"]))
        .with_added_views(names(&["e"]))
        .with_removed_views(names(&["f"]))
        .with_modified_views(names(&["g"]));
    [Ok(program), Err("unknown".to_owned())].map(|program| {
        PipelineDiff::new(program)
            .with_added_input_connectors(names(&["h"]))
            .with_modified_input_connectors(names(&["i"]))
            .with_removed_input_connectors(names(&["j"]))
            .with_added_output_connectors(names(&["k"]))
            .with_modified_output_connectors(names(&["l"]))
            .with_removed_output_connectors(names(&["m"]))
    })
}

fn position() -> SourcePosition {
    SourcePosition { start_line_number: 1, start_column: 2, end_line_number: 3, end_column: 4 }
}

/// Every SQL type.
fn types() -> Vec<SqlType> {
    let interval = SqlType::Interval;
    let units = each!(IntervalUnit {
        Day,
        DayToHour,
        DayToMinute,
        DayToSecond,
        Hour,
        HourToMinute,
        HourToSecond,
        Minute,
        MinuteToSecond,
        Month,
        Second,
        Year,
        YearToMonth,
    });
    let mut types = vec![
        SqlType::Boolean,
        SqlType::TinyInt,
        SqlType::SmallInt,
        SqlType::Int,
        SqlType::BigInt,
        SqlType::UTinyInt,
        SqlType::USmallInt,
        SqlType::UInt,
        SqlType::UBigInt,
        SqlType::Real,
        SqlType::Double,
        SqlType::Decimal,
        SqlType::Char,
        SqlType::Varchar,
        SqlType::Binary,
        SqlType::Varbinary,
        SqlType::Time,
        SqlType::Date,
        SqlType::Timestamp,
        SqlType::TimestampTz,
        SqlType::Array,
        SqlType::Struct,
        SqlType::Map,
        SqlType::Null,
        SqlType::Uuid,
        SqlType::Variant,
    ];
    types.extend(units.map(interval));
    types
}

fn column(typ: SqlType) -> ColumnType {
    ColumnType {
        nullable: true,
        precision: Some(10),
        scale: Some(2),
        ..ColumnType { typ, ..ColumnType::boolean(true) }
    }
}

fn field(name: &str, columntype: ColumnType) -> Field {
    Field {
        name: name.into(),
        columntype,
        lateness: Some("INTERVAL '1' HOUR".to_owned()),
        default: Some("1".to_owned()),
        unused: true,
    }
}

fn relation() -> Relation {
    let nested = ColumnType {
        typ: SqlType::Struct,
        nullable: false,
        precision: Some(1),
        scale: Some(2),
        component: Some(Box::new(column(SqlType::BigInt))),
        fields: Some(vec![Field::new(
            "inner".into(),
            ColumnType::map(true, column(SqlType::Char), column(SqlType::Uuid)),
        )]),
        key: Some(Box::new(column(SqlType::Varchar))),
        value: Some(Box::new(ColumnType::array(true, column(SqlType::Double)))),
    };
    let mut fields = vec![field("\"Odd \u{e9}\"", nested)];
    fields.extend(types().into_iter().enumerate().map(|(at, typ)| field(&format!("c{at}"), column(typ))));
    let property = PropertyValue { value: "[]".to_owned(), key_position: position(), value_position: position() };
    Relation {
        name: "\"Orders\"".into(),
        fields,
        materialized: true,
        properties: BTreeMap::from([("connectors".to_owned(), property)]),
        primary_key: Some(names(&["c0", "c1"])),
    }
}

#[test]
fn tables_views_and_types() {
    // Only our types know the compiler's foreign keys and watermarks, and only a type of its own kind has each of its
    // parts.
    let unfilled = [
        "component",
        "default",
        "fields",
        "foreign_keys",
        "key",
        "lateness",
        "precision",
        "scale",
        "value",
        "watermark",
    ];
    let schema = ProgramSchema { inputs: vec![relation()], outputs: vec![relation(), Relation::empty()] };
    compare::<pipelines::Schema, _>(
        &[ProgramSchema { inputs: vec![short()], outputs: vec![short()] }, schema],
        &unfilled,
    );
    compare::<pipelines::Relation, _>(&[short(), Relation::empty()], &unfilled);
    compare::<pipelines::SourcePosition, _>(&[position()], &[]);
}

/// A relation with each part in one of its columns.
fn short() -> Relation {
    let mut relation = relation();
    relation.fields.truncate(3);
    relation
}

#[test]
fn differences_from_a_checkpoint() {
    let [program, without] = pipeline_diff();
    compare::<pipelines::PipelineDiff, _>(&[program, without], &["program_diff_error"]);
}

fn input(node: &str) -> MirInput {
    MirInput { node: node.to_owned(), output: 1, extra: HashMap::new() }
}

fn node(calcite: Option<CalciteId>) -> MirNode {
    MirNode {
        calcite,
        table: Some("t".to_owned()),
        view: Some("v".to_owned()),
        inputs: vec![input("s1")],
        operation: "join".to_owned(),
        outputs: Some(vec![None, Some(input("s2"))]),
        persistent_id: Some("id".to_owned()),
        positions: vec![position()],
        extra: HashMap::new(),
    }
}

fn rel() -> Rel {
    let operand = Operand {
        input: Some(1),
        name: Some("$1".to_owned()),
        extra: HashMap::from([("literal".to_owned(), json!(5)), ("type".to_owned(), json!({ "nullable": true }))]),
    };
    let op = Op {
        kind: "GREATER_THAN".to_owned(),
        name: ">".to_owned(),
        syntax: "BINARY".to_owned(),
        extra: HashMap::from([("more".to_owned(), json!([1]))]),
    };
    Rel {
        id: 1,
        inputs: vec![2],
        rel_op: "LogicalJoin".to_owned(),
        table: Some(names(&["schema", "t"])),
        condition: Some(Condition {
            op: Some(op),
            operands: Some(vec![operand.clone()]),
            literal: true,
            extra: HashMap::from([("more".to_owned(), json!({ "a": null, "b": 1 }))]),
        }),
        join_type: Some("inner".to_owned()),
        exprs: Some(vec![operand]),
        fields: Some(names(&["a"])),
        all: Some(true),
        aggs: Some(vec![json!({ "agg": { "kind": "SUM" }, "distinct": false })]),
        group: Some(vec![0]),
        extra: HashMap::new(),
    }
}

#[test]
fn the_graph_of_a_program() {
    let ids = [
        CalciteId::And {
            and: vec![
                CalciteId::Partial { partial: 1 },
                CalciteId::Final { final_: 2 },
                CalciteId::Seq { seq: vec![CalciteId::Final { final_: 3 }] },
            ],
        },
        CalciteId::Partial { partial: 1 },
        CalciteId::Final { final_: 1 },
        CalciteId::Seq { seq: vec![CalciteId::Partial { partial: 1 }] },
    ];
    // Does not compile if there is another variant.
    ids.iter().for_each(|id| match id {
        CalciteId::Partial { .. }
        | CalciteId::Final { .. }
        | CalciteId::And { .. }
        | CalciteId::Seq { .. }
        | CalciteId::Null => (),
    });
    let graphs = ids.map(|id| Dataflow {
        calcite_plan: HashMap::from([("v".to_owned(), CalcitePlan { rels: vec![rel()] })]),
        mir: HashMap::from([("s0".to_owned(), node(Some(id)))]),
    });
    compare::<pipelines::Dataflow, _>(&graphs, &[]);
    compare::<pipelines::MirNode, _>(&[node(Some(CalciteId::Final { final_: 1 })), node(None)], &[]);
}

/// Connectors are kept as they came, so that a program's description loses nothing.
#[test]
fn connectors_of_every_kind_pass() {
    let inputs = [
        ("file_input", json!({ "path": "/data/a", "buffer_size_bytes": 1, "follow": true })),
        ("kafka_input", json!({ "bootstrap.servers": "k:9092", "topic": "t", "start_from": { "offsets": [1, 2] } })),
        ("url_input", json!({ "path": "https://data.example/a.csv", "pause_timeout": 5 })),
        ("s3_input", json!({ "bucket_name": "b", "region": "eu", "prefix": "p/", "no_sign_request": true })),
        ("datagen", json!({ "plan": [{ "limit": 5, "fields": { "id": { "range": [1, 10] } } }], "workers": 2 })),
        ("nexmark", json!({ "table": "bid", "options": { "events": 7 } })),
        ("clock_input", json!({ "clock_resolution_usecs": 1, "now_offset_ms": -5 })),
        ("http_input", json!({ "name": "api" })),
        ("pub_sub_input", json!({ "subscription": "s", "emulator": "localhost:1" })),
        ("postgres_input", json!({ "uri": "postgres://u:p@h/d", "query": "SELECT 1" })),
        ("empty_input", Value::Null),
    ];
    let outputs = [
        ("file_output", json!({ "path": "/data/b" })),
        (
            "kafka_output",
            json!({ "bootstrap.servers": "k:9092", "topic": "t", "headers": [{ "key": "k", "value": "v" }] }),
        ),
        ("redis_output", json!({ "connection_string": "redis://h", "key_separator": ":" })),
        ("http_output", json!({ "backpressure": true })),
        ("null_output", Value::Null),
    ];
    let endpoint = |(name, config): (&str, Value), stream: &str| {
        let transport =
            if config.is_null() { json!({ "name": name }) } else { json!({ "name": name, "config": config }) };
        json!({ "stream": stream, "transport": transport, "format": { "name": "json", "config": { "array": false } },
            "labels": ["l"], "start_after": ["l"], "max_queued_records": 5, "index": "i", "paused": true,
            "enable_output_buffer": true, "max_output_buffer_time_millis": u64::MAX })
    };
    let written = |value: Value, is_input: bool| {
        let text = value.to_string();
        let read = if is_input {
            serde_json::from_str(&text).and_then(|config: InputEndpointConfig| serde_json::to_value(config))
        } else {
            serde_json::from_str(&text).and_then(|config: OutputEndpointConfig| serde_json::to_value(config))
        };
        read.unwrap_or_else(|error| panic!("the server does not read {value}: {error}"))
    };
    let all = |list: &[(&str, Value)], is_input| -> Value {
        list.iter().cloned().map(|each| (each.0.to_owned(), written(endpoint(each, "t"), is_input))).collect()
    };
    let info = json!({ "schema": { "inputs": [], "outputs": [] }, "udf_stubs": "", "main_rust": null, "dataflow": null,
        "input_connectors": all(&inputs, true), "output_connectors": all(&outputs, false) });
    let ours: pipelines::ProgramInfo = serde_json::from_str(&info.to_string()).expect("of the shape");
    assert_eq!(serde_json::to_value(&ours).expect("JSON"), info);
}
