"""The reference's list of AWS usage types, as written and with everything changed that must not matter."""

import re
from collections.abc import Callable, Iterator
from itertools import cycle

import polars as pl
import pytest

from tests.models.reference_tables import MARKS, REFERENCE, attributed, rows, words

REGION = r"^(?:[A-Z]{3}\d|EU|US)-"

pytestmark = MARKS


def _usage_types(written: str) -> Iterator[str]:
    """Fill the reference's placeholders; alternatives in one cell become several."""
    for alternative in re.split(r" [/,] ", re.sub(r" \(form .*\)|^\(RIFee\) ", "", written)):
        filled = re.sub(r"^<(?:region|R)>-", "USE1-", alternative).replace("<model>", "kimi-k2")
        if "*" in filled:
            filled = "USE1-" + "-".join(part for part in filled.split("*") if part)
        for shape in ("m5.large", "p5.48xlarge") if re.search("<(?:instance|host)-type>", filled) else ("",):
            yield re.sub("<(?:instance|host)-type>", shape, filled)


def _keys() -> Iterator[tuple[dict[str, str], str]]:
    for row in rows(REFERENCE / "aws" / "usage_types.csv"):
        word, operation = row["suggested_category"], row["operation"].split("|")[0]
        key = {"operation": operation} if re.fullmatch(r"[\w-]+", operation) else {}
        if word.startswith("commitment"):
            key["line_item_type"] = "RIFee" if row["service_code"] == "AmazonEC2" else "SavingsPlanRecurringFee"
        for usage_type in _usage_types(row["usage_type"]):
            for service in row["service_code"].split("/"):
                if "Marketplace" in service:
                    key["service_name"] = "Claude 3.5 Haiku (Amazon Bedrock Edition)"
                else:
                    key["service_code"] = service.split(" ")[0]
                yield {**key, "usage_type": usage_type}, word
                key.pop("service_code", None)


def _attributed(mutate: Callable[[dict[str, str]], dict[str, str]], tag: str | None) -> pl.DataFrame:
    pairs = [(mutate(dict(key)), word) for key, word in _keys()]
    columns = dict.fromkeys(
        ["service_code", "service_name", "operation", "line_item_type", "usage_type", "tag:workload"], pl.String
    )
    keys = pl.DataFrame([{**key, "tag:workload": tag} for key, _ in pairs], schema=columns)
    out = attributed(keys, "aws")
    return out.with_columns(word=pl.Series([word for _, word in pairs]))


def _as_written(key: dict[str, str]) -> dict[str, str]:
    return key


def _elsewhere(region: str) -> Callable[[dict[str, str]], dict[str, str]]:
    def mutate(key: dict[str, str]) -> dict[str, str]:
        moved = re.sub(REGION, f"{region}-" if region else "", key["usage_type"])
        return {**key, "usage_type": re.sub(r"MP:[A-Z]+\d?_", f"MP:{region or 'USE1'}_", moved)}

    return mutate


def _other_size(key: dict[str, str]) -> dict[str, str]:
    return {**key, "usage_type": re.sub(r"\.\d*x?large", ".16xlarge", key["usage_type"])}


def _other_version(key: dict[str, str]) -> dict[str, str]:
    if "Bedrock" not in str(key):
        return key
    region, name = re.match(f"({REGION})?(.*)", key["usage_type"]).groups("")  # type: ignore[union-attr]
    newer = re.sub(r"(?<=[a-zA-Z-])\d(?=[.A-Z-])(?!I)", "9", name)
    return {**key, "usage_type": region + newer}


def _without_operation(key: dict[str, str]) -> dict[str, str]:
    key.pop("operation", None)
    return key if "service_code" in key or "service_name" in key else {**key, "service_code": "AmazonBedrock"}


MUTATIONS = {
    "as written": _as_written,
    "no region": _elsewhere(""),
    **{f"in {region}": _elsewhere(region) for region in ("EU", "AFS1", "UGW1", "MXC1")},
    "another size": _other_size,
    "another version": _other_version,
    "without operation": _without_operation,
}


@pytest.mark.parametrize("mutation", MUTATIONS)
@pytest.mark.parametrize("tag", [None, "training"])
def test_every_usage_type_lands_where_the_reference_says(mutation: str, tag: str | None) -> None:
    expected = {(row["word"], row["ai_service"]): row for row in words("usage_type_words.csv")}
    wrong = []
    for row in _attributed(MUTATIONS[mutation], tag).iter_rows(named=True):
        ai_service = "yes" if re.search("SageMaker|Bedrock", str(row["service_code"])) else "no"
        known = expected.get((row["word"], "any")) or expected[row["word"], ai_service]
        column = "tagged_training" if tag else "untagged_accelerator" if row["accelerator"] else "untagged"
        if row["workload"] not in known[column].split("|"):
            wrong.append((row["service_code"], row["usage_type"], row["workload"], known[column]))
    assert wrong == []


def test_the_table_of_words_is_neither_short_nor_padded() -> None:
    assert {row["word"] for row in words("usage_type_words.csv")} == {word for _, word in _keys()}


def test_lines_that_count_tokens_name_their_model() -> None:
    tokens = _attributed(_as_written, None).filter(pl.col("token_bucket").is_not_null())
    named_by_usage_type = tokens.filter(pl.col("service_code").is_in(["AmazonBedrock", "AmazonBedrockService"]))
    assert named_by_usage_type.height >= 30
    assert named_by_usage_type["llm_model"].null_count() == 0
    marketplace = tokens.filter(pl.col("service_name").is_not_null())
    assert set(marketplace["llm_model"]) == {"claude-haiku-3.5"}


def test_regions_of_the_reference_are_all_stripped_from_model_names() -> None:
    codes = [row["usage_type_prefix"] for row in rows(REFERENCE / "aws" / "region_billing_codes.csv")]
    regions = [code for code in codes if code.isalnum()]
    keys = pl.DataFrame(
        [
            {"service_code": "AmazonBedrock", "usage_type": f"{region}-{model}-input-tokens"}
            for region, model in zip(regions, cycle(["NovaPro", "GPT-OSS-20B"]), strict=False)
        ]
    )
    named = attributed(keys, "aws")["llm_model"]
    assert set(named) == {"nova-pro", "gpt-oss-20b"}
