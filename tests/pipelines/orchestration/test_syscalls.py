"""SIGKILL at each rename, link, unlink and sync under `home`, one run after the other."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from multiprocessing import reduction
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import boto3
import pytest

from pipelines.cli.app import main
from tests.pipelines.conftest import Company
from tests.pipelines.orchestration.held_calls import IS_KNOWN, Call, held, listen
from tests.pipelines.orchestration.moto_process import moto_process
from tests.pipelines.orchestration.test_kills import FORKED, finished, marts

pytestmark = [
    pytest.mark.pipeline,
    pytest.mark.skipif(not IS_KNOWN, reason="calls are held by their numbers on Linux x86-64"),
]

# The bucket where the sample's manifests say its files are.
BUCKET = "meridian-billing"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_REGION": "us-east-1"}


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """S3 on this machine, with the bills in a bucket."""
    folder = tmp_path_factory.mktemp("bucket")
    bills = Company(folder).bill().folder / "bills"
    with moto_process(folder / "log") as url, pytest.MonkeyPatch.context() as patched:
        for name, value in CREDENTIALS.items():
            patched.setenv(name, value)
        client = boto3.client("s3", endpoint_url=url)
        client.create_bucket(Bucket=BUCKET)
        for path in sorted(path for path in bills.rglob("*") if path.is_file()):
            client.upload_file(str(path), BUCKET, f"exports/{path.relative_to(bills)}")
        client.close()
        yield url


def killed_at(strike: int, folder: str, target: Callable[..., None], *arguments: Any) -> tuple[list[Call], int | None]:
    """Kill a process while its change with this number under a folder is held, 0 for none; give all and its status."""
    ours, theirs = FORKED.Pipe()
    process = FORKED.Process(target=target, args=(theirs, os.getpid(), *arguments))
    process.start()
    listener = reduction.recv_handle(ours)
    calls = []
    for call in held(listener):
        if any(path.startswith(folder) for path in call.paths):
            calls.append(call)
            if len(calls) == strike:
                process.kill()
                process.join()
    os.close(listener)
    process.join()
    return calls, process.exitcode


def run(told: Connection, supervisor: int, config: Path) -> None:
    """Run as the command does, with every change of a file's name held."""
    os.environ.update(CREDENTIALS)
    reduction.send_handle(told, listen(), supervisor)
    sys.argv = ["apportion", "run", "--config", str(config)]
    main()


def rename(told: Connection, supervisor: int, before: Path, after: Path) -> None:
    reduction.send_handle(told, listen(), supervisor)
    before.rename(after)
    after.rename(before)


@pytest.mark.faults
def test_what_is_held_happens_when_it_is_let_go_and_never_when_its_process_is_killed(tmp_path: Path) -> None:
    before, after = tmp_path / "before", tmp_path / "after"
    before.touch()
    calls, status = killed_at(2, str(tmp_path), rename, before, after)
    assert calls == [Call("rename", (str(before), str(after))), Call("rename", (str(after), str(before)))]
    assert status == -signal.SIGKILL
    assert [path.name for path in tmp_path.iterdir()] == ["after"]
    calls, status = killed_at(0, str(tmp_path), rename, after, before)
    assert (len(calls), status) == (2, 0)
    assert [path.name for path in tmp_path.iterdir()] == ["after"]


@pytest.mark.soak
@pytest.mark.parametrize("start", ["fresh", "restated"])
def test_a_run_killed_at_each_change_of_a_file_leaves_the_last_state_and_the_next_run_ends_as_undisturbed(
    company: Company, restated: Company, endpoint: str, tmp_path: Path, start: str
) -> None:
    begin = restated
    if start == "fresh":
        source = {"name": "aws", "type": "aws_cur", "location": f"s3://{BUCKET}/exports", "endpoint_url": endpoint}
        begin = Company(tmp_path / "fresh").configure(sources=[source])
    old, new = marts(begin), company.marts()
    kills = Counter[str]()
    while True:
        victim = begin.copy(tmp_path / "victim")
        calls, status = killed_at(kills.total() + 1, str(victim.home), run, victim.config)
        seen = marts(victim)
        if status == 0:
            break
        assert status == -signal.SIGKILL, calls[-1]
        assert seen in (old, new), calls[-1]
        finished(victim, new)
        kills[calls[-1].name] += 1
        what = f"{calls[-1]}".replace(str(victim.home), "~")
        print(start, kills.total(), what, "as before" if seen == old else "as after", flush=True)  # noqa: T201 - it takes an hour
        shutil.rmtree(victim.folder)
    assert seen == new
    print(start, kills)  # noqa: T201 - for benchmarks/SOAK.md
    assert kills.total() == len(calls) > 50
    assert kills.keys() >= {"linkat", "unlink", "fsync", "rename"}
