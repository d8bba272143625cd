"""What the official Feldera clients ask about whole pipelines: configuration, descriptions, life cycles."""

from feldera import FelderaClient, Pipeline, PipelineBuilder
from feldera.enums import (
    DeploymentDesiredStatus,
    DeploymentResourcesDesiredStatus,
    DeploymentResourcesStatus,
    DeploymentRuntimeDesiredStatus,
    DeploymentRuntimeStatus,
    PipelineFieldSelector,
    PipelineStatus,
    ProgramStatus,
    StorageStatus,
)
from feldera.rest.errors import FelderaAPIError
from feldera.rest.pipeline import Pipeline as Description
from feldera.runtime_config import RuntimeConfig

import common
from shared.feldera_base import LIMIT, SQL, again, api_error, connect, equal, expect, make, until


def platform(checks: common.Checks, client: FelderaClient, version: str) -> None:
    """The server's configuration, keys, metrics of all pipelines, and what only an owner may see."""

    def config() -> None:
        found = client.get_config()
        assert found.version == version, found.version
        assert found.edition.is_enterprise(), found.edition

    def key() -> None:
        made = client.create_api_key("writer", role="write")
        assert made["name"] == "writer" and made["api_key"].startswith("apikey:"), made
        keyed = connect(client.config.url, api_key=made["api_key"])
        assert keyed.pipelines() == []

    checks.check("get_config", config)
    if common.FAULTS == "none":
        # A key cannot be had again: neither the client nor this script repeats it.
        checks.check("create_api_key", key)
        checks.check(
            "create_api_key again", lambda: api_error(409, "DuplicateName", lambda: client.create_api_key("writer"))
        )
    checks.check("no pipelines", lambda: equal(client.pipelines(), []))
    checks.check("all", lambda: equal(Pipeline.all(client), []))
    checks.check(
        "unknown pipeline", lambda: api_error(404, "UnknownPipelineName", lambda: Pipeline.get("nope", client))
    )
    checks.check(
        "list_tenants", lambda: equal(expect(FelderaAPIError, "pipewright-sim", client.list_tenants).status_code, 501)
    )


def descriptions(checks: common.Checks, client: FelderaClient, version: str) -> Pipeline:
    """Pipelines that are made, read, changed and deleted; programs that do not compile."""

    def create() -> None:
        if common.FAULTS == "none":
            PipelineBuilder(client, "made", SQL, description="first").create()
            expect(RuntimeError, "already exists", PipelineBuilder(client, "made", SQL).create)
        else:
            make(client, "made", SQL, description="first")
        equal(Pipeline.get("made", client).description(), "first")

    def inner() -> None:
        described = Description("low", SQL, "", "", {"profile": "dev"}, {"workers": 2}, tags=["b", "a", "a"])
        made = again(lambda: client.create_or_update_pipeline(described))
        equal((made.name, made.program_status, made.tags), ("low", "Success", ["a", "b"]))
        equal(client.get_runtime_config("low")["workers"], 2)
        equal(sorted(pipeline.name for pipeline in client.pipelines()), ["low", "made"])
        every = client.pipelines(PipelineFieldSelector.ALL)
        equal(sorted(pipeline.program_config["profile"] for pipeline in every), ["dev", "optimized"])
        client.delete_pipeline("low")
        api_error(404, "UnknownPipelineName", lambda: client.get_pipeline("low", PipelineFieldSelector.STATUS))

    def sql_error() -> None:
        error = expect(
            RuntimeError, "failed to compile", lambda: make(client, "wrong", "CREATE TABLE t (id NONSENSE);")
        )
        assert "NONSENSE" in str(error), str(error)
        wrong = Pipeline.get("wrong", client)
        equal(wrong.program_status(), ProgramStatus.SqlError)
        equal([list(error) for error in wrong.errors()], [["sql_compilation"]])
        expect(FelderaAPIError, "CannotStartWithCompilationError", lambda: wrong.start(timeout_s=LIMIT))
        wrong.delete()

    def rust_error() -> None:
        expect(RuntimeError, "RustError", lambda: make(client, "rusty", SQL, udf_rust='compile_error!("no");'))
        equal(Pipeline.get("rusty", client).program_status(), ProgramStatus.RustError)
        client.delete_pipeline("rusty")

    checks.check("create", create)
    checks.check("create_or_update_pipeline", inner)
    checks.check("SQL error", sql_error)
    checks.check("Rust error", rust_error)

    pipeline = Pipeline.get("made", client)

    def properties() -> None:
        equal(pipeline.name, "made")
        assert pipeline.program_code().startswith("CREATE TABLE t"), pipeline.program_code()
        equal((pipeline.udf_rust(), pipeline.udf_toml()), ("", ""))
        equal(pipeline.program_config()["profile"], "optimized")
        equal(pipeline.platform_version(), version)
        equal((pipeline.program_status(), pipeline.storage_status()), (ProgramStatus.Success, StorageStatus.CLEARED))
        equal(pipeline.storage_status_details(), None)
        equal((pipeline.status(), pipeline.deployment_error()), (PipelineStatus.STOPPED, None))
        equal([table.name for table in pipeline.tables()], ["t", "generated"])
        equal([view.name for view in pipeline.views() if view.name != "error_view"], ["v", "numbers"])
        equal([field["name"] for field in pipeline.tables()[0].fields], ["id", "s"])
        assert pipeline.created_at() <= pipeline.program_status_since()
        assert pipeline.created_at() <= pipeline.deployment_status_since()
        assert len(pipeline.id()) == 36 and pipeline.version() >= 1 and pipeline.program_version() >= 1
        assert set(pipeline.program_info()) >= {"schema", "input_connectors", "output_connectors"}
        equal(set(pipeline.program_error()), {"sql_compilation", "rust_compilation", "system_error"})
        equal((pipeline.errors(), pipeline.bootstrap_policy()), ([], None))

    def modify() -> None:
        versions = (pipeline.version(), pipeline.program_version())
        again(lambda: pipeline.modify(description="second", tags=["prod|ef4444", "prod|22c55e", "a"]))
        equal((pipeline.description(), pipeline.tags()), ("second", ["a", "prod|22c55e"]))
        equal(pipeline.program_version(), versions[1])
        again(lambda: pipeline.modify(sql=SQL + "\n-- changed", program_config={"profile": "dev"}))
        assert pipeline.program_version() > versions[1]
        until(lambda: pipeline.program_status() == ProgramStatus.Success)
        equal(pipeline.program_config()["profile"], "dev")
        again(pipeline.update_runtime)
        equal(pipeline.platform_version(), version)
        until(lambda: pipeline.program_status() == ProgramStatus.Success)

    def settings() -> None:
        config = pipeline.runtime_config()
        config.workers = 3
        config.min_batch_size_records = 500
        again(lambda: pipeline.set_runtime_config(config))
        found = pipeline.runtime_config()
        equal((found.workers, found.min_batch_size_records), (3, 500))
        api_error(
            400, "InvalidRuntimeConfig", lambda: client.patch_pipeline("made", runtime_config={"workers": "many"})
        )

    def validate() -> None:
        success = again(lambda: client.validate_program(SQL))["Success"]
        equal([table["name"] for table in success["program_info"]["schema"]["inputs"]], ["t", "generated"])
        assert "SqlError" in again(lambda: client.validate_program("CREATE TABLE x (y NONSENSE);"))

    def diff() -> None:
        changed = again(lambda: pipeline.diff(program_code=SQL + "CREATE TABLE another (x INT);"))
        equal(changed["program_diff"]["added_tables"], ["another"])
        api_error(400, "InvalidNewProgramSql", lambda: pipeline.diff(program_code="CREATE TABLE x (y NONSENSE);"))

    for check in (properties, modify, settings, validate, diff):
        checks.check(check.__name__, check)
    return pipeline


def life_cycle(checks: common.Checks, client: FelderaClient, pipeline: Pipeline) -> None:
    """Started as paused, resumed, paused, stopped, restarted, activated; what is refused meanwhile."""

    def start_paused() -> None:
        pipeline.start_paused(timeout_s=LIMIT)
        equal(pipeline.status(), PipelineStatus.PAUSED)
        equal(pipeline.deployment_desired_status(), DeploymentDesiredStatus.PAUSED)
        expect(RuntimeError, "paused", lambda: pipeline.input_json("t", {"id": 1, "s": "a"}))
        expect(RuntimeError, "must be running", lambda: pipeline.wait_for_completion(timeout_s=1))

    def resume() -> None:
        again(lambda: pipeline.resume(timeout_s=LIMIT))
        equal(pipeline.status(), PipelineStatus.RUNNING)
        equal(pipeline.deployment_resources_status(), DeploymentResourcesStatus.PROVISIONED)
        equal(pipeline.deployment_resources_desired_status(), DeploymentResourcesDesiredStatus.PROVISIONED)
        equal(pipeline.deployment_runtime_status(), DeploymentRuntimeStatus.RUNNING)
        equal(pipeline.deployment_runtime_desired_status(), DeploymentRuntimeDesiredStatus.RUNNING)
        equal(pipeline.storage_status(), StorageStatus.INUSE)
        assert isinstance(pipeline.deployment_runtime_status_details(), dict)

    def pause() -> None:
        pipeline.pause(timeout_s=LIMIT)
        equal(pipeline.status(), PipelineStatus.PAUSED)
        pipeline.pause(wait=False)
        again(lambda: pipeline.resume(wait=False))
        pipeline.wait_for_status(PipelineStatus.RUNNING, timeout=LIMIT)

    def refused() -> None:
        api_error(400, "UpdateRestrictedToStopped", lambda: pipeline.modify(sql="CREATE TABLE x (y INT);"))
        api_error(400, "StorageStatusImmutableUnlessStopped", pipeline.clear_storage)
        api_error(400, "DeleteRestrictedToFullyStopped", lambda: client.delete_pipeline(pipeline.name))

    def restart() -> None:
        before = client.get_pipeline(pipeline.name, PipelineFieldSelector.STATUS).deployment_id
        pipeline.restart(timeout_s=LIMIT)
        equal(pipeline.status(), PipelineStatus.RUNNING)
        assert client.get_pipeline(pipeline.name, PipelineFieldSelector.STATUS).deployment_id != before

    def stop() -> None:
        pipeline.stop(force=True, timeout_s=LIMIT)
        equal(
            (pipeline.status(), pipeline.deployment_desired_status()),
            (PipelineStatus.STOPPED, DeploymentDesiredStatus.STOPPED),
        )
        again(pipeline.dismiss_error)
        expect(RuntimeError, "must be running", lambda: pipeline.listen("v"))
        again(lambda: pipeline.clear_storage(timeout_s=LIMIT))
        equal(pipeline.storage_status(), StorageStatus.CLEARED)

    def again_running() -> None:
        pipeline.start(timeout_s=LIMIT)
        equal(pipeline.status(), PipelineStatus.RUNNING)

    checks.check("start_paused", start_paused)
    checks.check("resume", resume)
    checks.check("pause", pause)
    checks.check("refused while running", refused)
    checks.check("restart", restart)
    checks.check("stop, dismiss_error, clear_storage", stop)
    checks.check("start", again_running)


def completion(checks: common.Checks, client: FelderaClient) -> None:
    """A pipeline whose inputs all end is complete."""

    def complete() -> None:
        sql = SQL.split("CREATE TABLE generated", 1)[1].split("CREATE MATERIALIZED VIEW v", 1)[0]
        pipeline = make(client, "bounded", "CREATE TABLE generated" + sql, runtime_config=RuntimeConfig(workers=1))
        pipeline.start(timeout_s=LIMIT)
        pipeline.wait_for_completion(force_stop=True, timeout_s=LIMIT)
        equal(pipeline.status(), PipelineStatus.STOPPED)
        again(lambda: pipeline.delete(clear_storage=True), FelderaAPIError)

    def failing() -> None:
        sql = """CREATE TABLE f (id BIGINT) WITH ('connectors' = '[{"name": "file", "transport": {"name": "file_input",
            "config": {"path": "/nope.json"}}, "format": {"name": "json"}}]');"""
        pipeline = make(client, "failing", sql)
        expect(RuntimeError, "Unable to START the pipeline", lambda: pipeline.start(timeout_s=LIMIT))
        equal(pipeline.deployment_error()["error_code"], "InitializationError")
        equal([error["error_code"] for error in pipeline.errors()], ["InitializationError"])
        api_error(400, "CannotStartWithUndismissedError", lambda: pipeline.start(wait=False, dismiss_error=False))
        again(pipeline.dismiss_error)
        equal(pipeline.deployment_error(), None)
        again(lambda: pipeline.clear_storage(timeout_s=LIMIT))
        pipeline.delete()

    checks.check("wait_for_completion", complete)
    checks.check("a connector that fails", failing)


def end(checks: common.Checks, client: FelderaClient, pipeline: Pipeline) -> None:
    """Nothing is left."""

    def delete() -> None:
        pipeline.stop(force=True, timeout_s=LIMIT)
        again(pipeline.clear_storage)
        pipeline.delete()
        equal(pipeline.status(), PipelineStatus.NOT_FOUND)
        equal(Pipeline.all(client), [])

    checks.check("delete", delete)
