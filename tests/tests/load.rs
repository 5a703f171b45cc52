//! The load generator against a server that is right, and against some that are not: it tells them apart.

use std::time::Duration;

use primus::{Mount, Primus, Spark};
use primus_load::{Dialect, Faults, Plan, Report, Scenario, run};
use primus_tests::server::Server;

/// What a server answers to a text.
type Answers = fn(&str) -> Vec<String>;

const RIGHT: Answers = |text| vec![text.to_owned()];

/// What the generator says of a server that answers so, and sends to all what begins with `b`.
async fn load(
    answers: Answers,
    (dialect, path): (Dialect, Option<&str>),
    scenario: Scenario,
    change: fn(&mut Plan),
) -> Report {
    let server = Server::start(Primus::builder().mount("/ws", Mount::new().parser("raw"))).await;
    server.on_connection(move |mut spark: Spark| async move {
        while let Some(message) = spark.next().await {
            let text = message.decode::<String>()?;
            for answer in answers(&text) {
                if text.starts_with('b') {
                    spark.mount().write(&answer)?;
                } else {
                    spark.write(&answer)?;
                }
            }
        }
        Ok(())
    });
    let mut plan = Plan::new(server.address(), dialect, scenario);
    plan.path = path.map(str::to_owned);
    plan.connections = 8;
    plan.warmup = Duration::from_millis(50);
    plan.time = Duration::from_millis(150);
    change(&mut plan);
    tokio::task::spawn_blocking(move || run(&plan)).await.expect("no panic").expect("it runs")
}

const PLAIN: (Dialect, Option<&str>) = (Dialect::Plain, Some("/ws"));

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_dialect_of_ours_passes_every_scenario_without_a_fault() {
    for client in [PLAIN, (Dialect::Classic, None), (Dialect::Resumable, None)] {
        for scenario in [Scenario::Echo, Scenario::Broadcast, Scenario::Idle, Scenario::Churn] {
            let report = load(RIGHT, client, scenario, |plan| plan.window = 4).await;
            assert_eq!(report.faults, Faults::default(), "{} {scenario}", client.0);
            assert!(report.count > 0, "{} {scenario}", client.0);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_do_not_read_are_not_waited_for() {
    let report = load(RIGHT, PLAIN, Scenario::Broadcast, |plan| plan.deaf = 2).await;
    assert_eq!(report.faults, Faults::default());
    assert!(report.count > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_missing_and_surplus_answers_are_found() {
    let faults = async |answers| load(answers, PLAIN, Scenario::Echo, |_| {}).await.faults;
    let wrong = faults(|text| vec![text.to_uppercase()]).await;
    assert!(wrong.mismatched > 0 && wrong.missing == 0 && wrong.unasked == 0, "{wrong}");
    let surplus = faults(|text| vec![text.to_owned(), text.to_owned()]).await;
    assert!(surplus.unasked > 0 && surplus.mismatched == 0, "{surplus}");
    let silent = faults(|_| Vec::new()).await;
    assert_eq!(silent, Faults { missing: 8, ..Faults::default() });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_connection_stops_a_run_and_says_why() {
    let server = Server::echo(Primus::builder()).await;
    let mut plan = Plan::new(server.address(), Dialect::Plain, Scenario::Echo);
    plan.path = Some("/nowhere".to_owned());
    let ran = tokio::task::spawn_blocking(move || run(&plan)).await.expect("no panic");
    let said = ran.err().map(|error| error.to_string()).unwrap_or_default();
    assert_eq!(said, "0 of 100 connections, then: the upgrade was refused");
}
