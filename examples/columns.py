"""The columns that Meridian AI chose for its export, as the manifest prints them."""

from typing import Final

COLUMNS: Final = {
    "bill_bill_type": "string",
    "bill_billing_entity": "string",
    "bill_billing_period_end_date": "timestamp",
    "bill_billing_period_start_date": "timestamp",
    "bill_invoice_id": "string",
    "bill_invoicing_entity": "string",
    "bill_payer_account_id": "string",
    "bill_payer_account_name": "string",
    "capacity_reservation_capacity_reservation_arn": "string",
    "capacity_reservation_capacity_reservation_status": "string",
    "capacity_reservation_capacity_reservation_type": "string",
    "cost_category": "map<string,string>",
    "discount": "map<string,double>",
    "discount_bundled_discount": "double",
    "discount_total_discount": "double",
    "identity_line_item_id": "string",
    "identity_time_interval": "string",
    "line_item_availability_zone": "string",
    "line_item_blended_cost": "double",
    "line_item_currency_code": "string",
    "line_item_iam_principal": "string",
    "line_item_legal_entity": "string",
    "line_item_line_item_description": "string",
    "line_item_line_item_type": "string",
    "line_item_net_unblended_cost": "double",
    "line_item_operation": "string",
    "line_item_product_code": "string",
    "line_item_resource_id": "string",
    "line_item_tax_type": "string",
    "line_item_unblended_cost": "double",
    "line_item_unblended_rate": "string",
    "line_item_usage_account_id": "string",
    "line_item_usage_account_name": "string",
    "line_item_usage_amount": "double",
    "line_item_usage_end_date": "timestamp",
    "line_item_usage_start_date": "timestamp",
    "line_item_usage_type": "string",
    "pricing_currency": "string",
    "pricing_public_on_demand_cost": "double",
    "pricing_public_on_demand_rate": "string",
    "pricing_purchase_option": "string",
    "pricing_term": "string",
    "pricing_unit": "string",
    "product": "map<string,string>",
    "product_instance_type": "string",
    "product_operation": "string",
    "product_product_family": "string",
    "product_region_code": "string",
    "product_servicecode": "string",
    "product_usagetype": "string",
    "reservation_amortized_upfront_cost_for_usage": "double",
    "reservation_amortized_upfront_fee_for_billing_period": "double",
    "reservation_effective_cost": "double",
    "reservation_net_amortized_upfront_cost_for_usage": "double",
    "reservation_net_amortized_upfront_fee_for_billing_period": "double",
    "reservation_net_effective_cost": "double",
    "reservation_net_recurring_fee_for_usage": "double",
    "reservation_net_unused_amortized_upfront_fee_for_billing_period": "double",
    "reservation_net_unused_recurring_fee": "double",
    "reservation_recurring_fee_for_usage": "double",
    "reservation_reservation_a_r_n": "string",
    "reservation_unused_amortized_upfront_fee_for_billing_period": "double",
    "reservation_unused_quantity": "double",
    "reservation_unused_recurring_fee": "double",
    "resource_tags": "map<string,string>",
    "savings_plan_amortized_upfront_commitment_for_billing_period": "double",
    "savings_plan_end_time": "string",
    "savings_plan_net_amortized_upfront_commitment_for_billing_period": "double",
    "savings_plan_net_recurring_commitment_for_billing_period": "double",
    "savings_plan_net_savings_plan_effective_cost": "double",
    "savings_plan_offering_type": "string",
    "savings_plan_payment_option": "string",
    "savings_plan_purchase_term": "string",
    "savings_plan_recurring_commitment_for_billing_period": "double",
    "savings_plan_savings_plan_a_r_n": "string",
    "savings_plan_savings_plan_effective_cost": "double",
    "savings_plan_savings_plan_rate": "double",
    "savings_plan_start_time": "string",
    "savings_plan_total_commitment_to_date": "double",
    "savings_plan_used_commitment": "double",
    "split_line_item_actual_usage": "double",
    "split_line_item_net_split_cost": "double",
    "split_line_item_net_unused_cost": "double",
    "split_line_item_parent_resource_id": "string",
    "split_line_item_public_on_demand_split_cost": "double",
    "split_line_item_public_on_demand_unused_cost": "double",
    "split_line_item_reserved_usage": "double",
    "split_line_item_split_cost": "double",
    "split_line_item_split_usage": "double",
    "split_line_item_split_usage_ratio": "double",
    "split_line_item_unused_cost": "double",
}

_NET_PREFIXES: Final = ("reservation_net_", "savings_plan_net_")

NET: Final = {name: name.replace("_net_", "_", 1) for name in COLUMNS if name.startswith(_NET_PREFIXES)}
"""Every net column of a commitment, and the one it is after the enterprise discount."""

DOUBLES: Final = tuple(
    name
    for name, kind in COLUMNS.items()
    if kind == "double" and name not in NET and not name.startswith("split_line_item_")
)
"""Amounts that are zero where they say nothing."""

SPLIT: Final = tuple(name for name, kind in COLUMNS.items() if kind == "double" and name.startswith("split_line_item_"))
"""Amounts that are null, not zero, on every line but a pod's."""

STRINGS: Final = tuple(name for name, kind in COLUMNS.items() if kind == "string")
"""Texts that are empty, never null, where they say nothing."""
