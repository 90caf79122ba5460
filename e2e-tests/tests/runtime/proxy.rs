//! A wire between a client and the broker that can hold a request back: TCP in the middle, which
//! knows just enough of Kafka's protocol to tell the requests apart.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex},
    thread,
    time::Duration,
};

/// Kafka's numbers of the requests that are watched (<https://kafka.apache.org/protocol>).
const END_TXN: i16 = 26;
const TXN_OFFSET_COMMIT: i16 = 28;

/// Longest wait for the broker.
const ANSWER_MAX: Duration = Duration::from_secs(20);

/// What has happened on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// The next EndTxn is held back, and its connection cut.
    Armed,
    /// One is held back; the client has to send it again.
    Held,
    /// The same was sent again and has passed.
    Repeated,
    /// The one that was held back has arrived, in the middle of the next transaction; nothing
    /// passes any more, as if the client's machine were gone.
    Cut,
}

struct Wire {
    state: State,
    /// The request, and the connection that it was sent on.
    held: Option<(Vec<u8>, TcpStream)>,
    /// Answers of the broker whose client was gone.
    unheard: usize,
}

/// The proxy. It lives as long as the test's process.
#[derive(Clone)]
pub struct Proxy {
    address: String,
    broker: String,
    wire: Arc<(Mutex<Wire>, Condvar)>,
}

impl Proxy {
    /// A proxy before `broker`, `host:port`. What the broker says about its own address is changed
    /// on the way, so that clients come back here.
    pub fn before(broker: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let wire = Wire { state: State::Armed, held: None, unheard: 0 };
        let wire = Arc::new((Mutex::new(wire), Condvar::new()));
        let host = broker.split(':').next().expect("a host");
        let proxy = Self { address: format!("{host}:{port}"), broker: broker.to_owned(), wire };
        let serving = proxy.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if serving.state() == State::Cut {
                    continue;
                }
                let serving = serving.clone();
                thread::spawn(move || serving.serve(&client));
            }
        });
        proxy
    }

    /// What a client connects to.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// What has happened so far.
    pub fn state(&self) -> State {
        self.wire.0.lock().unwrap().state
    }

    /// Either direction ends the connection when it ends.
    fn serve(&self, client: &TcpStream) {
        let Ok(broker) = TcpStream::connect(&self.broker) else { return };
        let (mut from_broker, mut to_client) = (clone(&broker), clone(client));
        let [ours, theirs] = [&self.broker, &self.address].map(|address| place(address));
        let wire = Arc::clone(&self.wire);
        thread::spawn(move || {
            while let Ok(mut frame) = read_frame(&mut from_broker) {
                replace(&mut frame, &ours, &theirs);
                if to_client.write_all(&frame).is_err() {
                    wire.0.lock().unwrap().unheard += 1;
                    wire.1.notify_all();
                }
            }
            let _ = to_client.shutdown(Shutdown::Both);
        });
        let mut from_client = clone(client);
        while let Ok(frame) = read_frame(&mut from_client) {
            if !self.pass(frame, &broker) {
                break;
            }
        }
        let _ = client.shutdown(Shutdown::Both);
    }

    /// Let one request through, or not; false cuts the client's connection.
    fn pass(&self, frame: Vec<u8>, broker: &TcpStream) -> bool {
        let api = i16::from_be_bytes([frame[4], frame[5]]);
        let mut wire = self.wire.0.lock().unwrap();
        match (wire.state, api) {
            (State::Armed, END_TXN) => {
                wire.held = Some((frame, clone(broker)));
                wire.state = State::Held;
                return false;
            }
            (State::Held, END_TXN) => wire.state = State::Repeated,
            (State::Repeated, TXN_OFFSET_COMMIT) => {
                let (late, mut connection) = wire.held.take().expect("one was held back");
                connection.write_all(&late).expect("the broker has kept the connection");
                // Decided once it is answered, though the client that has asked is not there any
                // more.
                let before = wire.unheard;
                let is_open = |wire: &mut Wire| wire.unheard == before;
                let waited = self.wire.1.wait_timeout_while(wire, ANSWER_MAX, is_open);
                let (mut wire, late) = waited.unwrap();
                assert!(!late.timed_out(), "the broker does not answer the late request");
                wire.state = State::Cut;
                return false;
            }
            (State::Cut, _) => return false,
            _ => {}
        }
        drop(wire);
        clone(broker).write_all(&frame).is_ok()
    }
}

fn clone(stream: &TcpStream) -> TcpStream {
    stream.try_clone().expect("a handle")
}

/// A request or an answer, with its length before it.
fn read_frame(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let mut frame = length.to_vec();
    frame.resize(4 + u32::from_be_bytes(length) as usize, 0);
    stream.read_exact(&mut frame[4..])?;
    Ok(frame)
}

/// An address as Kafka's answers have it: the host, and the port as four bytes.
fn place(address: &str) -> Vec<u8> {
    let (host, port) = address.split_once(':').expect("host:port");
    let port: u32 = port.parse().expect("a port");
    [host.as_bytes(), &port.to_be_bytes()].concat()
}

fn replace(frame: &mut [u8], ours: &[u8], theirs: &[u8]) {
    for at in 0..frame.len().saturating_sub(ours.len() - 1) {
        if frame[at..].starts_with(ours) {
            frame[at..at + ours.len()].copy_from_slice(theirs);
        }
    }
}
