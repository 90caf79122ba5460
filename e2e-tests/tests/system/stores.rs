//! A store that cannot be opened or written: garbage in its folder, a folder that is not to be had,
//! a full disk. The service mends what it can, says what it cannot, and is never restarted for it.

use crate::support::alone;
use e2e_tests::{Outside, PATIENCE, Traffic, Turn, audit};
use serde_json::Value;
use std::{
    fs,
    ops::Deref,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

/// An order that takes longer than this tells where it was meanwhile.
const SLOW: Duration = Duration::from_secs(20);

/// The folder for the state of `process`; none in containers, which have it in volumes.
pub fn state_of(shop: &Outside, process: &str) -> Option<PathBuf> {
    let folder = shop.shop().state().dir.join("data/state").join(process);
    folder.exists().then_some(folder)
}

pub async fn confirmed(shop: &Outside, customer: &str) {
    let since = Instant::now();
    let order = shop.place_at_last(customer, &[("TEA", 1)]).await.unwrap();
    let placed_after = since.elapsed();
    shop.confirmed(order).await.unwrap();
    if since.elapsed() > SLOW {
        let timeline = shop.timeline(order).await.unwrap();
        eprintln!(
            "{order} was placed after {placed_after:?}, confirmed after {:?}: {timeline:#?}",
            since.elapsed()
        );
    }
}

async fn restarts(shop: &Outside, process: &str) -> u32 {
    let status = shop.shop().status().await.unwrap();
    status.iter().find(|known| known.name == process).unwrap().restarts
}

/// The check `check` of `process` is down, and says all of these words.
pub async fn complains(shop: &Outside, process: &str, check: &str, of: &[&str]) {
    testkit::wait_for(&format!("{check} of {process} to say {of:?}"), PATIENCE, || async {
        let answer = shop.get(process, "/health/ready").await;
        let answer = answer.map_err(|error| format!("{error:#}"))?;
        let checks = answer.body["checks"].as_array().into_iter().flatten();
        let mut down = checks.filter(|one| one["name"] == check && one["status"] == "down");
        let said = down.next().and_then(|one| one["detail"].as_str()).unwrap_or_default();
        let is_said = of.iter().all(|words| said.contains(words));
        if is_said { Ok(()) } else { Err(answer.body.to_string()) }
    })
    .await;
}

/// Ready, or degraded: another test may have left rows that cannot be read.
pub async fn is_ready(shop: &Outside, process: &str) {
    testkit::wait_for("the service to be ready", PATIENCE, || async {
        match shop.get(process, "/health/ready").await {
            Ok(answer) if answer.status.is_success() => Ok(()),
            other => Err(other.map_or(Value::Null, |answer| answer.body)),
        }
    })
    .await;
}

fn files(below: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(below).unwrap().map(|entry| entry.unwrap().path());
    let (folders, mut found): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    found.extend(folders.iter().flat_map(|folder| files(folder)));
    found
}

fn put_aside(state: &Path) -> usize {
    let names = fs::read_dir(state).unwrap().map(|entry| entry.unwrap().file_name());
    names.filter(|name| name.to_string_lossy().contains(".broken-")).count()
}

async fn any_garbage_in_the_state_of(process: &str, store: &str) {
    type Spoil = fn(&Path);
    let ways: [(&str, Spoil); 6] = [
        ("garbage in each file", |store| {
            files(store).iter().for_each(|file| fs::write(file, [0x5A; 70_000]).unwrap());
        }),
        ("nothing in each file", |store| {
            files(store).iter().for_each(|file| fs::write(file, "").unwrap());
        }),
        ("a file instead", |store| {
            fs::remove_dir_all(store).unwrap();
            fs::write(store, "garbage").unwrap();
        }),
        ("something else in there", |store| {
            fs::remove_dir_all(store).unwrap();
            fs::create_dir_all(store.join("data/keyspaces/photos of my cat")).unwrap();
            fs::write(store.join("data/keyspaces/photos of my cat/1.png"), "meow").unwrap();
        }),
        ("folders instead of files", |store| {
            for file in files(store) {
                fs::remove_file(&file).unwrap();
                fs::create_dir(&file).unwrap();
            }
        }),
        ("a file instead of the folder above", |store| {
            fs::remove_dir_all(store.parent().unwrap()).unwrap();
            fs::write(store.parent().unwrap(), "garbage").unwrap();
        }),
    ];
    let shop = alone().await;
    let Some(state) = state_of(&shop, process) else { return };
    confirmed(&shop, "ada").await;
    let before = restarts(&shop, process).await;
    for (what, spoil) in ways {
        eprintln!("{process}: {what}");
        shop.shop().stop(process).await.unwrap();
        spoil(&state.join(store));
        shop.shop().start_process(process).await.unwrap();
        is_ready(&shop, process).await;
        confirmed(&shop, "grace").await;
        assert!(put_aside(&state) <= 1, "{what}: more than one copy is kept");
    }
    assert_eq!(restarts(&shop, process).await, before, "it did not start at once");
    clean(&shop).await;
}

/// After all of it, nothing is missing and nothing happened twice.
pub async fn clean(shop: &Turn<impl Sized>) {
    let placed = Traffic::start(shop, "TEA", 10, 10).finish().await.unwrap();
    audit(shop.deref(), &placed).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn any_garbage_in_the_state_of_orders_is_put_aside() {
    any_garbage_in_the_state_of("orders", "orders-0").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn any_garbage_in_the_state_of_inventory_is_put_aside() {
    any_garbage_in_the_state_of("inventory", "inventory-stock-0").await;
}

/// What the service cannot mend itself: a place where it may not write. Here it is below a file, so
/// that root may not either.
#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_is_not_to_be_had_is_named_and_waited_for() {
    let shop = alone().await;
    let Some(state) = state_of(&shop, "orders") else { return };
    let in_the_way = state.join("in-the-way");
    fs::write(&in_the_way, "a file").unwrap();
    let place = in_the_way.join("deep/state");
    shop.shop().stop("orders").await.unwrap();
    let before = restarts(&shop, "orders").await;
    let setting = [("STATE_DIR", place.to_str().unwrap())];
    let mend = async {
        let store = place.join("orders-0");
        complains(&shop, "orders", "decisions", &[store.to_str().unwrap(), "STATE_DIR"]).await;
        fs::remove_file(&in_the_way).unwrap();
    };
    // Its start is over when it is ready.
    let (started, ()) = tokio::join!(shop.shop().start_process_with("orders", &setting), mend);
    started.unwrap();
    confirmed(&shop, "grace").await;
    assert_eq!(restarts(&shop, "orders").await, before, "no restart helped");
    shop.shop().restart("orders").await.unwrap();
    clean(&shop).await;
}

/// The test limits the size of files, in place of a full disk, which only root can make: the
/// service meets an error at the same calls.
#[cfg(target_os = "linux")]
async fn a_full_disk_under(process: &str, store: &str, check: &str) {
    let shop = alone().await;
    let Some(state) = state_of(&shop, process) else { return };
    confirmed(&shop, "ada").await;
    let before = restarts(&shop, process).await;
    let status = shop.shop().status().await.unwrap();
    let pid = status.iter().find(|known| known.name == process).unwrap().pid.unwrap();
    let limit = |bytes: &str| {
        let args = ["--pid", &pid.to_string(), &format!("--fsize={bytes}:")];
        assert!(Command::new("prlimit").args(args).status().unwrap().success());
    };
    limit("0");
    let order = shop.place_at_last("ada", &[("TEA", 1)]).await.unwrap();
    let store = state.join(store);
    complains(&shop, process, check, &[store.to_str().unwrap(), "make room on its disk"]).await;
    limit("unlimited");
    is_ready(&shop, process).await;
    shop.confirmed(order).await.unwrap();
    confirmed(&shop, "grace").await;
    assert_eq!(restarts(&shop, process).await, before, "no restart helped");
    clean(&shop).await;
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_under_orders_is_named_and_over_when_there_is_room() {
    a_full_disk_under("orders", "orders-0", "decisions").await;
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_under_inventory_is_named_and_over_when_there_is_room() {
    a_full_disk_under("inventory", "inventory-stock-0", "inventory-stock").await;
}
