# requires: flink-rest-client==1.0.8
"""The Python client `flink-rest-client` against the simulated Flink: every method that its documentation lists.

The client repeats nothing, and takes a proxy's page for JSON. Reads are repeated here, and so is what does no harm twice: uploads,
savepoints, cancellations. After a lost reply, the list of jobs tells whether a run was carried out, and the state of the job whether a
stop was.

The names `rest_client.taskmanager` and `jobs.get_execution_results` of the documentation are `taskmanagers` and `get_execution_result` in
the client.
"""

import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Callable

import requests
from flink_rest_client import FlinkRestClient
from flink_rest_client.common import RestException

import common
from shared.flink_rest import LIMIT, TARGET, TASK_MANAGER, UNKNOWN, Cluster, again, contains, equal, rejected, until

# Caches and checkpoints take a tenth of their time.
OPTIONS = ("--time", "fast:10")
PARALLELISM = 2

#: Each method of the client with its check, in this order.
METHODS: list[tuple[str, Callable[["Scenario"], None]]] = []


def method(label: str) -> Callable:
    def register(check: Callable[["Scenario"], None]) -> Callable[["Scenario"], None]:
        METHODS.append((label, check))
        return check

    return register


class Scenario(Cluster):
    """A cluster on which a job runs, and a check of each method."""

    def __init__(self, client: FlinkRestClient, folder: str) -> None:
        super().__init__(client, folder)
        self.job = self.running("watched", "endless", "--parallelism", str(PARALLELISM))
        vertices = until(lambda: self.jobs.get_vertex_ids(self.job), "vertices")
        #: The source and the sink.
        self.vertex, self.sink = (self.jobs.get_vertex(self.job, vertex) for vertex in vertices)

    # The cluster.

    @method("overview")
    def overview(self) -> None:
        overview = again(self.client.overview)
        equal((overview["taskmanagers"], overview["slots-total"], overview["flink-version"]), (1, 4, "2.3.0"))

    @method("config")
    def config(self) -> None:
        config = again(self.client.config)
        equal((config["refresh-interval"], config["features"]["web-submit"]), (3000, True))

    @method("datasets")
    def datasets(self) -> None:
        equal(again(self.client.datasets), [])

    @method("delete_dataset")
    def delete_dataset(self) -> None:
        trigger = again(lambda: self.client.delete_dataset(UNKNOWN))
        completed = until(lambda: trigger.status["status"]["id"] == "COMPLETED" and trigger.status, "deleted")
        equal(completed, {"status": {"id": "COMPLETED"}, "operation": {}})

    # The JobManager.

    @method("jobmanager.config")
    def jobmanager_config(self) -> None:
        config = again(self.client.jobmanager.config)
        equal((config["taskmanager.numberOfTaskSlots"], config["jobmanager.rpc.address"]), ("4", "127.0.0.1"))

    @method("jobmanager.logs")
    def jobmanager_logs(self) -> None:
        contains([log["name"] for log in again(self.client.jobmanager.logs)], "flink-jobmanager.log")

    @method("jobmanager.get_log")
    def jobmanager_get_log(self) -> None:
        log = again(lambda: self.client.jobmanager.get_log("flink-jobmanager.log"))
        contains(log, f"({self.job}) switched from state CREATED to RUNNING.")
        rejected(lambda: self.client.jobmanager.get_log("nope.log"), "(404)", "This file does not exist")

    @method("jobmanager.metric_names")
    def jobmanager_metric_names(self) -> None:
        # The first request after a pause starts the fetch.
        names = until(self.client.jobmanager.metric_names, "metrics")
        contains(names, "taskSlotsTotal", "Status.JVM.Memory.Heap.Used")

    @method("jobmanager.metrics")
    def jobmanager_metrics(self) -> None:
        metrics = again(self.client.jobmanager.metrics)
        equal((metrics["taskSlotsTotal"], metrics["numRegisteredTaskManagers"]), ("4", "1"))

    # The TaskManagers.

    @method("taskmanagers.all")
    def taskmanagers_all(self) -> None:
        listed = again(self.client.taskmanagers.all)
        equal([(each["id"], each["slotsNumber"], each["freeSlots"]) for each in listed], [(TASK_MANAGER, 4, 4 - PARALLELISM)])

    @method("taskmanagers.taskmanager_ids")
    def taskmanager_ids(self) -> None:
        equal(again(self.client.taskmanagers.taskmanager_ids), [TASK_MANAGER])

    @method("taskmanagers.get")
    def taskmanagers_get(self) -> None:
        details = again(lambda: self.client.taskmanagers.get(TASK_MANAGER))
        equal([slot["jobId"] for slot in details["allocatedSlots"]], [self.job] * PARALLELISM)
        equal(details["totalResource"]["cpuCores"], 4.0)
        rejected(lambda: self.client.taskmanagers.get("nope"), "(500)", "No TaskExecutor registered under nope.")

    @method("taskmanagers.get_logs")
    def taskmanagers_get_logs(self) -> None:
        logs = again(lambda: self.client.taskmanagers.get_logs(TASK_MANAGER))
        contains([log["name"] for log in logs], "flink-taskmanager1.log", "flink-taskmanager1.out")

    @method("taskmanagers.metric_names")
    def taskmanagers_metric_names(self) -> None:
        contains(until(self.client.taskmanagers.metric_names, "metrics"), "Status.JVM.Memory.Heap.Used")

    @method("taskmanagers.metrics")
    def taskmanagers_metrics(self) -> None:
        name = "Status.JVM.Memory.Heap.Used"
        metrics = again(lambda: self.client.taskmanagers.metrics([name], ["min", "max"], [TASK_MANAGER]))
        equal((list(metrics), sorted(metrics[name])), ([name], ["max", "min"]))
        assert metrics[name]["min"] == metrics[name]["max"] > 0, metrics

    @method("taskmanagers.get_metrics")
    def taskmanagers_get_metrics(self) -> None:
        metrics = again(lambda: self.client.taskmanagers.get_metrics(TASK_MANAGER))
        assert float(metrics["Status.JVM.Memory.Heap.Used"]) > 0, metrics

    @method("taskmanagers.get_thread_dump")
    def taskmanagers_get_thread_dump(self) -> None:
        dump = again(lambda: self.client.taskmanagers.get_thread_dump(TASK_MANAGER))
        contains(dump, "main", f"Source: numbers -> throttle (1/{PARALLELISM})#0")

    # Jars.

    @method("jars.upload")
    def jars_upload(self) -> None:
        jar = self.upload(self.jar("uploaded"))
        assert jar.endswith("_uploaded.jar"), jar

    @method("jars.all")
    def jars_all(self) -> None:
        uploaded = [jar for jar in again(self.client.jars.all)["files"] if jar["name"] == "uploaded.jar"]
        equal(uploaded[0]["entry"], [{"name": "demo.Counting", "description": None}])

    @method("jars.get_plan")
    def jars_get_plan(self) -> None:
        jar = self.upload(self.jar("planned"))
        plan = again(lambda: self.client.jars.get_plan(jar))
        equal((plan["name"], len(plan["nodes"])), ("planned", 2))
        rejected(lambda: self.client.jars.get_plan("nope.jar"), "(500)", "does not exist")

    @method("jars.run")
    def jars_run(self) -> None:
        jar = self.upload(self.jar("run", "bounded", "--records", "10"))
        job = self.start("run", lambda: self.client.jars.run(jar, parallelism=1))
        self.wait_for(job, "FINISHED")

    @method("jars.upload_and_run")
    def jars_upload_and_run(self) -> None:
        path = self.jar("at-once", "bounded", "--records", "10")
        self.wait_for(self.start("at-once", lambda: self.client.jars.upload_and_run(path)), "FINISHED")

    @method("jars.delete")
    def jars_delete(self) -> None:
        jar = self.upload(self.jar("deleted"))
        try:
            equal(again(lambda: self.client.jars.delete(jar)), True)
        except RestException:
            # A lost reply: the first attempt has deleted it.
            if common.FAULTS == "none":
                raise
        contains([jar["name"] for jar in again(self.client.jars.all)["files"]], "planned.jar")
        rejected(lambda: self.client.jars.delete(jar), "(400)", f"File {jar} does not exist")

    @method("jars.upload of a real jar")
    def a_real_jar(self) -> None:
        path = Path(self.folder) / "real.jar"
        path.write_bytes(b"PK\x03\x04")
        rejected(lambda: self.client.jars.upload(str(path)), "(400)", "pipewright-sim cannot run real.jar", "`pipewright-sim jar endless")

    # Jobs.

    @method("jobs.all")
    def jobs_all(self) -> None:
        contains(again(self.jobs.all), {"id": self.job, "status": "RUNNING"})

    @method("jobs.job_ids")
    def job_ids(self) -> None:
        contains(again(self.jobs.job_ids), self.job)

    @method("jobs.overview")
    def jobs_overview(self) -> None:
        [job] = self.jobs_named("watched")
        equal((job["jid"], job["state"], job["tasks"]["running"]), (self.job, "RUNNING", 2 * PARALLELISM))

    @method("jobs.metric_names")
    def jobs_metric_names(self) -> None:
        contains(until(self.jobs.metric_names, "metrics"), "numRestarts", "uptime")

    @method("jobs.metrics")
    def jobs_metrics(self) -> None:
        metrics = again(lambda: self.jobs.metrics(["numRestarts"], job_ids=[self.job]))
        equal(metrics, {"numRestarts": {"min": 0.0, "max": 0.0, "avg": 0.0, "sum": 0.0}})

    @method("jobs.get")
    def jobs_get(self) -> None:
        job = again(lambda: self.jobs.get(self.job))
        equal((job["name"], job["state"], len(job["vertices"])), ("watched", "RUNNING", 2))
        rejected(lambda: self.jobs.get(UNKNOWN), "(404)", f"Job {UNKNOWN} not found")

    @method("jobs.get_config")
    def jobs_get_config(self) -> None:
        equal(again(lambda: self.jobs.get_config(self.job))["execution-config"]["job-parallelism"], PARALLELISM)

    @method("jobs.get_exceptions")
    def jobs_get_exceptions(self) -> None:
        equal(again(lambda: self.jobs.get_exceptions(self.job))["exceptionHistory"]["entries"], [])
        failed = self.started("failed", "failing", "--records", "10", "--restarts", "0")
        self.wait_for(failed, "FAILED")
        entries = until(lambda: self.jobs.get_exceptions(failed)["exceptionHistory"]["entries"], "exceptions")
        contains(entries[0]["stacktrace"], "Recovery is suppressed by NoRestartBackoffTimeStrategy", "demo: told to fail")

    @method("jobs.get_execution_result")
    def jobs_get_execution_result(self) -> None:
        equal(again(lambda: self.jobs.get_execution_result(self.job)), {"status": {"id": "IN_PROGRESS"}})
        ended = self.jobs_named("run")[0]["jid"]
        result = again(lambda: self.jobs.get_execution_result(ended))["job-execution-result"]
        equal((result["application-status"], list(result["accumulator-results"])), ("SUCCEEDED", ["records"]))

    @method("jobs.get_metrics")
    def jobs_get_metrics(self) -> None:
        equal(again(lambda: self.jobs.get_metrics(self.job))["numRestarts"], "0")

    @method("jobs.get_plan")
    def jobs_get_plan(self) -> None:
        plan = again(lambda: self.jobs.get_plan(self.job))
        equal([node["parallelism"] for node in plan["nodes"]], [PARALLELISM] * 2)

    @method("jobs.get_vertex_ids")
    def jobs_get_vertex_ids(self) -> None:
        equal(len(again(lambda: self.jobs.get_vertex_ids(self.job))), 2)

    @method("jobs.get_accumulators")
    def jobs_get_accumulators(self) -> None:
        accumulators = again(lambda: self.jobs.get_accumulators(self.job, include_serialized_value=True))
        equal([each["name"] for each in accumulators["user-task-accumulators"]], ["records"])
        contains(accumulators["serialized-user-task-accumulators"], "records")

    @method("jobs.get_checkpointing_configuration")
    def jobs_get_checkpointing_configuration(self) -> None:
        config = again(lambda: self.jobs.get_checkpointing_configuration(self.job))
        equal((config["mode"], config["interval"]), ("exactly_once", 1000))

    @method("jobs.get_checkpoints")
    def jobs_get_checkpoints(self) -> None:
        statistics = until(lambda: self.completed() and self.jobs.get_checkpoints(self.job), "a checkpoint")
        equal(statistics["latest"]["completed"]["status"], "COMPLETED")

    def completed(self) -> list[int]:
        history = self.jobs.get_checkpoints(self.job)["history"]
        return [entry["id"] for entry in history if entry["status"] == "COMPLETED"]

    @method("jobs.get_checkpoint_ids")
    def jobs_get_checkpoint_ids(self) -> None:
        contains(again(lambda: self.jobs.get_checkpoint_ids(self.job)), *again(self.completed)[:1])

    @method("jobs.get_checkpoint_details")
    def jobs_get_checkpoint_details(self) -> None:
        def details() -> dict:
            number = self.completed()[0]
            return self.jobs.get_checkpoint_details(self.job, number, show_subtasks=True)

        checkpoint = again(details)
        equal((checkpoint["status"], checkpoint["num_acknowledged_subtasks"]), ("COMPLETED", 2 * PARALLELISM))
        equal(sorted(checkpoint["tasks"]), sorted(checkpoint["subtasks"]))
        for task in checkpoint["subtasks"].values():
            equal([(each["index"], each["status"]) for each in task["subtasks"]], [(0, "completed"), (1, "completed")])

    @method("jobs.rescale")
    def jobs_rescale(self) -> None:
        rejected(lambda: self.jobs.rescale(self.job, 1), "(503)", "Rescaling is temporarily disabled. See FLINK-12312.")

    @method("jobs.create_savepoint")
    def jobs_create_savepoint(self) -> None:
        trigger = again(lambda: self.jobs.create_savepoint(self.job, TARGET))
        status = until(lambda: trigger.status["status"]["id"] == "COMPLETED" and trigger.status, "a savepoint")
        assert status["operation"]["location"].startswith("file:/savepoints/here/savepoint-"), status
        unknown = again(lambda: self.jobs.create_savepoint(UNKNOWN, TARGET))
        failure = again(lambda: unknown.status)["operation"]["failure-cause"]
        contains(failure["stack-trace"], f"Could not find Flink job ({UNKNOWN})")

    @method("jobs.stop")
    def jobs_stop(self) -> None:
        job = self.running("stopped")
        trigger = None
        for _ in range(8):
            try:
                trigger = self.jobs.stop(job, TARGET, drain=True)
                break
            except requests.exceptions.RequestException:
                # Two stops at once end each other: whether the first one goes on shows when it has had time to end.
                time.sleep(1)
                if common.FAULTS == "none" or self.state(job) == "FINISHED":
                    break
        self.wait_for(job, "FINISHED")
        if trigger:
            status = until(lambda: trigger.status["status"]["id"] == "COMPLETED" and trigger.status, "a savepoint")
            assert status["operation"]["location"].startswith("file:/savepoints/here/savepoint-"), status
        else:
            assert common.FAULTS != "none", "the client has no trigger"

    @method("jobs.terminate")
    def jobs_terminate(self) -> None:
        job = self.running("terminated")
        equal(again(lambda: self.jobs.terminate(job)), True)
        self.wait_for(job, "CANCELED")

    # Vertices.

    @method("vertex.details")
    def vertex_details(self) -> None:
        details = again(self.vertex.details)
        equal((details["parallelism"], [subtask["status"] for subtask in details["subtasks"]]), (PARALLELISM, ["RUNNING"] * PARALLELISM))

    @method("vertex.backpressure")
    def vertex_backpressure(self) -> None:
        pressure = until(lambda: self.vertex.backpressure()["status"] == "ok" and self.vertex.backpressure(), "samples")
        equal((pressure["backpressureLevel"], [each["subtask"] for each in pressure["subtasks"]]), ("ok", [0, 1]))

    @method("vertex.metric_names")
    def vertex_metric_names(self) -> None:
        contains(until(self.vertex.metric_names, "metrics"), "0.numRecordsIn", "1.numRecordsOut")

    @method("vertex.metrics")
    def vertex_metrics(self) -> None:
        metrics = again(lambda: self.vertex.metrics(["0.numRecordsOut", "1.numRecordsOut"]))
        equal(sorted(metrics), ["0.numRecordsOut", "1.numRecordsOut"])
        assert int(metrics["0.numRecordsOut"]) >= 0, metrics

    @method("vertex.subtasktimes")
    def vertex_subtasktimes(self) -> None:
        times = again(self.vertex.subtasktimes)["subtasks"]
        equal([each["subtask"] for each in times], [0, 1])
        assert times[0]["timestamps"]["RUNNING"] >= times[0]["timestamps"]["DEPLOYING"] > 0, times

    @method("vertex.taskmanagers")
    def vertex_taskmanagers(self) -> None:
        managers = again(self.vertex.taskmanagers)["taskmanagers"]
        equal([(each["taskmanager-id"], each["status"]) for each in managers], [(TASK_MANAGER, "RUNNING")])

    @method("vertex.watermarks")
    def vertex_watermarks(self) -> None:
        # A source has none.
        equal(again(self.vertex.watermarks), [])
        marks = until(self.sink.watermarks, "watermarks")
        equal([each["id"] for each in marks], ["0.currentInputWatermark", "1.currentInputWatermark"])

    # Subtasks.

    @method("subtasks.subtask_ids")
    def subtask_ids(self) -> None:
        equal(again(self.vertex.subtasks.subtask_ids), [0, 1])

    @method("subtasks.accumulators")
    def subtasks_accumulators(self) -> None:
        accumulators = again(self.vertex.subtasks.accumulators)
        equal((accumulators["parallelism"], len(accumulators["subtasks"])), (PARALLELISM, PARALLELISM))

    @method("subtasks.metric_names")
    def subtasks_metric_names(self) -> None:
        contains(until(self.vertex.subtasks.metric_names, "metrics"), "numRecordsOut")

    @method("subtasks.metrics")
    def subtasks_metrics(self) -> None:
        metrics = again(lambda: self.vertex.subtasks.metrics(["numRecordsOut"], ["sum", "max"], [0, 1]))
        assert metrics["numRecordsOut"]["sum"] >= metrics["numRecordsOut"]["max"], metrics

    @method("subtasks.get")
    def subtasks_get(self) -> None:
        subtask = again(lambda: self.vertex.subtasks.get(1))
        equal((subtask["subtask"], subtask["attempt"], subtask["status"]), (1, 0, "RUNNING"))
        equal(subtask["taskmanager-id"], TASK_MANAGER)

    @method("subtasks.get_attempt")
    def subtasks_get_attempt(self) -> None:
        attempt = again(lambda: self.vertex.subtasks.get_attempt(1, 0))
        equal((attempt["subtask"], attempt["attempt"]), (1, 0))
        equal(again(lambda: self.vertex.subtasks.get_attempt(1))["attempt"], 0)
        rejected(lambda: self.vertex.subtasks.get_attempt(1, 7), "(404)")

    @method("subtasks.get_attempt_accumulators")
    def subtasks_get_attempt_accumulators(self) -> None:
        accumulators = again(lambda: self.vertex.subtasks.get_attempt_accumulators(1))
        equal((accumulators["subtask"], accumulators["attempt"]), (1, 0))


    # What the client gets wrong.

    def run_with(self, name: str, **options: Any) -> str:
        """The name of the job that a jar of this name becomes when it is run with these options."""
        jar = self.upload(self.jar(name, "bounded", "--records", "1"))
        job = self.start(name, lambda: self.client.jars.run(jar, **options))
        return again(lambda: self.jobs.get(job))["name"]

    def arguments(self) -> None:
        if self.run_with("without-arguments", arguments={"name": "named"}) != "named":
            raise ValueError("the arguments were ignored")

    def entry_class(self) -> None:
        self.run_with("without-class", entry_class="demo.Missing")
        raise ValueError("the class was ignored")

    def all_metrics(self) -> None:
        again(lambda: self.vertex.metrics())


def delete_cluster(client: FlinkRestClient) -> None:
    """After it, nothing listens."""
    try:
        equal(again(client.delete_cluster), {})
    except requests.exceptions.ConnectionError:
        # A lost reply.
        if common.FAULTS == "none":
            raise
    end = time.monotonic() + LIMIT
    while time.monotonic() < end:
        try:
            client.overview()
        except requests.exceptions.ConnectionError as error:
            if "refused" in str(error):
                return
        except requests.exceptions.RequestException:
            pass
        time.sleep(0.05)
    raise AssertionError("the cluster still listens")


def client_of(simulator: common.Simulator) -> FlinkRestClient:
    return FlinkRestClient.get(host="127.0.0.1", port=simulator.port)


def main() -> int:
    checks = common.Checks("flink_rest_client_1_0_8")
    with tempfile.TemporaryDirectory() as folder, common.Simulator("flink", *OPTIONS) as simulator:
        scenario = Scenario(client_of(simulator), folder)
        for label, check in METHODS:
            checks.check(label, lambda check=check: check(scenario))
        reason = "it sends `programArgs`, which 2.0 and later ignore, instead of `programArgsList`"
        checks.client_fault("jars.run with arguments", reason, scenario.arguments, "the arguments were ignored")
        reason = "it sends `entry-class` in the body, where the server reads `entryClass`"
        checks.client_fault("jars.run with entry_class", reason, scenario.entry_class, "the class was ignored")
        reason = "it sends all names in one request line, which is longer than 4096 bytes"
        checks.client_fault("vertex.metrics of all names", reason, scenario.all_metrics, "(404)")
        if common.FAULTS != "none":
            checks.check("faults", lambda: contains(simulator.log(), "[applied, but the reply lost]"))
    # Alone, because a cluster with unread results of savepoints goes on.
    with common.Simulator("flink", *OPTIONS) as simulator:
        checks.check("delete_cluster", lambda: delete_cluster(client_of(simulator)))
    return checks.finish()


if __name__ == "__main__":
    sys.exit(main())
