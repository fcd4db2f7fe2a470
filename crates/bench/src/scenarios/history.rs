//! A database with history: a month of transactions, and many pending ones.

use sqlx::AssertSqlSafe;

use crate::environment::testbed::Testbed;
use crate::error::Fallible;

/// The template of the databases with history.
pub const TEMPLATE: &str = "history";

/// Creates it with the program's migrations and `history.sql`.
///
/// # Errors
/// PostgreSQL's error, or a wrong number of rows.
pub async fn create(testbed: &Testbed) -> Fallible<()> {
    testbed.cluster.create_database(TEMPLATE, None).await?;
    // The process has run the migrations when it is ready.
    testbed.start("web", TEMPLATE, &[]).await?.stop().await?;
    let script = include_str!("history.sql")
        .replace("{history}", &testbed.scale.history.to_string())
        .replace("{waiting}", &testbed.scale.waiting.to_string());
    let mut connection = testbed.cluster.connect(TEMPLATE).await?;
    sqlx::raw_sql(AssertSqlSafe(script)).execute(&mut connection).await?;
    sqlx::query("vacuum (analyze)").execute(&mut connection).await?;
    let waiting = testbed.count(TEMPLATE, "state = 'pending'").await?;
    let all = testbed.count(TEMPLATE, "true").await?;
    let expected =
        (testbed.scale.waiting as usize, (testbed.scale.history + testbed.scale.waiting) as usize);
    if (waiting, all) != expected {
        return Err(format!(
            "the history has {waiting} pending rows of {all}, expected {} of {}",
            expected.0, expected.1
        )
        .into());
    }
    testbed.cluster.checkpoint().await
}
