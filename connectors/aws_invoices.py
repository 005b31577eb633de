"""AWS's invoicing API: what AWS's invoices ask for, to be compared with the bills. Totals only; lines are `aws_cur`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from models.errors import BadInput
from models.money import quantize_decimal

# A receipt asks for nothing; a cancelled document no longer does.
_NO_INVOICE: Final = "PAYMENT_RECEIPT"
_CANCELLED: Final = "CANCELLED"
_AMOUNT: Final = re.compile(r"-?\d+(\.\d+)?")
_AGAIN: Final = "Run again; if it stays so, write the totals into the CSV of `invoices` instead"


class AwsInvoices(BaseModel):
    """One account whose invoices are asked for."""

    model_config = ConfigDict(extra="forbid")

    account_id: Annotated[str, StringConstraints(pattern=r"^\d{12}$")]
    """The account that gets the invoices: the payer, 12 digits in quotes."""
    provider: str = "AWS"
    """What the invoices are compared with: a provider as the bills name it, or the name of a source."""
    months: int = Field(default=3, ge=1, le=36)
    """How many of the newest complete invoice months are asked for on every look; older ones stay as they were."""
    profile: str | None = None
    """Profile of the AWS configuration files; boto3's own chain decides when left out."""
    region: str = "us-east-1"
    """Region of the endpoint."""
    endpoint_url: str | None = None
    """Another endpoint."""


def months_before(today: date, count: int) -> list[date]:
    """Give the first days of the complete months before a day, newest last."""
    index = today.year * 12 + today.month - 1
    return [date(number // 12, number % 12 + 1, 1) for number in range(index - count, index)]


def list_invoices(options: AwsInvoices, months: Sequence[date]) -> list[dict[str, str]]:
    """Ask for the invoices of some months.

    Amounts are in the currency AWS sells in, that of the bill, and include tax, as the bill's lines do. Receipts and
    cancelled documents are left out; a credit memo lowers, whichever sign its total has.

    Returns:
        One dict per invoice: provider, invoice_id, billing_period (2026-07), currency, total (exact text).

    Raises:
        BadInput: AWS cannot be asked or refuses, or an invoice lacks its number, month, currency or amount.
    """
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    name = f"AWS's invoices of {options.account_id}"
    config = Config(retries={"mode": "standard", "total_max_attempts": 5}, connect_timeout=10, read_timeout=60)
    try:
        session = boto3.Session(profile_name=options.profile, region_name=options.region)
        client: Any = session.client("invoicing", endpoint_url=options.endpoint_url, config=config)
        pages = client.get_paginator("list_invoice_summaries")
        found = []
        for month in months:
            answers = pages.paginate(
                Selector={"ResourceType": "ACCOUNT_ID", "Value": options.account_id},
                Filter={"BillingPeriod": {"Month": month.month, "Year": month.year}},
            )
            summaries = [summary for answer in answers for summary in answer["InvoiceSummaries"]]
            found += list(_invoices(name, options.provider, month, summaries))
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        denied = "AccessDenied" in code
        fix = "Allow invoicing:ListInvoiceSummaries to the credentials in use" if denied else "Run again later"
        raise BadInput(name, f"access denied ({code})" if denied else f"AWS answers {code}", fix) from error
    except BotoCoreError as error:
        raise BadInput(name, f"AWS cannot be asked ({error})", "Check credentials, region and endpoint") from error
    return found


def _invoices(
    name: str, provider: str, month: date, summaries: Sequence[Mapping[str, Any]]
) -> Iterator[dict[str, str]]:
    for summary in summaries:
        if summary.get("InvoiceType") == _NO_INVOICE or summary.get("TaxAuthorityStatus") == _CANCELLED:
            continue
        number = str(summary.get("InvoiceId") or "")
        place = f"invoice {number or '(no number)'} of {month:%Y-%m}"
        amount = summary.get("BaseCurrencyAmount") or {}
        currency, text = str(amount.get("CurrencyCode") or ""), str(amount.get("TotalAmount") or "")
        period = summary.get("BillingPeriod") or {}
        if not number or not currency or not _AMOUNT.fullmatch(text):
            raise BadInput(name, f"number, currency or amount is missing ({currency} {text!r})", _AGAIN, place)
        if (period.get("Year"), period.get("Month")) != (month.year, month.month):
            raise BadInput(name, f"another month was asked for than {dict(period)}", _AGAIN, place)
        total = _total(name, place, text)
        if summary.get("InvoiceType") == "CREDIT_MEMO":
            total = -abs(total)
        yield {
            "provider": provider,
            "invoice_id": number,
            "billing_period": f"{month:%Y-%m}",
            "currency": currency,
            "total": f"{total:f}",
        }


def _total(name: str, place: str, text: str) -> Decimal:
    try:
        return quantize_decimal(Decimal(text))
    except (InvalidOperation, ArithmeticError):
        raise BadInput(name, f"{text[:40]!r} is no amount of money", _AGAIN, place) from None
