# requires: feldera==0.369.0
"""The official client of Feldera against the simulator: life cycle, settings, tokens, changes of a view, logs, checkpoints.

The client repeats a request that got 408, 429, 502, 503, 504 or no answer in time. After a broken connection it repeats only GET
and what it knows to be idempotent; the others are repeated here, and none of them does harm: the table has a primary key.
"""

import itertools
import sys
import threading

import common
import requests
from feldera import FelderaClient, Pipeline, PipelineBuilder
from feldera.enums import PipelineStatus
from feldera.output_handler import OutputHandler
from feldera.rest.retry import RetryConfig
from feldera.runtime_config import RuntimeConfig, Storage

# The longest wait, in seconds.
LIMIT = 60
# Other than the client's, the waits between attempts are short.
RETRIES = RetryConfig(max_retries=8, initial_backoff=0.1, max_backoff=1.0)
SQL = """
CREATE TABLE t (id BIGINT NOT NULL PRIMARY KEY, s VARCHAR);
CREATE TABLE other (id BIGINT NOT NULL PRIMARY KEY);
CREATE MATERIALIZED VIEW v AS SELECT * FROM t;
"""


def repeated(call):
    """Repeats a request that the client does not."""
    return common.repeat(call, requests.exceptions.ConnectionError)


def listen(pipeline: Pipeline, view: str) -> OutputHandler:
    """Listens, and again if the client hangs: it waits without limit for a stream that broke before its first chunk."""
    handlers = []
    for _ in range(8):
        thread = threading.Thread(target=lambda: handlers.append(pipeline.listen(view)), daemon=True)
        thread.start()
        thread.join(LIMIT if common.FAULTS == "none" else 10)
        if handlers:
            return handlers[0]
    raise AssertionError(f"no stream of {view} has begun")


def check_settings(pipeline: Pipeline) -> None:
    """What is read, changed and written back is as it was written, under either name."""
    settings = pipeline.runtime_config()
    assert settings.max_rss == "4Gi", settings.__dict__
    assert settings.max_buffering_delay == "500ms", settings.__dict__
    settings.min_batch_size_records = 500
    repeated(lambda: pipeline.set_runtime_config(settings))
    settings = pipeline.runtime_config()
    assert settings.min_batch_size_records == 500 and settings.max_rss == "4Gi", settings.__dict__

    # The old name, a number of megabytes, is read and shown as the new one.
    settings.max_rss_mb = 2000
    settings.min_batch_size_records = 0
    repeated(lambda: pipeline.set_runtime_config(settings))
    stored = pipeline.runtime_config().__dict__
    assert stored["max_rss"] == "2G" and "max_rss_mb" not in stored, stored


def check_life_cycle(pipeline: Pipeline) -> None:
    """Started as paused, resumed, paused, resumed."""
    pipeline.start_paused(timeout_s=LIMIT)
    assert pipeline.status() == PipelineStatus.PAUSED
    repeated(lambda: pipeline.resume(timeout_s=LIMIT))
    assert pipeline.status() == PipelineStatus.RUNNING
    pipeline.pause(timeout_s=LIMIT)
    assert pipeline.status() == PipelineStatus.PAUSED
    repeated(lambda: pipeline.resume(timeout_s=LIMIT))


def check_tokens(pipeline: Pipeline) -> None:
    """A token is complete when its rows are there, and the changes of a view have arrived when its step has."""
    changes = listen(pipeline, "v")
    rows = [{"id": 1, "s": "a"}, {"id": 2, "s": "b"}]
    token = repeated(lambda: pipeline.input_json("t", rows, wait=False))
    pipeline.wait_for_token(token)
    rows = sorted(row["id"] for row in repeated(lambda: list(pipeline.query("SELECT * FROM v"))))
    assert rows == [1, 2], rows
    token = repeated(lambda: pipeline.input_json("t", {"id": 3, "s": "c"}, wait=False))
    changes.wait_for_token(token, timeout_s=LIMIT)
    seen = sorted(row["id"] for row in changes.to_dict())
    assert seen == [1, 2, 3], seen
    # Rows that change nothing in the view: the stream passes their step all the same.
    token = repeated(lambda: pipeline.input_json("other", {"id": 4}, wait=False))
    changes.wait_for_token(token, timeout_s=LIMIT)
    assert changes.to_dict() == []


def check_logs(pipeline: Pipeline) -> None:
    """Two readings, of which the second one resumes the first one, are one whole reading.

    A pipeline that was started has written three lines.
    """
    with pipeline.resume_logs() as stream:
        assert (stream.position.seq, stream.position.gap) == (0, 0), stream.position
        whole = list(itertools.islice(stream, 3))
    with pipeline.resume_logs() as stream:
        first = list(itertools.islice(stream, 2))
        cursor = stream.cursor()
    with pipeline.resume_logs(cursor) as stream:
        assert (stream.position.seq, stream.position.gap) == (2, 0), stream.position
        rest = list(itertools.islice(stream, 1))
    assert first + rest == whole, (first, rest, whole)
    # Of another epoch: everything.
    with pipeline.resume_logs("00000000-0000-7000-8000-000000000000:2") as stream:
        assert stream.position.seq == 0 and list(itertools.islice(stream, 3)) == whole


def check_version(client: FelderaClient) -> None:
    assert client.get_config().version == "0.375.0"


def create(client: FelderaClient) -> Pipeline:
    """Creates the pipeline. The client sends it with PUT, which may be repeated, and after that waits for the compilation."""
    settings = RuntimeConfig(workers=2, max_rss="4Gi", max_buffering_delay="500ms", storage=Storage())
    pipeline = PipelineBuilder(client, "p", SQL, runtime_config=settings).create()
    assert pipeline.status() == PipelineStatus.STOPPED
    return pipeline


def check_checkpoint(pipeline: Pipeline) -> None:
    """A checkpoint whose request lost its answer may have been made all the same."""
    repeated(lambda: pipeline.checkpoint(wait=True, timeout_s=LIMIT))
    made = len(pipeline.checkpoints())
    assert made == 1 if common.FAULTS == "none" else made >= 1, made


def check_end(client: FelderaClient, pipeline: Pipeline) -> None:
    pipeline.stop(force=False, timeout_s=LIMIT)
    assert pipeline.status() == PipelineStatus.STOPPED
    repeated(lambda: pipeline.delete(clear_storage=True))
    assert Pipeline.all(client) == []


def main() -> int:
    checks = common.Checks("feldera_0_369")
    with common.Simulator("feldera", "--release", "0.375", "--edition", "enterprise") as simulator:
        client = FelderaClient(simulator.url, timeout=LIMIT, retry_config=RETRIES)
        checks.check("version", lambda: check_version(client))
        pipeline = checks.check("create", lambda: create(client))
        checks.check("settings", lambda: check_settings(pipeline))
        checks.check("life cycle", lambda: check_life_cycle(pipeline))
        checks.check("tokens", lambda: check_tokens(pipeline))
        checks.check("logs", lambda: check_logs(pipeline))
        checks.check("checkpoint", lambda: check_checkpoint(pipeline))
        checks.check("end", lambda: check_end(client, pipeline))
        if checks.failed:
            print(simulator.tail(), file=sys.stderr)
    return checks.finish()


if __name__ == "__main__":
    sys.exit(main())
