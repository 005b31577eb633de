"""What the page says in words: the verdict, four figures, a sentence a section, what to decide.

Each amount in a sentence is short for the eye and exact underneath (`<data value=… title=…>`), so that whoever checks a
figure finds all its digits, and so does a test.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from markupsafe import Markup

from pipelines.reports import palette
from pipelines.reports.figures import Pack
from pipelines.reports.wording import clipped, full, month, percent, price, short, signed, whole, words

_ZERO: Final = Decimal(0)
_FEW: Final = Decimal("0.005")  # a share below this is no news
_NAME: Final = 60


@dataclass(frozen=True)
class Card:
    """One figure at the top of the page."""

    title: str
    figure: Markup
    note: Markup
    table: str


@dataclass(frozen=True)
class Step:
    """Something to decide, and the section that says why."""

    text: Markup
    section: str


def money(amount: Decimal, currency: str) -> Markup:
    """Write an amount short, its exact value underneath."""
    return Markup('<data value="{}" title="{}">{}</data>').format(
        f"{amount:f}", full(amount, currency), short(amount, currency)
    )


def change(amount: Decimal, currency: str) -> Markup:
    """Write a change likewise, with its sign."""
    return Markup('<data value="{}" title="{}">{}</data>').format(
        f"{amount:f}", full(amount, currency), signed(amount, currency)
    )


def verdict(pack: Pack) -> tuple[str, Markup]:
    """Give the verdict on 80/20, and the one sentence that says it with its interval."""
    when = month(pack.period)
    row = next((row for row in pack.tables["verdict"].rows if row["period"] == pack.period), None)
    if row is None or row["verdict"] == "no_data" or row["measured_low"] is None:
        return "no_data", Markup("No verdict on 80/20 for {}: no bill of that month has AI compute cost.").format(when)
    span = Markup("between <b>{}</b> and <b>{}</b>").format(whole(row["measured_low"]), whole(row["measured_high"]))
    claimed = Markup("{} to {}").format(whole(row["claimed_low"]), whole(row["claimed_high"]))
    sentences = {
        "holds": Markup(
            "“80 % inference, 20 % training” <b>holds</b> for you in {}: inference was {} of AI compute cost, "
            "inside the claimed {}."
        ).format(when, span, claimed),
        "fails": Markup(
            "“80 % inference, 20 % training” <b>fails</b> for you in {}: inference was {} of AI compute cost, outside "
            "the claimed {}."
        ).format(when, span, claimed),
        "undetermined": Markup(
            "“80 % inference, 20 % training” is <b>undetermined</b> for you in {}: inference was {} of AI compute "
            "cost, and the claimed {} lies partly inside; the {} that is unattributed or merely inferred decides."
        ).format(when, span, claimed, money(row["undecided_cost"], pack.currency)),
        "withheld": Markup(
            "The verdict on “80 % inference, 20 % training” is <b>withheld</b> for {}: a bill does not agree with its "
            "invoice. As the bills stand, inference was {} of AI compute cost."
        ).format(when, span),
    }
    return str(row["verdict"]), sentences[row["verdict"]]


def cards(pack: Pack) -> list[Card]:
    """Give the four figures at the top: AI cost, inference, idle and unattributed."""
    now, before = _ai(pack, 0), _ai(pack, -1)
    cost, last = sum(now.values(), _ZERO), sum(before.values(), _ZERO)
    since = (
        Markup("{} since last month").format(change(cost - last, pack.currency)) if before else Markup("first month")
    )
    cards = [Card("AI cost", money(cost, pack.currency), since, "split_by_month")]
    row = next((row for row in pack.tables["verdict"].rows if row["period"] == pack.period), None)
    if row is not None and row["measured"] is not None:
        span = Markup("of AI compute, at least {}, at most {}").format(
            whole(row["measured_low"]), whole(row["measured_high"])
        )
        cards.append(Card("Inference", Markup("<span>{}</span>").format(whole(row["measured"])), span, "verdict"))
    idle = _idle(pack)
    if idle:
        accelerators = sum((row["effective_cost"] for row in pack.tables["idle"].rows), _ZERO)
        unmeasured = sum((row["effective_cost"] for row in idle if row["idle_reason"] == "unmeasured"), _ZERO)
        stated = sum((row["effective_cost"] for row in idle if row["idle_reason"] != "unmeasured"), _ZERO)
        note = Markup("of {} on accelerators; {} unmeasured").format(
            money(accelerators, pack.currency), _share(unmeasured, accelerators)
        )
        cards.append(Card("Known idle", money(stated, pack.currency), note, "idle"))
    unknown = now.get("unattributed", _ZERO)
    note = Markup("{} of AI cost").format(_share(unknown, cost))
    cards.append(Card("Unattributed", money(unknown, pack.currency), note, "unattributed"))
    return cards


def decisions(pack: Pack) -> list[Step]:
    """Give what somebody should decide, what blocks everything else first."""
    steps = [
        Step(
            Markup(
                "Settle the {} between the ledger and the invoice of <b>{}</b>; verdicts are withheld until then."
            ).format(
                Markup('<data value="{}" title="{}">{}</data>').format(
                    f"{row['invoice_difference']:f}",
                    full(row["invoice_difference"], row["billing_currency"]),
                    full(row["invoice_difference"], row["billing_currency"]),
                ),
                row["source"],
            ),
            "reconciliation",
        )
        for row in pack.tables["reconciliation"].rows
        if not row["is_reconciled"] and row["invoice_difference"] is not None
    ]
    ai = _ai(pack, 0)
    cost = sum(ai.values(), _ZERO)
    rules = pack.tables["unattributed"].rows
    if rules and cost > 0 and ai.get("unattributed", _ZERO) / cost > _FEW:
        placed = sum((row["effective_cost"] for row in rules), _ZERO)
        text = Markup("Write {}: {} of the {} unattributed would have a purpose, the largest part <b>{}</b>.").format(
            "one rule" if len(rules) == 1 else f"{len(rules)} rules",
            money(placed, pack.currency),
            money(ai["unattributed"], pack.currency),
            clipped(rules[0]["usage_type"] or rules[0]["service_name"] or rules[0]["key_id"], _NAME),
        )
        steps.append(Step(text, "unattributed"))
    for row in _idle(pack):
        if row["idle_reason"] != "unmeasured" and row["effective_cost"] > 0:
            text = Markup("Release or use what stood idle: <b>{}</b> cost {} this month, the largest known reason.")
            steps.append(
                Step(text.format(words(row["idle_reason"]), money(row["effective_cost"], pack.currency)), "idle")
            )
            break
    for row in _idle(pack):
        if row["idle_reason"] == "unmeasured" and (row["share_of_accelerators"] or 0) > _FEW:
            text = Markup(
                "Measure the accelerators: nobody knows whether {} ({}) was busy. Add metrics to <code>sources</code>."
            )
            steps.append(
                Step(
                    text.format(money(row["effective_cost"], pack.currency), percent(row["share_of_accelerators"])),
                    "idle",
                )
            )
    nobody = sum((row["effective_cost"] for row in pack.tables["teams"].rows if row["team"] is None), _ZERO)
    if cost > 0 and nobody / cost > _FEW:
        text = Markup("Name an owner: {} ({}) of AI cost belongs to no team. Extend <code>dimensions.team</code>.")
        steps.append(Step(text.format(money(nobody, pack.currency), _share(nobody, cost)), "teams"))
    return steps


def sentences(pack: Pack) -> dict[str, Markup]:
    """Give one sentence a section: its news."""
    said: dict[str, Markup] = {}
    ai = _ai(pack, 0)
    cost = sum(ai.values(), _ZERO)
    largest = max(ai, key=lambda workload: ai[workload], default=None)
    if largest:
        text = Markup("Of {} of AI cost, <b>{}</b> took {} ({}).")
        said["split_by_month"] = text.format(
            money(cost, pack.currency), words(largest), money(ai[largest], pack.currency), _share(ai[largest], cost)
        )
    models = pack.tables["llm_models"].rows
    if models:
        text = Markup("<b>{}</b> cost most, {}{}.")
        each = models[0]["cost_per_million_tokens"]
        said["llm_models"] = text.format(
            clipped(models[0]["llm_model"], _NAME),
            money(models[0]["effective_cost"], pack.currency),
            "" if each is None else Markup(", {} per million tokens").format(price(each, pack.currency)),
        )
    said |= _team_sentence(pack, cost)
    moved = [row for row in pack.tables["changes"].rows if row["dimension"] == "workload"]
    if moved:
        total = sum((row["change_cost"] for row in moved), _ZERO)
        text = Markup("AI cost changed by {}; most of it is <b>{}</b>, {}.")
        said["changes"] = text.format(
            change(total, pack.currency), words(moved[0]["item"]), change(moved[0]["change_cost"], pack.currency)
        )
    rules = pack.tables["unattributed"].rows
    if rules:
        placed = sum((row["effective_cost"] for row in rules), _ZERO)
        text = Markup("{} of {} unattributed stands behind {}.")
        said["unattributed"] = text.format(
            money(placed, pack.currency),
            money(ai.get("unattributed", _ZERO), pack.currency),
            "one key" if len(rules) == 1 else f"{len(rules)} keys",
        )
    return said


def _team_sentence(pack: Pack, cost: Decimal) -> Mapping[str, Markup]:
    named = [row for row in pack.tables["teams"].rows if row["team"] is not None]
    if not named:
        return {}
    text = Markup("The largest named team is <b>{}</b>: {} ({} of AI cost).")
    owner = named[0]
    return {
        "teams": text.format(
            clipped(owner["team"], _NAME), money(owner["team_cost"], pack.currency), _share(owner["team_cost"], cost)
        )
    }


def _ai(pack: Pack, months_back: int) -> dict[str, Decimal]:
    """Give AI cost by workload of this month, or of the month before with −1; empty where there is none."""
    number = pack.period.year * 12 + pack.period.month - 1 + months_back
    period = pack.period.replace(year=number // 12, month=number % 12 + 1)
    return {
        row["workload"]: row["effective_cost"]
        for row in pack.tables["split_by_month"].rows
        if row["usage_period"] == period and row["workload"] in palette.AI_WORKLOADS
    }


def _idle(pack: Pack) -> Sequence[Mapping[str, Any]]:
    return [row for row in pack.tables["idle"].rows if row["idle_reason"] != "busy"]


def _share(part: Decimal, all_of_it: Decimal) -> str:
    return percent(part / all_of_it) if all_of_it > 0 else "–"
