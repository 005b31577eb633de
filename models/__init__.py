"""What the words mean: facts, workloads, rules, division of money, claims. Pure: no input or output but our own data files."""
