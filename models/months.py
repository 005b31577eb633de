"""Months, which bills, usage and forecasts are all counted by."""

from __future__ import annotations

from datetime import date, timedelta


def next_month(day: date) -> date:
    """Give the first day of the month after a day's own."""
    return (day.replace(day=1) + timedelta(days=31)).replace(day=1)
