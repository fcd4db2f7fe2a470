//! Every route where authentication is required, without a credential and with made-up ones.

use crate::{
    answer::Then,
    routes::{Target, request},
};

/// A token that says that it is not signed, of an administrator, until 2100.
const UNSIGNED: &str = "authorization: Bearer eyJhbGciOiJub25lIn0.\
    eyJzdWIiOiJhZG1pbiIsInJvbGUiOiJhZG1pbiIsImV4cCI6NDEwMjQ0NDgwMH0.\r\n";
/// A key whose checksum is right, which anyone can compute.
const UNKNOWN_KEY: &str = "authorization: Bearer ow_AAAAAAAAAAAAAAAA_bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb03WzSJ\r\n";
const SESSION: &str = "cookie: onceward_session=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\r\n";

#[tokio::test]
async fn a_stranger_is_answered_401_on_every_route_that_is_not_open() {
    let mut target = Target::start_with("required").await;
    let operations = target.operations.clone();
    let twice = UNKNOWN_KEY.repeat(2);
    let credentials = [
        "",
        UNKNOWN_KEY,
        UNSIGNED,
        SESSION,
        twice.as_str(),
        "authorization: Bearer \r\n",
        "authorization: Bearer ow_\r\n",
        "authorization: Bearer ..\r\n",
        "authorization: Bearer \u{e4}\r\n",
        "authorization: Basic YWRtaW46YWRtaW4=\r\n",
        "x-forwarded-user: admin\r\n",
        "cookie: onceward_session=\r\n",
    ];
    for operation in operations.iter() {
        for credential in credentials {
            let lines =
                format!("{credential}content-type: application/json\r\ncontent-length: 2\r\n");
            let request = request(&operation.method, &operation.path, &lines, "{}");
            let answer = target.try_out(&request, Then::Wait, &operation.statuses).await;
            let Some(answer) = answer else { continue };
            let is_challenge =
                answer.status == 401 && answer.header("www-authenticate").starts_with("Bearer");
            if operation.needs_credential && !is_challenge {
                target.report(&request, &format!("{} without a credential", answer.status));
            }
        }
    }
    target.finish();
}
