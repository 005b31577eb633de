"""Tell people: what is worth a message, and sending it to wherever `notify` says, without a secret in it."""

from __future__ import annotations

import re
import warnings
from typing import TYPE_CHECKING, Any, Final

from models.errors import ApportionError
from pipelines import redaction
from pipelines.reports.wording import short
from pipelines.warehouse.reader import NotFound, ask

if TYPE_CHECKING:
    from pipelines.settings import Settings

RECENT_DAYS: Final = 14
"""Odd days older than this, counted from the newest one reported, are history and no news."""
# What an address carries behind the question mark: signatures stand there.
_QUESTION: Final = re.compile(r"(?<=\?)\S+(?=\s|$)")


def send(settings: Settings, title: str, body: str) -> None:
    """Send a message to every entry of `notify`.

    Raises:
        ApportionError: an entry cannot be used or refused the message; names it by position and kind, never whole.
    """
    import apprise

    failed = []
    with warnings.catch_warnings():
        # Its plugins look for a module of the standard library that Python 3.13 has no more, and do without.
        warnings.simplefilter("ignore", DeprecationWarning)
        for number, url in enumerate(settings.notify, 1):
            place = f"entry {number} of `notify` ({url.get_secret_value().partition(':')[0]}://…)"
            messenger = apprise.Apprise()
            if not messenger.add(url.get_secret_value()):
                failed.append(f"{place} is no address that apprise knows")
            elif not messenger.notify(
                title=without_secrets(settings, title),
                body=without_secrets(settings, body),
                # Names come from tags, so nothing in them may be taken for markup.
                body_format=apprise.NotifyFormat.TEXT,
            ):
                failed.append(f"{place} did not take the message")
    if failed:
        raise ApportionError(f"{'; '.join(failed)}. Correct the entry, or try it with apprise's own command.")


def without_secrets(settings: Settings, text: str) -> str:
    """Take out of a text whatever is secret in the configuration, or looks like a key."""
    secrets = set(redaction.secrets_in(settings.model_dump(), redaction.SECRET_NAME))
    return _QUESTION.sub(redaction.HIDDEN, redaction.without(redaction.hidden(text), secrets))


def news(settings: Settings) -> dict[str, str]:
    """Give what of the published report is worth a message: its identity, and a line of text."""
    try:
        budgets = ask(settings.home, _BUDGETS).to_dicts()
        days = ask(settings.home, _ODD_DAYS, {"days": RECENT_DAYS}).to_dicts()
    except NotFound:
        return {}
    found = {}
    for row in budgets:
        key = f"budget/{row['budget_name']}/{row['usage_period']}/{row['status']}"
        found[key] = _budget(row, settings.currency)
    for row in days:
        key = f"day/{row['series_kind']}/{row['series_name']}/{row['usage_date']}/{row['direction']}"
        found[key] = _odd_day(row, settings.currency)
    return found


_BUDGETS: Final = """
select * from marts.budget_status
where status in ('breached', 'projected_breach')
    and usage_period >= (select max(usage_period) from marts.budget_status) - interval 1 month
order by usage_period, budget_name
"""
_ODD_DAYS: Final = """
select anomalies.*
from marts.cost_anomalies as anomalies
cross join intermediate.int_reported_until as until_date
where anomalies.usage_date > until_date.reported_until_date - to_days($days::integer)
order by anomalies.usage_date, anomalies.series_kind, anomalies.series_name
"""


def _budget(row: dict[str, Any], currency: str) -> str:
    what = f"Budget {row['budget_name']}, {row['usage_period']:%Y-%m}"
    limit, spent = short(row["budget_cost"], currency), short(row["month_to_date_cost"], currency)
    if row["status"] == "breached":
        return f"{what}: {spent} spent of {limit}, over since {row['breach_date']}."
    day = f" on {row['breach_date']}" if row["breach_date"] else ""
    foreseen = short(row["projected_cost"], currency)
    return f"{what}: {foreseen} foreseen against {limit}, {spent} so far; it will break{day}."


def _odd_day(row: dict[str, Any], currency: str) -> str:
    actual, expected = short(row["actual_cost"], currency), short(row["expected_cost"], currency)
    what = "All AI" if row["series_kind"] == "all_ai" else f"{row['series_kind']} {row['series_name']}"
    driver = f"; mostly {row['driver_service_name']} {row['driver_usage_type']}" if row["driver_service_name"] else ""
    return f"{what}, {row['usage_date']}: {actual} where {expected} was expected{driver}."
