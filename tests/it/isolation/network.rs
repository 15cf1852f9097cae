//! The network.

use std::net::{IpAddr, TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::json;

use super::Probe;
use crate::harness::{Daemon, shared};

/// An address of this host other than loopback, if it has one: what a route to elsewhere would use.
fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    // Nothing is sent: connecting a datagram socket only picks the address.
    socket.connect("192.0.2.1:9").ok()?;
    socket.local_addr().ok().map(|address| address.ip()).filter(|ip| !ip.is_loopback())
}

#[test]
fn a_function_reaches_nothing_of_the_host_over_any_kind_of_network() {
    holds(&shared());
}

/// In sandboxes of this daemon.
pub fn holds(daemon: &Daemon) {
    // On all addresses, so that the control reaches it by each.
    let listener = TcpListener::bind("[::]:0").expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let datagrams = UdpSocket::bind("[::]:0").expect("a port");
    datagrams.set_read_timeout(Some(Duration::from_millis(100))).expect("above zero");
    let udp = datagrams.local_addr().expect("bound").port();
    let name = format!("hearth-test-{}-{port}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).expect("a short name");
    let abstracts = UnixListener::bind_addr(&address).expect("a fresh name");

    let done = Arc::new(AtomicBool::new(false));
    let echo = thread::spawn({
        let done = Arc::clone(&done);
        move || {
            let mut buffer = [0; 16];
            while !done.load(Ordering::Relaxed) {
                if let Ok((count, from)) = datagrams.recv_from(&mut buffer) {
                    // Nobody to answer is nobody to complain.
                    let _ = datagrams.send_to(&buffer[..count], from);
                }
            }
        }
    });
    let event = json!({
        "ports": [port],
        "udp": udp,
        "abstract": name,
        "address": own_address(),
    });
    let probe = Probe::new(include_str!("probes/network.py"));
    probe.holds_in(daemon, &event, &event);

    // The daemon's own listeners, which are on IPv4's loopback only.
    let source = "
        import socket

        def handler(event, context):
            refused = 0
            for port in event:
                try:
                    socket.create_connection(('127.0.0.1', port), 3).close()
                except OSError:
                    refused += 1
            return refused
        ";
    let function = crate::harness::Function::python(source).deploy(daemon);
    assert_eq!(function.answer(&json!([daemon.api.port(), daemon.http.port()])), 2);
    done.store(true, Ordering::Relaxed);
    echo.join().expect("it ends");
    drop((listener, abstracts));
}

/// Metadata services of clouds, private networks, shared addresses, and such as nobody has.
const ELSEWHERE: [&str; 9] = [
    "169.254.169.254",
    "fd00:ec2::254",
    "169.254.170.2",
    "10.0.0.1",
    "172.17.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "192.0.2.1",
    "2001:db8::1",
];

#[test]
fn no_address_of_any_network_can_be_reached_from_a_sandbox() {
    let probe = Probe::new(include_str!("probes/unreachable.py"));
    let event = |present: bool| json!({"addresses": ELSEWHERE, "present": present});
    // Outside, in a network namespace where they are all ours: the probe reaches them.
    probe.holds_inside_and_breaks_outside(&event(false), &event(true));
}

/// Listens everywhere, or looks for who does.
const PEERS: &str = "
    import socket, threading

    held = []

    def serve(one):
        while True:
            if one.type == socket.SOCK_STREAM:
                one.accept()[0].close()
            else:
                one.sendto(*one.recvfrom(16))

    def listen():
        for family, address in ((socket.AF_INET, '0.0.0.0'), (socket.AF_INET6, '::')):
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                one = socket.socket(family, kind)
                if family == socket.AF_INET6:
                    one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                one.bind((address, 7070))
                if kind == socket.SOCK_STREAM:
                    one.listen()
                threading.Thread(target=serve, args=(one,), daemon=True).start()
                held.append(one)

    def reached():
        found = []
        for address in ('127.0.0.1', '0.0.0.0', '::1', '::ffff:127.0.0.1', '127.0.0.2'):
            family = socket.AF_INET6 if ':' in address else socket.AF_INET
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                with socket.socket(family, kind) as one:
                    one.settimeout(2)
                    try:
                        one.connect((address, 7070))
                        one.send(b'probe')
                        if kind == socket.SOCK_DGRAM:
                            one.recv(16)
                        found.append([address, kind.name])
                    except OSError:
                        pass
        return found

    def handler(event, context):
        if event['listen'] and not held:
            listen()
        return reached()
    ";

#[test]
fn what_listens_in_one_sandbox_is_reached_from_no_other_at_once_or_afterwards() {
    let daemon = shared();
    let function = || crate::harness::Function::python(PEERS).deploy(&daemon);
    let (one, other) = (function(), function());
    let own = one.answer(&json!({"listen": true}));
    // All ten but one: a datagram to 127.0.0.2 is answered from 127.0.0.1, and not heard.
    assert!(own.as_array().is_some_and(|all| all.len() >= 9), "the control: its own: {own}");
    assert_eq!(other.answer(&json!({"listen": false})), json!([]));
    drop(one);
    // What comes after it has a network of its own, too: nothing is handed on.
    for _ in 0..3 {
        assert_eq!(function().answer(&json!({"listen": false})), json!([]));
    }
    assert_eq!(other.answer(&json!({"listen": false})), json!([]));
}
