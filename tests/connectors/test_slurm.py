"""Slurm's own records of jobs."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from connectors.job_records import nodes
from connectors.slurm import Slurm
from models.errors import BadInput
from models.facts import GPU_JOBS, Fact

NOW = datetime(2026, 7, 20, tzinfo=UTC)
FIELDS = "JobID|JobName|User|Account|Partition|State|Start|End|AllocTRES|NodeList|Comment"
TRES = "billing=96,cpu=96,gres/gpu:a100=16,gres/gpu=16,mem=1T,node=2"
RECORD = dict(
    zip(
        FIELDS.split("|"),
        (
            *("123", "pretrain", "ada", "research", "gpu", "COMPLETED", "2026-07-01T09:00:00", "2026-07-01T12:00:00"),
            *(TRES, "gpu[01-02]", "training"),
        ),
        strict=True,
    )
)
Read = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def read_all(*records: dict[str, str], month: int = 0, raw: str = "", **options: Any) -> list[dict[str, Any]]:
        lines = ["|".join({**RECORD, **record}.values()) for record in records]
        (tmp_path / "sacct.txt").write_text("\n".join([FIELDS, *lines, raw]).rstrip("\n") + "\n")
        chosen = Slurm.Options(location=str(tmp_path / "sacct.txt"), **options)
        slurm = Slurm("slurm", chosen, tmp_path / "landing", lambda _: None, lambda: NOW)
        landed = slurm.fetch(slurm.versions()[month])
        found = slurm.read(landed)[Fact.GPU_JOBS][0].collect()
        assert slurm.totals(landed).usage[Fact.GPU_JOBS]["rows"] == found.height
        required = [name for name, column in GPU_JOBS.items() if column.required]
        assert found.select(required).null_count().sum_horizontal().sum() == 0
        return found.sort("source_row", "resource_name").to_dicts()

    return read_all


def test_a_job_is_a_row_on_each_node_it_held(read: Read) -> None:
    first, second = read({}, workload_column="Comment", cluster="hpc")
    assert [row["resource_name"] for row in (first, second)] == ["gpu01", "gpu02"]
    assert first["accelerator_count"] == second["accelerator_count"] == 8
    assert (first["started_at"], first["ended_at"]) == (
        datetime(2026, 7, 1, 9, tzinfo=UTC),
        datetime(2026, 7, 1, 12, tzinfo=UTC),
    )
    assert (first["job_id"], first["job_name"], first["user_id"], first["team"]) == (
        "123",
        "pretrain",
        "ada",
        "research",
    )
    assert (first["accelerator"], first["workload"], first["outcome"]) == ("a100", "training", "completed")
    assert (first["namespace"], first["cluster"], dict(first["tags"])) == ("gpu", "hpc", {"Comment": "training"})


@pytest.mark.parametrize(
    ("state", "outcome"),
    [
        ("FAILED", "failed"),
        ("TIMEOUT", "failed"),
        ("NODE_FAIL", "failed"),
        ("OUT_OF_MEMORY", "failed"),
        ("PREEMPTED", "preempted"),
        ("CANCELLED by 1001", "cancelled"),
        ("CANCELLED+", "cancelled"),
    ],
)
def test_states_are_outcomes(read: Read, state: str, outcome: str) -> None:
    assert read({"State": state})[0]["outcome"] == outcome


def test_steps_jobs_without_accelerators_and_those_that_wait_hold_nothing(read: Read) -> None:
    others: list[dict[str, str]] = [
        {"JobID": "123.batch"},
        {"JobID": "123.0"},
        {"JobID": "124", "AllocTRES": "billing=4,cpu=4,node=1"},
        {
            "JobID": "125",
            "State": "PENDING",
            "Start": "Unknown",
            "End": "Unknown",
            "AllocTRES": "",
            "NodeList": "None assigned",
        },
        {"JobID": "126", "AllocTRES": "", "State": "CANCELLED by 7"},
    ]
    assert {row["job_id"] for row in read({}, *others)} == {"123"}


def test_a_job_that_was_put_back_ran_twice_and_an_exported_twice_once(read: Read) -> None:
    again = {"Start": "2026-07-02T09:00:00", "End": "2026-07-02T10:00:00"}
    rows = read({"State": "PREEMPTED"}, again, again)
    assert [row["started_at"].day for row in rows] == [1, 1, 2, 2]


def test_the_end_replaces_what_an_earlier_export_saw_running(read: Read) -> None:
    rows = read({"State": "RUNNING", "End": "Unknown"}, {})
    assert [row["outcome"] for row in rows] == ["completed", "completed"]


def test_a_job_that_runs_has_no_end_and_stands_in_every_month(read: Read) -> None:
    running = {"State": "RUNNING", "Start": "2026-06-30T12:00:00", "End": "Unknown"}
    june, july = read(running)[0], read(running, month=1)[0]
    assert (june["started_at"].day, june["ended_at"]) == (30, datetime(2026, 7, 1, tzinfo=UTC))
    assert (july["started_at"], july["ended_at"]) == (datetime(2026, 7, 1, tzinfo=UTC), None)


def test_times_are_the_clusters(read: Read) -> None:
    assert read({}, timezone="America/New_York")[0]["started_at"] == datetime(2026, 7, 1, 13, tzinfo=UTC)


def test_lists_of_nodes_are_spelled_out() -> None:
    assert nodes("node[01-04]") == ("node01", "node02", "node03", "node04")
    assert nodes("a[1,3-4],b,c[08-10]-ib") == ("a1", "a3", "a4", "b", "c08-ib", "c09-ib", "c10-ib")
    assert nodes("r[1-2]n[1-2]") == ("r1n1", "r1n2", "r2n1", "r2n2")
    for wrong in ("gpu[1-", "gpu]", "a,,b", "n[1-999999999]"):
        with pytest.raises(ValueError, match=r".*"):
            nodes(wrong)


@pytest.mark.parametrize(
    ("record", "problem"),
    [
        ({"State": "DANCING"}, "column State: 'DANCING' is no state"),
        ({"Start": "soon"}, "column Start: 'soon' is no time"),
        ({"Start": "-1"}, "column Start: '-1' is no time"),
        ({"End": "2026-07-01T08:00:00"}, "column End: the job ends at 2026-07-01 08:00, before it starts"),
        ({"Start": "2026-08-01T08:00:00", "End": "Unknown"}, "column Start: 2026-08-01 08:00 UTC lies in the future"),
        ({"AllocTRES": "gpu"}, "column AllocTRES: 'gpu' is no resource and its count"),
        ({"NodeList": "gpu[01-"}, r"column NodeList: 'gpu\[01-' is no list of nodes"),
    ],
)
def test_a_bad_cell_is_named(read: Read, record: dict[str, str], problem: str) -> None:
    with pytest.raises(BadInput, match=rf"sacct\.txt, row 2, {problem}"):
        read({}, record)


def test_a_row_of_another_length_is_named(read: Read) -> None:
    with pytest.raises(BadInput, match=r"sacct\.txt, row 2: there are 12 cells where the header names 11 columns"):
        read({}, {"JobName": "a|b"})


def test_a_column_that_is_missing_is_named_with_the_command(tmp_path: Path) -> None:
    (tmp_path / "sacct.txt").write_text("JobID|State\n1|COMPLETED\n")
    slurm = Slurm("slurm", Slurm.Options(location=str(tmp_path)), tmp_path / "landing", lambda _: None)
    with pytest.raises(BadInput, match=r"column 'Start' is missing.*sacct --allusers --parsable2"):
        slurm.versions()
