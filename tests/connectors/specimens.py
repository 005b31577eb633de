"""A small whole delivery of files for every connector that reads some; those of APIs are in `api_specimens.py`."""

from __future__ import annotations

import gzip
import io
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any, Final

import polars as pl
import yaml

from connectors.source import CONNECTORS
from tests.connectors import bills, focus_files, gcp_rows, usage_files
from tests.connectors.api_specimens import metrics, providers
from tests.connectors.specimen import Specimen

DOCUMENTED: Final = yaml.safe_load(Path(__file__).with_name("aws_documented_lines.yaml").read_text())


@cache
def specimens() -> Mapping[str, tuple[Specimen, ...]]:
    """Give some of each connector."""
    made = [*_bills(), *_token_files(), *_gpu_files(), *providers(), *metrics()]
    by_kind = {kind: tuple(one for one in made if one.kind == kind) for kind in CONNECTORS}
    assert all(by_kind.values()), "every connector in the registry has a specimen: add yours"
    return by_kind


def _written(write: Callable[[Path], Any], name: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder) / name)
        return (Path(folder) / name).read_bytes()


def _bills() -> Iterator[Specimen]:
    lines = [bills.line(line_item_unblended_cost=0.1 * number) for number in range(6)]
    lines += [bills.line(**line) for one in DOCUMENTED if not one.get("net") for line in one["lines"]]
    lines += [bills.line(resource_tags={"user_team": "search"}, line_item_line_item_type="Tax")]
    for name in ("bill.csv", "bill.csv.gz", "bill.csv.zip", "bill.parquet"):
        content = _written(lambda path: bills.write(path, lines), name)
        yield Specimen("aws_cur", name, content, cost="" if "parquet" in name else "line_item_unblended_cost")
    with tempfile.TemporaryDirectory() as folder:
        manifest = bills.data_export(Path(folder), lines)
        root = Path(folder)
        files = {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}
        name = manifest.relative_to(root).as_posix()
    yield Specimen("aws_cur", name, files.pop(name), beside=files, places=("data/", "bill"))
    usage = [focus_files.line(version="1.2", BilledCost=0.1 * number, Tags={"team": "search"}) for number in range(12)]
    for name in ("focus.csv", "focus.csv.gz", "focus.parquet"):
        content = _written(lambda path: focus_files.write(path, *usage), name)
        yield Specimen("focus", name, content, cost="" if "parquet" in name else "BilledCost")
    rows = [
        gcp_rows.row(
            cost=0.1 * number,
            credits=[gcp_rows.credit(-0.05, "SUSTAINED_USAGE_DISCOUNT"), gcp_rows.credit(-0.01, "PROMOTION")],
            labels=gcp_rows.pairs(team="search"),
        )
        for number in range(12)
    ]
    for name in ("gcp.jsonl", "gcp.csv", "gcp.jsonl.gz", "gcp.parquet"):
        yield Specimen("gcp_billing", name, _written(lambda path: gcp_rows.write(path, rows), name))


def _token_files() -> Iterator[Specimen]:
    for kind, usage in usage_files.USAGE_FILES.items():
        rows = [usage.row(number) for number in range(8)]
        for name in usage.formats:
            content = _written(partial(_usage, rows=rows), name)
            yield Specimen(kind, name, content, usage.options)
    spans = "".join(json.dumps(usage_files.otel(number)) + "\n" for number in range(4))
    yield Specimen("otel_genai", "spans.jsonl", spans.encode())


def _usage(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    usage_files.write(path, *rows)


def _gpu_files() -> Iterator[Specimen]:
    rows = [
        f"2026-07-01T{9 + number // 4:02}:{number % 4 * 15:02}:00Z,{number * 7 % 100},i-{number % 2},0,60"
        for number in range(12)
    ]
    columns = {"hour": "time", "busy_fraction": "util", "resource_id": "machine", "device": "gpu"}
    options = {"columns": columns | {"measured_seconds": "seconds"}, "unit": "percent"}
    table = "\n".join(["time,util,machine,gpu,seconds", *rows, ""])
    for name in ("gpu.csv", "gpu.csv.gz", "gpu.parquet"):
        content = _written(lambda path: _table(path, table), name)
        yield Specimen("generic_gpu", name, content, options)
    jobs = [
        {
            "submission_id": f"raysubmit_{number}",
            "status": "SUCCEEDED",
            "start_time": 1782896400000 + number,
            "end_time": 1782907200000 if number % 2 else None,
            "entrypoint_num_gpus": 4,
            "driver_info": {"node_ip_address": "ip-10-0-0-1"},
            "metadata": {"team": "search", "purpose": "sft"},
        }
        for number in range(8)
    ]
    named = {
        "job_id": "submission_id",
        "started_at": "start_time",
        "ended_at": "end_time",
        "accelerator_count": "entrypoint_num_gpus",
        "resource_name": "driver_info.node_ip_address",
        "outcome": "status",
        "team": "metadata.team",
        "workload": "metadata.purpose",
    }
    content = "".join(json.dumps(job) + "\n" for job in jobs).encode()
    yield Specimen("gpu_jobs", "jobs.jsonl", content, {"columns": named, "workloads": {"sft": "fine_tuning"}})
    flat = {"job_id": "id", "started_at": "from", "ended_at": "to", "accelerator_count": "gpus", "resource_name": "on"}
    table = "id,from,to,gpus,on\n" + "".join(
        f"{number},2026-07-01 0{number}:00:00,2026-07-01 1{number % 4}:30:00,{number + 1},node-{number}\n"
        for number in range(8)
    )
    for name in ("jobs.csv", "jobs.parquet"):
        yield Specimen("gpu_jobs", name, _written(lambda path: _table(path, table), name), {"columns": flat})
    fields = "JobID|JobName|User|Account|Partition|State|Start|End|AllocTRES|NodeList|Comment"
    tres = "billing=96,cpu=96,gres/gpu:a100=16,gres/gpu=16,mem=1T,node=2"
    lines = [
        f"{number}|pretrain|ada|research|gpu|COMPLETED|2026-07-01T0{number}:00:00|2026-07-01T12:00:00|{tres}"
        "|gpu[01-02]|training"
        for number in range(8)
    ]
    text = "\n".join([fields, *lines, ""]).encode()
    yield Specimen("slurm", "sacct.txt", text, {"workload_column": "Comment"})


def _table(path: Path, text: str) -> None:
    if path.suffix == ".parquet":
        pl.read_csv(io.StringIO(text), infer_schema=False).write_parquet(path)
    elif path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text)
