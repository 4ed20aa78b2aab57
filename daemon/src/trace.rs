//! Log lines of the daemon: one shape, on stderr.
//!
//! ```text
//! 2026-03-01T12:00:00.123456Z INFO 5f3a91c2-7 sandbox ready pod=4e0c… seconds=0.031
//! time (RFC 3339, UTC)        level request   message       fields
//! ```
//!
//! A request's id is `-` outside of requests. Fields come from the spans around an event,
//! outermost first, then from the event; the innermost one of a name counts. A value with a
//! space, a quote, `=` or a control character is quoted, so that a line is one line whatever a
//! client sends.
//!
//! | level | for |
//! |---|---|
//! | ERROR | something is lost or leaks, and a person has to look |
//! | WARN | a request failed by no fault of its client; something was given up |
//! | INFO | what changed: pods, containers, images; start and end of the daemon |
//! | DEBUG | each request, steps within it |

use std::error::Error;
use std::fmt::{self, Write as _};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, Write};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Span, Subscriber};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::{LookupSpan, Registry};
use tracing_subscriber::reload;

/// The field of a request's id.
const REQUEST: &str = "request";

/// Why logging cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// The levels.
    #[error(
        "log levels {levels:?}: {part:?} is none; give one as `info`, or several as \
         `info,unikiln_daemon::node=debug`"
    )]
    Levels {
        /// What was given.
        levels: String,
        /// The part that is wrong.
        part: String,
    },
    /// There is logging already.
    #[error("logging is set up already")]
    Twice,
    /// It was ended.
    #[error("logging was ended")]
    Ended,
}

/// The levels of the running process.
#[derive(Clone, Debug)]
pub struct Levels(reload::Handle<Targets, Registry>);

impl Levels {
    /// Sets others from now on.
    pub fn set(&self, levels: &str) -> Result<(), TraceError> {
        let targets = parse(levels)?;
        self.0.reload(targets).map_err(|_| TraceError::Ended)
    }
}

/// Logs to stderr from now on. `levels` is a level, or several for parts of the program:
/// `info,unikiln_daemon::node=debug`.
pub fn start(levels: &str) -> Result<Levels, TraceError> {
    let (subscriber, levels) = subscriber(levels, io::stderr)?;
    tracing::subscriber::set_global_default(subscriber).map_err(|_| TraceError::Twice)?;
    Ok(levels)
}

fn subscriber<W: Write + 'static>(
    levels: &str,
    output: impl Fn() -> W + Send + Sync + 'static,
) -> Result<(impl Subscriber + Send + Sync, Levels), TraceError> {
    let (filter, handle) = reload::Layer::new(parse(levels)?);
    let registry = Registry::default().with(filter).with(Lines(output));
    Ok((registry, Levels(handle)))
}

/// `LEVEL` and `TARGET=LEVEL`, with commas between; a `LEVEL` alone is our own code's, others'
/// is not below `info`. (Targets' own parser takes a misspelt level
/// for a target.)
fn parse(levels: &str) -> Result<Targets, TraceError> {
    let plain = |targets: Targets, level: LevelFilter| {
        // What libraries say below this is about frames and buffers, not about containers.
        let others = level.min(LevelFilter::INFO);
        targets.with_default(others).with_target("unikiln", level)
    };
    let mut targets = plain(Targets::new(), LevelFilter::INFO);
    for part in levels.split(',').map(str::trim) {
        let (target, level) = match part.split_once('=') {
            Some((target, level)) => (Some(target), level),
            None => (None, part),
        };
        let wrong = || TraceError::Levels {
            levels: levels.to_owned(),
            part: part.to_owned(),
        };
        if level.is_empty() || target.is_some_and(str::is_empty) {
            return Err(wrong());
        }
        let level: LevelFilter = level.parse().map_err(|_| wrong())?;
        targets = match target {
            Some(target) => targets.with_target(target, level),
            None => plain(targets, level),
        };
    }
    Ok(targets)
}

/// A request's id: the same for no two requests, of this daemon and of the ones before it.
pub fn request_id() -> String {
    static DAEMON: OnceLock<u32> = OnceLock::new();
    static NEXT: AtomicU64 = AtomicU64::new(1);
    // Seeded by the kernel's randomness in each process.
    let daemon = DAEMON.get_or_init(|| {
        let random = RandomState::new().build_hasher().finish();
        u32::try_from(random >> 32).unwrap_or_default()
    });
    format!("{daemon:08x}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// The span of a request, whose lines have its id. `pod` and `container` are recorded on it
/// once they are known. Work in another thread is in it by [`Span::in_scope`] alone.
pub fn request(method: &'static str) -> Span {
    // At the highest level: a filter must not take the id from the lines that it lets through.
    tracing::error_span!(
        "request",
        request = %request_id(),
        method,
        pod = tracing::field::Empty,
        container = tracing::field::Empty,
    )
}

/// Writes lines, each by one write.
struct Lines<F>(F);

/// Fields in the order in which they came.
#[derive(Debug, Default)]
struct Fields {
    message: String,
    pairs: Vec<(&'static str, String)>,
}

impl Fields {
    fn put(&mut self, name: &'static str, value: String) {
        if name == "message" {
            self.message = value;
        } else if let Some(pair) = self.pairs.iter_mut().find(|(key, _)| *key == name) {
            pair.1 = value;
        } else {
            self.pairs.push((name, value));
        }
    }

    fn put_all(&mut self, others: &Self) {
        for (name, value) in &others.pairs {
            self.put(name, value.clone());
        }
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field.name(), value.to_owned());
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        let mut text = value.to_string();
        let mut source = value.source();
        while let Some(error) = source {
            let _ = write!(text, ": {error}");
            source = error.source();
        }
        self.put(field.name(), text);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field.name(), format!("{value:?}"));
    }
}

impl<S, F, W> Layer<S> for Lines<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    F: Fn() -> W + 'static,
    W: Write,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if let Some(span) = context.span(id) {
            let mut fields = Fields::default();
            attributes.record(&mut fields);
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        for span in context
            .event_scope(event)
            .into_iter()
            .flat_map(|scope| scope.from_root())
        {
            if let Some(outer) = span.extensions().get::<Fields>() {
                fields.put_all(outer);
            }
        }
        event.record(&mut fields);
        let line = line(SystemTime::now(), event.metadata().level(), &fields);
        // Nobody is left to tell.
        let _ = (self.0)().write_all(line.as_bytes());
    }
}

fn line(time: SystemTime, level: &tracing::Level, fields: &Fields) -> String {
    let mut pairs = fields.pairs.iter();
    let request = pairs.find(|(name, _)| *name == REQUEST);
    let request = request.map_or("-", |(_, value)| value.as_str());
    let time = humantime::format_rfc3339_micros(time);
    let mut line = format!("{time} {level} {request} ");
    for letter in fields.message.chars() {
        push(&mut line, letter);
    }
    for (name, value) in fields.pairs.iter().filter(|(name, _)| *name != REQUEST) {
        let is_plain = |letter: char| !letter.is_control() && !matches!(letter, ' ' | '"' | '=');
        line.push(' ');
        line.push_str(name);
        line.push('=');
        if !value.is_empty() && value.chars().all(is_plain) {
            line.push_str(value);
        } else {
            line.push('"');
            for letter in value.chars() {
                if matches!(letter, '"' | '\\') {
                    line.push('\\');
                }
                push(&mut line, letter);
            }
            line.push('"');
        }
    }
    line.push('\n');
    line
}

fn push(line: &mut String, letter: char) {
    if letter.is_control() {
        line.extend(letter.escape_default());
    } else {
        line.push(letter);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Log {
        /// Its lines after their times.
        fn lines(&self) -> Vec<String> {
            let bytes = std::mem::take(&mut *self.0.lock().unwrap());
            let text = String::from_utf8(bytes).unwrap();
            let cut = |line: &str| {
                let (time, rest) = line.split_once(' ').unwrap();
                assert!(humantime::parse_rfc3339(time).is_ok(), "{line}");
                assert_eq!(time.len(), "2026-03-01T12:00:00.123456Z".len());
                rest.to_owned()
            };
            text.lines().map(cut).collect()
        }
    }

    fn with_log(levels: &str, work: impl FnOnce(&Log, &Levels)) {
        let log = Log::default();
        let output = log.clone();
        let (subscriber, levels) = subscriber(levels, move || output.clone()).unwrap();
        tracing::subscriber::with_default(subscriber, || work(&log, &levels));
    }

    #[test]
    fn one_shape() {
        let fields = Fields {
            message: "made".to_owned(),
            pairs: vec![("pod", "ab".to_owned()), ("request", "7-1".to_owned())],
        };
        let time = UNIX_EPOCH + Duration::from_micros(1_709_210_096_000_007);
        assert_eq!(
            line(time, &tracing::Level::WARN, &fields),
            "2024-02-29T12:34:56.000007Z WARN 7-1 made pod=ab\n"
        );
    }

    #[test]
    fn requests_and_their_fields() {
        with_log("info", |log, _| {
            let span = request("RunPodSandbox");
            span.record("pod", "4e0c");
            span.in_scope(|| {
                tracing::info!(seconds = 0.5, "sandbox ready");
                tracing::info!(pod = "other", "inner wins");
                let inner = tracing::error_span!("container", container = "c1");
                inner.in_scope(|| tracing::warn!("deep"));
            });
            tracing::info!("outside");
            let lines = log.lines();
            let id = lines[0].split(' ').nth(1).unwrap().to_owned();
            assert!(id.contains('-') && id.len() > 2, "{id}");
            let method = "method=RunPodSandbox";
            assert_eq!(
                lines,
                [
                    format!("INFO {id} sandbox ready {method} pod=4e0c seconds=0.5"),
                    format!("INFO {id} inner wins {method} pod=other"),
                    format!("WARN {id} deep {method} pod=4e0c container=c1"),
                    "INFO - outside".to_owned(),
                ]
            );
        });
        assert_ne!(request_id(), request_id());
    }

    #[test]
    fn a_line_is_one_line() {
        with_log("info", |log, _| {
            let name = "a \"b\"\\\nINFO - forged";
            tracing::info!(name, empty = "", eq = "a=b", "first\nsecond {name}");
            let lines = log.lines();
            assert_eq!(lines.len(), 1, "{lines:?}");
            let expected = r#"INFO - first\nsecond a "b"\\nINFO - forged name="a \"b\"\\\nINFO - forged" empty="" eq="a=b""#;
            assert_eq!(lines[0], expected);
        });
    }

    #[test]
    fn errors_have_their_sources() {
        with_log("info", |log, _| {
            #[derive(Debug, thiserror::Error)]
            #[error("write a line")]
            struct Outer(#[source] io::Error);
            let error = Outer(io::Error::other("full"));
            let error: &dyn Error = &error;
            tracing::warn!(error, "no");
            let lines = log.lines();
            assert_eq!(lines, ["WARN - no error=\"write a line: full\""]);
        });
    }

    #[test]
    fn levels_change_while_it_runs() {
        with_log("warn", |log, levels| {
            let span = request("Version");
            let _entered = span.enter();
            tracing::info!("not yet");
            tracing::warn!("with its id");
            levels.set("warn,unikiln_daemon=debug").unwrap();
            tracing::debug!("now");
            let lines = log.lines();
            assert_eq!(lines.len(), 2, "{lines:?}");
            assert!(!lines[0].starts_with("WARN - "), "{lines:?}");
            assert!(lines[1].starts_with("DEBUG "), "{lines:?}");
            for wrong in ["loud", "", "info,", "info,a=", "=info", "a=loud", "info a"] {
                let error = levels.set(wrong).unwrap_err().to_string();
                assert!(
                    error.starts_with(&format!("log levels {wrong:?}: ")),
                    "{error}"
                );
            }
        });
    }
}
