"""Credit scoring: the probability of an adverse outcome, with a reason for every decline."""
