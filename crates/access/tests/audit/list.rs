//! Filters, pages and the export.

use access::{Access, AuditFilter, Entry};
use domain::{Action, Actor};
use futures::TryStreamExt;

use crate::{ann, record_three, support::database};

async fn objects(access: &Access, filter: AuditFilter) -> Vec<String> {
    let page = access.audit(&filter, None, 50).await.unwrap();
    assert_eq!(page.next_cursor, None);
    page.data.into_iter().map(|entry| entry.object).collect()
}

#[tokio::test]
async fn each_filter_selects_what_it_names() {
    let access = Access::new(database().await);
    record_three(&access).await;
    let text = |text: &str| Some(text.to_owned());
    let all = access.audit(&AuditFilter::default(), None, 50).await.unwrap().data;
    let [last, second, first] = &all[..] else { panic!("{all:?}") };
    assert_eq!(first.before.as_ref().unwrap()["role"], "viewer");
    assert_eq!((&*second.outcome, second.reason.as_deref()), ("refused", Some("expired")));

    let none = AuditFilter::default;
    for (filter, expected) in [
        (AuditFilter { principal: text("ann"), ..none() }, &["session:7", "client:shop"][..]),
        (AuditFilter { action: text("authenticate"), ..none() }, &["client:shop"]),
        (AuditFilter { object: text("client:shop"), ..none() }, &["client:shop", "client:shop"]),
        (AuditFilter { object: text("client:"), ..none() }, &[]),
        (AuditFilter { from: Some(last.at), ..none() }, &["session:7"]),
        (AuditFilter { to: Some(last.at), ..none() }, &["client:shop", "client:shop"]),
        (
            AuditFilter { principal: text("ann"), object: text("client:shop"), ..none() },
            &["client:shop"],
        ),
    ] {
        assert_eq!(objects(&access, filter.clone()).await, expected, "{filter:?}");
    }
}

#[tokio::test]
async fn pages_and_the_export_have_each_entry_once_newest_first() {
    let access = Access::new(database().await);
    // More than a page of the export, many at the same time.
    let entry = |number| Entry::done(&ann(), Action::Create, format!("client:{number}"));
    for number in 0..5 {
        access.record(entry(number)).await.unwrap();
    }
    for number in 5..405 {
        access.note(entry(number));
    }
    access.note(Entry::done(&Actor::anonymous(), Action::Pause, "posting"));
    access.write_noted(async {}).await;

    let filter = AuditFilter { principal: Some("ann".to_owned()), ..AuditFilter::default() };
    let expected: Vec<_> = (0..405).rev().map(|number| format!("client:{number}")).collect();
    let (mut paged, mut cursor) = (Vec::new(), None);
    loop {
        let page = access.audit(&filter, cursor.as_ref(), 7).await.unwrap();
        paged.extend(page.data.into_iter().map(|entry| entry.object));
        match page.next_cursor {
            Some(next) => cursor = Some(next.parse().unwrap()),
            None => break,
        }
    }
    assert_eq!(paged, expected);
    let exported: Vec<_> = access.export_audit(filter).try_collect().await.unwrap();
    let exported: Vec<_> = exported.into_iter().flatten().map(|entry| entry.object).collect();
    assert_eq!(exported, expected);
}
