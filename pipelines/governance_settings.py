"""What a team decides about its money: budgets, credits, cost of revenue, who shares what, when a month may close."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from models.sharing import Method, Pool
from models.workloads import Workload

_NO_EXTRA = ConfigDict(extra="forbid")
Name = Annotated[str, Field(min_length=1)]


class Budget(BaseModel):
    """What a month of something may cost; several conditions hold together, none means all AI money."""

    model_config = _NO_EXTRA

    name: Name
    """Name in `marts.budget_status`; unique."""
    workload: Workload | None = None
    """Only this workload."""
    team: str | None = None
    """Only this team."""
    llm_model: str | None = None
    """Only this language model."""
    monthly: Decimal = Field(gt=0)
    """Effective cost per month of use, in the reporting currency."""


class Grant(BaseModel):
    """Promotional credits, money paid in advance, or a spend commitment: what the bill uses up and never tells."""

    model_config = _NO_EXTRA

    name: Name
    """Name in `marts.credit_burndown`; unique."""
    kind: Literal["promotional", "prepaid", "commitment"]
    """promotional is used up by credit lines; prepaid and commitment by whatever the source bills."""
    source: str
    """Source whose bill uses it up."""
    amount: Decimal = Field(gt=0)
    """Granted, paid or promised, in the reporting currency."""
    starts: date
    """First day it counts."""
    expires: date
    """Last day it counts."""
    description: str | None = None
    """Only credit lines whose description contains this; all if not given."""


class CostOfRevenue(BaseModel):
    """One condition under which AI money is cost of revenue (COGS); the rest of AI is research and development."""

    model_config = _NO_EXTRA

    workload: Workload | None = None
    """Only this workload."""
    environment: str | None = None
    """Only this environment, as `dimensions.environment` finds it."""
    team: str | None = None
    """Only this team."""
    project: str | None = None
    """Only this project."""


class SharingSettings(BaseModel):
    """How money without a team is shown to teams in `marts.costs_by_team`."""

    model_config = _NO_EXTRA

    method: Method = Method.PROPORTIONAL
    """`proportional` to what teams cost themselves, `even`, or `fixed` weights."""
    pools: list[Pool] = list(Pool)
    """Which money is shared: `tax`, `support`, `credit`, `other` shared lines, `idle` capacity, `unallocated` AI."""
    weights: dict[str, int] = {}
    """Team and weight, for `fixed`."""
    by_line: bool = True
    """In FOCUS files, a shared line is a row for each team; false keeps such lines, and so the files, small."""

    @model_validator(mode="after")
    def _weights_fit_method(self) -> Self:
        if (self.method is Method.FIXED) != any(weight > 0 for weight in self.weights.values()):
            raise ValueError("`weights` and `method: fixed` go together, with at least one weight above 0")
        return self


class Expected(BaseModel):
    """What must be in every month's bills; what earlier months had is expected without being named here."""

    model_config = _NO_EXTRA

    payers: list[str] = []
    """Billing accounts."""
    accounts: list[str] = []
    """Accounts, projects or subscriptions."""
    providers: list[str] = []
    """Providers, as the bills name them."""


class Closing(BaseModel):
    """What must hold before `apportion close` closes a month."""

    model_config = _NO_EXTRA

    coverage: float = Field(default=0.8, ge=0, le=1)
    """Least share of AI money whose workload is known."""


class Anomalies(BaseModel):
    """Which odd days are worth telling."""

    model_config = _NO_EXTRA

    minimum: Decimal = Field(default=Decimal(10), ge=0)
    """Least difference from what was expected, in the reporting currency."""


class Governance(BaseModel):
    """The part of the configuration that a monthly review decides."""

    budgets: list[Budget] = []
    """What a month of a workload, team or language model may cost."""
    credits: list[Grant] = []
    """Promotional credits, prepayments and spend commitments, to see how long they last."""
    cogs: list[CostOfRevenue] = [CostOfRevenue(workload=Workload.INFERENCE)]
    """What counts as cost of revenue: any of these conditions."""
    sharing: SharingSettings = SharingSettings()
    """How support, tax, idle and unallocated money is shown to teams."""
    expected: Expected = Expected()
    """Payers, accounts and providers that every month must have."""
    closing: Closing = Closing()
    """What `apportion close` asks of a month."""
    anomalies: Anomalies = Anomalies()
    """Which odd days are worth telling."""

    @field_validator("budgets", "credits")
    @classmethod
    def _names_are_unique(cls, entries: list[Budget] | list[Grant]) -> list[Budget] | list[Grant]:
        names = [entry.name for entry in entries]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"the name {name!r} stands twice")
        return entries
