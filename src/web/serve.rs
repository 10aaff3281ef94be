//! The thread of the web: connections, each with limits.

use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::sync::{Semaphore, watch};

use super::api;
use super::desk::Desk;
use super::earlier::Files;
use super::page::{Page, hosts, origins};
use super::shared::Shared;
use crate::cli::Access;
use crate::cluster::file::Cluster;
use crate::exit::{Exit, Failure};
use crate::transport::address::Site;
use crate::transport::holder;

/// Most connections at a time.
const MOST_CONNECTIONS: usize = 2048;
/// The time within which the head of a request has to come.
const HEAD_LIMIT: Duration = Duration::from_secs(10);
/// The time for which connections that are under way may end.
const GRACE: Duration = Duration::from_millis(500);

/// Listens on an address.
///
/// # Errors
/// Exit 69 if it is taken, 64 if it is none.
pub(super) fn bind(address: &str) -> Result<TcpListener, Failure> {
    let found = address.to_socket_addrs().ok().and_then(|mut found| found.next());
    let Some(found) = found else {
        let why = format!("cannot serve the page: {address} is no HOST:PORT of this machine");
        return Err(Failure::new(Exit::Usage, why));
    };
    TcpListener::bind(found).map_err(|error| {
        let failure = holder::cannot_listen(&format!("tcp://{found}"), &error);
        failure.help("name another address for the page with --web HOST:PORT, or in the cluster file")
    })
}

/// Refuses an address that other machines reach, unless the server has a key, or the user consents.
///
/// # Errors
/// [`Exit::Config`].
pub(super) fn may_listen(address: &str, access: &Access) -> Result<(), Failure> {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let site = Site { host: host.to_owned(), port_base: 0 };
    if site.is_local() || access.may_go_beyond() {
        return Ok(());
    }
    let why = format!("cannot serve the page on {address}: it lets other machines in, without keys");
    Err(Failure::new(Exit::Config, why).help(
        "`groupcast keys cluster cluster.key_secret` and --keys cluster.key_secret, or --insecure. In either case the page \
         is plain HTTP, where everybody may read and write: for more, keep it on 127.0.0.1 behind a proxy with TLS",
    ))
}

/// Returns the failure of a server that cannot serve its page.
pub(super) fn cannot_serve(address: impl std::fmt::Display, error: &io::Error) -> Failure {
    Failure::new(Exit::Io, format!("cannot serve the page on {address}: {error}"))
}

/// The thread of the web.
#[derive(Debug)]
pub(super) struct Web {
    thread: JoinHandle<()>,
    ends: watch::Sender<bool>,
}

impl Web {
    /// Starts to serve at an address, which is `address` as it was written.
    pub(super) fn start(
        listener: TcpListener,
        desk: Desk,
        files: Files,
        cluster: &Cluster,
        address: &str,
        local: SocketAddr,
    ) -> Result<Self, Failure> {
        let (ends, seen) = watch::channel(false);
        let addresses: Vec<String> = cluster.all().filter_map(|server| server.web.clone()).collect();
        let shared = Shared {
            desk,
            files,
            page: Page::new(&addresses),
            origins: origins(&addresses, local),
            hosts: hosts(&addresses, address),
            ends: seen.clone(),
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()
            .map_err(|error| cannot_serve(local, &error))?;
        let listener = {
            let _guard = runtime.enter();
            listener
                .set_nonblocking(true)
                .and_then(|()| tokio::net::TcpListener::from_std(listener))
                .map_err(|error| cannot_serve(local, &error))?
        };
        let serve = move || {
            runtime.block_on(accept(listener, shared, seen));
            runtime.shutdown_timeout(GRACE);
        };
        let thread = std::thread::Builder::new().name("web".to_owned()).spawn(serve);
        let thread = thread.map_err(|error| cannot_serve(local, &error))?;
        Ok(Self { thread, ends })
    }

    /// Takes no more connections and requests; those that are under way may end.
    pub(super) fn end(&self) {
        let _ = self.ends.send(true);
    }

    /// Returns whether all connections are closed.
    pub(super) fn is_over(&self) -> bool {
        self.thread.is_finished()
    }

    /// Waits until all connections are closed.
    pub(super) fn join(self) {
        // A panic of the thread has been reported.
        let _ = self.thread.join();
    }
}

/// Accepts connections until the server ends.
async fn accept(listener: tokio::net::TcpListener, shared: Shared, mut ends: watch::Receiver<bool>) {
    let service = TowerToHyperService::new(api::routes(shared));
    let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    loop {
        let place = tokio::select! {
            place = Arc::clone(&places).acquire_owned() => place,
            _ = ends.changed() => break,
        };
        let Ok(place) = place else { return };
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(_) => {
                    // The process has no more files: some connections will end.
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
            _ = ends.changed() => break,
        };
        // Events are small, and have to leave at once.
        let _ = stream.set_nodelay(true);
        let service = service.clone();
        tokio::spawn(async move {
            let mut http = http1::Builder::new();
            http.timer(TokioTimer::new()).header_read_timeout(HEAD_LIMIT);
            // The request of a client that has closed its side counts: otherwise it would be dropped on its way.
            http.half_close(true);
            // A client that breaks off is no concern of the server's.
            let _ = http.serve_connection(TokioIo::new(stream), service).with_upgrades().await;
            drop(place);
        });
    }
    tokio::time::sleep(GRACE).await;
}
