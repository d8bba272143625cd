"""The official client against a simulator: life cycle, settings, tokens, changes of a view, logs, checkpoints.

Usage: feldera_client.py URL. Exits with a traceback if anything is not as the client expects it.
"""

import itertools
import sys

from feldera import FelderaClient, Pipeline, PipelineBuilder
from feldera.enums import PipelineStatus
from feldera.runtime_config import RuntimeConfig, Storage

# The longest wait, in seconds.
LIMIT = 60
SQL = """
CREATE TABLE t (id BIGINT NOT NULL, s VARCHAR);
CREATE TABLE other (id BIGINT NOT NULL);
CREATE MATERIALIZED VIEW v AS SELECT * FROM t;
"""


def check_settings(pipeline: Pipeline) -> None:
    """What is read, changed and written back is as it was written, under either name."""
    settings = pipeline.runtime_config()
    assert settings.max_rss == "4Gi", settings.__dict__
    assert settings.max_buffering_delay == "500ms", settings.__dict__
    settings.min_batch_size_records = 500
    pipeline.set_runtime_config(settings)
    settings = pipeline.runtime_config()
    assert settings.min_batch_size_records == 500 and settings.max_rss == "4Gi", settings.__dict__

    # The old name, a number of megabytes, is read and shown as the new one.
    settings.max_rss_mb = 2000
    settings.min_batch_size_records = 0
    pipeline.set_runtime_config(settings)
    stored = pipeline.runtime_config().__dict__
    assert stored["max_rss"] == "2G" and "max_rss_mb" not in stored, stored


def check_life_cycle(pipeline: Pipeline) -> None:
    """Started as paused, resumed, paused, resumed."""
    pipeline.start_paused(timeout_s=LIMIT)
    assert pipeline.status() == PipelineStatus.PAUSED
    pipeline.resume(timeout_s=LIMIT)
    assert pipeline.status() == PipelineStatus.RUNNING
    pipeline.pause(timeout_s=LIMIT)
    assert pipeline.status() == PipelineStatus.PAUSED
    pipeline.resume(timeout_s=LIMIT)


def check_tokens(pipeline: Pipeline) -> None:
    """A token is complete when its rows are there, and the changes of a view have arrived when its step has."""
    changes = pipeline.listen("v")
    token = pipeline.input_json("t", [{"id": 1, "s": "a"}, {"id": 2, "s": "b"}], wait=False)
    pipeline.wait_for_token(token)
    rows = sorted(row["id"] for row in pipeline.query("SELECT * FROM v"))
    assert rows == [1, 2], rows
    token = pipeline.input_json("t", {"id": 3, "s": "c"}, wait=False)
    changes.wait_for_token(token, timeout_s=LIMIT)
    seen = sorted(row["id"] for row in changes.to_dict())
    assert seen == [1, 2, 3], seen
    # Rows that change nothing in the view: the stream passes their step all the same.
    token = pipeline.input_json("other", {"id": 4}, wait=False)
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


def main(url: str) -> None:
    client = FelderaClient(url, timeout=LIMIT)
    assert client.get_config().version == "0.375.0"
    settings = RuntimeConfig(workers=2, max_rss="4Gi", max_buffering_delay="500ms", storage=Storage())
    pipeline = PipelineBuilder(client, "p", SQL, runtime_config=settings).create()
    check_settings(pipeline)
    check_life_cycle(pipeline)
    check_tokens(pipeline)
    check_logs(pipeline)
    pipeline.checkpoint(wait=True, timeout_s=LIMIT)
    assert len(pipeline.checkpoints()) == 1
    pipeline.stop(force=False, timeout_s=LIMIT)
    assert pipeline.status() == PipelineStatus.STOPPED
    pipeline.delete(clear_storage=True)
    assert Pipeline.all(client) == []
    print("ok")


if __name__ == "__main__":
    main(sys.argv[1])
