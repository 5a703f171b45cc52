//! What is asked of every server.

pub(super) struct Scenario {
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    /// Of the load generator, ours and rtload alike.
    pub(super) arguments: &'static str,
    /// The figure of the load generator that counts, and its unit.
    pub(super) figure: &'static str,
    pub(super) unit: &'static str,
    /// What rtload calls the same.
    pub(super) rtload: &'static str,
    /// Rounds differ: CPU time does, memory hardly.
    pub(super) repeated: bool,
}

const MESSAGE: (&str, &str, &str) =
    ("cpu_us_per_message", "CPU seconds a million messages", "cpu_s_per_m_msgs");
const DELIVERY: (&str, &str, &str) =
    ("cpu_us_per_delivery", "CPU seconds a million deliveries", "cpu_s_per_m_deliveries");
const MEMORY: (&str, &str, &str) =
    ("bytes_per_connection_after_echo", "bytes a connection", "rss_per_conn_after_echo");
const CONNECTION: (&str, &str, &str) =
    ("cpu_us_per_connection", "CPU seconds a million connections", "cpu_s_per_m_conns_done");

pub(super) static SCENARIOS: &[Scenario] = &[
    scenario("echo-1", "Echo, 64 bytes, one in flight", "echo -c 100", MESSAGE),
    scenario("echo-32", "Echo, 64 bytes, 32 in flight", "echo -c 100 -w 32", MESSAGE),
    scenario("echo-16k", "Echo, 16 KiB", "echo -c 50 -s 16384", MESSAGE),
    scenario("broadcast-1k", "Broadcast to 1,000", "broadcast -c 1000", DELIVERY),
    scenario(
        "broadcast-1k-8",
        "Broadcast to 1,000, eight in flight",
        "broadcast -c 1000 -w 8",
        DELIVERY,
    ),
    scenario("broadcast-10k", "Broadcast to 10,000", "broadcast -c 10000", DELIVERY),
    Scenario {
        repeated: false,
        ..scenario(
            "idle",
            "10,000 idle connections, after an echo on each",
            "idle -c 10000",
            MEMORY,
        )
    },
    scenario("churn", "Connect, one echo, close", "churn -c 32", CONNECTION),
];

const fn scenario(
    name: &'static str,
    title: &'static str,
    arguments: &'static str,
    (figure, unit, rtload): (&'static str, &'static str, &'static str),
) -> Scenario {
    Scenario { name, title, arguments, figure, unit, rtload, repeated: true }
}

/// The scenario of this name.
pub(super) fn scenario_named(name: &str) -> Option<&'static Scenario> {
    SCENARIOS.iter().find(|scenario| scenario.name == name)
}
