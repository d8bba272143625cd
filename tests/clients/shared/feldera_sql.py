"""What the official Feldera clients read from a program with two tables, a join, an aggregate and a filter."""

import re
from decimal import Decimal
from typing import Any

import pyarrow
from feldera import FelderaClient, Pipeline
from feldera.output_handler import OutputHandler

import common
from shared.feldera_base import LIMIT, again, api_error, equal, make, until, within

# Both tables have a key, so that a repeated request with rows changes nothing.
SQL = """
CREATE TABLE customers (id INT NOT NULL PRIMARY KEY, name VARCHAR NOT NULL)
  WITH ('materialized' = 'true');
CREATE TABLE orders (id BIGINT NOT NULL PRIMARY KEY, customer INT NOT NULL, total DECIMAL(10, 2) NOT NULL)
  WITH ('materialized' = 'true');
CREATE MATERIALIZED VIEW revenue AS
  SELECT c.name, COUNT(*) AS n, SUM(o.total) AS total
  FROM orders o JOIN customers c ON o.customer = c.id WHERE o.total > 0 GROUP BY c.name;
"""

#: A row of `revenue`.
Row = tuple[str, int, Decimal]


def insert(**row: Any) -> dict:
    return {"insert": row}


def delete(**row: Any) -> dict:
    return {"delete": row}


def order(number: int, customer: int, total: str) -> dict:
    return insert(id=number, customer=customer, total=total)


def revenue(name: str, count: int, total: str) -> Row:
    return (name, count, Decimal(total))


#: Tables and what is sent to them, with the changes of `revenue` that follow: 1 for an insertion, -1 for a deletion.
STEPS: list[tuple[str, list[dict], list[tuple[Row, int]]]] = [
    ("customers", [insert(id=1, name="Ada"), insert(id=2, name="Bob")], []),
    # The filter keeps the second order out, and the join the third.
    ("orders", [order(1, 1, "10.50"), order(2, 2, "0"), order(3, 9, "7")], [(revenue("Ada", 1, "10.50"), 1)]),
    (
        "orders",
        [order(4, 1, "2"), order(5, 2, "5")],
        [(revenue("Ada", 1, "10.50"), -1), (revenue("Ada", 2, "12.50"), 1), (revenue("Bob", 1, "5.00"), 1)],
    ),
    ("customers", [delete(id=2)], [(revenue("Bob", 1, "5.00"), -1)]),
    ("orders", [delete(id=1)], [(revenue("Ada", 2, "12.50"), -1), (revenue("Ada", 1, "2.00"), 1)]),
]
COLUMNS = ("name", "n", "total")
#: What is left of `revenue` after all steps.
LEFT = [revenue("Ada", 1, "2.00")]

QUERY = "SELECT name, n, total FROM revenue ORDER BY name"


def as_dicts(rows: list[Row]) -> list[dict]:
    return [dict(zip(COLUMNS, row)) for row in rows]


def check(checks: common.Checks, client: FelderaClient) -> None:
    pipelines: list[Pipeline] = []

    def deploy() -> None:
        pipeline = make(client, "shop", SQL)
        pipelines.append(pipeline)
        pipeline.start(timeout_s=LIMIT)

    checks.check("a join and an aggregate: deploy", deploy)
    if not pipelines:
        return
    pipeline = pipelines[0]
    for what in (differences, arrow, arrow_of_an_aggregate, json_rows, table, digest, delete_all):
        checks.check(f"a join and an aggregate: {what.__name__}", lambda what=what: what(pipeline))


def differences(pipeline: Pipeline) -> None:
    """Each step sends exactly the changes that it makes."""
    handler = within(lambda: pipeline.listen("revenue"))
    for table_name, events, wanted in STEPS:
        again(lambda: pipeline.input_json(table_name, events, update_format="insert_delete"))
        # The changes of a step come together. Changes that an earlier step should not have sent appear here.
        equal(until(lambda: changes(handler)) if wanted else changes(handler), sorted(wanted))
    equal(changes(handler), [])


def changes(handler: OutputHandler) -> list[tuple[Row, int]]:
    """The changes that have come since the last call, sorted: the order within a step has no meaning."""
    frame = handler.to_pandas()
    if frame.empty:
        return []
    equal(str(frame["n"].dtype), "Int64")
    rows = frame.to_dict(orient="records")
    return sorted(((row["name"], row["n"], row["total"]), row["insert_delete"]) for row in rows)


def arrow(pipeline: Pipeline) -> None:
    """Types and values are those of the view."""
    found = pyarrow.Table.from_batches(again(lambda: list(pipeline.query_arrow(QUERY))))
    equal(found.schema.names, list(COLUMNS))
    equal(found.schema.types[1:], [pyarrow.int64(), pyarrow.decimal128(10, 2)])
    equal(found.to_pylist(), as_dicts(LEFT))


def arrow_of_an_aggregate(pipeline: Pipeline) -> None:
    """The query itself joins and groups: one customer is left, with one order."""
    sql = "SELECT c.name, MAX(o.id) AS last FROM orders o JOIN customers c ON o.customer = c.id GROUP BY c.name"
    equal(again(lambda: list(pipeline.query_arrow_dicts(sql))), [{"name": "Ada", "last": 4}])
    equal(again(lambda: list(pipeline.query_arrow_dicts(QUERY + " LIMIT 0"))), [])


def json_rows(pipeline: Pipeline) -> None:
    equal(again(lambda: list(pipeline.query(QUERY))), as_dicts(LEFT))
    api_error(400, "AdHocQueryError", lambda: list(pipeline.query("SELECT name + 1 FROM revenue")))


def table(pipeline: Pipeline) -> None:
    border = "+------+---+-------+"
    lines = [border, "| name | n | total |", border, "| Ada  | 1 | 2.00  |", border]
    equal(again(lambda: list(pipeline.query_tabular(QUERY))), lines)


def digest(pipeline: Pipeline) -> None:
    """The same for the same rows, and another one for others."""
    of_view = again(lambda: pipeline.query_hash(QUERY))
    same = "SELECT 'Ada' AS name, CAST(1 AS BIGINT) AS n, CAST(2 AS DECIMAL(10, 2)) AS total"
    assert re.fullmatch("[0-9A-F]{64}", of_view), of_view
    equal(again(lambda: pipeline.query_hash(same)), of_view)
    assert again(lambda: pipeline.query_hash("SELECT * FROM revenue WHERE n > 1")) != of_view


def delete_all(pipeline: Pipeline) -> None:
    pipeline.stop(force=True, timeout_s=LIMIT)
    again(pipeline.clear_storage)
    pipeline.delete()
