# requires: feldera==0.337.0
"""The official client 0.337 against the simulated Feldera of its release."""

import sys

import common
from shared import feldera_base as base, feldera_manager as manager, feldera_process as process, feldera_sql as sql

VERSION = "0.337.0"


def main() -> int:
    checks = common.Checks("feldera_0_337")
    options = ("--release", "0.337", "--edition", "enterprise", "--time", f"fast:{base.PACE}")
    with common.Simulator("feldera", *options) as simulator:
        client = base.connect(simulator.url)
        manager.platform(checks, client, VERSION)
        pipeline = manager.descriptions(checks, client, VERSION)
        checks.client_fault(
            "deployment_config and deployment_location",
            "this release sends neither field, and the client has no default for them",
            lambda: (pipeline.deployment_location(), pipeline.deployment_config()),
            "AttributeError",
        )
        manager.life_cycle(checks, client, pipeline)
        process.data(checks, client, pipeline)
        process.observation(checks, client, pipeline)
        process.transactions(checks, client, pipeline)
        process.checkpoints(checks, client, pipeline)
        manager.completion(checks, client)
        sql.check(checks, client)
        manager.end(checks, client, pipeline)
    return checks.finish()


if __name__ == "__main__":
    sys.exit(main())
