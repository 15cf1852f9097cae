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
use crate::harness::shared;

/// An address of this host other than loopback, if it has one: what a route to elsewhere would use.
fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    // Nothing is sent: connecting a datagram socket only picks the address.
    socket.connect("192.0.2.1:9").ok()?;
    socket.local_addr().ok().map(|address| address.ip()).filter(|ip| !ip.is_loopback())
}

#[test]
fn a_function_reaches_nothing_of_the_host_over_any_kind_of_network() {
    let daemon = shared();
    // On all addresses, so that the control reaches it by each.
    let listener = TcpListener::bind("[::]:0").expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let datagrams = UdpSocket::bind("127.0.0.1:0").expect("a port");
    datagrams.set_read_timeout(Some(Duration::from_millis(100))).expect("above zero");
    let udp = datagrams.local_addr().expect("bound").port();
    let name = format!("hearth-test-{}", std::process::id());
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
    probe.holds_inside_and_breaks_outside(&event, &event);

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
    let function = crate::harness::Function::python(source).deploy(&daemon);
    assert_eq!(function.answer(&json!([daemon.api.port(), daemon.http.port()])), 2);
    done.store(true, Ordering::Relaxed);
    echo.join().expect("it ends");
    drop((listener, abstracts));
}
