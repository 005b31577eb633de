"""The SQL that adds lines of the billing export up in BigQuery: what the reader needs of them, and nothing lost.

A row of the result has the export's own shape and stands for all lines that the reader cannot tell apart: same keys,
same kinds of credit, same day of use, or same hour where a machine may have accelerators. Each amount is rounded as the
reader would round it, line by line, and comes as text, so the sums have the digits that lines would have here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from connectors.gcp_charges import GIFTS
from connectors.gcp_columns import KEY, KEY_VALUE, LINES, WANTED

# Raise it when the query comes to say more of the same lines: they are then added up anew.
QUERY: Final = 1
# As `models.money.quantize` does it. BIGNUMERIC keeps 38 decimals, so the text of a line's amount loses nothing before.
ROUNDED: Final = "ROUND(CAST({text} AS BIGNUMERIC), 12, 'ROUND_HALF_EVEN')"
WHOLE: Final = "CAST({text} AS BIGNUMERIC)"
# Text of SKUs that `ledger.gpu_hours` may count: whatever could name an accelerator, and what flex-start is known by.
ACCELERATED: Final = r"(?i)nvidia|[0-9]GB\b|\brtx\b|tpu|\b[ag][2-9]|\bDWS\b|\bmanagement fee\b"
PART: Final = r"(?i)\b(?:core|cpu|ram|memory)\b|\blocal (?:storage|ssd)\b"
# Series that no accelerator can be part of or attached to; those of any other count by the hour, new ones too.
PLAIN: Final = r"^(?:e2|n2|n2d|n4|n4d|c2|c2d|c3|c3d|c4|c4a|c4d|t2a|t2d|m1|m2|m3|m4|x4|h3|h4d|z3|f1|g1)-"
_MACHINE: Final = "compute.googleapis.com/machine_spec"
_SUMMED: Final = ("usage_start_time", "usage_end_time", "cost", "cost_at_list", "usage", "credits")
_RATE: Final = "currency_conversion_rate"
_AMOUNTS: Final = ("amount", "amount_in_pricing_units")
_FLOATS: Final = ("FLOAT", "FLOAT64")


class Aggregate:
    """Write the queries for one table.

    Args:
        table: its name for SQL.
        kinds: its columns: BigQuery's type of each, or the columns of a record.
        where: condition on the lines to read.
    """

    def __init__(self, table: str, kinds: Mapping[str, Any], where: str) -> None:
        self._kinds = kinds
        self._from = f"FROM {table} WHERE {where}"

    def rows(self) -> str:
        """Add up the lines that cannot be told apart, with their number and a digest of what they have in common."""
        same = {KEY: self._key(), **self._same()}
        line = {**same, "usage_start_time": "usage_start_time", "usage_end_time": "usage_end_time", **self._amounts()}
        line["credits"] = self._each_credit(ROUNDED)
        row = {name: f"ANY_VALUE({name})" for name in same if name not in {KEY, "usage"}}
        row |= {
            LINES: "COUNT(*)",
            "usage_start_time": "MIN(usage_start_time)",
            "usage_end_time": _unless_null("usage_end_time", "MAX(usage_end_time)"),
            "cost": _unless_null("cost", _text("SUM(cost)")),
            "credits": "ARRAY_CONCAT_AGG(credits)",
        }
        if "cost_at_list" in line:
            row["cost_at_list"] = _text("SUM(cost_at_list)")
        if "usage" in same:
            used = {name: f"{_text(f'SUM(used_{name})')}" for name in _AMOUNTS if f"used_{name}" in line}
            units = {name: f"ANY_VALUE(usage.{name})" for name in ("unit", "pricing_unit") if name in self._usage()}
            row["usage"] = _struct(used | units)
        shown = {name: name for name in (KEY, *row)}
        amount = _unless_null("c.amount", _text("SUM(c.amount)"))
        shown["credits"] = (
            f"ARRAY(SELECT STRUCT(c.kind AS type, {amount} AS amount) "
            "FROM UNNEST(credits) AS c GROUP BY c.kind ORDER BY c.kind)"
        )
        return (
            f"WITH line AS (SELECT {_named(line)} {self._from}), "
            f"same AS (SELECT {KEY}, {_named(row)} FROM line GROUP BY {KEY}) "
            f"SELECT {_named(shown)} FROM same"
        )

    def sums(self, day: str, month: str) -> str:
        """Sum every line of each partition and invoice month straight, to check the rows by: rounded, and exactly."""
        sums = {"lines": "COUNT(*)"}
        for form, prefix in ((ROUNDED, ""), (WHOLE, "exact_")):
            sums[f"{prefix}cost"] = f"SUM({self._amount('cost', form)})"
            if "cost_at_list" in self._kinds:
                sums[f"{prefix}listed"] = f"SUM({self._amount('cost_at_list', form)})"
            one = self._credit(form)
            gifts = ", ".join(f"'{kind}'" for kind in GIFTS)
            sums[f"{prefix}credits"] = f"SUM((SELECT SUM({one}) FROM UNNEST(credits) AS c))"
            sums[f"{prefix}gifts"] = f"SUM((SELECT SUM({one}) FROM UNNEST(credits) AS c WHERE c.type IN ({gifts})))"
        texts = {name: _text(f"COALESCE({said}, 0)") for name, said in sums.items()}
        return f"SELECT {_named({'day': day, 'month': month, **texts})} {self._from} GROUP BY 1, 2"

    def lines(self, columns: str) -> str:
        """Give the lines that the row with the digest @key stands for, as they are."""
        return f"SELECT {columns} {self._from} AND {self._key()} = @key"

    def _key(self) -> str:
        """Digest what lines of a row have in common; two contents share no SHA-256."""
        kinds = "ARRAY(SELECT DISTINCT c.type FROM UNNEST(credits) AS c ORDER BY c.type)"
        told = {**self._same(), "kinds": kinds, "since": self._since()}
        if _AMOUNTS[1] in self._usage():
            # The unit of a line is that of its price where it has one.
            told["is_priced"] = f"usage.{_AMOUNTS[1]} IS NOT NULL"
        return f"TO_HEX(SHA256(TO_JSON_STRING({_struct(told)})))"

    def _same(self) -> dict[str, str]:
        """Give the columns that lines of a row have in common, of those the reader reads."""
        same = {
            name: _cell(name, wanted, self._kinds[name])
            for name, wanted in WANTED.items()
            if name in self._kinds and name not in _SUMMED
        }
        if _RATE in same:
            same[_RATE] = _exact_text(_RATE, self._kinds[_RATE])
        units = {name: f"usage.{name}" for name in ("unit", "pricing_unit") if name in self._usage()}
        if units:
            same["usage"] = _struct(units)
        return same

    def _since(self) -> str:
        """Cut a line's time to its hour or day of use."""
        sku = "sku.description"
        by_hour = f"REGEXP_CONTAINS({sku}, r'{ACCELERATED}')"
        is_part = f"REGEXP_CONTAINS({sku}, r'{PART}')"
        if "system_labels" in self._kinds:
            machine = f"(SELECT MIN(l.value) FROM UNNEST(system_labels) AS l WHERE l.key = '{_MACHINE}')"
            # Null where the line names no machine: a part may then be of any.
            by_hour += f" OR COALESCE(NOT REGEXP_CONTAINS({machine}, r'{PLAIN}'), {is_part})"
        else:
            by_hour += f" OR {is_part}"
        # A project may have another time zone by default.
        cut = [f"TIMESTAMP_TRUNC(usage_start_time, {unit}, 'UTC')" for unit in ("HOUR", "DAY")]
        return f"IF(COALESCE({by_hour}, FALSE), {', '.join(cut)})"

    def _amounts(self) -> dict[str, str]:
        amounts = {name: self._amount(name, ROUNDED) for name in ("cost", "cost_at_list") if name in self._kinds}
        used = {name: kind for name, kind in self._usage().items() if name in _AMOUNTS}
        return amounts | {
            f"used_{name}": ROUNDED.format(text=_exact_text(f"usage.{name}", kind)) for name, kind in used.items()
        }

    def _usage(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self._kinds.get("usage", {})
        return found

    def _amount(self, name: str, form: str) -> str:
        return form.format(text=_exact_text(name, self._kinds[name]))

    def _credit(self, form: str) -> str:
        return form.format(text=_exact_text("c.amount", self._kinds["credits"]["amount"]))

    def _each_credit(self, form: str) -> str:
        return f"ARRAY(SELECT AS STRUCT c.type AS kind, {self._credit(form)} AS amount FROM UNNEST(credits) AS c)"


def _cell(path: str, wanted: Any, kind: Any) -> str:
    """Give a cell as it is, records with the fields that are read, and labels in one order."""
    if wanted is None:
        return path
    if wanted == KEY_VALUE:
        return (
            f"ARRAY(SELECT AS STRUCT l.key AS key, l.value AS value FROM UNNEST({path}) AS l ORDER BY l.key, l.value)"
        )
    return _struct({name: _cell(f"{path}.{name}", inner, kind[name]) for name, inner in wanted.items() if name in kind})


def _exact_text(amount: str, kind: str) -> str:
    """Write an amount with the digits it was meant with: of a float, the fewest that are that float."""
    if kind not in _FLOATS:
        return f"CAST({amount} AS STRING)"
    few, more, all_ = (f"FORMAT('%.{digits}g', {amount})" for digits in (15, 16, 17))
    tried = " ".join(f"WHEN CAST({text} AS FLOAT64) = {amount} THEN {text}" for text in (few, more))
    return f"CASE {tried} ELSE {all_} END"


def _unless_null(cell: str, said: str) -> str:
    """Say nothing where a line says nothing: it is then refused, as that line would be."""
    return f"IF(COUNTIF({cell} IS NULL) > 0, NULL, {said})"


def _text(number: str) -> str:
    return f"CAST({number} AS STRING)"


def _struct(columns: Mapping[str, str]) -> str:
    return f"STRUCT({_named(columns)})"


def _named(columns: Mapping[str, str]) -> str:
    return ", ".join(f"{said} AS {name}" for name, said in columns.items())
