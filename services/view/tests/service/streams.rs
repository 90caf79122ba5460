//! Goal: a follower gets each transition once and in order, goes on at any instance after the last
//! one seen, and loses its place when it takes nothing.

use crate::{
    harness::{Instance, STREAMS_MAX},
    stories::{confirmed_story, order_id, refusal, requested},
};
use contracts::topics::ORDER_REFUSALS;
use reqwest::{RequestBuilder, Response, StatusCode};
use serde_json::Value;
use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};
use testkit::{PATIENCE, postgres::Postgres, wait_for};
use tokio::{io::AsyncWriteExt, net::TcpSocket};

/// A client of an event stream.
struct Client {
    response: Response,
    text: String,
}

/// An event as a client gets it.
#[derive(Debug, Clone, PartialEq)]
struct Event {
    id: String,
    name: String,
    data: Value,
}

impl Event {
    fn order(&self) -> &str {
        self.data["order_id"].as_str().unwrap()
    }

    fn version(&self) -> i64 {
        self.data["version"].as_i64().unwrap()
    }
}

impl Client {
    async fn open(request: RequestBuilder) -> Self {
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { response, text: String::new() }
    }

    async fn of(view: &Instance, path: &str) -> Self {
        Self::open(view.client.get(view.address(path))).await
    }

    async fn after(view: &Instance, path: &str, id: &str) -> Self {
        Self::open(view.client.get(view.address(path)).header("last-event-id", id)).await
    }

    /// The next block of lines; none at the end of the stream.
    async fn block(&mut self) -> Option<String> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.text = rest;
                return Some(block);
            }
            let chunk = tokio::time::timeout(PATIENCE, self.response.chunk()).await;
            let chunk = chunk.expect("the stream says something").unwrap()?;
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    /// The next event; none at the end of the stream. Comments and bare ids are no events.
    async fn next(&mut self) -> Option<Event> {
        loop {
            let block = self.block().await?;
            let field = |name: &str| {
                let mut lines = block.lines().filter_map(|line| line.split_once(": "));
                lines.find(|(field, _)| *field == name).map(|(_, value)| value.to_owned())
            };
            if let (Some(id), Some(data)) = (field("id"), field("data")) {
                let data = serde_json::from_str(&data).unwrap();
                return Some(Event { id, name: field("event").unwrap(), data });
            }
        }
    }

    async fn take(&mut self, count: usize) -> Vec<Event> {
        let mut events = Vec::new();
        while events.len() < count {
            events.push(self.next().await.expect("the stream goes on"));
        }
        events
    }
}

/// The events of each order run from its first version to its last, each version once.
fn assert_whole(events: &[Event], stories: u128) {
    for n in 1..=stories {
        let id = order_id(n).to_string();
        let versions: Vec<_> =
            events.iter().filter(|e| e.order() == id).map(Event::version).collect();
        assert_eq!(versions, [1, 2, 3, 4], "{id}");
    }
    assert_eq!(events.len(), 4 * usize::try_from(stories).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_hears_each_transition_once_with_its_place_and_its_writer() {
    let mut view = Instance::start("events").await;
    view.feed(&confirmed_story(99));
    let mut live = Client::of(&view, "/events").await;
    for step in (1..=20).flat_map(confirmed_story) {
        view.feed(&[step]);
    }
    let events = live.take(80).await;
    assert_whole(&events, 20);
    let paid = events.iter().find(|event| event.version() == 3).unwrap();
    assert_eq!(paid.name, "transition");
    assert_eq!(paid.data["writer"], "payments");
    assert_eq!(paid.data["status"], "paid");
    let timeline = view.get(&format!("/orders/{}/timeline", paid.order())).await;
    let mut expected = timeline["transitions"][2].clone();
    expected["order_id"] = paid.order().into();
    assert_eq!(paid.data, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_goes_on_at_another_instance_after_whichever_event_was_the_last() {
    let mut view = Instance::start("resume").await;
    let other = view.another().await;
    let mut live = Client::of(&view, "/events").await;
    view.feed(&(1..=5).flat_map(confirmed_story).collect::<Vec<_>>());
    let seen = live.take(20).await;
    assert_whole(&seen, 5);
    for cut in 0..seen.len() {
        let mut resumed = Client::after(&other, "/events", &seen[cut].id).await;
        assert_eq!(resumed.take(seen.len() - cut - 1).await, seen[cut + 1..]);
    }
    // What comes while it is away, and what comes when it is back.
    view.feed(&confirmed_story(6));
    let mut resumed = Client::after(&other, "/events", &seen[7].id).await;
    let mut events = seen[..8].to_vec();
    events.extend(resumed.take(16).await);
    view.feed(&confirmed_story(7));
    events.extend(resumed.take(4).await);
    assert_whole(&events, 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn followers_that_come_while_transitions_do_miss_none() {
    const STORIES: u128 = 30;
    let mut view = Instance::start("joining").await;
    let begin = Client::of(&view, "/events").await.block().await.unwrap();
    let begin = begin.lines().find_map(|line| line.strip_prefix("id: ")).unwrap().to_owned();
    let (client, url) = (view.client.clone(), view.address("/events"));
    let joining = tokio::spawn(async move {
        let mut joined = Vec::new();
        for _ in 0..STREAMS_MAX {
            let request = client.get(&url).header("last-event-id", &begin);
            let mut follower = Client::open(request).await;
            // Another one comes when this one is under way.
            let first = follower.take(20).await;
            joined.push((follower, first));
        }
        joined
    });
    wait_for("the first stream to be forgotten", PATIENCE, || async {
        if view.streams.len() < STREAMS_MAX { Ok(()) } else { Err(view.streams.len()) }
    })
    .await;
    for step in (1..=STORIES).flat_map(confirmed_story) {
        view.feed(&[step]);
    }
    for (mut follower, mut events) in joining.await.unwrap() {
        let rest = 4 * usize::try_from(STORIES).unwrap() - events.len();
        events.extend(follower.take(rest).await);
        assert_whole(&events, STORIES);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_latest_transitions_come_first_if_they_are_asked_for() {
    let mut view = Instance::start("latest").await;
    view.feed(&(1..=5).flat_map(confirmed_story).collect::<Vec<_>>());
    let mut all = Client::of(&view, "/events?latest=1000").await;
    assert_whole(&all.take(20).await, 5);
    let mut some = Client::of(&view, "/events?latest=7").await;
    let some = some.take(7).await;
    let mut again = Client::after(&view, "/events?latest=1", &some[0].id).await;
    assert_eq!(again.take(6).await, some[1..], "an id counts more than a number");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_faster_than_a_client_wants_comes_as_flocks_and_none_is_missing() {
    const STORIES: usize = 500;
    let mut view = Instance::start("flocks").await;
    view.feed(&confirmed_story(9999));
    let mut live = Client::of(&view, "/events?latest=4&singles=10").await;
    let past = live.take(4).await;
    assert!(past.iter().all(|event| event.name == "transition"), "{past:?}");
    let stories: Vec<_> = (1..=STORIES as u128).collect();
    for stories in stories.chunks(50) {
        view.feed(&stories.iter().copied().flat_map(confirmed_story).collect::<Vec<_>>());
    }
    let (mut singles, mut bytes, mut cut) = (0, 0, None);
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    while counts.values().sum::<usize>() < 4 * STORIES {
        let event = live.next().await.expect("the stream goes on");
        bytes += event.data.to_string().len();
        let mut count = |one: &Value, number: u64| {
            let transition = one["transition"].as_str().unwrap().to_owned();
            *counts.entry(transition).or_default() += usize::try_from(number).unwrap();
        };
        if event.name == "transition" {
            singles += 1;
            count(&event.data, 1);
            continue;
        }
        assert_eq!(event.name, "flock");
        let alike = event.data["alike"].as_array().unwrap();
        let sum: u64 = alike.iter().map(|one| one["count"].as_u64().unwrap()).sum();
        assert_eq!(event.data["transitions"], sum);
        assert!(alike.is_sorted_by_key(|one| one["version"].as_i64()), "{alike:?}");
        alike.iter().for_each(|one| count(one, one["count"].as_u64().unwrap()));
        cut.get_or_insert((event.id, counts.values().sum::<usize>()));
    }
    let names = ["OrderConfirmed", "OrderRequested", "OrderValidated", "PaymentReceived"];
    assert_eq!(counts, names.map(|name| (name.to_owned(), STORIES)).into());
    // Single ones take hundreds of bytes each.
    assert!(singles < STORIES && bytes < 200 * 4 * STORIES, "{singles} of {bytes} bytes");
    // The id of a flock is a place to go on from: without a pace, one by one.
    let (id, seen) = cut.expect("they came too fast for so few singles");
    let mut resumed = Client::after(&view, "/events", &id).await;
    let rest = resumed.take(4 * STORIES - seen).await;
    assert!(rest.iter().all(|event| event.name == "transition"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_followed_to_its_end_and_then_there_is_nothing_more() {
    let mut view = Instance::start("one_order").await;
    let other = view.another().await;
    let path = format!("/orders/{}/events", order_id(1));
    // Nothing is known of it yet.
    let mut live = Client::of(&other, &path).await;
    let story = confirmed_story(1);
    view.feed(&story[..2]);
    let mut events = live.take(2).await;
    drop(live);
    let mut resumed = Client::after(&other, &path, &events[1].id).await;
    view.feed(&story[2..]);
    events.extend(resumed.take(2).await);
    assert_whole(&events, 1);
    assert_eq!(resumed.next().await, None, "the stream ends with the order");
    let done = other.client.get(other.address(&format!("{path}?after=4"))).send().await.unwrap();
    assert_eq!(done.status(), StatusCode::NO_CONTENT);
    wait_for("the streams to be forgotten", PATIENCE, || async {
        if other.streams.is_empty() { Ok(()) } else { Err(other.streams.len()) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stream_of_a_refused_order_says_so_and_ends() {
    let mut view = Instance::start("refused_stream").await;
    let path = format!("/orders/{}/events", order_id(1));
    let mut live = Client::of(&view, &path).await;
    let refusal = refusal(1, "PlaceOrder");
    let record = view.record(&ORDER_REFUSALS, &refusal.order_id, &refusal, "orders");
    view.batch(&[record]);
    let refused = live.next().await.unwrap();
    assert_eq!((&*refused.name, &*refused.id), ("refused", "refused"));
    assert_eq!(refused.data, view.get(&format!("/orders/{}", order_id(1))).await);
    assert_eq!(live.next().await, None);
    let again = view.client.get(view.address(&path)).header("last-event-id", "refused");
    assert_eq!(again.send().await.unwrap().status(), StatusCode::NO_CONTENT);
}

#[tokio::test(flavor = "multi_thread")]
async fn there_are_so_many_streams_and_each_leaves_with_its_client() {
    let view = Instance::start("bounded").await;
    let mut streams = Vec::new();
    for _ in 0..STREAMS_MAX {
        streams.push(Client::of(&view, "/events").await);
    }
    let problem = view.problem("/events", 503).await;
    assert_eq!(problem["detail"], "4 event streams are open: as many as may be");
    view.problem(&format!("/orders/{}/events", order_id(1)), 503).await;
    streams.pop();
    wait_for("a place", PATIENCE, || async {
        if view.streams.len() < STREAMS_MAX { Ok(()) } else { Err(view.streams.len()) }
    })
    .await;
    Client::of(&view, "/events").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_takes_nothing_loses_its_place_and_stops_no_other() {
    const STORIES: u128 = 1500;
    let mut view = Instance::start("slow").await;
    let address: SocketAddr = view.address("")["http://".len()..].parse().unwrap();
    // What waits in the kernel for the client must be little.
    let slow = TcpSocket::new_v4().unwrap();
    slow.set_recv_buffer_size(4096).unwrap();
    let mut slow = slow.connect(address).await.unwrap();
    slow.write_all(b"GET /events HTTP/1.1\r\nhost: view\r\n\r\n").await.unwrap();
    let mut other = Client::of(&view, "/events").await;
    wait_for("both", PATIENCE, || async {
        if view.streams.len() == 2 { Ok(()) } else { Err(view.streams.len()) }
    })
    .await;
    let all = 4 * usize::try_from(STORIES).unwrap();
    let other = tokio::spawn(async move { other.take(all).await });
    // More than the sockets between them hold.
    for stories in (1..=STORIES).collect::<Vec<_>>().chunks(500) {
        view.feed(&stories.iter().copied().flat_map(confirmed_story).collect::<Vec<_>>());
    }
    wait_for("the slow one to be left", PATIENCE, || async {
        if view.streams.len() < 2 { Ok(()) } else { Err(view.streams.len()) }
    })
    .await;
    assert_whole(&other.await.unwrap(), STORIES);
    drop(slow);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_misses_nothing_when_the_database_was_away() {
    let postgres = Arc::new(Postgres::start().await.unwrap());
    let mut view = Instance::start_on(Arc::clone(&postgres), "away", 1024).await;
    let mut live = Client::of(&view, "/events").await;
    view.feed(&[requested(1)]);
    let mut events = live.take(1).await;
    postgres.stop().unwrap();
    view.problem("/events", 503).await;
    postgres.start_again().unwrap();
    let records = view.records(&confirmed_story(1)[1..]);
    while view.try_batch(&records).is_err() {}
    while events.len() < 4 {
        match live.next().await {
            Some(event) => events.push(event),
            // It has ended, as it does when it cannot read: the client comes again.
            None => live = Client::after(&view, "/events", &events[events.len() - 1].id).await,
        }
    }
    assert_whole(&events, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_that_is_none_is_refused_with_the_form_that_one_has() {
    let view = Instance::start("no_id").await;
    for (path, field) in [
        ("/events?after=7".to_owned(), "after"),
        (format!("/orders/{}/events?after=last", order_id(1)), "after"),
        ("/events?latest=1001".to_owned(), "latest"),
        ("/events?singles=0".to_owned(), "singles"),
    ] {
        let problem = view.problem(&path, 400).await;
        assert_eq!(problem["errors"][0]["field"], field, "{problem}");
    }
    let request = view.client.get(view.address("/events")).header("last-event-id", "0:1");
    let problem: Value = request.send().await.unwrap().json().await.unwrap();
    assert!(problem["errors"][0]["detail"].as_str().unwrap().contains("0:12,1:-1,2:7"));
    // A position of another log ends where this one does.
    let far = view.client.get(view.address("/events")).header("last-event-id", "0:99,1:99,2:99");
    let mut far = Client::open(far).await;
    assert!(far.block().await.unwrap().contains("id: 0:-1,1:-1,2:-1"));
}
