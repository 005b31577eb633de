"""The script most teams have: read the bill, tag it by a few words, sum it by day, keep both."""

import sys

import pandas as pd

bill = pd.read_csv(sys.argv[1], low_memory=False)
usage = bill["lineItem/UsageType"].fillna("")
bill["workload"] = "not_ai"
bill.loc[usage.str.contains("Host:|tokens"), "workload"] = "inference"
bill.loc[usage.str.contains("Train:"), "workload"] = "training"
bill["day"] = pd.to_datetime(bill["lineItem/UsageStartDate"]).dt.date
by = [
    "day",
    "lineItem/UsageAccountId",
    "lineItem/ProductCode",
    "lineItem/UsageType",
    "resourceTags/user:team",
    "workload",
]
daily = bill.groupby(by, dropna=False)["lineItem/UnblendedCost"].sum().reset_index()
bill.to_parquet(f"{sys.argv[2]}/bill.parquet")
daily.to_parquet(f"{sys.argv[2]}/daily.parquet")
