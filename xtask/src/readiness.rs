//! Whether a process does its job yet: asked of the process itself, never guessed from time.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::error::{Result, XtaskError};
use crate::http;
use crate::interrupt;
use crate::process::{Identity, ProcessSpec, tail};

const PATIENCE: Duration = Duration::from_secs(2);

/// How to ask.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Probe {
    /// Being alive is all there is to know.
    Alive,
    /// 200 from this URL.
    Http {
        url: String,
    },
    /// `+PONG`, which Redis does not say while it still loads.
    Redis {
        port: u16,
    },
    Postgres {
        pg_isready: PathBuf,
        port: u16,
    },
}

impl Probe {
    /// `Err` says why not yet.
    pub fn ask(&self) -> std::result::Result<(), String> {
        match self {
            Probe::Alive => Ok(()),
            Probe::Http { url } => match http::get(url, PATIENCE) {
                Ok((200, _)) => Ok(()),
                Ok((status, body)) => Err(format!("{url} answers {status} {}", body.trim())),
                Err(error) => Err(error.to_string()),
            },
            Probe::Redis { port } => ping_redis(*port),
            Probe::Postgres { pg_isready, port } => {
                let mut command = Command::new(pg_isready);
                command.args(["-q", "-h", "127.0.0.1", "-t", "2", "-p", &port.to_string()]);
                match command.stdin(Stdio::null()).status() {
                    Ok(status) if status.success() => Ok(()),
                    Ok(status) => Err(format!("pg_isready says {status}")),
                    Err(error) => Err(format!("pg_isready: {error}")),
                }
            }
        }
    }
}

fn ping_redis(port: u16) -> std::result::Result<(), String> {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect_timeout(&([127, 0, 0, 1], port).into(), PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.write_all(b"PING\r\n")?;
        let mut answer = [0; 64];
        let length = stream.read(&mut answer)?;
        Ok(String::from_utf8_lossy(&answer[..length]).trim().to_owned())
    };
    match ask() {
        Ok(answer) if answer == "+PONG" => Ok(()),
        Ok(answer) => Err(format!("redis answers `{answer}`")),
        Err(error) => Err(format!("redis on port {port}: {error}")),
    }
}

/// Waits until the process is ready. Errors: it died, the deadline passed, a signal came; the
/// first two carry the end of its log.
pub fn wait_ready(spec: &ProcessSpec, process: &Identity, within: Duration) -> Result<()> {
    let until = Instant::now() + within;
    loop {
        // Asked first: who answers for a dead process on its port is not the process.
        let alive = process.is_alive();
        let answer = spec.ready.ask();
        if alive && answer.is_ok() {
            return Ok(());
        }
        let reason = match answer {
            _ if !alive => "ended before it was ready".to_owned(),
            Err(reason) if until <= Instant::now() => {
                format!("was not ready within {within:?}: {reason}")
            }
            _ => {
                interrupt::check()?;
                interrupt::pause(2 * interrupt::POLL);
                continue;
            }
        };
        return Err(XtaskError::NotReady {
            name: spec.name.clone(),
            reason,
            log: spec.log.display().to_string(),
            tail: tail(&spec.log),
        });
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    /// Answers one connection after the first line it reads.
    fn answering(answer: &'static str) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut line = String::new();
            BufReader::new(stream.try_clone().unwrap()).read_line(&mut line).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
        });
        port
    }

    #[test]
    fn only_a_pong_means_that_redis_is_ready() {
        assert_eq!(Probe::Redis { port: answering("+PONG\r\n") }.ask(), Ok(()));
        let port = answering("-LOADING Redis is loading the dataset in memory\r\n");
        assert!(Probe::Redis { port }.ask().unwrap_err().contains("LOADING"));
    }

    #[test]
    fn only_200_means_that_a_service_is_ready() {
        let ask = |answer| {
            let port = answering(answer);
            Probe::Http { url: format!("http://127.0.0.1:{port}/readyz") }.ask()
        };
        assert_eq!(ask("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"), Ok(()));
        let busy = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 7\r\n\r\nreplay\n";
        assert!(ask(busy).unwrap_err().ends_with("503 replay"));
    }
}
