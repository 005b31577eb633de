"""What the words mean: facts, workloads, rules, division of money, claims. Pure: it reads nothing but its own data."""
