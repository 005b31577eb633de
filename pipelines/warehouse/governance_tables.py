"""The tables behind budgets, forecasts, anomalies, showback and closed months; `tables.py` adds them to the rest."""

from __future__ import annotations

from typing import Final

_MONEY: Final = "decimal(38, 12)"
_SERIES: Final = {
    "series_kind": ("varchar", "all_ai, workload, team, llm_model or budget."),
    "series_name": ("varchar", "Which workload, team, model or budget."),
}

GOVERNANCE_TABLES: Final[dict[str, tuple[str, dict[str, tuple[str, str]]]]] = {
    "reference.budgets": (
        "Budgets, as configured. One row per budget.",
        {
            "budget_name": ("varchar", "Name."),
            "workload": ("varchar", "Only this workload; null for any that is AI."),
            "team": ("varchar", "Only this team; null for any."),
            "llm_model": ("varchar", "Only this language model; null for any."),
            "budget_cost": (_MONEY, "Effective cost a month of use may have, reporting currency."),
        },
    ),
    "reference.credit_grants": (
        "Promotional credits, prepayments and commitments, as configured. One row per grant.",
        {
            "grant_name": ("varchar", "Name."),
            "kind": ("varchar", "promotional, prepaid or commitment."),
            "source": ("varchar", "Source whose bill uses it up."),
            "granted_cost": (_MONEY, "Granted, paid or promised, reporting currency."),
            "starts_on": ("date", "First day it counts."),
            "expires_on": ("date", "Last day it counts."),
            "description": ("varchar", "Only credit lines that contain this; null for all."),
        },
    ),
    "reference.cogs_conditions": (
        "What counts as cost of revenue, as configured: any of these. One row per condition.",
        {
            "workload": ("varchar", "Only this workload; null for any."),
            "environment": ("varchar", "Only this environment; null for any."),
            "team": ("varchar", "Only this team; null for any."),
            "project": ("varchar", "Only this project; null for any."),
        },
    ),
    "reference.expected": (
        "What every month must have, as configured. One row per kind and entity.",
        {
            "kind": ("varchar", "payer, account or provider."),
            "entity": ("varchar", "Its name or number."),
        },
    ),
    "reference.closings": (
        "Who closed or reopened which month, when and why. One row per source, billing period and act.",
        {
            "source": ("varchar", "Name of the source in the configuration."),
            "billing_period": ("date", "First day of the invoice month."),
            "acted_at": ("timestamp", "When, UTC."),
            "acted_by": ("varchar", "Operating system user."),
            "reason": ("varchar", "Why."),
            "is_reopening": ("boolean", "Reopened, not closed."),
            "is_in_force": ("boolean", "The last act on this month, and a closing."),
        },
    ),
    "computed.shared_costs": (
        "Shared money shown to teams, sums to 0 over teams. One row per source, both periods, team, workload and pool.",
        {
            "source": ("varchar", "Name of the source in the configuration."),
            "billing_period": ("date", "First day of the invoice month."),
            "usage_period": ("date", "First day of the month of use."),
            "team": ("varchar", "Who is shown it; null for what is taken from the pool."),
            "workload": ("varchar", "What the money was for."),
            "pool": ("varchar", "tax, support, credit, other, idle or unallocated."),
            "method": ("varchar", "proportional, even or fixed."),
            "share": (_MONEY, "Ratio of the pool: the team's, or what stays with nobody; sums to 1 per pool."),
            "billed_cost": (_MONEY, "What the provider asks for (unblended), reporting currency."),
            "effective_cost": (_MONEY, "Amortized cost after negotiated discounts."),
            "net_cost": (_MONEY, "effective_cost after promotional credits."),
        },
    ),
    "computed.cost_variance": (
        "Why a month of use cost more or less than the month before. One row per usage period and item.",
        {
            "usage_period": ("date", "First day of the month of use."),
            "provider_name": ("varchar", "Who provides the service."),
            "workload": ("varchar", "What the money was for."),
            "service_name": ("varchar", "Product name."),
            "usage_type": ("varchar", "Native usage type or SKU text."),
            "pricing_unit": ("varchar", "Unit of the quantity."),
            "previous_cost": (_MONEY, "effective_cost of the month before."),
            "current_cost": (_MONEY, "effective_cost of the month."),
            "price_cost": (_MONEY, "Other prices."),
            "volume_cost": (_MONEY, "More or less of everything."),
            "mix_cost": (_MONEY, "Other proportions."),
            "new_cost": (_MONEY, "Not there the month before."),
            "gone_cost": (_MONEY, "No longer there."),
            "unexplained_cost": (_MONEY, "A change without quantities to explain it."),
        },
    ),
    "computed.cost_series": (
        "Daily series that are foreseen and watched. One row per series.",
        {
            **_SERIES,
            "first_date": ("date", "First day with cost."),
            "day_count": ("integer", "Days from then to the last day reported."),
            "busy_day_count": ("integer", "Days with cost."),
            "is_watched": ("boolean", "Long enough for odd days to show."),
        },
    ),
    "computed.cost_forecasts": (
        "The days to come, to the end of next month. One row per series and day.",
        {
            **_SERIES,
            "usage_date": ("date", "Day of use, UTC."),
            "forecast_cost": (_MONEY, "Estimate of the day, rounded to cents."),
            "month_cost": (_MONEY, "The month up to this day: reported days and estimates."),
            "month_low_cost": (_MONEY, "Lower end of the 80 % interval of month_cost."),
            "month_high_cost": (_MONEY, "Upper end of it."),
        },
    ),
    "computed.backtests": (
        "Past months held out and foreseen from the days before them. One row per series and month of use.",
        {
            **_SERIES,
            "usage_period": ("date", "First day of the month held out."),
            "actual_cost": (_MONEY, "What it cost."),
            "forecast_cost": (_MONEY, "What was foreseen."),
            "low_cost": (_MONEY, "Lower end of the 80 % interval."),
            "high_cost": (_MONEY, "Upper end of it."),
            "naive_cost": (_MONEY, "What repeating the last week would have foreseen."),
        },
    ),
    "computed.cost_anomalies": (
        "Odd days and the key that explains most of each. One row per series and day.",
        {
            **_SERIES,
            "usage_date": ("date", "Day of use, UTC."),
            "actual_cost": (_MONEY, "What it cost."),
            "expected_cost": (_MONEY, "What its weekday let expect; an estimate, rounded to cents."),
            "score": ("double", "Robust standard deviations between the two, on the logarithm."),
            "driver_key_id": ("varchar", "Key that changed most: `apportion explain` shows it."),
            "driver_service_name": ("varchar", "Product of that key."),
            "driver_usage_type": ("varchar", "Native usage type of that key."),
            "driver_account_id": ("varchar", "Account, project or subscription of that key."),
            "driver_cost": (_MONEY, "What that key cost on the day."),
            "driver_expected_cost": (_MONEY, "Its median on the four same weekdays before."),
        },
    ),
    "computed.restatements": (
        "Closed months whose figures differ from those reported. One row per source, billing period, workload and key.",
        {
            "source": ("varchar", "Name of the source in the configuration."),
            "billing_period": ("date", "First day of the invoice month."),
            "workload": ("varchar", "What the money was or is for."),
            "key_id": ("varchar", "Key in computed.attributions, then or now."),
            "provider_name": ("varchar", "Who provides the service."),
            "sub_account_id": ("varchar", "Account, project or subscription."),
            "service_name": ("varchar", "Product name."),
            "usage_type": ("varchar", "Native usage type or SKU text."),
            "closed_at": ("timestamp", "When the month was closed, UTC."),
            "reported_cost": (_MONEY, "effective_cost when it was closed."),
            "provider_change_cost": (_MONEY, "What another bill changed, under the tags of then."),
            "retag_change_cost": (_MONEY, "What other tags changed, on the bill of now."),
            "current_cost": (_MONEY, "effective_cost now."),
        },
    ),
    "computed.closed_months": (
        "Months that were closed, and what they were last compared with. One row per source and billing period.",
        {
            "source": ("varchar", "Name of the source in the configuration."),
            "billing_period": ("date", "First day of the invoice month."),
            "closed_at": ("timestamp", "Last closing, UTC."),
            "compared": ("varchar", "Load ids of lines and attributions, then and now."),
        },
    ),
}
