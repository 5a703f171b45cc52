//! What the examples share, and what is not about Primus: arguments, a log, the line that says
//! where they listen, and pages with stock clients of others.

pub mod stock;
pub mod types;

use std::{env, fmt, io::Write as _, net::SocketAddr, process::exit};

use tokio::net::TcpListener;
use tracing_subscriber::EnvFilter;

/// What `main` of an example returns: errors are printed as sentences, and the exit code is 1.
pub type Result<T = ()> = std::result::Result<T, Failure>;

/// Any error. Its `Debug`, which is what a `main` that fails prints, is for people.
pub struct Failure(Box<dyn std::error::Error + Send + Sync>);

impl<E: Into<Box<dyn std::error::Error + Send + Sync>>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// An option: its name, what follows it, what it is for.
pub type Choice = (&'static str, &'static str, &'static str);

const LISTEN: Choice = ("--listen", "ADDR", "where to listen [default: 127.0.0.1:8080]");

/// For the examples whose options can be chosen without a change of their code.
pub const CONFIG: Choice =
    ("--config", "FILE", "options of Primus, such as: transformer = \"sse\"");

/// The arguments of an example.
pub struct Args {
    given: Vec<(String, String)>,
}

impl Args {
    /// Reads the arguments, `--listen` and those of `choices`; prints help where it is asked for or
    /// needed. And begins the log on standard error: `RUST_LOG=debug` shows what Primus does.
    pub fn parse(about: &str, choices: &[Choice]) -> Self {
        let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
        let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
        let _ = log.try_init();

        let choices: Vec<Choice> = [LISTEN].iter().chain(choices).copied().collect();
        let mut args = env::args().skip(1);
        let mut given = Vec::new();
        while let Some(arg) = args.next() {
            if arg == "--help" || arg == "-h" {
                println!("{}", help(about, &choices));
                exit(0);
            }
            let (name, value) = match arg.split_once('=') {
                Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                None => (arg, args.next()),
            };
            match value {
                Some(value) if choices.iter().any(|choice| choice.0 == name) => {
                    given.push((name, value));
                }
                Some(_) => refuse(&format!("there is no option `{name}`"), about, &choices),
                None => refuse(&format!("`{name}` needs a value"), about, &choices),
            }
        }
        Self { given }
    }

    /// What was given for an option; the last counts.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.given.iter().rev().find(|given| given.0 == name).map(|given| &*given.1)
    }

    /// The address to listen on.
    pub fn listen(&self) -> &str {
        self.get(LISTEN.0).unwrap_or("127.0.0.1:8080")
    }
}

fn help(about: &str, choices: &[Choice]) -> String {
    let line = |(name, value, what): &Choice| format!("\n  {name:<9} {value:<5} {what}");
    format!("{about}\n\noptions:{}", choices.iter().map(line).collect::<String>())
}

fn refuse(problem: &str, about: &str, choices: &[Choice]) -> ! {
    eprintln!("{problem}\n\n{}", help(about, choices));
    exit(2)
}

/// Takes an address, for the examples whose listener is not that of Primus.
///
/// # Errors
/// When it cannot be had; the error says what to do.
pub async fn bind(address: &str) -> Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| {
        let advice = match error.kind() {
            std::io::ErrorKind::AddrInUse => {
                "; another program listens there: stop it, or choose another port with --listen"
            }
            _ => "; choose another address with --listen",
        };
        format!("cannot listen on {address}: {error}{advice}").into()
    })
}

/// Says where the example listens. Flushed, so that a program that started it can wait for it.
pub fn listening(address: SocketAddr) {
    println!("listening on http://{address}");
    let _ = std::io::stdout().flush();
}
