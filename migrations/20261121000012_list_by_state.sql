-- The list as a whole is put together from its states, as its filters are: see crates/gateway/src/list.rs.
-- Over this index the planner went wherever it had to guess the state or the time: "at least one attempt",
-- from somewhere in the middle, read half a million rows for the states that had none. Without it nothing
-- else is slower, and each transaction has three entries less to write.
drop index transactions_by_age;
