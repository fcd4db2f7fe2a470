//! Faults of the PostgreSQL that Onceward runs itself, which it has to mend itself.

use std::time::Duration;

use reqwest::Client;
use serde_json::Value;
use tokio::time::{Instant, sleep_until};

use crate::{Fallible, testbed::Testbed, wait};

/// How long a fault may take to be noticed, and its end.
const NOTICED_WITHIN: Duration = Duration::from_secs(60);

/// Kills the postmaster: its sessions end a moment later, and its shared memory with them.
pub async fn kill_postmaster(testbed: &mut Testbed) -> Fallible<()> {
    let client = Client::builder().no_proxy().timeout(NOTICED_WITHIN).build()?;
    let mut longest = Duration::ZERO;
    for moment in testbed.moments(testbed.size.pick(5, 2), 0.05..0.95) {
        sleep_until(moment).await;
        let killed_at = Instant::now();
        let own = testbed.own_postgres()?;
        let before = own.kill()?;
        wait::until("Onceward's own PostgreSQL is started again", NOTICED_WITHIN, || async {
            own.postmaster().filter(|pid| *pid != before)
        })
        .await?;
        ready(&client, &testbed.fleet.web_url).await?;
        longest = longest.max(killed_at.elapsed());
    }
    let remark = format!("ready again {:.1} s after a kill at the latest", longest.as_secs_f64());
    testbed.findings.remarks.push(remark);
    Ok(())
}

/// Fills the disk, and makes room some time later.
pub async fn fill_disk(testbed: &mut Testbed) -> Fallible<()> {
    let client = Client::builder().no_proxy().timeout(NOTICED_WITHIN).build()?;
    let web_url = testbed.fleet.web_url.clone();
    sleep_until(testbed.moment(0.2)).await;
    testbed.own_postgres()?.fill()?;
    let filled_at = Instant::now();
    wait::until("health says that the disk is full", NOTICED_WITHIN, || async {
        let health = health(&client, &web_url).await.ok()?;
        (health["status"] == "unhealthy" && health["reasons"].to_string().contains("disk is full"))
            .then_some(())
    })
    .await?;
    let noticed_after = filled_at.elapsed();
    let until = Instant::now() + Duration::from_secs(testbed.size.pick(10, 3));
    let mut looks = 0;
    while Instant::now() < until {
        looks += 1;
        let health = health(&client, &web_url).await?;
        if health["status"] != "unhealthy" {
            let violation = format!("with a full disk, health says {health}");
            testbed.findings.violations.push(violation);
        }
        wait::pause().await;
    }
    testbed.own_postgres()?.empty()?;
    let emptied_at = Instant::now();
    ready(&client, &web_url).await?;
    testbed.findings.remarks.push(format!(
        "health named the full disk after {:.1} s and in {looks} looks since; ready {:.1} s after there was room",
        noticed_after.as_secs_f64(),
        emptied_at.elapsed().as_secs_f64(),
    ));
    Ok(())
}

async fn health(client: &Client, web_url: &str) -> Fallible<Value> {
    Ok(client.get(format!("{web_url}/api/health")).send().await?.json().await?)
}

async fn ready(client: &Client, web_url: &str) -> Fallible<()> {
    wait::until("Onceward is ready again", NOTICED_WITHIN, || async {
        let answer = client.get(format!("{web_url}/readyz")).send().await.ok()?;
        answer.status().is_success().then_some(())
    })
    .await
}
