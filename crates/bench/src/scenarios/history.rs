//! A database with a history: a month of transactions, and many that wait.

use sqlx::AssertSqlSafe;

use crate::environment::testbed::Stage;
use crate::error::Fallible;

/// The database that the others with a history are copies of.
pub const TEMPLATE: &str = "history";

/// Makes it, as the program's migrations and `history.sql` say.
///
/// # Errors
/// PostgreSQL's.
pub async fn make(stage: &Stage) -> Fallible<()> {
    stage.cluster.make_database(TEMPLATE, None).await?;
    // Once up, it has migrated.
    stage.start("web", TEMPLATE, &[]).await?.stop().await?;
    let script = include_str!("history.sql")
        .replace("{history}", &stage.scale.history.to_string())
        .replace("{waiting}", &stage.scale.waiting.to_string());
    let mut connection = stage.cluster.connect(TEMPLATE).await?;
    sqlx::raw_sql(AssertSqlSafe(script)).execute(&mut connection).await?;
    sqlx::query("vacuum (analyze)").execute(&mut connection).await?;
    let waiting = stage.count(TEMPLATE, "state = 'pending'").await?;
    let all = stage.count(TEMPLATE, "true").await?;
    let wanted =
        (stage.scale.waiting as usize, (stage.scale.history + stage.scale.waiting) as usize);
    if (waiting, all) != wanted {
        return Err(format!("the history has {waiting} of {all} rows waiting").into());
    }
    stage.cluster.checkpoint().await
}
