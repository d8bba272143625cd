"""What the official Feldera clients ask a running pipeline: data in and out, statistics, transactions, checkpoints."""

import base64
import io
import json
import zipfile

import pandas
from feldera import FelderaClient, Pipeline
from feldera.enums import CheckpointStatus, CompletionTokenStatus, PipelineStatus, StorageStatus, TransactionStatus
from feldera.rest.errors import FelderaAPIError, FelderaCommunicationError

import common
from shared.feldera_base import LIMIT, again, api_error, equal, expect, rows_of, until, within


def data(checks: common.Checks, client: FelderaClient, pipeline: Pipeline) -> None:
    """Rows in as JSON, CSV and frames; changes out; queries; tokens; connectors."""
    name = pipeline.name

    def input_json() -> None:
        token = again(lambda: pipeline.input_json("t", [{"id": 1, "s": "a"}, {"id": 2, "s": None}]))
        equal(pipeline.completion_token_status(token), CompletionTokenStatus.COMPLETE)
        again(lambda: pipeline.input_json("T", {"insert": {"id": 3, "s": "c"}}, update_format="insert_delete"))
        again(lambda: pipeline.input_json("t", [{"delete": {"id": 2}}], update_format="insert_delete"))
        equal(rows_of(pipeline, "v"), [1, 3])

    def input_pandas() -> None:
        frame = pandas.DataFrame({"id": range(10, 13), "s": ["x", "y", None]})
        again(lambda: pipeline.input_pandas("t", frame))
        until(lambda: rows_of(pipeline, "v") == [1, 3, 10, 11, 12])
        expect(ValueError, "does not exist", lambda: pipeline.input_pandas("nope", frame))
        expect(ValueError, "no column names", lambda: pipeline.input_pandas("t", pandas.DataFrame([[1, "a"]])))

    def csv() -> None:
        again(lambda: client.push_to_pipeline(name, "t", "csv", '20,"a,b"\n21,c\n'))
        equal(
            {row["id"]: row["s"] for row in pipeline.query("SELECT * FROM t") if row["id"] >= 20}, {20: "a,b", 21: "c"}
        )
        deletions = [{"payload": {"op": "d", "before": {"id": number}}} for number in (20, 21)]
        again(lambda: client.push_to_pipeline(name, "t", "json", deletions, array=True, update_format="debezium"))
        equal(rows_of(pipeline, "t"), [1, 3, 10, 11, 12])

    def wrong_rows() -> None:
        api_error(400, "ParseErrors", lambda: pipeline.input_json("t", [{"id": "x"}, {"id": 30, "s": "kept"}]))
        until(lambda: 30 in rows_of(pipeline, "t"))
        api_error(
            404, "ConfigError.UnknownInputStream", lambda: client.push_to_pipeline(name, "nope", "json", {"id": 1})
        )
        api_error(410, "PipelineRestarted", lambda: pipeline.wait_for_token(other_token(client, pipeline)))

    def queries() -> None:
        table = list(pipeline.query_tabular("SELECT * FROM v"))
        assert table[0] == table[2] and table[1].split("|")[1:3] == [" id ", " s    "], table
        equal(len(table), 3 + len(rows_of(pipeline, "v")) + 1)
        equal(list(pipeline.query("SELECT COUNT(*) FROM v")), [{"count(*)": 6}])
        api_error(400, "AdHocQueryError", lambda: list(pipeline.query("SELECT * FROM nope")))
        api_error(400, "AdHocQueryError", lambda: list(pipeline.query("SELEC")))

    def changes() -> None:
        handler = within(lambda: pipeline.listen("v"))
        again(lambda: pipeline.input_json("t", [{"id": 40, "s": "n"}]))
        later = [{"delete": {"id": 40}}, {"insert": {"id": 41, "s": "m"}}]
        again(lambda: pipeline.input_json("t", later, update_format="insert_delete"))
        seen: list[dict] = []

        def arrived() -> bool:
            seen.extend(handler.to_dict())
            return len(seen) >= 3

        until(arrived)
        found = {(row["id"], row["s"], row["insert_delete"]) for row in seen}
        equal(found, {(40, "n", 1), (40, "n", -1), (41, "m", 1)})
        assert handler.to_pandas().empty

    def chunks() -> None:
        seen: list[tuple[int, list]] = []

        def note(frame: pandas.DataFrame, number: int) -> None:
            seen.append((number, list(frame.get("id", []))))

        within(lambda: pipeline.foreach_chunk("v", note))
        again(lambda: pipeline.input_json("t", [{"id": 50, "s": "p"}]))
        until(lambda: any(50 in ids for _, ids in seen))
        api_error(404, "ConfigError.UnknownOutputStream", lambda: client.listen_to_pipeline(name, "nope", "json"))

    def stream() -> None:
        generator = again(lambda: client.listen_to_pipeline(name, "v", "json", send_snapshot=True))()
        first = next(generator)
        equal((first["sequence_number"], first["snapshot"]), (0, True))
        equal(sorted(change["insert"]["id"] for change in first["json_data"]), rows_of(pipeline, "v"))
        text = again(lambda: client.listen_to_pipeline(name, "v", "csv", send_snapshot=True))()
        assert "1,a,1\n" in next(text)["text_data"]

    def connectors() -> None:
        until(lambda: pipeline.input_connector_stats("generated", "gen").metrics.total_records == 20)
        status = pipeline.input_connector_stats("generated", "gen")
        equal((status.endpoint_name, status.paused, status.metrics.end_of_input), ("generated.gen", False, True))
        equal(pipeline.output_connector_stats("v", "out").endpoint_name, "v.out")
        pause = getattr(pipeline, "pause_input_connector", pipeline.pause_connector)
        start = getattr(pipeline, "start_input_connector", pipeline.resume_connector)
        again(lambda: pause("generated", "gen"))
        equal(pipeline.input_connector_stats("generated", "gen").paused, True)
        again(lambda: start("generated", "gen"))
        equal(pipeline.input_connector_stats("generated", "gen").paused, False)
        api_error(404, "UnknownInputEndpoint", lambda: pause("generated", "nope"))
        api_error(404, "UnknownOutputEndpoint", lambda: pipeline.output_connector_stats("v", "nope"))
        token = pipeline.generate_completion_token("generated", "gen")
        pipeline.wait_for_token(token)
        equal(rows_of(pipeline, "numbers", "n"), list(range(20)))

    for check in (input_json, input_pandas, csv, wrong_rows, queries, changes, chunks, stream, connectors):
        checks.check(check.__name__, check)


def other_token(client: FelderaClient, pipeline: Pipeline) -> str:
    """A token of a process that is not the pipeline's."""
    token = again(lambda: pipeline.input_json("t", {"id": 1, "s": "a"}, wait=False))
    content = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    content["u"] = "00000000-0000-0000-0000-00000000dead"
    return base64.urlsafe_b64encode(json.dumps(content, separators=(",", ":")).encode()).decode().rstrip("=")


def observation(checks: common.Checks, client: FelderaClient, pipeline: Pipeline) -> None:
    """Statistics, metrics, logs, events, profiles, the support bundle."""

    def stats() -> None:
        found = pipeline.stats()
        metrics = found.global_metrics
        equal((metrics.state, metrics.bootstrap_in_progress), (PipelineStatus.RUNNING, False))
        equal(metrics.total_input_records, metrics.total_completed_records)
        assert "generated.gen" in [endpoint.endpoint_name for endpoint in found.inputs]
        equal([endpoint.endpoint_name for endpoint in found.outputs if endpoint.endpoint_name == "v.out"], ["v.out"])
        equal(pipeline.is_complete(), False)

    def metrics() -> None:
        text = pipeline.metrics()
        assert "# TYPE records_input_total counter" in text, text[:200]
        keys = [metric["key"] for metric in pipeline.metrics(format="json")]
        assert "records_input_total" in keys, keys

    def logs() -> None:
        lines = pipeline.logs()
        first = next(lines)
        assert first, "an empty line"
        lines.close()

    def wait_for_idle() -> None:
        pipeline.wait_for_idle(idle_interval_s=0.4, timeout_s=10, poll_interval_s=0.1)
        expect(ValueError, "cannot be larger", lambda: pipeline.wait_for_idle(idle_interval_s=5, timeout_s=1))

    def events() -> None:
        found = pipeline.events()
        assert len(found) >= 3, found
        newest = pipeline.event("latest", selector="all")
        equal(newest["event_id"], found[0]["event_id"])
        api_error(404, "UnknownPipelineMonitorEvent", lambda: pipeline.event("01a20035-6512-72c1-b0b2-b5310e95660a"))

    def bundle() -> None:
        files = zipfile.ZipFile(io.BytesIO(pipeline.support_bundle(heap_profile=False))).namelist()
        assert "metadata.json" in files and any(name.endswith("/stats") for name in files), files
        few = zipfile.ZipFile(io.BytesIO(pipeline.support_bundle(collect=False))).namelist()
        equal(few, ["metadata.json"])

    def profiles() -> None:
        api_error(500, "SamplyProfilingFailure", lambda: pipeline.start_samply_profile(1))
        api_error(400, "NoSamplyProfile", pipeline.get_samply_profile)

    def upkeep() -> None:
        again(pipeline.rebalance)
        again(pipeline.start_compaction)
        api_error(400, "InvalidParam", lambda: pipeline.advance_clock(1000))

    def cluster() -> None:
        newest = client.get_cluster_events()[0]
        equal((newest["all_healthy"], newest["api_status"]), (True, "Healthy"))
        equal(client.get_cluster_event(newest["id"])["id"], newest["id"])

    for check in (stats, metrics, logs, wait_for_idle, events, bundle, profiles, upkeep, cluster):
        checks.check(check.__name__, check)


def transactions(checks: common.Checks, client: FelderaClient, pipeline: Pipeline) -> None:
    """Rows of a transaction are visible after its commit."""

    def open_one() -> int:
        """The id of the open transaction. A start whose answer was lost is found in the statistics."""
        try:
            return again(pipeline.start_transaction)
        except FelderaAPIError as error:
            if common.FAULTS == "none" or error.error_code != "TransactionInProgress":
                raise
            return pipeline.transaction_id()

    def commit(identifier: int) -> None:
        """A commit whose answer was lost is over when the id is gone."""
        try:
            pipeline.commit_transaction(identifier, timeout_s=LIMIT)
        except (FelderaCommunicationError, FelderaAPIError):
            if common.FAULTS == "none":
                raise
            until(lambda: commit_again(identifier))

    def commit_again(identifier: int) -> bool:
        if pipeline.transaction_id() != identifier:
            return True
        try:
            client.commit_transaction(pipeline.name, wait=False)
        except (FelderaCommunicationError, FelderaAPIError, RuntimeError):
            pass
        return False

    def transaction() -> None:
        identifier = open_one()
        equal(pipeline.transaction_id(), identifier)
        api_error(409, "TransactionInProgress", pipeline.start_transaction)
        expect(ValueError, "doesn't match", lambda: pipeline.commit_transaction(identifier + 1))
        token = again(lambda: pipeline.input_json("t", {"id": 60, "s": "late"}, wait=False))
        until(lambda: pipeline.transaction_status() == TransactionStatus.TransactionInProgress)
        assert 60 not in rows_of(pipeline, "v")
        equal(pipeline.completion_token_status(token), CompletionTokenStatus.IN_PROGRESS)
        commit(identifier)
        equal((pipeline.transaction_id(), pipeline.transaction_status()), (None, TransactionStatus.NoTransaction))
        pipeline.wait_for_token(token)
        assert 60 in rows_of(pipeline, "v")
        expect(RuntimeError, "no transaction", pipeline.commit_transaction)

    checks.check("transaction", transaction)


def checkpoints(checks: common.Checks, client: FelderaClient, pipeline: Pipeline) -> None:
    """Checkpoints, their way to the object store, a suspended pipeline that is resumed with its rows."""

    def checkpoint() -> None:
        number = again(lambda: pipeline.checkpoint(wait=True, timeout_s=LIMIT))
        equal(pipeline.checkpoint_status(number), CheckpointStatus.Success)
        found = pipeline.checkpoints()
        assert found and found[-1].processed_records > 0, [each.to_dict() for each in found]
        equal(pipeline.storage_status_details()["checkpoints"][-1]["uuid"], found[-1].uuid)
        response = again(pipeline.checkpoint_response)
        equal(response["incarnation_uuid"], str(pipeline.stats().global_metrics.incarnation_uuid))
        api_error(
            400,
            "IncarnationUuidMismatch",
            lambda: pipeline.checkpoint_status(0, "00000000-0000-0000-0000-00000000dead"),
        )

    def sync() -> None:
        uuid = again(lambda: pipeline.sync_checkpoint(wait=True, timeout_s=LIMIT))
        equal(pipeline.sync_checkpoint_status(uuid), CheckpointStatus.Success)
        equal(str(pipeline.last_successful_checkpoint_sync()), uuid)
        api_error(500, "CheckpointFetchError", pipeline.remote_checkpoints)

    def suspend() -> None:
        before = rows_of(pipeline, "v")
        pipeline.stop(force=False, timeout_s=LIMIT)
        equal((pipeline.status(), pipeline.storage_status()), (PipelineStatus.STOPPED, StorageStatus.INUSE))
        pipeline.start_paused(timeout_s=LIMIT)
        equal(again(lambda: pipeline.activate(timeout_s=LIMIT)), PipelineStatus.RUNNING)
        equal(rows_of(pipeline, "v"), before)

    checks.check("checkpoint", checkpoint)
    checks.check("sync_checkpoint", sync)
    checks.check("suspend, activate", suspend)
    checks.check("start_standby", lambda: standby(pipeline))


def standby(pipeline: Pipeline) -> None:
    """A pipeline that has run without standby cannot start as one."""
    pipeline.stop(force=True, timeout_s=LIMIT)
    expect(FelderaAPIError, "Standby", lambda: pipeline.start_standby(wait=False))
    pipeline.start(timeout_s=LIMIT)
