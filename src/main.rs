//! `hearth`: functions as a service on your own Linux server.
fn main() {}
