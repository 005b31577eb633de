"""Records of jobs from schedulers and trackers, by a mapping."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from connectors.job_files import JobFiles
from models.errors import BadInput, BadSettings
from models.facts import Fact

NOW = datetime(2026, 7, 20, tzinfo=UTC)
NINE, NOON = datetime(2026, 7, 1, 9, tzinfo=UTC), datetime(2026, 7, 1, 12, tzinfo=UTC)
Read = Callable[..., list[dict[str, Any]]]

RAY = (
    "jobs.jsonl",
    {
        "submission_id": "raysubmit_1",
        "status": "SUCCEEDED",
        "start_time": 1782896400000,
        "end_time": 1782907200000,
        "entrypoint_num_gpus": 4,
        "driver_info": {"node_ip_address": "ip-10-0-0-1"},
        "metadata": {"team": "search", "purpose": "sft"},
    },
    {
        "columns": {
            "job_id": "submission_id",
            "started_at": "start_time",
            "ended_at": "end_time",
            "accelerator_count": "entrypoint_num_gpus",
            "resource_name": "driver_info.node_ip_address",
            "outcome": "status",
            "team": "metadata.team",
            "workload": "metadata.purpose",
        },
        "workloads": {"sft": "fine_tuning"},
    },
)
KUEUE = (
    "workloads.jsonl",
    {
        "metadata": {"uid": "raysubmit_1", "labels": {"team": "search"}},
        "status": {"admitted_at": "2026-07-01T09:00:00Z", "finished_at": "2026-07-01T12:00:00Z", "state": "Finished"},
        "spec": {"gpus": "4", "node": "ip-10-0-0-1", "purpose": "fine-tuning"},
    },
    {
        "columns": {
            "job_id": "metadata.uid",
            "started_at": "status.admitted_at",
            "ended_at": "status.finished_at",
            "accelerator_count": "spec.gpus",
            "resource_name": "spec.node",
            "outcome": "status.state",
            "team": "metadata.labels.team",
            "workload": "spec.purpose",
        }
    },
)
MLFLOW = (
    "runs.csv",
    {
        "run_id": "raysubmit_1",
        "start_time": "2026-07-01 09:00:00.000+00:00",
        "end_time": "2026-07-01 12:00:00.000+00:00",
        "status": "FINISHED",
        "tags.host": "ip-10-0-0-1",
        "params.gpus": "4",
        "tags.team": "search",
        "tags.purpose": "Fine-tuning",
    },
    {
        "columns": {
            "job_id": "run_id",
            "started_at": "start_time",
            "ended_at": "end_time",
            "accelerator_count": "params.gpus",
            "resource_name": "tags.host",
            "outcome": "status",
            "team": "tags.team",
            "workload": "tags.purpose",
        }
    },
)
WANDB = (
    "runs.parquet",
    {
        "id": "raysubmit_1",
        "createdAt": NINE,
        "heartbeatAt": NOON,
        "state": "finished",
        "host": "ip-10-0-0-1",
        "gpuCount": 4,
        "group": "search",
        "jobType": "sft",
    },
    {
        "columns": {
            "job_id": "id",
            "started_at": "createdAt",
            "ended_at": "heartbeatAt",
            "accelerator_count": "gpuCount",
            "resource_name": "host",
            "outcome": "state",
            "team": "group",
            "workload": "jobType",
        },
        "workloads": {"sft": "fine_tuning"},
    },
)


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def read_all(name: str, *rows: dict[str, Any], **options: Any) -> list[dict[str, Any]]:
        write(tmp_path / name, *rows)
        chosen = JobFiles.Options(location=str(tmp_path / name), **options)
        jobs = JobFiles("jobs", chosen, tmp_path / "landing", lambda _: None, lambda: NOW)
        landed = jobs.fetch(jobs.versions()[0])
        found = jobs.read(landed)[Fact.GPU_JOBS][0].collect()
        assert jobs.totals(landed).usage[Fact.GPU_JOBS]["rows"] == found.height
        return found.sort("source_row", "resource_name").to_dicts()

    return read_all


def write(path: Path, *rows: dict[str, Any]) -> None:
    match path.suffix:
        case ".jsonl":
            path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        case ".csv":
            pl.DataFrame(list(rows)).write_csv(path)
        case _:
            pl.DataFrame(list(rows)).write_parquet(path)


@pytest.mark.parametrize("export", [RAY, KUEUE, MLFLOW, WANDB], ids=["Ray", "Kueue", "MLflow", "W&B"])
def test_one_job_reads_alike_whoever_recorded_it(
    read: Read, export: tuple[str, dict[str, Any], dict[str, Any]]
) -> None:
    name, row, options = export
    (job,) = read(name, row, **options)
    assert (job["job_id"], job["resource_name"], job["accelerator_count"]) == ("raysubmit_1", "ip-10-0-0-1", 4.0)
    assert (job["started_at"], job["ended_at"]) == (NINE, NOON)
    assert (job["outcome"], job["team"], job["workload"]) == ("completed", "search", "fine_tuning")
    assert (job["source_file"], job["source_row"]) == (name, 1)


PLAIN = {"job_id": "id", "started_at": "start", "ended_at": "end", "accelerator_count": "gpus", "resource_name": "node"}
ROW = {"id": "a", "start": "2026-07-01T09:00:00Z", "end": "2026-07-01T12:00:00Z", "gpus": "8", "node": "n1"}


def test_a_total_is_shared_by_the_nodes_and_values_stand_in_every_row(read: Read) -> None:
    row = {**ROW, "node": "n[1-2]", "lab": "vision"}
    rows = read("j.csv", row, columns=PLAIN, count_is="total", values={"cluster": "prod"}, tags={"group": "lab"})
    assert [(one["resource_name"], one["accelerator_count"], one["cluster"]) for one in rows] == [
        ("n1", 4.0, "prod"),
        ("n2", 4.0, "prod"),
    ]
    assert dict(rows[0]["tags"]) == {"group": "vision"}


def test_a_record_that_stands_twice_counts_once(read: Read) -> None:
    assert len(read("j.csv", ROW, ROW, columns=PLAIN)) == 1


def test_a_job_that_never_started_or_held_nothing_is_no_row(read: Read) -> None:
    rows = read("j.csv", ROW, {**ROW, "id": "b", "start": ""}, {**ROW, "id": "c", "gpus": "0"}, columns=PLAIN)
    assert [row["job_id"] for row in rows] == ["a"]


@pytest.mark.parametrize(
    ("cells", "problem"),
    [
        ({"gpus": "many"}, "column gpus: 'many' is no number"),
        ({"gpus": "-1"}, "column gpus: '-1' is no count of accelerators"),
        ({"start": "soon"}, "column start: 'soon' is no time"),
        ({"start": "-1"}, "column start: '-1' is no time"),
        ({"end": "2026-06-01"}, "column end: the job ends at 2026-06-01 00:00, before it starts"),
        ({"start": "2027-01-01", "end": ""}, "column start: 2027-01-01 00:00 UTC lies in the future"),
        ({"id": ""}, "column id: 'None' is blank"),
    ],
)
def test_a_bad_cell_is_named(read: Read, cells: dict[str, str], problem: str) -> None:
    with pytest.raises(BadInput, match=rf"j\.csv, row 2, {problem}"):
        read("j.csv", ROW, {**ROW, **cells}, columns=PLAIN)


def test_an_outcome_nobody_knows_asks_for_its_meaning(read: Read) -> None:
    columns = {**PLAIN, "outcome": "state"}
    with pytest.raises(BadInput, match=r"column state: 'weird' is no known outcome\. Say what it means in `outcomes`"):
        read("j.csv", {**ROW, "state": "weird"}, columns=columns)
    (job,) = read("j.csv", {**ROW, "state": "weird"}, columns=columns, outcomes={"weird": "failed"})
    assert job["outcome"] == "failed"


def test_a_mapping_that_lacks_what_is_needed_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match="name the column for started_at"):
        JobFiles("j", JobFiles.Options(location=".", columns={"job_id": "id"}), tmp_path, lambda _: None)
    with pytest.raises(ValueError, match="there is no 'gpus'"):
        JobFiles.Options(location=".", columns={"gpus": "id"})
