//! Observed state: the scheduler, budgets and verdicts.
