"""The reference's list of Google Cloud SKUs, as written and with everything changed that must not matter."""

import re
from collections.abc import Callable, Iterator
from decimal import Decimal

import polars as pl
import pytest

from models.dimensions import tag_column
from tests.models.reference_tables import MARKS, REFERENCE, attributed, rows, words

GPU = {"service_code": "6F81-5844-456A", "usage_type": "Nvidia H100 80GB GPU running in Americas"}

pytestmark = MARKS


def _skus() -> list[dict[str, str]]:
    return rows(REFERENCE / "gcp" / "skus.csv")


def _sku(written: str) -> str:
    """Fill the reference's wildcards with what may stand there."""
    filled = written.replace("(s)", "s")
    if filled.startswith("% "):
        hosted = re.search(r"Tokens|Characters", filled)
        model = "Cloud Vertex AI Model Garden Model as a Service Llama 4 Scout" if hosted else "Gemini 2.5 Flash"
        filled = model + filled[1:]
    filled = re.sub(r"in %(?=for)", "in Iowa ", filled.removeprefix("%"))
    filled = re.sub(r"%(?=[13] Year)", " in Iowa for ", filled)
    return re.sub(r"(?: in)? ?%$", " in Iowa", filled)


def _about(row: dict[str, str]) -> str:
    service, written = row["service"], row["sku_description"]
    if written.startswith("Commitment") or "CUD fee" in service:
        return "commitment"
    kinds = {"Notebooks": "notebooks", "Cloud Logging": "logs"}
    kinds |= dict.fromkeys(("Vertex", "Gemini", "Claude"), "ai service")
    found = (kind for name, kind in kinds.items() if service.lstrip('"').startswith(name))
    return next(found, "flex-start" if "DWS" in written else "machine")


def _key(row: dict[str, str]) -> dict[str, str]:
    """Make the key that the SKU would be on a bill."""
    service, written = row["service"], row["sku_description"]
    if "label on" in service:
        return {**GPU, tag_column(written): "blue"}
    if written.startswith("(any SKU)"):
        return {**GPU, "capacity_reservation_status": "Unused"}
    if "CUD fee" in service:
        return {"charge_category": "Purchase", "usage_type": "Fee SKU", "tag:goog_originating_sku_id": "2E27-4F75"}
    name, _, code = re.fullmatch(r"(.*?)( \[(.*)\])?", service).groups("")  # type: ignore[union-attr]
    key = {"service_name": name, "usage_type": _sku(written), **({"service_code": code} if code else {})}
    return {**key, "charge_category": "Purchase"} if _about(row) == "commitment" else key


def _attributed(mutate: Callable[[str], str], tag: str | None = None) -> pl.DataFrame:
    skus = _skus()
    keys = [_key(row) for row in skus]
    mutated = [{**key, "usage_type": mutate(key["usage_type"]), "tag:workload": tag} for key in keys]
    columns = dict.fromkeys(sorted({name for key in mutated for name in key}), pl.String)
    frame = pl.DataFrame(mutated, schema=columns).with_columns(provider_name=pl.lit("Google Cloud"))
    out = attributed(frame, "gcp")
    return out.with_columns(
        written=pl.Series([row["sku_description"] for row in skus]),
        word=pl.Series([row["suggested_category"] for row in skus]),
        about=pl.Series([_about(row) for row in skus]),
    )


def _in(region: str) -> Callable[[str], str]:
    return lambda sku: re.sub(r"\b(?:Iowa|Americas|Frankfurt|Hong Kong|us-east5|global)\b", region, sku)


def _other_size(sku: str) -> str:
    larger = re.sub(r"\b(?:80|96|141)(?i:gb)\b", "288GB", sku)
    return larger.replace("(1 gpu slice)", "(4 gpu slices)").replace("720p", "8k").replace("1 Year", "3 Years")


def _newer_hardware(sku: str) -> str:
    newer = re.sub(r"\b(A|G)[234] (?=Instance|Core|Ram|Predefined|Nvidia|in )", r"\g<1>9 ", sku)
    return re.sub(r"\b(?:H100|H200|B200|A100)\b", "R300", newer).replace("TpuV5e", "TpuV9e")


def _newer_model(sku: str) -> str:
    return re.sub(r"(?i)\b(gemini|claude \w+|llama|imagen|lyria) [0-9](?:[. ][0-9])?\b", r"\g<1> 9.7", sku)


MUTATIONS: dict[str, Callable[[str], str]] = {
    "as written": lambda sku: sku,
    "in Sydney": _in("Sydney"),
    "in a multi-region": _in("EMEA"),
    "in a region by its code": _in("northamerica-northeast2"),
    "another size": _other_size,
    "newer hardware": _newer_hardware,
    "newer model": _newer_model,
    "a space in front": lambda sku: " " + sku if sku.startswith("Gemini") else sku,
    "another case": lambda sku: sku.replace("management fee", "Management Fee").replace("Ram", "RAM"),
}


@pytest.mark.parametrize("mutation", MUTATIONS)
@pytest.mark.parametrize("tag", [None, "training"])
def test_every_sku_lands_where_the_reference_says(mutation: str, tag: str | None) -> None:
    expected = {(row["word"], row["about"]): row for row in words("gcp_sku_words.csv")}
    wrong = []
    for row in _attributed(MUTATIONS[mutation], tag).iter_rows(named=True):
        known = expected[row["word"], row["about"]]
        wanted = known["tagged_training" if tag else "untagged_accelerator" if row["accelerator"] else "untagged"]
        if row["workload"] != wanted:
            wrong.append((row["service_name"], row["usage_type"], row["workload"], wanted))
    assert wrong == []


def test_the_table_of_words_is_neither_short_nor_padded() -> None:
    needed = {(row["suggested_category"], _about(row)) for row in _skus()}
    assert needed == {(row["word"], row["about"]) for row in words("gcp_sku_words.csv")}


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_every_sku_that_looks_like_an_accelerator_names_one(mutation: str) -> None:
    series = r"\b[AG][2-4] (?:Instance|Core|Ram|Predefined)|(?:Reserved|v1:) (?:A|G)[23]"
    looks = rf"(?i)nvidia|\bgpu\b|%tpu|\bRTX\b|H200|{series}"
    lines = _attributed(MUTATIONS[mutation]).filter(pl.col("written").str.contains(looks))
    assert lines.height >= 70
    assert lines.filter(pl.col("accelerator").is_null())["usage_type"].to_list() == []
    if mutation != "newer hardware":
        assert lines.filter(pl.col("accelerator").str.contains("unknown"))["usage_type"].to_list() == []


def test_hours_are_counted_once_on_the_lines_of_the_accelerators_themselves() -> None:
    lines = _attributed(MUTATIONS["as written"]).filter(pl.col("accelerator").is_not_null())
    repeats = pl.col("usage_type").str.contains(r"(?i)\b(?:core|ram|instance|fee)\b|^Commitment|^Reserved A[23]")
    assert set(lines.filter(repeats)["accelerator_count"]) == {None}
    by_device = pl.col("usage_type").str.contains("Tpu-v[23]")
    assert set(lines.filter(~repeats & ~by_device)["accelerator_count"]) == {Decimal(1)}
    assert set(lines.filter(by_device)["accelerator_count"]) == {Decimal(4)}


def test_slices_sold_together_are_as_many_accelerators() -> None:
    slices = _attributed(_other_size).filter(pl.col("usage_type").str.contains("gpu slices"))
    assert slices.select("accelerator", "accelerator_count").rows() == [("B200", Decimal(4))]


def test_lines_that_count_tokens_name_their_model() -> None:
    tokens = _attributed(MUTATIONS["as written"]).filter(pl.col("token_bucket").is_not_null())
    assert tokens.height >= 70
    assert sorted(set(tokens["llm_model"].fill_null("none"))) == [
        "claude-haiku-4.5", "claude-opus-4.8", "claude-sonnet-4.6", "deepseek-v3.1",
        "gemini-2.0-flash", "gemini-2.5-flash", "gemini-2.5-flash-lite", "gemini-2.5-flash-live",
        "gemini-2.5-flash-native-image", "gemini-2.5-pro", "gemini-3-flash", "gemini-3-pro", "gemini-3-pro-image",
        "gemini-3.1-flash-image", "gemini-3.1-flash-lite", "gemini-3.5-flash",
        "gemini-3.5-live-translate", "gemini-3.7-flash", "gemini-3.8-flash", "llama-4-maverick", "llama-4-scout",
    ]  # fmt: skip
    newer = _attributed(_newer_model).filter(pl.col("token_bucket").is_not_null())
    assert newer["llm_model"].str.contains("9.7|deepseek", literal=False).all()


def _counted(usage_type: str) -> Iterator[str]:
    yield from re.findall(r"(?i)storage|character|cache write|cache read|cached|caching|output|input", usage_type)


def test_cached_is_told_from_input_on_every_line() -> None:
    tokens = _attributed(MUTATIONS["as written"]).filter(pl.col("about") == "ai service")
    for usage_type, bucket in tokens.select("usage_type", "token_bucket").iter_rows():
        words = {word.lower() for word in _counted(usage_type.split(" — Context")[0])}
        if words & {"storage", "character"}:
            assert bucket is None, usage_type
        elif words & {"cached", "caching", "cache read"}:
            assert bucket == "cache_read", usage_type
        elif bucket is not None:
            assert bucket in ("cache_write", "output", "uncached_input"), usage_type
