"""Runs Flink's command line: where it comes from, and what its commands print."""

import http.client
import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import common

ROOT = Path(__file__).parents[3]
# The longest wait for a command, in seconds.
LIMIT = 120
#: A line of `list`: start, job, name, state.
JOB = re.compile(r"^\S+ \S+ : ([0-9a-f]{32}) : (.*) \(([A-Z]+)\)$", re.MULTILINE)
OPENS = ("java.lang", "java.net", "java.util", "java.util.concurrent")


class Failed(Exception):
    """A command that ended with an error; its text is what the command printed."""


def prepare() -> tuple[Path, Path]:
    """Fetches the client, makes the jar of a program unless it is up to date, and returns the client's folder and the jar."""
    for program, package in (("java", "openjdk-17-jre-headless"), ("javac", "openjdk-17-jdk-headless")):
        if shutil.which(program) is None:
            raise SystemExit(f"flink_command_line needs {program}: install {package}")
    # The pip of this environment, because the system may have none.
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "FLINK_VERSION": "2.3.0"}
    # The caller's folder may have another release.
    environment.pop("FLINK_HOME", None)
    home = subprocess.run([ROOT / "tests/flink/install"], env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout
    jar = ROOT / "target/clients/flink_command_line/jobs/endless.jar"
    sources = (ROOT / "tests/flink/jobs").glob("*.java")
    if not jar.exists() or jar.stat().st_mtime < max(source.stat().st_mtime for source in sources):
        subprocess.run([ROOT / "tests/flink/build-jars", jar.parent], env=environment, check=True, stdout=subprocess.DEVNULL)
    return Path(home.strip()) / "lib", jar


class Cli:
    """The command line, for one cluster."""

    def __init__(self, classpath: Path, folder: str, port: int) -> None:
        # By default, a lost request is repeated after three seconds.
        Path(folder, "config.yaml").write_text("rest.address: 127.0.0.1\nrest.retry.delay: 100 ms\n")
        Path(folder, "log4j2.properties").write_text("rootLogger.level = OFF\n")
        self.environment = os.environ | {"FLINK_CONF_DIR": folder, "FLINK_LIB_DIR": str(classpath)}
        opens = (f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in OPENS)
        log = f"-Dlog4j.configurationFile={folder}/log4j2.properties"
        java = ("java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto", log, *opens, "-cp", f"{classpath}/*")
        self.command = (*java, "org.apache.flink.client.cli.CliFrontend")
        self.address = f"127.0.0.1:{port}"

    def run(self, action: str, *arguments: str) -> str:
        """Runs a command once, and returns what it prints."""
        command = (*self.command, action, "-m", self.address, *arguments)
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        done = subprocess.run(command, env=self.environment, timeout=LIMIT, **streams)
        if done.returncode != 0:
            raise Failed(done.stdout)
        return done.stdout

    def again(self, action: str, *arguments: str) -> str:
        """Runs a command, and repeats it after faults: only for what does no harm twice."""
        return common.repeat(lambda: self.run(action, *arguments), Failed)

    def jobs(self) -> dict[str, tuple[str, str]]:
        """All jobs by id: name and state."""
        return {job: (name, state) for job, name, state in JOB.findall(self.again("list", "-a"))}

    def state(self, job: str) -> str:
        """The state of a job, without the client, which takes seconds to start."""
        with urllib.request.urlopen(f"http://{self.address}/v1/jobs/{job}/status", timeout=LIMIT) as response:
            return json.load(response)["status"]

    def wait_for(self, job: str, state: str) -> None:
        end = time.monotonic() + LIMIT
        while common.repeat(lambda: self.state(job), OSError, http.client.HTTPException) != state:
            assert time.monotonic() < end, f"{job} is not {state} within {LIMIT} s"
            time.sleep(0.05)

    def rejected(self, expected: str, action: str, *arguments: str) -> None:
        """A command that ends with this error; other errors are faults."""
        for _ in range(8):
            try:
                self.run(action, *arguments)
            except Failed as failed:
                if expected in str(failed):
                    return
                if common.FAULTS == "none":
                    raise
            else:
                raise AssertionError(f"{action} {arguments} is not rejected")
        raise AssertionError(f"{action} {arguments}: no attempt was rejected with {expected!r}")
