//! The commands that a newcomer types.

use crate::support::{alone, together};
use contracts::ServiceName;

#[tokio::test(flavor = "multi_thread")]
async fn shop_order_places_an_order_and_follows_it_to_its_end() {
    let shop = together().await;
    let (content, told) =
        shop.cli(&["order", "TEA=2", "MUG=1", "--customer", "ada"]).await.unwrap();
    assert!(content, "{told}");
    for word in ["requested", "validated", "paid", "confirmed"] {
        assert!(told.contains(word), "{word} is missing in\n{told}");
    }
    let (content, told) = shop.cli(&["order", "GONE=1", "--customer", "grace"]).await.unwrap();
    assert!(!content && told.contains("rejected"), "{told}");
    let (content, told) = shop.cli(&["order", "TEA=0"]).await.unwrap();
    assert!(!content && told.contains("quantity"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn shop_status_shows_every_process() {
    let shop = together().await;
    let (content, told) = shop.cli(&["status"]).await.unwrap();
    assert!(content, "{told}");
    let services = ServiceName::by_default().map(ServiceName::as_str);
    let processes = ["kafka", "registry", "connect", "postgres", "mail", "bank"];
    for process in services.chain(processes) {
        assert!(told.contains(process), "{process} is missing in\n{told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn shop_logs_shows_what_a_service_says() {
    let shop = together().await;
    let (content, told) = shop.cli(&["logs", "orders"]).await.unwrap();
    assert!(content && !told.is_empty(), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn shop_load_places_orders_and_measures_until_they_are_settled() {
    let shop = alone().await;
    let load = [
        "load",
        "--orders",
        "40",
        "--rate",
        "20",
        "--mix",
        "declined=3,wrong=1",
        "--seed",
        "1",
        "--wait",
    ];
    let (content, told) = shop.cli(&load).await.unwrap();
    assert!(content, "{told}");
    let counted = |name: &str| -> usize {
        let line = told.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        line.split_whitespace().nth(1).and_then(|count| count.parse().ok()).unwrap_or(usize::MAX)
    };
    let (settled, refused) = (counted("settled"), counted("refused"));
    assert!(settled > 0 && refused > 0 && settled + refused == 40, "{told}");
    assert!(
        told.contains(&format!("{settled} cancelled")) && told.contains("to settled"),
        "{told}"
    );
    for (wrong, named) in [("--mix", "KIND=WEIGHT"), ("--rate", "10000"), ("--minutes", "1440")] {
        let (content, told) = shop.cli(&["load", wrong, "x"]).await.unwrap();
        assert!(!content && told.contains(named), "{told}");
    }
}
