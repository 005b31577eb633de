"""Amazon Bedrock's model invocation logs, as Bedrock writes them to S3: one JSON line a request."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from connectors.token_files import TokenFiles, given, needed
from connectors.token_records import Record, instant, mapping, tags_of, text
from connectors.token_rows import Item

OPERATIONS: Mapping[str, str] = {"Converse": "chat", "ConverseStream": "chat"}
# A request may name its team and feature in its metadata; all of it is kept as tags too.
FEATURES = ("feature", "application", "app")


class BedrockLogs(TokenFiles):
    """Read invocation logs."""

    REPORTED_BY: ClassVar[str] = "invocation_log"

    def is_data(self, key: str) -> bool:
        """Tell logs from the bodies that Bedrock puts under `data/` when they are too large for a line."""
        return super().is_data(key) and "data" not in key.split("/")[:-1]

    def records(self, item: Item) -> Iterator[Record]:
        """Give the request of a line."""
        if item.get("schemaType", "ModelInvocationLog") != "ModelInvocationLog":
            raise ValueError(f"schemaType is {str(item['schemaType'])[:40]!r}, not ModelInvocationLog")
        model_id = str(needed(item, "modelId"))
        metadata = mapping(item.get("requestMetadata"))
        folded = {str(key).lower(): value for key, value in metadata.items()}
        where = {"inference_region": item.get("inferenceRegion")} if item.get("inferenceRegion") else {}
        yield {
            "usage_start": instant(needed(item, "timestamp"), "timestamp"),
            "provider_name": "AWS",
            "request_id": text(needed(item, "requestId")),
            "operation": OPERATIONS.get(str(item.get("operation")), "embeddings" if "embed" in model_id else None),
            "llm_model_id": model_id,
            "endpoint": model_id if model_id.startswith("arn:") else None,
            "requests": 1,
            "service_tier": text(_tier(item)),
            "sub_account_id": text(item.get("accountId")),
            "region_id": text(item.get("region")),
            "user_id": text(mapping(item.get("identity")).get("arn")),
            "team": text(folded.get("team")),
            "feature": text(given(folded, *FEATURES)),
            "tags": tags_of(metadata, where),
            "outcome": "failure" if given(item, "errorCode", "error") else "success",
            "usage": _usage(mapping(item.get("input")), mapping(item.get("output"))),
        }


def _tier(item: Item) -> Any:
    tier = item.get("serviceTier")
    return tier.get("type") if isinstance(tier, Mapping) else tier


def _usage(asked: Item, answered: Item) -> Record | None:
    """Put the counts of both sides together; where the log has the answer, that tells how long caches live."""
    counts = {key: value for key, value in asked.items() if key.startswith("cache") and not isinstance(value, Mapping)}
    counts["inputTokens"] = given(asked, "inputTokenCount", "inputTokens")
    counts["outputTokens"] = given(answered, "outputTokenCount", "outputTokens")
    if counts["inputTokens"] is None and counts["outputTokens"] is None:
        return None
    body = mapping(_body(answered)).get("usage")
    said = body if isinstance(body, Mapping) else {}
    lives = mapping(said.get("cache_creation"))
    if "cacheDetails" in said:
        counts["cacheDetails"] = said["cacheDetails"]
    elif "ephemeral_1h_input_tokens" in lives:
        counts["cacheDetails"] = [{"ttl": "1h", "inputTokens": lives["ephemeral_1h_input_tokens"]}]
    return counts


def _body(answered: Item) -> Any:
    body = answered.get("outputBodyJson")
    return body if isinstance(body, Mapping) else None
