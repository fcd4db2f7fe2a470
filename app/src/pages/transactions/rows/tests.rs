use super::*;

const LENGTH: usize = 4;

fn transaction(number: u32, status: State) -> Transaction {
    serde_json::from_value(serde_json::json!({
        "transactionId": Uuid::from_u128(number.into()),
        "status": status,
        "amount": 1,
        "currency": "USD",
        "submittedAt": DateTime::from_timestamp(i64::from(number), 0).unwrap(),
        "attempts": 0,
    }))
    .unwrap()
}

fn pending(numbers: impl IntoIterator<Item = u32>) -> Vec<Transaction> {
    numbers.into_iter().map(|number| transaction(number, State::Pending)).collect()
}

fn page(numbers: impl IntoIterator<Item = u32>, more: bool) -> Page {
    Page {
        data: pending(numbers),
        unreadable: Vec::new(),
        next_cursor: more.then(|| "x".to_owned()),
    }
}

fn first_page(status: Option<State>, numbers: impl IntoIterator<Item = u32>) -> Rows {
    Rows::new(status, LENGTH, true, page(numbers, false))
}

fn shown(rows: &Rows) -> Vec<u32> {
    rows.shown().iter().map(|row| row.id.as_u128() as u32).collect()
}

#[test]
fn new_transactions_come_first_and_push_out_the_oldest() {
    let mut rows = first_page(None, [3, 2, 1]);
    assert!(rows.apply(&pending([5, 4]), false));
    assert_eq!(shown(&rows), [5, 4, 3, 2]);
    let last = Uuid::from_u128(2).simple().to_string();
    assert!(rows.cursor().is_some_and(|cursor| cursor.ends_with(&last)));
    assert_eq!(rows.waiting(), 0);
}

#[test]
fn while_the_list_is_frozen_new_transactions_wait_and_rows_change_in_place() {
    let mut rows = first_page(Some(State::Pending), [2, 1]);
    let row = rows.shown()[1].transaction.clone();
    let batch = [transaction(3, State::Pending), transaction(1, State::Completed)];
    assert!(rows.apply(&batch, true));
    assert_eq!(shown(&rows), [2, 1]);
    assert_eq!(rows.waiting(), 1);
    assert_eq!(row.get_untracked().status, State::Completed);

    assert!(rows.show_waiting());
    assert_eq!(shown(&rows), [3, 2]);
}

#[test]
fn a_changed_row_does_not_count_as_a_changed_list() {
    let mut rows = first_page(None, [2, 1]);
    assert!(!rows.apply(&[transaction(1, State::Completed)], false));
    assert_eq!(shown(&rows), [2, 1]);
}

#[test]
fn a_waiting_transaction_that_no_longer_matches_the_filter_is_dropped() {
    let mut rows = first_page(Some(State::Pending), [1]);
    rows.apply(&pending([2]), true);
    assert!(rows.apply(&[transaction(2, State::Processing)], true));
    assert_eq!(rows.waiting(), 0);
}

#[test]
fn a_transaction_that_matches_the_filter_late_is_sorted_by_age() {
    let mut rows = first_page(Some(State::Pending), [5, 1]);
    rows.apply(&pending([3]), false);
    assert_eq!(shown(&rows), [5, 3, 1]);
}

#[test]
fn a_transaction_of_an_older_page_is_ignored() {
    let mut rows = Rows::new(None, LENGTH, true, page([9, 8, 7, 6], true));
    assert!(!rows.apply(&pending([5]), false));
    assert_eq!(shown(&rows), [9, 8, 7, 6]);
}

#[test]
fn an_older_page_only_changes_in_place() {
    let mut rows = Rows::new(Some(State::Pending), LENGTH, false, page([3, 2], true));
    let batch = [transaction(9, State::Pending), transaction(3, State::Completed)];
    assert!(!rows.apply(&batch, false));
    assert_eq!(shown(&rows), [3, 2]);
    assert_eq!(rows.shown()[0].transaction.get_untracked().status, State::Completed);
}

#[test]
fn no_more_transactions_wait_than_fit() {
    let mut rows = first_page(None, [1]);
    rows.apply(&pending(2..1_000), true);
    assert_eq!(rows.waiting(), LENGTH);
    rows.show_waiting();
    assert_eq!(shown(&rows), [999, 998, 997, 996]);
}

#[test]
fn a_reloaded_page_keeps_the_signals_of_its_rows() {
    let mut rows = first_page(None, [2, 1]);
    let row = rows.shown()[0].transaction.clone();
    let mut reloaded = page([3, 2], true);
    reloaded.data[1].status = State::Completed;
    assert!(rows.reload(reloaded, false));
    assert_eq!(shown(&rows), [3, 2]);
    assert_eq!(row.get_untracked().status, State::Completed);
    assert!(!rows.reload(page([3, 2], true), false));
}

#[test]
fn a_reload_does_not_move_the_rows_of_a_frozen_list() {
    let mut rows = first_page(None, [2, 1]);
    rows.reload(page([3, 2], false), true);
    assert_eq!(shown(&rows), [2, 1]);
    assert_eq!(rows.waiting(), 1);
}

#[test]
fn a_page_of_unreadable_transactions_alone_leads_to_the_next() {
    let unreadable = vec![Unreadable::column(Uuid::nil(), "amount")];
    let page = |unreadable| Page { unreadable, ..page([], true) };
    let mut rows = Rows::new(None, LENGTH, true, page(unreadable.clone()));
    assert_eq!((rows.unreadable(), rows.cursor().as_deref()), (&*unreadable, Some("x")));
    assert!(rows.reload(page(Vec::new()), false));
    assert!(!rows.reload(page(Vec::new()), false));
    assert!(rows.unreadable().is_empty());
}
