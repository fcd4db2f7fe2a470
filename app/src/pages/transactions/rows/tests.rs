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
    Page { data: pending(numbers), next_cursor: more.then(|| "x".to_owned()) }
}

fn first_page(status: Option<State>, numbers: impl IntoIterator<Item = u32>) -> Rows {
    Rows::new(status, LENGTH, true, page(numbers, false))
}

fn shown(rows: &Rows) -> Vec<u32> {
    rows.shown().iter().map(|row| row.id.as_u128() as u32).collect()
}

#[test]
fn new_ones_come_first_and_the_oldest_make_room() {
    let mut rows = first_page(None, [3, 2, 1]);
    assert!(rows.apply(&pending([5, 4]), false));
    assert_eq!(shown(&rows), [5, 4, 3, 2]);
    assert!(rows.has_older());
    assert_eq!(rows.waiting(), 0);
}

#[test]
fn while_the_list_is_held_new_ones_wait_and_rows_change_in_place() {
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
fn a_change_of_a_row_is_no_change_of_the_list() {
    let mut rows = first_page(None, [2, 1]);
    assert!(!rows.apply(&[transaction(1, State::Completed)], false));
    assert_eq!(shown(&rows), [2, 1]);
}

#[test]
fn what_waits_and_leaves_the_filter_waits_no_longer() {
    let mut rows = first_page(Some(State::Pending), [1]);
    rows.apply(&pending([2]), true);
    assert!(rows.apply(&[transaction(2, State::Processing)], true));
    assert_eq!(rows.waiting(), 0);
}

#[test]
fn what_enters_the_filter_late_takes_its_place_by_age() {
    let mut rows = first_page(Some(State::Pending), [5, 1]);
    rows.apply(&pending([3]), false);
    assert_eq!(shown(&rows), [5, 3, 1]);
}

#[test]
fn what_belongs_to_an_older_page_is_passed_over() {
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
fn more_than_fit_are_not_kept() {
    let mut rows = first_page(None, [1]);
    rows.apply(&pending(2..1_000), true);
    assert_eq!(rows.waiting(), LENGTH);
    rows.show_waiting();
    assert_eq!(shown(&rows), [999, 998, 997, 996]);
}

#[test]
fn a_page_read_anew_keeps_the_signals_of_its_rows() {
    let mut rows = first_page(None, [2, 1]);
    let row = rows.shown()[0].transaction.clone();
    let mut anew = page([3, 2], true);
    anew.data[1].status = State::Completed;
    assert!(rows.reload(anew, false));
    assert_eq!(shown(&rows), [3, 2]);
    assert_eq!(row.get_untracked().status, State::Completed);
    assert!(!rows.reload(page([3, 2], true), false));
}

#[test]
fn a_page_read_anew_does_not_move_what_is_held() {
    let mut rows = first_page(None, [2, 1]);
    rows.reload(page([3, 2], false), true);
    assert_eq!(shown(&rows), [2, 1]);
    assert_eq!(rows.waiting(), 1);
}
