# requires: snowpipe-streaming==1.9.1 cryptography==50.0.2
"""Snowflake's own SDK against the simulated Snowpipe Streaming, over TLS and with a key-pair JWT.

A process loads rows and is killed; the next one resumes after the last committed row, until the simulator holds every row once. Then
bulk status, the elastic channel, rejected rows, values, a second writer, and a drop. All that is asserted is what the simulator holds
or what the SDK returns.

The SDK repeats requests that failed. What it leaves to its caller is here as its manual describes it: a channel that has become invalid
is closed, opened again, and continued after the last committed offset token.
"""

import datetime
import decimal
import json
import os
import signal
import ssl
import subprocess
import sys
import time
import urllib.request
from typing import Any, Callable

import common
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

# The SDK reads it when it is imported, and logs to the standard output.
os.environ.setdefault("SS_LOG_LEVEL", "error")
from snowflake.ingest.streaming import StreamingIngestChannel, StreamingIngestClient, StreamingIngestError  # noqa: E402

#: How many rows are loaded, in how large slices, and after how many of them the first process is killed.
ROWS = 10_000
SLICE = 200
KILLED_AFTER = 4_000
#: The longest wait, in seconds.
LIMIT = 60
HOST = "127.0.0.1"
OPTIONS = ("--tls", "--advertise", HOST, "--commit-delay", "0.1..0.4")


def properties(url: str) -> dict[str, str]:
    """The profile of a user with a key pair. The simulator checks the claims of the JWT, and not its signature."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return {
        "url": url,
        "account": "MYORG-MYACCT",
        "user": "LOADER",
        "role": "INGEST",
        "private_key": pem.decode(),
        # Without these, the SDK uploads a file to a stage when more than 1 MiB of rows wait.
        "max_buffered_kb_for_rowset_mode": "4000000",
        "target_rowset_payload_size_mb": "1",
    }


def connect(url: str, table: str = "ORDERS") -> StreamingIngestClient:
    return StreamingIngestClient("loader", "DB", "PUBLIC", f"{table}-STREAMING", properties=properties(url))


def held(simulator: common.Simulator, channel: str, rest: str = "/rows", table: str = "ORDERS") -> Any:
    """What the simulator holds of a channel: the rows that were committed, in that order, or its state."""
    path = f"/_simulator/databases/DB/schemas/PUBLIC/pipes/{table}-STREAMING/channels/{channel}{rest}"
    trust = ssl.create_default_context(cafile=simulator.certificate)
    with urllib.request.urlopen(simulator.url + path, context=trust, timeout=LIMIT) as answer:
        text = answer.read().decode()
    return [json.loads(line) for line in text.splitlines()] if rest else json.loads(text)


def row(number: int) -> dict[str, Any]:
    return {"ID": number, "NAME": f"name \u00e4 {number}", "EVEN": number % 2 == 0, "NOTHING": None}


def rows(first: int, last: int) -> list[dict[str, Any]]:
    return [row(number) for number in range(first, last + 1)]


def committed(channel: StreamingIngestChannel, token: str) -> None:
    channel.wait_for_commit(lambda committed: committed == token, timeout_seconds=LIMIT)


def load(client: StreamingIngestClient, name: str, last: int) -> tuple[int, StreamingIngestChannel]:
    """Loads the rows up to `last` that are not committed. Returns where it began, and the channel."""
    channel, status = client.open_channel(name)
    start = at = int(status.latest_committed_offset_token or 0)
    while True:
        try:
            while at < last:
                channel.append_rows(rows(at + 1, at + SLICE), str(at + 1), str(at + SLICE))
                channel.wait_for_flush(LIMIT)
                at += SLICE
            committed(channel, str(last))
            return start, channel
        except StreamingIngestError as error:
            # Without faults, nothing makes a channel invalid.
            if common.FAULTS == "none" or error.error_code.value != "InvalidChannelError":
                raise
            channel.close(wait_for_flush=False)
            channel, status = client.open_channel(name)
            at = int(status.latest_committed_offset_token or 0)


def killed(url: str) -> None:
    """Loads some of the rows in this process, and dies while the last of them are on their way."""
    client = connect(url)
    _, channel = load(client, "crash", KILLED_AFTER)
    channel.append_rows(rows(KILLED_AFTER + 1, KILLED_AFTER + SLICE), str(KILLED_AFTER + 1), str(KILLED_AFTER + SLICE))
    channel.initiate_flush()
    os.kill(os.getpid(), signal.SIGKILL)


def crash_and_resume(simulator: common.Simulator, client: StreamingIngestClient) -> None:
    process = subprocess.run([sys.executable, __file__, common.FAULTS, "killed", simulator.url], timeout=5 * LIMIT)
    assert process.returncode == -signal.SIGKILL, process
    start, channel = load(client, "crash", ROWS)
    assert start in (KILLED_AFTER, KILLED_AFTER + SLICE), start
    assert channel.get_latest_committed_offset_token() == str(ROWS)
    assert held(simulator, "crash") == rows(1, ROWS), "a row is lost, doubled, or not the one that was sent"
    status = channel.get_channel_status()
    counts = (status.rows_inserted_count, status.rows_parsed_count, status.rows_error_count)
    assert counts == (ROWS, ROWS, 0), counts
    assert (status.status_code, status.channel_name, status.pipe_name) == ("SUCCESS", "crash", "ORDERS-STREAMING"), status


def one_by_one(simulator: common.Simulator, client: StreamingIngestClient) -> None:
    """The SDK joins appends in one request, and names the first and the last offset token."""
    channel, status = client.open_channel("single", offset_token="begin")
    assert status.latest_committed_offset_token == "begin", status
    for number in range(1, 501):
        channel.append_row(row(number), str(number))
    committed(channel, "500")
    assert held(simulator, "single") == rows(1, 500)


def burst(simulator: common.Simulator, client: StreamingIngestClient) -> None:
    """10 MB at once become several appends, one after the other."""
    channel, _ = client.open_channel("burst")
    large = [{"ID": number, "TEXT": f"{number} " + "x" * 10_000} for number in range(1, 1001)]
    for at in range(0, 1000, 50):
        channel.append_rows(large[at : at + 50], str(at + 1), str(at + 50))
    committed(channel, "1000")
    assert held(simulator, "burst") == large
    appends = [line for line in simulator.log().splitlines() if "/channels/burst/rows?" in line]
    assert len(appends) > 5, appends


def bulk_status(client: StreamingIngestClient) -> None:
    tokens = client.get_latest_committed_offset_tokens(["crash", "single", "absent"])
    assert tokens == {"crash": str(ROWS), "single": "500", "absent": None}, tokens
    statuses = client.get_channel_statuses(["single", "absent"])
    found = {name: (status.status_code, status.rows_inserted_count) for name, status in statuses.items()}
    assert found == {"single": ("SUCCESS", 500), "absent": ("ERR_CHANNEL_DOES_NOT_EXIST_OR_NOT_AUTHORIZED", 0)}, found


def elastic(simulator: common.Simulator, client: StreamingIngestClient) -> None:
    """At least once, in any order: without faults, once."""
    channel = client.get_elastic_channel()
    assert channel.get_channel_status().rows_inserted_count == 0
    done: list[Any] = []
    channel.set_success_handler(lambda detail: done.extend(detail.append_tokens))
    for at in range(0, 200, 10):
        future = channel.append_rows_with_wait(rows(at + 1, at + 10), at)
        channel.wait_for_flush(LIMIT)
        assert future.result(LIMIT) is None
    assert sorted(done) == list(range(0, 200, 10)), done
    found = wait_for(lambda: held(simulator, "ELASTIC"), lambda found: len(found) >= 200)
    numbers = sorted(found["ID"] for found in found)
    assert sorted(set(numbers)) == list(range(1, 201)), numbers
    assert common.FAULTS != "none" or len(numbers) == 200, numbers
    assert all(found == row(found["ID"]) for found in found)
    # The SDK asks for the status once a second at most. Rows that come twice may be committed meanwhile.
    wait_for(
        lambda: (channel.get_channel_status().rows_inserted_count, len(held(simulator, "ELASTIC"))),
        lambda counts: counts[0] == counts[1],
    )


def rejected(simulator: common.Simulator, client: StreamingIngestClient) -> None:
    """The offset token passes over a row that the table does not take; only the status tells."""
    channel, _ = client.open_channel("rejected")
    channel.append_row(row(1), "1")
    channel.append_row({**row(2), "ID": "two"}, "2")
    channel.append_row(row(3), "3")
    committed(channel, "3")
    status = channel.get_channel_status()
    assert (status.rows_parsed_count, status.rows_inserted_count, status.rows_error_count) == (3, 2, 1), status
    assert status.last_error_message == "Numeric value 'two' is not recognized", status
    assert status.last_error_offset_token_upper_bound == "3", status
    assert held(simulator, "rejected") == [row(1), row(3)]
    assert held(simulator, "rejected", "/rejected") == [{**row(2), "ID": "two"}]


def values(simulator: common.Simulator, client: StreamingIngestClient) -> None:
    """What the SDK makes of Python's values. How binary values are written is the pipe's default."""
    channel, _ = client.open_channel("values")
    utc = datetime.timezone.utc
    channel.append_row(
        {
            "BIG": 2**70,
            "REAL": 0.5,
            "MONEY": decimal.Decimal("12.340"),
            "DAY": datetime.date(2026, 11, 30),
            "AT": datetime.datetime(2026, 11, 30, 1, 2, 3, 4, tzinfo=utc),
            "BYTES": b"\x00\xff",
            "LIST": [1, {"A": None}],
            "TEXT": 'line\nbreak "quoted" \U0001f600',
        },
        "1",
    )
    committed(channel, "1")
    expected = {
        "BIG": 2**70,
        "REAL": 0.5,
        "MONEY": "12.340",
        "DAY": "2026-11-30",
        "AT": "2026-11-30T01:02:03.000004Z",
        "BYTES": "AP8=",
        "LIST": [1, {"A": None}],
        "TEXT": 'line\nbreak "quoted" \U0001f600',
    }
    assert held(simulator, "values") == [expected], held(simulator, "values")


def second_writer(simulator: common.Simulator, client: StreamingIngestClient) -> None:
    """Another client that opens a channel takes it over; the first one's rows are rejected, and not doubled."""
    first, _ = client.open_channel("shared")
    first.append_row(row(1), "1")
    committed(first, "1")
    with connect(simulator.url) as other:
        second, status = other.open_channel("shared")
        assert status.latest_committed_offset_token == "1", status
        first.append_row(row(100), "100")
        fails("InvalidChannelError", lambda: first.wait_for_flush(LIMIT))
        second.append_row(row(2), "2")
        committed(second, "2")
    first.close(wait_for_flush=False)
    assert held(simulator, "shared") == [row(1), row(2)]


def drop(simulator: common.Simulator, client: StreamingIngestClient) -> None:
    """A drop takes the offset token with it."""
    client.drop_channel("single")
    assert held(simulator, "single", "")["exists"] is False
    assert client.get_latest_committed_offset_tokens(["single"]) == {"single": None}
    channel, status = client.open_channel("single")
    assert status.latest_committed_offset_token is None, status
    channel.close()


def table(simulator: common.Simulator) -> None:
    """The default pipe of a table, and one that does not exist."""
    arguments = ("loader", "DB", "PUBLIC", "items")
    with StreamingIngestClient.from_table(*arguments, properties=properties(simulator.url)) as client:
        channel, status = client.open_channel("c")
        assert status.pipe_name == "items-STREAMING", status
        channel.append_row(row(1), "1")
        committed(channel, "1")
    assert held(simulator, "c", table="ITEMS") == [row(1)]
    fails("SfApiUserError", lambda: StreamingIngestClient(*arguments[:3], "NO_PIPE", properties=properties(simulator.url)))


def access_token(simulator: common.Simulator) -> None:
    """A programmatic access token instead of a key pair."""
    profile = {key: value for key, value in properties(simulator.url).items() if key != "private_key"}
    profile |= {"authorization_type": "PAT", "personal_access_token": "any"}
    with StreamingIngestClient("loader", "DB", "PUBLIC", "ORDERS-STREAMING", properties=profile) as client:
        channel, _ = client.open_channel("pat")
        channel.append_row(row(1), "1")
        committed(channel, "1")
    assert held(simulator, "pat") == [row(1)]


def faults(simulator: common.Simulator) -> None:
    """The requests of the SDK met faults, if there are any."""
    lines = simulator.log().splitlines()
    assert any(" [" in line for line in lines) == (common.FAULTS != "none"), lines[:5]


def expiry() -> None:
    """A scoped token expires between two appends of a channel, and the SDK goes on with the next token.

    Without faults: the SDK waits for up to a minute after several failures, and each wait would outlive a token.
    """
    with common.Simulator("snowpipe", *OPTIONS, "--token-life", "2", "--faults", "none") as simulator:
        os.environ["SSL_CERT_FILE"] = simulator.certificate
        with connect(simulator.url) as client:
            channel, _ = client.open_channel("expiry")
            for number in range(1, 31):
                channel.append_row(row(number), str(number))
                channel.wait_for_flush(LIMIT)
                time.sleep(0.2)
            committed(channel, "30")
        assert held(simulator, "expiry") == rows(1, 30)
        lines = simulator.log().splitlines()
        assert any("/channels/expiry/rows?" in line and " 401 " in line for line in lines), lines
        assert sum(line.startswith("POST /oauth/token?") for line in lines) > 1, lines


def fails(code: str, call: Callable[[], Any]) -> None:
    try:
        call()
    except StreamingIngestError as error:
        assert error.error_code.value == code, error
        return
    raise AssertionError(f"{code} is expected")


def wait_for(read: Callable[[], Any], done: Callable[[Any], bool]) -> Any:
    """Reads again until a condition holds."""
    end = time.monotonic() + LIMIT
    while not done(found := read()):
        assert time.monotonic() < end, found
        time.sleep(0.05)
    return found


def main() -> int:
    if sys.argv[2:3] == ["killed"]:
        killed(sys.argv[3])
    checks = common.Checks("snowpipe_streaming")
    # What a used continuation token gets is not documented: both.
    for replay in ("accepted", "stale"):
        options = (*OPTIONS, "--replay", replay, "--number-column", "ID")
        with common.Simulator("snowpipe", *options) as simulator:
            os.environ["SSL_CERT_FILE"] = simulator.certificate
            with connect(simulator.url) as client:
                checks.check(f"crash and resume, {replay}", lambda: crash_and_resume(simulator, client))
                if replay == "accepted":
                    checks.check("append_row", lambda: one_by_one(simulator, client))
                    checks.check("a burst", lambda: burst(simulator, client))
                    checks.check("get_channel_statuses", lambda: bulk_status(client))
                    checks.check("get_elastic_channel", lambda: elastic(simulator, client))
                    checks.check("rejected rows", lambda: rejected(simulator, client))
                    checks.check("values", lambda: values(simulator, client))
                    checks.check("a second writer", lambda: second_writer(simulator, client))
                    checks.check("drop_channel", lambda: drop(simulator, client))
                    checks.check("from_table", lambda: table(simulator))
                    checks.check("access token", lambda: access_token(simulator))
            checks.check(f"faults, {replay}", lambda: faults(simulator))
    checks.check("expired tokens", expiry)
    return checks.finish()


if __name__ == "__main__":
    sys.exit(main())
