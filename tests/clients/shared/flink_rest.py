"""What the checks of `flink-rest-client` share: repetition, assertions, and a cluster on which jobs are started once."""

import subprocess
import time
from pathlib import Path
from typing import Any, Callable

import common
import requests
from flink_rest_client import FlinkRestClient
from flink_rest_client.common import RestException

# The longest wait, in seconds.
LIMIT = 30
TASK_MANAGER = "127.0.0.1:44883-f8bb4a"
UNKNOWN = "0" * 32
TARGET = "file:///savepoints/here"


def again(call: Callable[[], Any]) -> Any:
    return common.repeat(call, requests.exceptions.RequestException)


def until(condition: Callable[[], Any], what: str) -> Any:
    """Waits until a read is what it should be, and returns it."""
    end = time.monotonic() + LIMIT
    while time.monotonic() < end:
        value = again(condition)
        if value:
            return value
        time.sleep(0.05)
    raise AssertionError(f"not within {LIMIT} s: {what}")


def equal(actual: Any, expected: Any) -> None:
    assert actual == expected, f"{actual!r} is not {expected!r}"


def contains(actual: Any, *expected: Any) -> None:
    for item in expected:
        assert item in actual, f"{item!r} is not in {actual!r}"


def rejected(call: Callable[[], Any], *texts: str) -> None:
    """A call that the server rejects, as the client tells it."""
    try:
        result = again(call)
    except RestException as error:
        return contains(str(error), *texts)
    raise AssertionError(f"not rejected: {result!r}")


def make_jar(folder: str, name: str, kind: str, *options: str) -> str:
    path = str(Path(folder) / f"{name}.jar")
    subprocess.run([common.PROGRAM, "jar", kind, "-o", path, "--name", name, *options], check=True)
    return path


class Cluster:
    """A cluster, the jars that are made for it, and the jobs that are started on it."""

    def __init__(self, client: FlinkRestClient, folder: str) -> None:
        self.client, self.jobs, self.folder = client, client.jobs, folder

    def jar(self, name: str, *kind: str) -> str:
        return make_jar(self.folder, name, *(kind or ("endless",)))

    def upload(self, path: str) -> str:
        return again(lambda: self.client.jars.upload(path))["filename"].rsplit("/", 1)[1]

    def jobs_named(self, name: str) -> list[dict]:
        return [job for job in again(self.jobs.overview) if job["name"] == name]

    def start(self, name: str, run: Callable[[], str]) -> str:
        """Starts the job of this name, once."""
        for _ in range(8):
            try:
                return run()
            except requests.exceptions.RequestException:
                if common.FAULTS == "none":
                    raise
                started = self.jobs_named(name)
                if started:
                    return started[0]["jid"]
        raise AssertionError(f"{name} was not started")

    def state(self, job: str) -> str:
        return {entry["id"]: entry["status"] for entry in again(self.jobs.all)}[job]

    def wait_for(self, job: str, state: str) -> None:
        until(lambda: self.state(job) == state, f"{job} is {state}")

    def started(self, name: str, *kind: str) -> str:
        jar = self.upload(self.jar(name, *kind))
        return self.start(name, lambda: self.client.jars.run(jar))

    def running(self, name: str, *kind: str) -> str:
        """Starts a job, and waits for its tasks: before, it can have no savepoint."""
        job = self.started(name, *kind)
        until(lambda: [tasks for tasks in self.tasks(name) if tasks["running"] == tasks["total"] > 0], f"{name} runs")
        return job

    def tasks(self, name: str) -> list[dict]:
        return [job["tasks"] for job in self.jobs_named(name)]
