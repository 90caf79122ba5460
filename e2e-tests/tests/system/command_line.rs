//! The commands that a newcomer types.

use crate::support::together;

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
async fn shop_status_shows_every_part() {
    let shop = together().await;
    let (content, told) = shop.cli(&["status"]).await.unwrap();
    assert!(content, "{told}");
    let services = ["orders", "inventory", "payments", "email", "view"];
    let parts = ["kafka", "registry", "connect", "postgres", "mail", "bank"];
    for part in services.into_iter().chain(parts) {
        assert!(told.contains(part), "{part} is missing in\n{told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn shop_logs_shows_what_a_service_says() {
    let shop = together().await;
    let (content, told) = shop.cli(&["logs", "orders"]).await.unwrap();
    assert!(content && !told.is_empty(), "{told}");
}
