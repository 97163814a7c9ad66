//! A small, real API on a loopback port, for the examples and the tests.
//!
//! It prints its address once it listens, and ends on SIGTERM, on SIGINT, or, with `--until-stdin-closes`,
//! when its standard input does: then it cannot outlive the script that started it.
//! Each file beside this one is one part of the API and has a `routes()` of its own.

mod chat;
mod echo;
mod events;
mod files;
mod graphql;
mod health;
mod journal;
mod problem;
mod sign_in;
mod trouble;
mod users;

use std::io::{self, Read, Write};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use axum::Router;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use users::Users;

const USAGE: &str = "\
usage: demo-server [--port N] [--port-file PATH] [--until-stdin-closes]

  --port N              the port on 127.0.0.1 (0, the default: a free one)
  --port-file PATH      also write the address to PATH, once the server listens
  --until-stdin-closes  end when standard input is closed
";

/// What the command line says.
#[derive(Default)]
struct Options {
    port: u16,
    port_file: Option<PathBuf>,
    until_stdin_closes: bool,
    help: bool,
}

fn main() -> ExitCode {
    let options = match parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(message) => {
            eprint!("demo-server: {message}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    if options.help {
        print!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("demo-server: {error}");
            ExitCode::FAILURE
        }
    }
}

fn parse(mut args: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options = Options::default();
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or_else(|| format!("{arg} needs a value"));
        match arg.as_str() {
            "--port" => options.port = value()?.parse().map_err(|_| "--port takes 0 to 65535".to_string())?,
            "--port-file" => options.port_file = Some(value()?.into()),
            "--until-stdin-closes" => options.until_stdin_closes = true,
            "-h" | "--help" => options.help = true,
            other => return Err(format!("unknown argument {other}")),
        }
    }
    Ok(options)
}

fn run(options: &Options) -> io::Result<()> {
    // One thread is plenty: every handler is short or asleep.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(serve(options))
}

async fn serve(options: &Options) -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let stdin_closed = options.until_stdin_closes.then(stdin_closed);

    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, options.port)).await?;
    announce(&format!("http://{}", listener.local_addr()?), options.port_file.as_deref())?;

    let users = Users::new();
    let app = Router::new()
        .merge(chat::routes())
        .merge(echo::routes())
        .merge(events::routes())
        .merge(files::routes())
        .merge(graphql::routes(users.clone()))
        .merge(health::routes())
        .merge(journal::routes())
        .merge(sign_in::routes())
        .merge(users::routes(users))
        .merge(trouble::routes());
    let app = app.fallback(problem::not_found).method_not_allowed_fallback(problem::not_allowed);

    // Open connections and sleeping handlers are dropped: a demo that is told to stop, stops.
    tokio::select! {
        result = async { axum::serve(listener, app).await } => result,
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
        _ = async { match stdin_closed { Some(closed) => { let _ = closed.await; } None => std::future::pending().await } } => Ok(()),
    }
}

/// Tells whoever waits where the server is. The file appears whole or not at all.
fn announce(address: &str, port_file: Option<&Path>) -> io::Result<()> {
    if let Some(path) = port_file {
        let mut unfinished = path.as_os_str().to_owned();
        unfinished.push(".part");
        std::fs::write(&unfinished, format!("{address}\n"))?;
        std::fs::rename(&unfinished, path)?;
    }
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{address}")?;
    stdout.flush()
}

/// Ends when standard input does. A thread of its own, as reading it blocks.
fn stdin_closed() -> oneshot::Receiver<()> {
    let (closed, wait) = oneshot::channel();
    std::thread::spawn(move || {
        let mut stdin = io::stdin().lock();
        let mut buffer = [0; 256];
        while matches!(stdin.read(&mut buffer), Ok(1..)) {}
        let _ = closed.send(());
    });
    wait
}
