"""A believable company's cloud bills, with the truth of every line beside them."""
