"""What OpenAI's results say: input includes cached tokens, a batch is a flag of its own, `ft:` usage is inference."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Final

from connectors.api_rows import Item, Row, Tally, charge, usage
from models.workloads import Workload

OPENAI: Final = "OpenAI"
_JOB: Final = "fine_tuning.job"
_PREFIX: Final = "organization.usage."


def charges(account: str, item: Item) -> list[Row]:
    """Read a line of the costs endpoint; the model stands in the text of the line, in no promised form."""
    line = item.text("line_item")
    currency = item.text("amount.currency")
    if currency is None:
        raise item.error("amount.currency", "it is missing")
    return [
        charge(
            item,
            OPENAI,
            item.amount("amount.value"),
            billing_account_id=item.text("organization_id") or account,
            billing_account_name=item.text("organization_name"),
            sub_account_id=item.text("project_id"),
            sub_account_name=item.text("project_name"),
            billing_currency=currency.upper(),
            charge_description=line,
            service_name="OpenAI API",
            usage_type=line,
            consumed_quantity=item.maybe_amount("quantity"),
            pricing_unit=item.text("quantity_unit"),
            tags={name: item.text(name) for name in ("api_key_id", "user_id", "api_source")},
        )
    ]


def usage_rows(project: str | None, item: Item) -> list[Row]:
    """Read a result of a usage endpoint, or a job of a project."""
    kind = item.text("object")
    if kind == _JOB:
        return _tuned(project, item)
    read = KINDS.get(kind or "")
    columns = read(item) if read else {"operation": kind, "requests": item.maybe("num_model_requests")}
    return [
        usage(
            item,
            OPENAI,
            project_id=item.text("project_id"),
            project_name=item.text("project_name"),
            user_id=item.text("user_id"),
            api_key_id=item.text("api_key_id"),
            llm_model_id=item.text("model"),
            **columns,
        )
    ]


def _completions(item: Item) -> Row:
    # Buckets from before cache writes were told have no such field, and cost none apart.
    cached = item.maybe("input_cached_tokens") or 0
    written = item.maybe("input_cache_write_tokens") or 0
    uncached = item.whole("input_tokens") - cached - written
    if uncached < 0:
        found = f"{item.whole('input_tokens')} tokens in are fewer than the {cached} + {written} cached ones among them"
        raise item.error("input_tokens", found)
    return {
        "operation": "chat",
        "requests": item.whole("num_model_requests"),
        "uncached_input_tokens": uncached,
        "cache_read_tokens": cached,
        "cache_write_5m_tokens": written,
        "cache_write_1h_tokens": 0,
        "output_tokens": item.whole("output_tokens"),
        # Newer buckets tell cached audio apart; older ones have all of it in the first field.
        "input_audio_tokens": _audio(item),
        "output_audio_tokens": item.maybe("output_audio_tokens"),
        "is_batch": item.flag("batch"),
        "service_tier": item.text("service_tier"),
        "tags": {
            name: item.maybe(name) or None
            for name in ("input_image_tokens", "input_cached_image_tokens", "output_image_tokens")
        },
    }


def _audio(item: Item) -> int | None:
    fresh, cached = item.maybe("input_audio_tokens"), item.maybe("input_cached_audio_tokens")
    return None if fresh is None else fresh + (cached or 0)


def _tokens_in(operation: str) -> Callable[[Item], Row]:
    def read(item: Item) -> Row:
        return {
            "operation": operation,
            "requests": item.whole("num_model_requests"),
            "uncached_input_tokens": item.whole("input_tokens"),
            "cache_read_tokens": 0,
            "cache_write_5m_tokens": 0,
            "cache_write_1h_tokens": 0,
            "output_tokens": 0,
        }

    return read


def _units(operation: str, unit: str, field: str, *also: str, requests: str | None = None) -> Callable[[Item], Row]:
    def read(item: Item) -> Row:
        workload = Workload.STORAGE.value if operation == "vector_store_storage" else None
        counted = {"requests": item.whole(requests)} if requests else {}
        tags = {name: item.text(name) for name in also}
        quantity = {"unit": unit, "quantity": item.whole(field)}
        return {"operation": operation, **quantity, **counted, "tags": tags, "workload": workload}

    return read


# Searches and sessions happen inside requests that completions count already, so they count none of their own.
KINDS: Final[Mapping[str, Callable[[Item], Row]]] = {
    f"{_PREFIX}completions.result": _completions,
    f"{_PREFIX}embeddings.result": _tokens_in("embeddings"),
    f"{_PREFIX}moderations.result": _tokens_in("moderation"),
    f"{_PREFIX}images.result": _units(
        "image_generation", "images", "images", "size", "source", requests="num_model_requests"
    ),
    f"{_PREFIX}audio_speeches.result": _units(
        "text_to_speech", "characters", "characters", requests="num_model_requests"
    ),
    f"{_PREFIX}audio_transcriptions.result": _units(
        "transcription", "seconds", "seconds", requests="num_model_requests"
    ),
    f"{_PREFIX}vector_stores.result": _units("vector_store_storage", "bytes", "usage_bytes"),
    f"{_PREFIX}code_interpreter_sessions.result": _units("code_interpreter", "sessions", "num_sessions"),
    f"{_PREFIX}file_searches.result": _units("file_search", "searches", "num_requests", "vector_store_id"),
    f"{_PREFIX}web_searches.result": _units("web_search", "searches", "num_requests", "context_level"),
    _JOB: lambda _: {},
}

# Kind → unit's native field, for sums that do not go through the rows.
_COUNTED: Final = {
    "images": "images",
    "audio_speeches": "characters",
    "audio_transcriptions": "seconds",
    "vector_stores": "usage_bytes",
    "code_interpreter_sessions": "num_sessions",
    "file_searches": "num_requests",
    "web_searches": "num_requests",
}
_INSIDE_OTHERS: Final = ("vector_stores", "code_interpreter_sessions", "file_searches", "web_searches")


def _tuned(project: str | None, item: Item) -> list[Row]:
    """Read what a job was trained on: null until it ends, and for reinforcement jobs, which are billed by time."""
    tokens = item.maybe("trained_tokens")
    if tokens is None:
        return []
    return [
        usage(
            item,
            OPENAI,
            request_id=item.text("id"),
            operation="fine_tuning",
            llm_model_id=item.text("model"),
            unit="trained_tokens",
            quantity=tokens,
            project_id=project,
            outcome={"succeeded": "success", "failed": "failure"}.get(item.text("status") or ""),
            workload=Workload.FINE_TUNING.value,
            tags={"fine_tuned_model": item.text("fine_tuned_model"), "status": item.text("status")},
        )
    ]


def count(item: Item, tally: Tally) -> None:
    """Add up the native fields of a result, without the rows."""
    kind = (item.text("object") or "").removeprefix(_PREFIX).removesuffix(".result")
    requests = None if kind in _INSIDE_OTHERS else item.maybe("num_model_requests")
    if kind == _JOB:
        if item.field("trained_tokens") is not None:
            tally.use(quantity=item.amount("trained_tokens"))
    elif kind in _COUNTED:
        tally.use(requests=requests, quantity=Decimal(item.whole(_COUNTED[kind])))
    elif kind == "completions":
        total = item.whole("input_tokens")
        cached, written = item.maybe("input_cached_tokens"), item.maybe("input_cache_write_tokens")
        audio = item.maybe("input_audio_tokens")
        tally.use(
            requests=requests,
            uncached_input_tokens=total - (cached or 0) - (written or 0),
            cache_read_tokens=cached,
            cache_write_5m_tokens=written,
            output_tokens=item.whole("output_tokens"),
            input_audio_tokens=None if audio is None else audio + (item.maybe("input_cached_audio_tokens") or 0),
            output_audio_tokens=item.maybe("output_audio_tokens"),
        )
    elif kind in {"embeddings", "moderations"}:
        tally.use(requests=requests, uncached_input_tokens=item.whole("input_tokens"))
    else:
        tally.use(requests=requests)
