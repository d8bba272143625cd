//! Java exceptions, as Flink prints them.

use std::fmt;

use crate::schema::json_structs;

json_structs! {
    /// An exception of the server.
    pub struct Throwable {
        /// Its class, which is usually a wrapper: read the useful cause with [`cause`](Throwable::cause).
        pub class: Option<String>,
        /// The whole text, with its `Caused by:` lines.
        pub stack_trace: Option<String> = "stack-trace",
        /// The exception in Java's serialization, as Base64. Only a JVM can read it.
        pub serialized: Option<String> = "serialized-throwable",
    }
}

impl Throwable {
    /// Returns the exception at the bottom of the trace.
    pub fn cause(&self) -> Cause {
        let mut cause = Cause::of(self.stack_trace.as_deref().unwrap_or_default());
        if cause.class.is_empty() {
            cause.class = self.class.clone().unwrap_or_default();
        }
        cause
    }

    /// Returns the path in the message of a `StopWithSavepointStoppingException`.
    pub(super) fn savepoint(&self) -> Option<&str> {
        let (_, message) = self.stack_trace.as_deref()?.split_once("StopWithSavepointStoppingException: ")?;
        let (_, rest) = message.split_once("A savepoint has been created at: ")?;
        let (path, _) = rest.split_once(", but the corresponding job")?;
        Some(path).filter(|path| !path.is_empty() && !path.contains('\n'))
    }
}

/// The exception that caused a failure, read from the text of a stack trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// Its class with its package; empty if the text has no class.
    pub class: String,
    /// Its message, with all lines; empty if it has no message.
    pub message: String,
    /// The exception that wraps it; `None` if that says nothing else.
    pub context: Option<String>,
}

impl Cause {
    /// Reads the deepest `Caused by:` of a stack trace, or its first line if it has none.
    ///
    /// ```
    /// use pipewright::flink::Cause;
    /// let cause = Cause::of("a.b.Wrapper: a.b.Refused: no\n\tat a.b.C.d(C.java:1)\nCaused by: a.b.Refused: no\n\t... 1 more");
    /// assert_eq!(cause.to_string(), "Refused: no");
    /// ```
    pub fn of(trace: &str) -> Self {
        let trace = trace.trim();
        let trace = trace.strip_prefix("<Exception on server side:").unwrap_or(trace).trim_start();
        let trace = trace.split("\n\nEnd of exception on server side>").next().unwrap_or(trace);
        let mut chain = trace.rsplit("\nCaused by: ").map(header);
        let (class, message) = chain.next().unwrap_or_default();
        let context = chain.next().filter(|(_, around)| {
            let repeats = message.is_empty() || around.contains(message) || message.contains(around);
            !repeats && !around.starts_with("Recovery is suppressed by")
        });
        let context = context.map(|(class, message)| one_line(class, message));
        Self { class: class.to_owned(), message: message.to_owned(), context }
    }

    /// Returns the class without its package.
    pub fn simple_class(&self) -> &str {
        self.class.rsplit('.').next().unwrap_or_default()
    }
}

/// Returns class and message of one exception of a trace, without the frames.
fn header(exception: &str) -> (&str, &str) {
    let frames = ["\n\tat ", "\n\t...", "\n\tSuppressed:"];
    let end = frames.iter().filter_map(|mark| exception.find(mark)).min().unwrap_or(exception.len());
    let mut text = exception.get(..end).unwrap_or(exception).trim();
    let mut class = "";
    // A wrapper without a message of its own repeats the whole text of what it wraps.
    while let Some((name, rest)) = split_class(text) {
        if !class.is_empty() && rest.is_empty() && !name.ends_with("Exception") && !name.ends_with("Error") {
            // A message, such as the name of a class that was not found.
            break;
        }
        (class, text) = (name, rest);
    }
    (class, text)
}

fn one_line(class: &str, message: &str) -> String {
    match (class.rsplit('.').next().unwrap_or_default(), message) {
        ("", message) => message.to_owned(),
        (class, "") => class.to_owned(),
        (class, message) => format!("{class}: {message}"),
    }
}

/// `org.apache.X: message`: the class and the message.
fn split_class(text: &str) -> Option<(&str, &str)> {
    let (name, message) = match text.find([':', '\n', ' ']) {
        Some(at) if text.get(at..)?.starts_with(':') => (text.get(..at)?, text.get(at + 1..)?.trim_start()),
        Some(_) => return None,
        None => (text, ""),
    };
    let last = name.rsplit('.').next().filter(|last| last.len() < name.len())?;
    let is_class = last.starts_with(|first: char| first.is_ascii_uppercase())
        && name.chars().all(|letter| letter.is_alphanumeric() || matches!(letter, '.' | '_' | '$'));
    is_class.then_some((name, message))
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(context) = &self.context {
            write!(f, "{context}; caused by ")?;
        }
        f.write_str(&one_line(&self.class, &self.message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deepest_cause_is_found() {
        for (trace, class, message) in [
            ("", "", ""),
            ("Unable to load requested file /x.", "", "Unable to load requested file /x."),
            ("a.B", "a.B", ""),
            ("a.B: c", "a.B", "c"),
            ("a.B: c.D: e: f", "c.D", "e: f"),
            ("a.B: c.TimeoutException", "c.TimeoutException", ""),
            ("a.ClassNotFoundException: c.D", "a.ClassNotFoundException", "c.D"),
            ("a.B: http://host: down", "a.B", "http://host: down"),
            ("a.B: two\nlines\n\tat x", "a.B", "two\nlines"),
            ("a.B: c\n\tat x\nCaused by: d.E$F\n\tat y\n\t... 2 more", "d.E$F", ""),
            ("<Exception on server side:\na.B: c\n\tat x\n\nEnd of exception on server side>", "a.B", "c"),
        ] {
            let cause = Cause::of(trace);
            assert_eq!((&*cause.class, &*cause.message), (class, message), "{trace:?}");
        }
    }

    #[test]
    fn what_is_around_the_cause_is_told_when_it_says_something_else() {
        for (trace, line) in [
            ("a.B: b\n\tat x\nCaused by: c.D: d", "B: b; caused by D: d"),
            ("a.B: c.D: d\n\tat x\nCaused by: c.D: d", "D: d"),
            ("a.B: it went wrong: d\n\tat x\nCaused by: c.D: d", "D: d"),
            ("a.B: Recovery is suppressed by X\n\tat x\nCaused by: c.D: d", "D: d"),
            ("a.B: far away\nCaused by: a.C: c\nCaused by: c.D: d", "C: c; caused by D: d"),
        ] {
            assert_eq!(Cause::of(trace).to_string(), line);
        }
    }
}
