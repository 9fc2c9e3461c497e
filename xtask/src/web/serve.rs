//! A server for a directory of files, reachable from this machine only.

use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;

use anyhow::{Context, Result};
use axum::Router;
use axum::http::HeaderValue;
use axum::http::header::CACHE_CONTROL;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;
use tower_http::services::ServeDir;
use tower_http::set_header::SetResponseHeaderLayer;

/// Serves until it is dropped.
pub struct Server {
    runtime: Runtime,
    serving: JoinHandle<io::Result<()>>,
    port: u16,
}

impl Server {
    /// Serves `directory` on `port` of the loopback address; port 0 takes a free one.
    pub fn start(directory: &Path, port: u16) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
            .with_context(|| format!("cannot listen on port {port}; choose another with --port"))?;
        listener.set_nonblocking(true)?;
        let port = listener.local_addr()?.port();
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        // A page that was built again must not be taken from the browser's cache.
        let fresh = SetResponseHeaderLayer::overriding(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        let files = Router::new().fallback_service(ServeDir::new(directory)).layer(fresh);
        let serving = runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            axum::serve(listener, files).await
        });
        Ok(Self { runtime, serving, port })
    }

    /// The page's address. By name, since browsers trust `localhost` like a page that came by HTTPS.
    pub fn url(&self) -> String {
        format!("http://localhost:{}/", self.port)
    }

    /// Serves until the process ends.
    pub fn wait(self) -> Result<()> {
        Ok(self.runtime.block_on(self.serving)??)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::io::{Read, Write};
    use std::net::TcpStream;

    #[test]
    fn a_directory_is_served_and_nothing_beside_it() {
        let place = std::env::temp_dir().join(format!("xtask-serve-{}", std::process::id()));
        fs::create_dir_all(place.join("site")).unwrap();
        fs::write(place.join("secret.txt"), "secret").unwrap();
        fs::write(place.join("site/index.html"), "<p>hello").unwrap();
        fs::write(place.join("site/a.wasm"), "\0asm").unwrap();
        fs::write(place.join("site/a.js"), "1").unwrap();
        let server = Server::start(&place.join("site"), 0).unwrap();
        let ask = |path: &str| {
            let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, server.port)).unwrap();
            write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            answer
        };
        let page = ask("/?query");
        assert!(page.starts_with("HTTP/1.1 200") && page.ends_with("<p>hello"), "{page}");
        // Modules and WebAssembly do not load as anything else.
        for (path, kind) in
            [("/", "text/html"), ("/a.js", "text/javascript"), ("/a.wasm", "application/wasm")]
        {
            let header = format!("content-type: {kind}");
            assert!(ask(path).contains(&header), "{path}: {}", ask(path));
        }
        for elsewhere in ["/../secret.txt", "/site/../../secret.txt", "//etc/passwd", "/nothing"] {
            assert!(ask(elsewhere).starts_with("HTTP/1.1 404"), "{elsewhere}");
        }
        drop(server);
        fs::remove_dir_all(&place).unwrap();
    }
}
