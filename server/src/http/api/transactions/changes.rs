//! `GET /api/transactions/changes`: what changed since a position of the change feed, for readers that poll.

use std::str::FromStr;

use axum::{Extension, Json, extract::State};
use domain::{Caller, Transaction, Unreadable};
use gateway::{ChangesPage, Gateway, Position};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};

use super::{example, filter::UncheckedQuery};
use crate::http::{
    problem::{Problem, error_responses},
    request::fields::Fields,
};

/// Where a page of changes starts.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(
    dead_code,
    reason = "for the API's document: all wrong fields are reported together, so each is read by hand"
)]
struct ChangesParameters {
    /// A position of the change feed: the `nextSince` of the previous answer, or the id of an event of the stream. 0 is
    /// the position before everything. Without it, the answer has no changes, and its `nextSince` is the position of now.
    #[param(pattern = "^[0-9]+(-[0-9]+)*$", example = "48213-4")]
    since: Option<String>,
}

/// A page of the transactions that changed since a position.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChangedTransactions {
    /// The transactions, each in its latest version, oldest change first.
    data: Vec<Transaction>,
    /// Those that changed and cannot be read; usually none.
    unreadable: Vec<Unreadable>,
    /// The `since` of the next page. Its form may change.
    #[schema(pattern = "^[0-9]+(-[0-9]+)*$")]
    next_since: String,
    /// Whether there are more changes already. If not, ask again after a while.
    has_more: bool,
}

impl From<ChangesPage> for ChangedTransactions {
    fn from(page: ChangesPage) -> Self {
        let ChangesPage { data, unreadable, next_since, has_more } = page;
        Self { data, unreadable, next_since: next_since.to_string(), has_more }
    }
}

/// List what changed since a position
///
/// For readers that poll: the transactions that changed since `since`, new ones included, in the order of the change
/// feed. None is missed, even if its commit comes late: reading by time (`from`) can miss it, because its `submittedAt` is
/// then earlier than that of others that were seen before. A transaction that changed several times is in it once. A
/// position that this database cannot have given is taken as the position before everything.
#[utoipa::path(
    get,
    path = "/api/transactions/changes",
    operation_id = "listChanges",
    tag = "Transactions",
    params(ChangesParameters),
    responses(
        (
            status = 200,
            description = "A page of the changes: some 200 at most, unless a single commit changed more.",
            body = ChangedTransactions,
            links(("next" = (operation_id = "listChanges", parameters(("since" = "$response.body#/nextSince"))))),
            example = json!(example_of_page()),
        ),
        error_responses::OfList,
    ),
)]
pub async fn changes(
    State(gateway): State<Gateway>,
    Extension(caller): Extension<Caller>,
    query: UncheckedQuery,
) -> Result<Json<ChangedTransactions>, Problem> {
    let query = query.map_err(|_| Problem::malformed("the query cannot be read"))?;
    let mut fields = Fields::of_query(query.0);
    fields.refuse_unknown("", &["since"]);
    let since = fields.text("/since", Position::from_str);
    let since = fields.finish(Some(since))?;
    Ok(Json(gateway.changes_since(&caller.scope(), since).await?.into()))
}

/// A page with one transaction.
fn example_of_page() -> Value {
    let data = example::transaction().map(example::completed_from).into_iter().collect();
    let next_since = "48213-4".to_owned();
    json!(ChangedTransactions { data, unreadable: Vec::new(), next_since, has_more: false })
}
