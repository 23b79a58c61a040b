//! Lets the database's sockets send at once.
//!
//! sqlx leaves Nagle's algorithm on and keeps its socket to itself. The word that ends a `COPY` is
//! a few bytes behind a large message, so it would wait until the server's kernel has acknowledged
//! what came before: up to 40 ms for each `COPY`, many times what the rows take. The kernel hands
//! out a second handle on each of a process's own sockets, which is all that is needed.

use std::fs;
use std::io;

use rustix::net::getpeername;
use rustix::net::sockopt::set_tcp_nodelay;
use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};

/// For every TCP socket of this process whose other end has this port. An error where the kernel
/// does not hand out handles, as in some containers.
pub fn on_sockets_to(port: u16) -> io::Result<()> {
    let this_process = pidfd_open(getpid(), PidfdFlags::empty())?;
    for entry in fs::read_dir("/proc/self/fd")? {
        let Some(number) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        let handle = match pidfd_getfd(&this_process, number, PidfdGetfdFlags::empty()) {
            Ok(handle) => handle,
            // Closed meanwhile, as the listing's own is.
            Err(rustix::io::Errno::BADF) => continue,
            Err(error) => return Err(error.into()),
        };
        // What is no socket has no other end.
        let peer = getpeername(&handle).ok().flatten();
        let peer = peer.and_then(|peer| std::net::SocketAddr::try_from(peer).ok());
        if peer.is_some_and(|peer| peer.port() == port) {
            set_tcp_nodelay(&handle, true)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn sockets_to_the_port_send_at_once_and_others_are_left_alone() {
        let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let addresses = listeners.each_ref().map(|listener| listener.local_addr().unwrap());
        let [one, other] = addresses.map(|address| TcpStream::connect(address).unwrap());
        on_sockets_to(addresses[0].port()).unwrap();
        assert!(one.nodelay().unwrap());
        assert!(!other.nodelay().unwrap());
    }
}
