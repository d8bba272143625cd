"""Tests what the scripts of clients share. `tests/clients/run` starts it before the first client."""

import contextlib
import io
import os
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

sys.argv[1:] = []
sys.path.insert(0, str(Path(__file__).parents[1]))

import common
from shared import flink_command_line

#: Listens nowhere, and logs one request.
PROGRAM = """#!/bin/sh
echo "GET /v1/overview 200" >&2
echo "listening on http://127.0.0.1:1"
exec sleep 60
"""


class SimulatorTest(unittest.TestCase):
    def run_check(self, call) -> str:
        """The standard error output of a script with one check."""
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stderr(io.StringIO()) as printed:
            program = Path(folder, "sim")
            program.write_text(PROGRAM)
            program.chmod(0o755)
            with mock.patch.object(common, "PROGRAM", str(program)), common.Simulator("flink"):
                common.Checks("test").check("call", call)
        return printed.getvalue()

    def test_a_failed_check_shows_the_last_requests(self):
        def fails():
            raise AssertionError("another answer")

        self.assertIn("GET /v1/overview 200", self.run_check(fails))

    def test_a_passed_check_shows_nothing(self):
        self.assertEqual(self.run_check(lambda: 1), "")


class FlinkCommandLineTest(unittest.TestCase):
    def test_the_environment_does_not_select_another_release(self):
        done = mock.Mock(stdout="/flink\n")
        with (
            mock.patch.dict(os.environ, {"FLINK_HOME": "/other", "FLINK_VERSION": "1.20.5"}),
            mock.patch.object(flink_command_line.shutil, "which", return_value="/usr/bin/java"),
            mock.patch.object(flink_command_line.subprocess, "run", return_value=done) as run,
        ):
            flink_command_line.prepare()
        for call in run.call_args_list:
            environment = call.kwargs["env"]
            self.assertEqual((environment.get("FLINK_HOME"), environment["FLINK_VERSION"]), (None, "2.3.0"))


if __name__ == "__main__":
    unittest.main(verbosity=0)
