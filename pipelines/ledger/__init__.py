"""The Delta tables that hold what the bills say, and nothing we think about it."""
