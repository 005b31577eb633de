"""AWS's invoicing API as its service model describes it; moto does not know it, so a plain HTTP server answers."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from connectors.aws_invoices import AwsInvoices, list_invoices, months_before
from models.errors import BadInput

ACCOUNT = "777700000001"
JULY = [date(2026, 7, 1)]


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")


def invoice(number: str | None, total: str, **more: Any) -> dict[str, Any]:
    amounts = {"BaseCurrencyAmount": {"TotalAmount": total, "TotalAmountBeforeTax": "1", "CurrencyCode": "USD"}}
    period = {"BillingPeriod": {"Month": 7, "Year": 2026}}
    return {"AccountId": ACCOUNT, "InvoiceId": number, "InvoiceType": "INVOICE", **amounts, **period, **more}


def served(httpserver: HTTPServer, *pages: list[dict[str, Any]]) -> tuple[AwsInvoices, list[dict[str, Any]]]:
    """Answer page after page; give the options and what was asked."""
    asked: list[dict[str, Any]] = []

    def answer(request: Request) -> Response:
        assert request.headers["X-Amz-Target"] == "Invoicing.ListInvoiceSummaries"
        asked.append(request.get_json(force=True))
        number = int(asked[-1].get("NextToken", "0"))
        more = {"NextToken": str(number + 1)} if number + 1 < len(pages) else {}
        return Response(json.dumps({"InvoiceSummaries": pages[number], **more}))

    httpserver.expect_request("/", method="POST").respond_with_handler(answer)
    return AwsInvoices(account_id=ACCOUNT, endpoint_url=httpserver.url_for("/")), asked


def test_every_page_is_read_and_totals_stay_exact(httpserver: HTTPServer) -> None:
    options, asked = served(httpserver, [invoice("1001", "1678025.35")], [invoice("1002", "0.10")])
    found = list_invoices(options, JULY)
    assert [(row["invoice_id"], row["total"]) for row in found] == [
        ("1001", "1678025.350000000000"),
        ("1002", "0.100000000000"),
    ]
    assert found[0] | {"total": ""} == {
        "provider": "AWS",
        "invoice_id": "1001",
        "billing_period": "2026-07",
        "currency": "USD",
        "total": "",
    }
    assert asked[0]["Selector"] == {"ResourceType": "ACCOUNT_ID", "Value": ACCOUNT}
    assert asked[0]["Filter"] == {"BillingPeriod": {"Month": 7, "Year": 2026}}


def test_a_credit_memo_lowers_whatever_its_sign_and_a_receipt_asks_for_nothing(httpserver: HTTPServer) -> None:
    memos = [invoice("1", "5.00", InvoiceType="CREDIT_MEMO"), invoice("2", "-5.00", InvoiceType="CREDIT_MEMO")]
    others = [invoice("3", "9", InvoiceType="PAYMENT_RECEIPT"), invoice("4", "9", TaxAuthorityStatus="CANCELLED")]
    options, _ = served(httpserver, memos + others)
    assert [row["total"] for row in list_invoices(options, JULY)] == ["-5.000000000000"] * 2


@pytest.mark.parametrize(
    "odd", [invoice(None, "1"), invoice("7", ""), invoice("7", "NaN"), invoice("7", "1e400"), invoice("7", "1,000.00")]
)
def test_an_invoice_without_number_or_amount_is_refused(httpserver: HTTPServer, odd: dict[str, Any]) -> None:
    options, _ = served(httpserver, [odd])
    with pytest.raises(BadInput, match=r"invoice .* of 2026-07.*is missing"):
        list_invoices(options, JULY)


def test_an_invoice_of_another_month_is_refused(httpserver: HTTPServer) -> None:
    options, _ = served(httpserver, [invoice("7", "1", BillingPeriod={"Month": 6, "Year": 2026})])
    with pytest.raises(BadInput, match="another month"):
        list_invoices(options, JULY)


def test_who_lacks_the_permission_is_told_its_name(httpserver: HTTPServer) -> None:
    denied = json.dumps({"__type": "AccessDeniedException", "message": "no"})
    httpserver.expect_request("/").respond_with_data(denied, status=400)
    options = AwsInvoices(account_id=ACCOUNT, endpoint_url=httpserver.url_for("/"))
    with pytest.raises(BadInput, match="Allow invoicing:ListInvoiceSummaries"):
        list_invoices(options, JULY)


def test_the_newest_complete_months_are_asked_for() -> None:
    assert months_before(date(2026, 2, 20), 3) == [date(2025, 11, 1), date(2025, 12, 1), date(2026, 1, 1)]
