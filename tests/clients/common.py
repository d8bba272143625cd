"""What the scripts of clients share: a simulator that is started and ended, and checks that are counted.

A script looks like this:

    # requires: feldera==0.369.0
    import common

    def main() -> int:
        checks = common.Checks("feldera_0_369")
        with common.Simulator("feldera", "--release", "0.375") as simulator:
            client = FelderaClient(simulator.url)
            checks.check("get_config", lambda: check_config(client))
        return checks.finish()

    if __name__ == "__main__":
        sys.exit(main())

`tests/clients/run` starts it with the fault plan as its argument, once with `none` and once with `flaky`.
"""

import os
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any, Callable, Optional, TypeVar

T = TypeVar("T")

#: The plan of faults of this run: `none` or `flaky`.
FAULTS = sys.argv[1] if len(sys.argv) > 1 else "none"
#: What ids and faults are drawn from.
SEED = int(os.environ.get("CLIENT_SEED", "7"))
#: The program that serves.
PROGRAM = os.environ.get("PIPEWRIGHT_SIM", str(Path(__file__).parents[2] / "target" / "debug" / "pipewright-sim"))


class Simulator:
    """A running `pipewright-sim`, with the faults of this run unless the options name others.

    As a context manager it ends with its block, and shows the last requests if the block or a check in it failed.
    """

    def __init__(self, service: str, *options: str) -> None:
        faults = () if "--faults" in options else ("--faults", FAULTS)
        seed = () if "--seed" in options else ("--seed", str(SEED))
        self.command = [PROGRAM, service, *options, *faults, *seed]
        #: Where it listens, as in `http://127.0.0.1:8081`.
        self.url = ""
        #: What it printed before that, line by line.
        self.lines: list[str] = []
        #: With `--tls`: the file of the certificate that the client has to trust.
        self.certificate = ""

    def __enter__(self) -> "Simulator":
        self._failed_before = Checks.failed_in_all
        self._log = tempfile.TemporaryFile(mode="w+")
        self._process = subprocess.Popen(self.command, stdout=subprocess.PIPE, stderr=self._log, text=True)
        for line in self._process.stdout:
            if line.startswith("listening on "):
                self.url = line.removeprefix("listening on ").strip()
                if self.url.startswith("https:"):
                    self.certificate = self._process.stdout.readline().removeprefix("CA certificate: ").strip()
                return self
            self.lines.append(line.rstrip("\n"))
        self._process.wait()
        raise RuntimeError(f"{' '.join(self.command)} does not listen: {self.log()}")

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self._process.terminate()
        self._process.wait(timeout=10)
        self._process.stdout.close()
        if self.certificate:
            Path(self.certificate).unlink(missing_ok=True)
        if kind is not None or Checks.failed_in_all > self._failed_before:
            print(self.tail(), file=sys.stderr)

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[1])

    def log(self) -> str:
        """All that it has written to its standard error output: a line for each request."""
        self._log.seek(0)
        text = self._log.read()
        self._log.seek(0, os.SEEK_END)
        return text

    def tail(self, lines: int = 20) -> str:
        return "\n".join(self.log().splitlines()[-lines:])


class Checks:
    """Counts calls of a client whose results are asserted."""

    #: How many calls failed in this process, whatever counts them.
    failed_in_all = 0

    def __init__(self, name: str) -> None:
        self.name = name
        self.passed = 0
        self.failed = 0

    def check(self, label: str, call: Callable[[], T]) -> Optional[T]:
        """Runs a call with its assertions, and returns its result; `None` if it fails."""
        try:
            result = call()
        except Exception:
            self._fail(label)
            return None
        self.passed += 1
        return result

    def client_fault(self, label: str, reason: str, call: Callable[[], Any], error: str = "") -> None:
        """Runs a call that the client itself gets wrong, also against the real service.

        It passes if the call raises an exception whose type or text contains `error`.
        """
        print(f"client fault: {self.name} {label}: {reason}", flush=True)
        try:
            result = call()
            raise AssertionError(f"the client gets it right, with {result!r}; check it as any other call")
        except Exception as raised:
            text = f"{type(raised).__name__}: {raised}"
            if isinstance(raised, AssertionError) or error not in text:
                self._fail(label)
                return
        self.passed += 1

    def finish(self) -> int:
        """Prints how many calls passed and failed, and returns the exit code of the script."""
        print(f"{self.name} {FAULTS}: passed={self.passed} failed={self.failed}", flush=True)
        return 0 if self.failed == 0 and self.passed > 0 else 1

    def _fail(self, label: str) -> None:
        self.failed += 1
        Checks.failed_in_all += 1
        print(f"{self.name} {FAULTS}: {label} failed", file=sys.stderr)
        traceback.print_exc()


def repeat(call: Callable[[], T], *errors: type[BaseException], attempts: int = 8) -> T:
    """Calls again after one of these errors, for clients and requests without retries of their own.

    Only for calls whose repetition does no harm, and only in a run with faults: without faults, every error counts.
    """
    for attempt in range(1, attempts + 1):
        try:
            return call()
        except errors:
            if FAULTS == "none" or attempt == attempts:
                raise
            time.sleep(0.1)
    raise AssertionError("attempts must be at least 1")
