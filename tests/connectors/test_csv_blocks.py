from __future__ import annotations

import gzip
import pickle
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

import polars as pl
import pyarrow as pa
import pytest

from connectors import csv_blocks
from connectors.csv_blocks import ROW, header, parsed_once, stream, summed
from models.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ROWS = 400
SUM = ROWS * (ROWS - 1) // 2
SCHEMA = {"a": pl.String(), "b": pl.String()}


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_blocks, "BLOCK", 256)


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Name each file that is opened to be parsed."""
    opened: list[str] = []
    parse = csv_blocks.blocks

    def counted(path: Path, columns: list[str]) -> object:
        opened.append(path.name)
        return parse(path, columns)

    monkeypatch.setattr(csv_blocks, "blocks", counted)
    return opened


def files(folder: Path, last: str = "") -> list[Path]:
    paths = []
    for name in ("one", "two"):
        paths.append(folder / f"{name}.csv.gz")
        text = "a,b\n" + "".join(f'"{name}\n{number}",{number}\n' for number in range(ROWS)) + last
        paths[-1].write_bytes(gzip.compress(text.encode()))
    return paths


def total(path: Path) -> int:
    return sum(sum(map(int, cells["b"])) for _, cells in summed(path, ["b"]))


def totals(paths: list[Path], order: list[int]) -> list[int]:
    return [total(paths[number]) for number in order]


def texts(path: Path) -> list[str]:
    rows = stream(path, SCHEMA, once=True).select(ROW, "a").collect(engine="streaming")
    assert rows[ROW].to_list() == list(range(1, rows.height + 1))
    return rows["a"].to_list()


def lengths(paths: list[Path], order: list[int]) -> list[int]:
    return [len(texts(paths[number])) for number in order]


def both(paths: list[Path], summing: Callable[[], object], streaming: Callable[[], object]) -> tuple[object, object]:
    """Do two things at a time, as a load does."""
    with ThreadPoolExecutor(1) as pool:
        with parsed_once(paths) as together:
            later = pool.submit(copy_context().run, summing)
            later.add_done_callback(lambda _: together.stop_summing())
            streamed = streaming()
        return later.result(timeout=20), streamed


def test_two_who_read_files_at_a_time_have_each_parsed_once(tmp_path: Path, parsed: list[str]) -> None:
    paths = files(tmp_path)
    sums, read = both(paths, partial(totals, paths, [0, 1]), lambda: [texts(path) for path in paths])
    assert sums == [SUM] * 2
    assert read == [[f"{name}\n{number}" for number in range(ROWS)] for name in ("one", "two")]
    assert parsed == ["one.csv.gz", "two.csv.gz"]


@pytest.mark.parametrize("order", [[1, 0], [1], [0, 0, 1, 1], []], ids=["backwards", "one", "twice", "none"])
def test_whoever_takes_another_way_parses_alone_and_nobody_waits_for_ever(tmp_path: Path, order: list[int]) -> None:
    paths = files(tmp_path)
    for there, back in ((order, [0, 1]), ([0, 1], order)):
        sums, read = both(paths, partial(totals, paths, there), partial(lengths, paths, back))
        assert sums == [SUM] * len(there)
        assert read == [ROWS] * len(back)


def test_what_is_no_longer_streamed_is_summed_all_the_same(tmp_path: Path) -> None:
    paths = files(tmp_path)

    def give_up() -> None:
        for path in paths:
            list(islice(stream(path, SCHEMA, once=True).collect_batches(), 1))

    assert both(paths, partial(totals, paths, [0, 1]), give_up)[0] == [SUM] * 2


def test_what_is_no_longer_summed_is_streamed_all_the_same(tmp_path: Path) -> None:
    paths = files(tmp_path)

    def give_up() -> None:
        next(iter(summed(paths[0], ["b"])))

    assert both(paths, give_up, partial(lengths, paths, [0, 1]))[1] == [ROWS, ROWS]


def test_both_meet_a_row_that_is_too_short(tmp_path: Path) -> None:
    paths = files(tmp_path, last="short\n")

    def refused() -> str:
        with pytest.raises(pa.ArrowInvalid) as error:
            total(paths[0])
        return str(error.value)

    def damaged() -> str:
        with pytest.raises(pl.exceptions.ComputeError) as error:
            texts(paths[0])
        return str(error.value)

    for said in both(paths, refused, damaged):
        assert "Expected 2 columns, got 1: short" in str(said)


def test_a_plan_that_is_carried_out_elsewhere_parses_alone(tmp_path: Path) -> None:
    path = files(tmp_path)[0]
    with parsed_once([path]):
        frame = pickle.loads(pickle.dumps(stream(path, SCHEMA, once=True)))  # noqa: S301 - our own
        assert frame.select(pl.len()).collect(engine="streaming").item() == ROWS


def test_rows_are_picked_while_they_are_parsed(tmp_path: Path) -> None:
    rows = stream(files(tmp_path)[0], SCHEMA, once=True)
    assert rows.head(300).filter(pl.col("b") == "299").select(ROW).collect(engine="streaming").item() == 300
    assert rows.filter(pl.col("b") == "299").head(1).select("a").collect(engine="streaming").item() == "one\n299"
    assert rows.head(299).filter(pl.col("b") == "299").collect(engine="streaming").is_empty()


def test_a_file_that_unpacks_to_more_than_a_bill_could_be_is_refused_on_the_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("connectors.landing.HARMLESS", 2048)
    monkeypatch.setattr("connectors.landing.TIMES", 2)
    path = files(tmp_path)[0]
    said = r"one\.csv\.gz: the file unpacks to more than"
    with pytest.raises(BadInput, match=said):
        total(path)
    with pytest.raises(BadInput, match=said):
        texts(path)
    assert header(path) == SCHEMA


def test_a_mark_of_byte_order_and_quotes_belong_to_no_name(tmp_path: Path) -> None:
    path = tmp_path / "bill.csv"
    path.write_bytes(b'\xef\xbb\xbfa,"the ""b"",\n"\r\n1,"x\r\n""y"""\r\n"",z\r\n')
    columns = header(path)
    assert list(columns) == ["a", 'the "b",\n']
    assert stream(path, columns, once=True).drop(ROW).collect().rows() == [("1", 'x\r\n"y"'), (None, "z")]
