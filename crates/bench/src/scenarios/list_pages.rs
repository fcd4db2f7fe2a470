//! How long a page of the list takes, for every filter.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;
use uuid::Uuid;

use crate::environment::testbed::Testbed;
use crate::error::Fallible;
use crate::http::Connection;
use crate::statistics::Quantiles;

/// How long one filter may take altogether.
const TIMEOUT: Duration = Duration::from_secs(20);

/// The measured filters, each from the newest transaction and from one in the middle. Values in
/// braces differ for each request.
const FILTERS: [&str; 29] = [
    "",
    "status=pending",
    "status=processing",
    "status=completed",
    "status=failed",
    "status=in_doubt",
    "status=rejected",
    "status=cancelled",
    "currency=EUR",
    "currency=KWD",
    "currency=JPY",
    "reference={reference}",
    "reference=nobody-has-this",
    "from={from}",
    "to={to}",
    "from={from}&to={to}",
    "minAttempts=1",
    "minAttempts=2",
    "minAttempts=5",
    "minAttempts=10",
    "minAttempts=1&from={from}",
    "currency=EUR&minAttempts=1",
    "status=completed&minAttempts=10",
    "status=failed&currency=KWD",
    "status=pending&currency=KWD",
    "status=in_doubt&minAttempts=5",
    "currency=KWD&from={from}&to={to}",
    "currency=GBP&minAttempts=10",
    "status=failed&from={from}&to={to}",
];

/// The measurement of one filter.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Pages {
    pub filter: String,
    pub latency: Quantiles,
    /// Answers that were not 200.
    pub others: BTreeMap<String, u64>,
}

/// A row of the list, at which a page may begin.
#[derive(sqlx::FromRow)]
struct PageStart {
    submitted_at: DateTime<Utc>,
    id: Uuid,
    reference: Option<String>,
}

/// Reads pages of 50 from a database, sequentially over one connection per filter.
///
/// # Errors
/// Onceward fails.
pub async fn measure(testbed: &Testbed, database: &str) -> Fallible<Vec<Pages>> {
    let page_starts = page_starts(testbed, database).await?;
    let web = testbed.start("web", database, &[]).await?;
    let addr = web.web()?;
    let mut all = Vec::new();
    for filter in FILTERS {
        for from_the_middle in [false, true] {
            // A filter by reference has one page at most.
            if from_the_middle && filter.contains("reference") {
                continue;
            }
            let mut connection = Connection::open(addr).await?;
            let begun = Instant::now();
            let (mut latencies, mut others) = (Vec::new(), BTreeMap::new());
            for page_start in &page_starts {
                if begun.elapsed() > TIMEOUT {
                    break;
                }
                let request = page_start.request(filter, from_the_middle);
                let sent_at = Instant::now();
                let (status, body) = connection.call(request.as_bytes()).await?;
                latencies.push(sent_at.elapsed());
                if status != 200 {
                    let body = String::from_utf8_lossy(body);
                    *others.entry(format!("{status} {body}")).or_default() += 1;
                }
            }
            let mut name = if filter.is_empty() { "(none)" } else { filter }.to_owned();
            if from_the_middle {
                name.push_str(", cursor");
            }
            all.push(Pages { filter: name, latency: Quantiles::of(latencies), others });
        }
    }
    web.stop().await?;
    Ok(all)
}

/// One start for each request of a filter, at random from the whole list.
async fn page_starts(testbed: &Testbed, database: &str) -> Fallible<Vec<PageStart>> {
    let mut connection = testbed.cluster.connect(database).await?;
    let page_starts = sqlx::query_as(
        "select submitted_at, id, reference from transactions order by random() limit $1",
    );
    Ok(page_starts.bind(i64::try_from(testbed.scale.pages)?).fetch_all(&mut connection).await?)
}

impl PageStart {
    fn request(&self, filter: &str, from_the_middle: bool) -> String {
        let instant = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Micros, true);
        let mut query = filter
            .replace("{reference}", self.reference.as_deref().unwrap_or("order-2"))
            .replace("{from}", &instant(self.submitted_at - chrono::TimeDelta::days(1)))
            .replace("{to}", &instant(self.submitted_at));
        query.push_str("&limit=50");
        if from_the_middle {
            let (micros, id) = (self.submitted_at.timestamp_micros(), self.id.simple());
            query.push_str(&format!("&cursor={micros}_{id}"));
        }
        let query = query.trim_start_matches('&');
        format!("GET /api/transactions?{query} HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n")
    }
}
