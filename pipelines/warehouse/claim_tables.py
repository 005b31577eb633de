"""The tables behind claims and what-ifs: configuration and list prices; `tables.py` adds them to the rest."""

from __future__ import annotations

from typing import Final

_MONEY: Final = "decimal(38, 12)"
_PRICE: Final = "US dollars per million tokens; null where there is none."

CLAIM_TABLES: Final[dict[str, tuple[str, dict[str, tuple[str, str]]]]] = {
    "reference.claims": (
        "Claims people repeat, as configured. One row per claim.",
        {
            "claim_id": ("varchar", "Claim."),
            "statement": ("varchar", "The sentence."),
            "said_by": ("varchar", "Who says so."),
            "said_on": ("date", "When; null where it is not known."),
            "metric": ("varchar", "What is measured."),
            "unit": ("varchar", "share, ratio, times or dollars."),
            "claimed_low": (_MONEY, "Lower end of the claimed range."),
            "claimed_high": (_MONEY, "Upper end; null for none."),
            "priced_on": ("date", "For claims about list prices: the day the claimed price was in force."),
            "scope": ("varchar", "Which money counts."),
            "definition": ("varchar", "How it is measured: lower end, point and upper end."),
            "reading": ("varchar", "How to read the verdict."),
            "answered_by": ("varchar", "Which connector or setting answers it where there are no data."),
        },
    ),
    "reference.claim_settings": (
        "What `claims` and `plan` configure. One row per setting and value.",
        {
            "name": ("varchar", "Setting."),
            "value": ("varchar", "Value as text."),
            "amount": (_MONEY, "Value as a number; null where it is none."),
        },
    ),
    "reference.alternatives": (
        "Models that the same tokens could have gone to, as configured. One row per model.",
        {
            "provider_name": ("varchar", "Provider."),
            "llm_model": ("varchar", "The provider's id of the model."),
            "replaces": ("varchar", "A router sends it tokens of models whose name starts like this; empty: none."),
        },
    ),
    "computed.hourly_requests": (
        "Requests by hour, of records that say when. One row per hour from the first to the last, quiet ones too.",
        {
            "usage_hour": ("timestamp", "Start of the hour, UTC."),
            "requests": ("bigint", "Requests to language models."),
        },
    ),
    "reference.list_prices": (
        "List prices that claims and what-ifs compare with. One row per day, provider, model and size of the input.",
        {
            "priced_on": ("date", "Last day of the month of use."),
            "provider_name": ("varchar", "Who would sell it, or does."),
            "listed_by": ("varchar", "Whose price list: the provider's, or the maker's where it has no entry."),
            "llm_model": ("varchar", "Language model, as bills name it or as configured."),
            "is_used": ("boolean", "Bills of the month count tokens of it."),
            "input_tokens": ("bigint", "Size of the request's input that the price is for."),
            "uncached_input_price": (_MONEY, _PRICE),
            "cache_read_price": (_MONEY, _PRICE),
            "cache_write_price": (_MONEY, _PRICE),
            "output_price": (_MONEY, _PRICE),
            "price_source": ("varchar", "The library and its version, or the team's override."),
        },
    ),
}
