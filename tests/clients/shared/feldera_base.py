"""What the checks of the official Feldera clients share: how to connect, what to expect, how to wait.

The client repeats timeouts, 408, 429 and 502 to 504 for every method, and lost connections for reads and for methods
that it knows to be repeatable. `again` repeats the other calls in a run with faults, where a repetition is safe.
"""

import threading
import time
from typing import Any, Callable, TypeVar

from feldera import FelderaClient, Pipeline, PipelineBuilder
from feldera.rest.errors import FelderaAPIError, FelderaCommunicationError
from feldera.rest.retry import RetryConfig

import common

T = TypeVar("T")

#: The longest wait for a status, in seconds.
LIMIT = 60
#: How fast the simulator's clock runs. The client's `listen` waits for a heartbeat, which comes after 3 s of it.
PACE = 10

SQL = """
CREATE TABLE t (id BIGINT NOT NULL PRIMARY KEY, s VARCHAR) WITH ('materialized' = 'true');
CREATE TABLE generated (n BIGINT NOT NULL) WITH ('connectors' = '[{
    "name": "gen",
    "transport": {"name": "datagen", "config": {"plan": [{"limit": 20, "rate": 200}]}}
}]');
CREATE MATERIALIZED VIEW v WITH ('connectors' = '[{
    "name": "out",
    "transport": {"name": "file_output", "config": {"path": "/tmp/out.json"}},
    "format": {"name": "json"}
}]') AS SELECT * FROM t;
CREATE MATERIALIZED VIEW numbers AS SELECT * FROM generated;
"""


def connect(url: str, **settings: Any) -> FelderaClient:
    """A client whose retries are those of the vendor, with short waits."""
    retries = RetryConfig(max_retries=8, initial_backoff=0.05, max_backoff=0.5, unhealthy_backoff=0.1)
    return FelderaClient(url, timeout=LIMIT, retry_config=retries, **settings)


def again(call: Callable[[], T], *errors: type[BaseException]) -> T:
    """Repeats a call that the client does not repeat after a lost connection, although a repetition is safe."""
    return common.repeat(call, FelderaCommunicationError, *errors)


def expect(error: type[BaseException], text: str, call: Callable[[], Any]) -> BaseException:
    """Calls, and returns the error that this must raise."""
    try:
        result = again(call)
    except error as raised:
        assert text in str(raised), f"{raised} does not say {text}"
        return raised
    raise AssertionError(f"{result!r} instead of {error.__name__} with {text}")


def api_error(status: int, code: str, call: Callable[[], Any]) -> None:
    error = expect(FelderaAPIError, "", call)
    assert (error.status_code, error.error_code) == (status, code), str(error)


def within(call: Callable[[], T], seconds: float = 5.0) -> T:
    """Repeats a call that never returns if its connection is lost, as `listen` and `foreach_chunk` do.

    They wait for an event that their thread sets after the first chunk, and that no failure sets.
    """
    for _ in range(8):
        results: list[T] = []
        # Bound now, so that a call that returns late does not answer for the next one.
        thread = threading.Thread(target=lambda results=results: results.append(call()), daemon=True)
        thread.start()
        thread.join(seconds)
        if results:
            return results[0]
        if common.FAULTS == "none":
            break
    raise AssertionError(f"no result within {seconds} s")


def until(test: Callable[[], T], seconds: float = 20.0) -> T:
    """Calls until the result is true, and returns it."""
    end = time.monotonic() + seconds
    while True:
        result = test()
        if result or time.monotonic() > end:
            assert result, f"not within {seconds} s: {result!r}"
            return result
        time.sleep(0.1)


def equal(found: Any, wanted: Any) -> None:
    assert found == wanted, f"{found!r} instead of {wanted!r}"


def make(client: FelderaClient, name: str, sql: str, **settings: Any) -> Pipeline:
    """`create_or_replace` can be repeated, `create` cannot."""
    return again(PipelineBuilder(client, name, sql, **settings).create_or_replace)


def rows_of(pipeline: Pipeline, relation: str, column: str = "id") -> list:
    return sorted(row[column] for row in pipeline.query(f"SELECT * FROM {relation}"))
