import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from models.dimensions import AiScope, Dimensions, normalize


@pytest.mark.parametrize(
    ("written", "compared"),
    [
        ("user:Team", "team"),
        ("user_team", "team"),
        ("resourceTags/user:Cost Center", "cost_center"),
        ("Team", "team"),
        ("aws:eks:cluster-name", "aws_eks_cluster_name"),
        ("aws_eks_cluster_name", "aws_eks_cluster_name"),
        ("user_user_id", "user_id"),
        ("k8s-namespace", "k8s_namespace"),
        ("superuser_team", "superuser_team"),
    ],
)
def test_names_that_mean_the_same_tag_compare_equal(written: str, compared: str) -> None:
    assert normalize(written) == compared


@given(st.text(), st.sampled_from(["-", "_", ":", " ", ".", "/", "--"]))
def test_the_separator_in_a_name_does_not_matter(name: str, separator: str) -> None:
    assert normalize(f"aws:{name}{separator}x") == normalize(f"aws:{name}_x")


def test_the_first_source_that_is_not_blank_wins() -> None:
    dimensions = Dimensions.model_validate(
        {"team": [{"tag": "Team"}, {"cost_category": "Team"}, {"account": {"0123": "search"}}]}
    )
    keys = pl.DataFrame(
        {
            "sub_account_id": ["0123", "0123", "0123", "9", None],
            "tag:team": [" Ads_Ranking ", "  ", None, None, "-"],
            "cost_category:team": ["x", "Web.Shop", None, None, None],
        }
    )
    assert dimensions.resolve(keys)["team"].to_list() == ["ads-ranking", "web-shop", "search", None, None]


def test_a_dimension_nobody_configured_is_null_on_every_key() -> None:
    resolved = Dimensions().resolve(pl.DataFrame({"service_code": ["a", "b"]}))
    assert resolved.columns == ["team", "environment", "project", "customer"]
    assert resolved.null_count().row(0) == (2, 2, 2, 2)


def test_dimensions_name_the_tags_a_key_must_hold() -> None:
    dimensions = Dimensions.model_validate({"team": [{"tag": "user:Team"}], "shop": [{"cost_category": "Shop Name"}]})
    assert dimensions.relevant_tags == {"team"}
    assert dimensions.relevant_cost_categories == {"shop_name"}


@pytest.mark.parametrize("source", [{"label": "team"}, {"tag": "team", "account": {}}, {"tag": ""}])
def test_an_unknown_source_of_a_dimension_is_refused(source: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Dimensions.model_validate({"team": [source]})


def test_scope_is_an_account_or_a_whole_bill() -> None:
    keys = pl.DataFrame({"sub_account_id": ["1", "2", None]})
    scope = AiScope(accounts=("1",), sources=("gpu-cloud",))
    assert keys.select(s=scope.holds("aws"))["s"].to_list() == [True, False, False]
    assert keys.with_columns(s=scope.holds("gpu-cloud"))["s"].to_list() == [True, True, True]
