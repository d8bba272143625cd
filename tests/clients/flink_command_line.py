"""Flink's own command line (2.3.0, `org.apache.flink.client.cli.CliFrontend`) against the simulated Flink.

Needs Java 17 and `javac`. `tests/flink/install` fetches Flink's jars, and `tests/flink/build-jars` makes the program that is submitted.

The client repeats a request, whatever it is, after a broken connection and after a 503; its wait is set to 100 ms here. It ends with an
error after a 429, and if a repeated submission is a duplicate. Here, commands are repeated that do no harm twice. After a failed `run`, the
list of jobs tells whether it was carried out. A `stop` that the client repeats by itself ends the first one, so it is looked up before
it is repeated.
"""

import re
import sys
import tempfile
import time

import common
from shared.flink_command_line import Cli, Failed, prepare

UNKNOWN = "0" * 29 + "bad"
SUBMITTED = re.compile(r"Job has been submitted with JobID ([0-9a-f]{32})")
SAVEPOINT = re.compile(r"Savepoint completed\. Path: (file:/savepoints/\S*savepoint-\S+)")
CHECKPOINT = re.compile(r"Checkpoint (\d+) for job ([0-9a-f]{32}) completed\.")


def found(pattern: re.Pattern, text: str) -> re.Match:
    match = pattern.search(text)
    assert match, f"{pattern.pattern} is not in {text!r}"
    return match


class Scenario:
    """A cluster with a program's jobs, and a check of each command."""

    def __init__(self, cli: Cli, simulator: common.Simulator, jar: str) -> None:
        self.cli, self.simulator, self.jar = cli, simulator, jar
        self.job = ""
        self.savepoints: list[str] = []

    def run_detached(self) -> None:
        self.job = self.submit("first")
        self.cli.wait_for(self.job, "RUNNING")
        remark = f'; the simulator cannot run a job graph: {self.job} is an endless job named "first"'
        assert common.FAULTS != "none" or remark in self.simulator.log(), self.simulator.tail()

    def submit(self, name: str) -> str:
        for _ in range(8):
            try:
                return found(SUBMITTED, self.cli.run("run", "-d", self.jar, "--name", name)).group(1)
            except Failed:
                if common.FAULTS == "none":
                    raise
                submitted = [job for job, (known, _) in self.cli.jobs().items() if known == name]
                if submitted:
                    return submitted[0]
        raise AssertionError(f"{name} was not submitted")

    def list_running(self) -> None:
        text = self.cli.again("list")
        assert f" : {self.job} : first (RUNNING)\n" in text and "No scheduled jobs." in text, text
        # Those that are created and not yet running.
        assert "No scheduled jobs." in self.cli.again("list", "-s")

    def list_all(self) -> None:
        assert self.cli.jobs()[self.job] == ("first", "RUNNING"), self.cli.jobs()

    def savepoint(self) -> None:
        path = found(SAVEPOINT, self.cli.again("savepoint", self.job)).group(1)
        assert path.startswith(f"file:/savepoints/savepoint-{self.job[:6]}-"), path
        native = self.cli.again("savepoint", "-type", "native", self.job, "file:///savepoints/elsewhere")
        self.savepoints = [path, found(SAVEPOINT, native).group(1)]
        assert self.savepoints[1].startswith("file:/savepoints/elsewhere/savepoint-"), native

    def savepoint_of_an_unknown_job(self) -> None:
        # The client reads it from the serialized exception in the result.
        self.cli.rejected(f"FlinkJobNotFoundException: Could not find Flink job ({UNKNOWN})", "savepoint", UNKNOWN)

    def dispose(self) -> None:
        path = self.savepoints[0]
        try:
            text = self.cli.again("savepoint", "-d", path)
            assert f"Savepoint '{path}' disposed." in text, text
        except Failed as failed:
            # Disposed by an attempt whose reply was lost.
            if common.FAULTS == "none" or "Cannot find checkpoint or savepoint" not in str(failed):
                raise
        self.cli.rejected(f"Cannot find checkpoint or savepoint file/directory '{path}'", "savepoint", "-d", path)

    def checkpoint(self) -> None:
        text = self.cli.again("checkpoint", self.job)
        number, job = found(CHECKPOINT, text).groups()
        assert int(number) > 0 and job == self.job, text

    def stop(self) -> None:
        for _ in range(8):
            try:
                path = found(SAVEPOINT, self.cli.run("stop", "-p", "file:///savepoints/stopped", self.job)).group(1)
                assert path.startswith("file:/savepoints/stopped/savepoint-"), path
                break
            except Failed:
                if common.FAULTS == "none":
                    raise
                # By now it has ended, or has restarted: a restart takes one second.
                time.sleep(2)
                if self.cli.jobs()[self.job][1] == "FINISHED":
                    break
        self.cli.wait_for(self.job, "FINISHED")

    def cancel_an_ended_job(self) -> None:
        self.cli.rejected("has already reached another terminal state (FINISHED)", "cancel", self.job)

    def cancel(self) -> None:
        job = self.submit("second")
        self.cli.wait_for(job, "RUNNING")
        text = self.cli.again("cancel", job)
        assert f"Cancelled job {job}." in text, text
        self.cli.wait_for(job, "CANCELED")

    def cancel_with_savepoint(self) -> None:
        job = self.submit("third")
        self.cli.wait_for(job, "RUNNING")
        for _ in range(8):
            try:
                text = self.cli.run("cancel", "-s", "file:///savepoints/cancelled", job)
                assert f"Savepoint stored in file:/savepoints/cancelled/savepoint-{job[:6]}-" in text, text
                break
            except Failed:
                if common.FAULTS == "none":
                    raise
                if self.cli.jobs()[job][1] == "CANCELED":
                    break
        self.cli.wait_for(job, "CANCELED")

    def list_ended(self) -> None:
        text = self.cli.again("list", "-a")
        assert "No running jobs." in text, text
        states = sorted(self.cli.jobs().values())
        assert states == [("first", "FINISHED"), ("second", "CANCELED"), ("third", "CANCELED")], states


def main() -> int:
    checks = common.Checks("flink_command_line")
    with tempfile.TemporaryDirectory() as folder:
        classpath, jar = prepare()
        with common.Simulator("flink") as simulator:
            scenario = Scenario(Cli(classpath, folder, simulator.port), simulator, str(jar))
            checks.check("run -d", scenario.run_detached)
            checks.check("list", scenario.list_running)
            checks.check("list -a", scenario.list_all)
            checks.check("savepoint", scenario.savepoint)
            checks.check("savepoint of an unknown job", scenario.savepoint_of_an_unknown_job)
            checks.check("savepoint -d", scenario.dispose)
            checks.check("checkpoint", scenario.checkpoint)
            checks.check("stop", scenario.stop)
            checks.check("cancel of an ended job", scenario.cancel_an_ended_job)
            checks.check("cancel", scenario.cancel)
            checks.check("cancel -s", scenario.cancel_with_savepoint)
            checks.check("list -a of ended jobs", scenario.list_ended)
            if common.FAULTS != "none":
                checks.check("faults", lambda: found(re.compile(r" \[(applied|not sent|reply delayed|429|503)"), simulator.log()))
    return checks.finish()


if __name__ == "__main__":
    sys.exit(main())
