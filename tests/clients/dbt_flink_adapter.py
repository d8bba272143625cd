# requires: dbt-flink-adapter==1.3.11
"""The SQL Gateway client inside `dbt-flink-adapter`, and the adapter's own cursor, against the simulated SQL Gateway.

The client repeats nothing. In a run with faults, `again` repeats what can be repeated: reads, closing, statements that
change nothing, and statements with `IF NOT EXISTS` or `IF EXISTS`.

The adapter pins dbt-core 1.3, which does not start on Python 3.11. The client and the cursor need no more of it than a
logger, which `without_dbt_core` puts in its place. They themselves are as published.
"""

import importlib.util
import logging
import sys
import time
import types
from pathlib import Path
from typing import Any, Callable, TypeVar

import requests

import common


def without_dbt_core() -> None:
    """Makes packages without the code that they run when they are imported."""
    site = Path(importlib.util.find_spec("flink").submodule_search_locations[0]).parent
    for name in ("dbt", "dbt.adapters", "dbt.adapters.flink"):
        package = types.ModuleType(name)
        package.__path__ = [str(site.joinpath(*name.split(".")))]
        sys.modules[name] = package
    events = types.ModuleType("dbt.events")
    events.AdapterLogger = logging.getLogger
    sys.modules["dbt.events"] = events


without_dbt_core()

from dbt.adapters.flink.handler import FlinkCursor, FlinkHandler  # noqa: E402
from flink.sqlgateway.client import FlinkSqlGatewayClient  # noqa: E402
from flink.sqlgateway.operation import SqlGatewayOperation  # noqa: E402
from flink.sqlgateway.session import SqlGatewaySession  # noqa: E402

T = TypeVar("T")


class Refused(Exception):
    """The gateway rejected a request that a repetition does not help."""


def again(call: Callable[[], T]) -> T:
    """Calls, and repeats what a fault has spoilt: a lost connection, 429, 503, or a body that is no JSON.

    The client raises `Exception("SQL gateway error: ", status or body)`.
    """

    def attempt() -> T:
        try:
            return call()
        except requests.RequestException:
            raise ConnectionError from None
        except Exception as error:
            status = error.args[1] if len(error.args) > 1 else None
            text = str(status)
            if status in (429, 503) or "too many" in text.lower() or "unavailable" in text.lower():
                raise ConnectionError(text) from None
            raise Refused(f"{error}") from error

    return common.repeat(attempt, ConnectionError)


def equal(found: Any, wanted: Any) -> None:
    assert found == wanted, f"{found!r} instead of {wanted!r}"


def refused(text: str, call: Callable[[], Any]) -> None:
    try:
        result = again(call)
    except Refused as error:
        assert text in str(error), f"{error} does not say {text}"
        return
    raise AssertionError(f"{result!r} instead of an error with {text}")


def submit(session: SqlGatewaySession, sql: str, config: dict | None = None) -> SqlGatewayOperation:
    return again(lambda: FlinkSqlGatewayClient.execute_statement(session, sql, config))


def finished(operation: SqlGatewayOperation) -> str:
    """The status when the statement has been carried out. The client cannot read a result before that."""
    for _ in range(200):
        status = again(operation.get_status)
        if status != "RUNNING":
            return status
        time.sleep(0.05)
    raise AssertionError("the statement does not finish")


def rows(session: SqlGatewaySession, sql: str) -> list[dict]:
    """All rows of a result, page by page."""
    operation = submit(session, sql)
    equal(finished(operation), "FINISHED")
    found, page = [], again(operation.get_result)
    for _ in range(1000):
        found.extend(page.rows)
        if page.is_end_of_stream:
            equal(page.next_result_url, None)
            equal(again(operation.close), "CLOSED")
            return found
        url = page.next_result_url
        page = again(lambda: operation.get_result(url))
    raise AssertionError("the result does not end")


def failing(session: SqlGatewaySession, sql: str, text: str) -> None:
    operation = submit(session, sql)
    equal(finished(operation), "ERROR")
    refused(text, operation.get_result)


def client(checks: common.Checks, session: SqlGatewaySession) -> None:
    """The client class: statements, results over pages, errors, cancel, close."""

    def catalog() -> None:
        equal(rows(session, "SHOW CATALOGS"), [{"catalog name": "default_catalog"}])
        equal(rows(session, "SHOW DATABASES"), [{"database name": "default_database"}])
        equal(rows(session, "SHOW CURRENT DATABASE"), [{"current database name": "default_database"}])
        equal(rows(session, "SHOW TABLES"), [])

    def tables() -> None:
        create = "CREATE TABLE IF NOT EXISTS orders (id BIGINT NOT NULL, who STRING, price DECIMAL(10, 2))"
        equal(rows(session, f"{create} WITH ('connector' = 'kafka')"), [{"result": "OK"}])
        described = rows(session, "DESCRIBE orders")
        equal(
            [(row["name"], row["type"], row["null"]) for row in described],
            [("id", "BIGINT", False), ("who", "STRING", True), ("price", "DECIMAL(10, 2)", True)],
        )
        equal(rows(session, "SHOW TABLES LIKE 'ord%'"), [{"table name": "orders"}])
        definition = rows(session, "SHOW CREATE TABLE orders")[0]["result"]
        assert "`who` VARCHAR(2147483647)," in definition, definition
        equal(rows(session, "CREATE TEMPORARY VIEW IF NOT EXISTS v AS SELECT id, who FROM orders"), [{"result": "OK"}])
        equal([row["name"] for row in rows(session, "DESCRIBE v")], ["id", "who"])
        equal(rows(session, "DROP TEMPORARY VIEW IF EXISTS v"), [{"result": "OK"}])

    def pages() -> None:
        found = rows(session, "SELECT n FROM numbers LIMIT 250")
        equal([row["n"] for row in found], list(range(250)))

    def engine() -> None:
        # An INSERT whose answer was lost is not repeated: the rows are counted before.
        for identifier, who, price in [(1, "ann", "1.50"), (2, "bob", "2.25"), (3, "ann", "4.00")]:
            for _ in range(8):
                if rows(session, f"SELECT COUNT(*) AS n FROM orders WHERE id = {identifier}") == [{"n": 1}]:
                    break
                try:
                    values = f"INSERT INTO orders VALUES ({identifier}, '{who}', {price})"
                    equal(finished(FlinkSqlGatewayClient.execute_statement(session, values)), "FINISHED")
                except Exception:
                    if common.FAULTS == "none":
                        raise
                    time.sleep(0.5)
        sums = "SELECT who, COUNT(*) AS n, SUM(price) AS total FROM orders WHERE price > 1 GROUP BY who ORDER BY who"
        equal(rows(session, sums), [{"who": "ann", "n": 2, "total": 5.5}, {"who": "bob", "n": 1, "total": 2.25}])

    def settings() -> None:
        equal(rows(session, "SET 'pipeline.name' = 'mine'"), [{"result": "OK"}])
        assert {"key": "pipeline.name", "value": "mine"} in rows(session, "SET")
        equal(rows(session, "RESET 'pipeline.name'"), [{"result": "OK"}])
        assert "pipeline.name" not in [row["key"] for row in rows(session, "SET")]

    def jobs() -> None:
        operation = submit(session, "SELECT n FROM numbers", {"pipeline.name": "endless"})
        equal(finished(operation), "FINISHED")
        job = [row for row in rows(session, "SHOW JOBS") if row["job name"] == "endless" and row["status"] == "RUNNING"]
        assert job, "no running job"
        refused("500", operation.cancel)
        equal(again(operation.close), "CLOSED")
        equal(again(operation.close), "CLOSED")
        refused("500", operation.get_status)

    def cancel() -> None:
        # While the statement is carried out. If that takes longer, because of a fault, it has finished.
        operation = submit(session, "SELECT n FROM numbers LIMIT 1")
        try:
            equal(again(operation.cancel), "CANCELED")
            equal(again(operation.get_status), "CANCELED")
        except Refused as error:
            assert common.FAULTS != "none" and "500" in str(error), error

    def errors() -> None:
        failing(session, "SELEC 1", "Non-query expression encountered in illegal context")
        failing(session, "SELECT * FROM nope", "Object 'nope' not found")
        failing(
            session,
            "DESCRIBE nope",
            "Tables or views with the identifier 'default_catalog.default_database.nope' doesn't exist.",
        )
        failing(session, "DROP TABLE nope", "does not exist.")
        failing(session, "SELECT 1; SELECT 2", "only single statement supported")
        unknown = SqlGatewaySession(session.config, "00000000-0000-0000-0000-00000000dead")
        refused("500", lambda: FlinkSqlGatewayClient.execute_statement(unknown, "SELECT 1"))

    for check in (catalog, tables, pages, engine, settings, jobs, cancel, errors):
        checks.check(check.__name__, check)
    if common.FAULTS == "none":
        checks.client_fault(
            "get_result before the status is FINISHED",
            "a result that is not ready has no `results`, which the client takes for granted",
            lambda: FlinkSqlGatewayClient.execute_statement(session, "SELECT n FROM numbers").get_result(),
            "KeyError",
        )


def adapter(checks: common.Checks, session: SqlGatewaySession) -> None:
    """The adapter's cursor, as dbt uses it: execute, fetchall, description."""

    def cursor() -> FlinkCursor:
        return FlinkHandler(session).cursor()

    def fetch(sql: str, bindings: list | None = None) -> list[tuple]:
        def attempt() -> list[tuple]:
            opened = cursor()
            opened.execute(sql, bindings)
            return opened.fetchall()

        return again(attempt)

    def query() -> None:
        equal(fetch("SELECT n FROM numbers LIMIT {}", [3]), [(0,), (1,), (2,)])
        equal(fetch("SHOW CURRENT CATALOG"), [("default_catalog",)])

    def description() -> None:
        def attempt() -> tuple:
            opened = cursor()
            opened.execute("SHOW CATALOGS")
            return opened.description

        equal(again(attempt), (("catalog name",),))

    def model() -> None:
        create = "create table if not exists model (id bigint) with ('connector' = 'blackhole')"
        equal(fetch(f"/** mode('streaming') execution_config('parallelism.default=1') */ {create}"), [("OK",)])
        equal([row[0] for row in fetch("SHOW TABLES LIKE 'mod%'")], ["model"])
        equal(fetch("/** mode('streaming') */ SET")[0][0][:1].isalpha(), True)
        assert ("execution.runtime-mode", "streaming") in fetch("/** mode('streaming') */ SET")
        assert ("execution.runtime-mode", "batch") in fetch("SET")

    def limited() -> None:
        found = fetch("/** fetch_max(7) mode('streaming') */ SELECT n FROM numbers")
        equal(found, [(number,) for number in range(7)])

    def rejected() -> None:
        refused("Object 'nope' not found", lambda: fetch("SELECT * FROM nope"))

    for check in (query, description, model, limited, rejected):
        checks.check(f"cursor {check.__name__}", check)


def main() -> int:
    checks = common.Checks("dbt_flink_adapter")
    with common.Simulator("flink-sql-gateway") as simulator:
        host, port = simulator.url.removeprefix("http://").rsplit(":", 1)
        session = again(lambda: FlinkSqlGatewayClient.create_session(host, int(port), "dbt"))
        checks.check("create_session", lambda: equal(len(session.session_handle), 36))
        client(checks, session)
        adapter(checks, session)
    return checks.finish()


if __name__ == "__main__":
    sys.exit(main())
