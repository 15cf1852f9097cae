//! Hearth as two services: a control plane without privileges and a spawner behind a socket, started,
//! watched and restarted by a service manager, whose part the tests play; and by a real one.

// Ready, alive, ending: what the manager is told.
mod told;
// What is in flight and what is new while the control plane is restarted.
mod restart;
// Who may have the spawner, and what becomes of either when the other dies.
mod spawner;
// Units and files, as they are installed and taken away.
mod install;
// The units under a real systemd, where there is one to boot.
mod systemd;
