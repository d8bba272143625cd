# requires: feldera==0.369.0
"""The official client 0.369 against the simulated Feldera 0.375, which has all that the client knows."""

import itertools
import sys

from feldera import FelderaClient, Pipeline
from feldera.runtime_config import RuntimeConfig, Storage

import common
from shared import feldera_base as base, feldera_manager as manager, feldera_process as process, feldera_sql as sql
from shared.feldera_base import again, api_error, equal, within

VERSION = "0.375.0"


def settings(client: FelderaClient) -> None:
    """What is read, changed and written back is as it was written, under either name."""
    wanted = RuntimeConfig(workers=2, max_rss="4Gi", max_buffering_delay="500ms", storage=Storage())
    pipeline = base.make(client, "units", "CREATE TABLE t (id INT);", runtime_config=wanted)
    found = pipeline.runtime_config()
    equal((found.max_rss, found.max_buffering_delay), ("4Gi", "500ms"))
    found.min_batch_size_records = 500
    again(lambda: pipeline.set_runtime_config(found))
    found = pipeline.runtime_config()
    equal((found.max_rss, found.min_batch_size_records), ("4Gi", 500))
    # The old name, a number of megabytes, is read and shown as the new one.
    found.max_rss_mb = 2000
    again(lambda: pipeline.set_runtime_config(found))
    stored = pipeline.runtime_config().__dict__
    assert stored["max_rss"] == "2G" and "max_rss_mb" not in stored, stored
    pipeline.delete()


def tokens(pipeline: Pipeline) -> None:
    """A token is complete when its rows are there, and the changes of a view have arrived when its step has."""
    changes = within(lambda: pipeline.listen("v"))
    token = again(lambda: pipeline.input_json("t", {"id": 70, "s": "c"}, wait=False))
    changes.wait_for_token(token, timeout_s=base.LIMIT)
    equal([row["id"] for row in changes.to_dict()][-1:], [70])
    # Rows that change nothing in the view: the stream passes their step all the same.
    token = again(lambda: pipeline.input_json("generated", {"n": 4}, wait=False))
    changes.wait_for_token(token, timeout_s=base.LIMIT)
    equal(changes.to_dict(), [])


def logs(pipeline: Pipeline) -> None:
    """Two readings, of which the second one resumes the first one, are one whole reading."""
    with pipeline.resume_logs() as stream:
        equal((stream.position.seq, stream.position.gap), (0, 0))
        whole = list(itertools.islice(stream, 3))
    with pipeline.resume_logs() as stream:
        first = list(itertools.islice(stream, 2))
        cursor = stream.cursor()
    with pipeline.resume_logs(cursor) as stream:
        equal((stream.position.seq, stream.position.gap), (2, 0))
        rest = list(itertools.islice(stream, 1))
    equal(first + rest, whole)
    # Of another epoch: everything.
    with pipeline.resume_logs("00000000-0000-7000-8000-000000000000:2") as stream:
        equal((stream.position.seq, list(itertools.islice(stream, 3))), (0, whole))


def outputs(pipeline: Pipeline) -> None:
    """A paused output connector discards what it is given."""
    again(lambda: pipeline.pause_output_connector("v", "out"))
    equal(pipeline.output_connector_stats("v", "out").paused, True)
    again(lambda: pipeline.start_output_connector("v", "out"))
    equal(pipeline.output_connector_stats("v", "out").paused, False)
    api_error(404, "UnknownOutputEndpoint", lambda: pipeline.pause_output_connector("v", "nope"))


def main() -> int:
    checks = common.Checks("feldera_0_369")
    options = ("--release", "0.375", "--edition", "enterprise", "--time", f"fast:{base.PACE}")
    with common.Simulator("feldera", *options) as simulator:
        client = base.connect(simulator.url)
        manager.platform(checks, client, VERSION)
        pipeline = manager.descriptions(checks, client, VERSION)
        checks.client_fault(
            "deployment_location",
            "no release sends the field, and the client has no default for it",
            pipeline.deployment_location,
            "AttributeError",
        )
        checks.check("runtime settings with units", lambda: settings(client))
        manager.life_cycle(checks, client, pipeline)
        process.data(checks, client, pipeline)
        checks.check("changes up to a token", lambda: tokens(pipeline))
        checks.check("resume_logs", lambda: logs(pipeline))
        checks.check("output connectors", lambda: outputs(pipeline))
        process.observation(checks, client, pipeline)
        process.transactions(checks, client, pipeline)
        process.checkpoints(checks, client, pipeline)
        manager.completion(checks, client)
        sql.check(checks, client)
        manager.end(checks, client, pipeline)
    return checks.finish()


if __name__ == "__main__":
    sys.exit(main())
