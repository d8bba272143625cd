//! Jars: uploading, listing, deleting and planning them, and what a run begins with.

use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};

use super::config::Version;
use super::details::plan;
use super::errors::{Answer, Rejection, Throwable, ok};
use super::ids::Ids;
use super::multipart;
use super::program::{Exits, Program, Quirk};
use super::request::{Body, Call, EMPTY_BODY, Format, Kind};
use super::wire::{WEB_UI, millis};

/// An uploaded jar.
#[derive(Debug)]
struct Jar {
    id: String,
    name: String,
    uploaded: Duration,
    /// `None` if the file is no jar.
    program: Option<Program>,
}

/// How a zip with anything in it starts, and so a real jar.
const ZIP: &[u8] = b"PK\x03\x04";

const DIRECTORY: &str = "/opt/flink/upload/flink-web-upload";

const PLAN: Format = Format {
    name: "JarPlanRequestBody",
    fields: &[
        ("entryClass", Kind::Text, (1, 0)),
        ("programArgsList", Kind::Texts, (1, 0)),
        ("parallelism", Kind::Number, (1, 0)),
        ("jobId", Kind::Id, (1, 0)),
        ("flinkConfiguration", Kind::TextMap, (1, 17)),
        ("programArgs", Kind::Text, (1, 0)),
    ],
};

/// The uploaded jars, newest first.
#[derive(Debug, Default)]
pub(super) struct Jars(Vec<Jar>);

impl Jars {
    /// Newest first.
    pub(super) fn ids(&self) -> Vec<String> {
        self.0.iter().map(|jar| jar.id.clone()).collect()
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    pub(super) fn upload(&mut self, call: &Call, now: Duration, ids: &mut Ids) -> Answer {
        if call.boundary.is_none() {
            Body::read(call, &EMPTY_BODY)?;
        }
        let boundary = call.boundary.as_ref();
        let parts = boundary.map(|boundary| multipart::parts(&call.body, boundary)).unwrap_or_default();
        if let Some(field) = parts.iter().find(|part| part.filename.is_none()) {
            return Err(Rejection::Bare(
                StatusCode::BAD_REQUEST,
                format!("Received unknown attribute {}.", field.name),
            ));
        }
        let [part] = parts.as_slice() else {
            return Err(Rejection::handler(
                StatusCode::BAD_REQUEST,
                format!("Exactly 1 file must be sent, received {}.", parts.len()),
                "org.apache.flink.runtime.webmonitor.handlers.JarUploadHandler.handleRequest(JarUploadHandler.java:80)",
            ));
        };
        let path = part.filename.as_deref().unwrap_or("");
        let name = path.rsplit('/').next().unwrap_or(path);
        // In this spelling only.
        let Some(_) = name.strip_suffix(".jar") else {
            return Err(Rejection::handler(
                StatusCode::BAD_REQUEST,
                "Only Jar files are allowed.",
                "org.apache.flink.runtime.webmonitor.handlers.JarUploadHandler.lambda$handleRequest$0(JarUploadHandler.java:87)",
            ));
        };
        if part.content.starts_with(ZIP) {
            return Err(Rejection::handler(
                StatusCode::BAD_REQUEST,
                format!(
                    "pipewright-sim cannot run {name}: it is a real jar, and the simulator has no JVM; upload a file that describes what the job does, written by `pipewright-sim jar endless -o {name}` (or bounded, failing, exiting) or by `pipewright_mock::flink::Program::jar`"
                ),
                "org.apache.flink.runtime.webmonitor.handlers.JarUploadHandler.lambda$handleRequest$0(JarUploadHandler.java:91)",
            ));
        }
        let id = format!("{}_{name}", ids.uuid());
        let jar =
            Jar { id: id.clone(), name: name.to_owned(), uploaded: now, program: Program::from_jar(&part.content) };
        self.0.insert(0, jar);
        Ok(ok(json!({ "filename": format!("{DIRECTORY}/{id}"), "status": "success" })))
    }

    pub(super) fn list(&self) -> Value {
        let file = |jar: &Jar| {
            let entry = jar.program.as_ref().filter(|program| !program.has(Quirk::NoMainClass));
            let entry: Vec<_> =
                entry.iter().map(|program| json!({ "name": program.class, "description": null })).collect();
            json!({ "id": jar.id, "name": jar.name, "uploaded": millis(jar.uploaded), "entry": entry })
        };
        json!({ "address": WEB_UI, "files": self.0.iter().map(file).collect::<Vec<_>>() })
    }

    pub(super) fn delete(&mut self, id: &str) -> Answer {
        let before = self.0.len();
        self.0.retain(|jar| jar.id != id);
        if self.0.len() == before {
            return Err(Rejection::handler(
                StatusCode::BAD_REQUEST,
                format!("File {id} does not exist in {DIRECTORY}."),
                "org.apache.flink.runtime.webmonitor.handlers.JarDeleteHandler.lambda$handleRequest$0(JarDeleteHandler.java:80)",
            ));
        }
        Ok(ok(json!({})))
    }

    pub(super) fn plan(&self, call: &Call, jar: &str, ids: &mut Ids) -> Answer {
        let body = Body::read(call, &PLAN)?;
        let start = self.start_of(call, &body, jar)?;
        if let Some(failure) = start.main_failure() {
            return Err(Rejection::Internal(failure));
        }
        if start.program.exits == Some(Exits::Always) {
            return Err(Rejection::Exited);
        }
        if start.program.has(Quirk::NeverExecutes) {
            return Err(Rejection::Internal(Throwable::new(
                "org.apache.flink.client.program.ProgramInvocationException",
                "The program plan could not be fetched - the program aborted pre-maturely. The root cause may be that the main method doesn't call `env.execute()` or `env.executeAsync()`.",
                "org.apache.flink.client.program.PackagedProgramUtils.generateException(PackagedProgramUtils.java:241)",
            )));
        }
        let id = body.text("jobId").map_or_else(|| ids.hex32(), str::to_owned);
        Ok(ok(json!({ "plan": plan(&id, &start.name, start.parallelism.unwrap_or(1), call.version) })))
    }

    /// What a run or a plan begins with: the program and what the request makes of it.
    pub(super) fn start_of(&self, call: &Call, body: &Body, id: &str) -> Result<Start, Rejection> {
        let Some(jar) = self.0.iter().find(|jar| jar.id == id) else {
            return Err(no_such_jar(id, call.version, call.raw_path.ends_with("/plan")));
        };
        let invocation = |message: String, frame| {
            let cause = Throwable::new("org.apache.flink.client.program.ProgramInvocationException", message, frame);
            Rejection::Internal(Throwable::completion(cause))
        };
        let Some(program) = jar.program.clone() else {
            return Err(invocation(
                format!("Error while opening jar file '{DIRECTORY}/{id}'"),
                "org.apache.flink.client.program.PackagedProgram.checkJarFile(PackagedProgram.java:621)",
            ));
        };
        match body.text("entryClass").or(call.query("entry-class")?) {
            None if program.has(Quirk::NoMainClass) => {
                return Err(invocation(
                    "Neither a 'Main-Class', nor a 'program-class' entry was found in the jar file.".into(),
                    "org.apache.flink.client.program.PackagedProgram.getEntryPointClassNameFromJar(PackagedProgram.java:441)",
                ));
            }
            Some(class) if class != program.class => {
                return Err(invocation(
                    format!("The program's entry point class '{class}' was not found in the jar file."),
                    "org.apache.flink.client.program.PackagedProgram.loadMainClass(PackagedProgram.java:485)",
                ));
            }
            _ => {}
        }
        let asked = body.number("parallelism").or(call.query_number("parallelism")?);
        let configured = body.entry("flinkConfiguration", "parallelism.default").and_then(|text| text.parse().ok());
        let parallelism = match asked {
            // -1 stands for the default.
            None | Some(-1) => Some(configured.unwrap_or(program.parallelism)),
            Some(number) => u32::try_from(number).ok(),
        };
        let arguments = arguments(call, body)?;
        let named = arguments.iter().skip_while(|argument| *argument != "--name").nth(1);
        let name = named.map(String::as_str).or(body.entry("flinkConfiguration", "pipeline.name"));
        let name = name.unwrap_or(&program.name).to_owned();
        Ok(Start { name, parallelism: parallelism.filter(|number| *number > 0), program })
    }
}

/// A program that is about to be started.
#[derive(Debug)]
pub(super) struct Start {
    pub(super) program: Program,
    pub(super) name: String,
    /// `None` if it is no parallelism to run with.
    pub(super) parallelism: Option<u32>,
}

pub(super) const MAIN: &str = "demo.Counting.main(Counting.java:53)";

impl Start {
    /// How `main` fails, if it does.
    pub(super) fn main_failure(&self) -> Option<Throwable> {
        let message = match &self.program.main_fails {
            Some(message) => message.as_str(),
            None if self.parallelism.is_none() => {
                "Parallelism must be at least one, or ExecutionConfig.PARALLELISM_DEFAULT (use system default)."
            }
            None => return None,
        };
        Some(main_caused(message, Throwable::new("java.lang.IllegalArgumentException", message, MAIN)))
    }
}

/// The arguments, of which a simulated program understands `--name`.
fn arguments(call: &Call, body: &Body) -> Result<Vec<String>, Rejection> {
    if let Some(list) = body.texts("programArgsList") {
        return Ok(list);
    }
    let listed = call.query_list("programArg");
    if !listed.is_empty() {
        return Ok(listed.into_iter().map(str::to_owned).collect());
    }
    if call.version >= (2, 0) {
        // The server ignores the single string.
        return Ok(Vec::new());
    }
    let text = body.text("programArgs").or(call.query("program-args")?).unwrap_or("");
    Ok(split_like_a_shell(text))
}

fn split_like_a_shell(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for c in text.chars() {
        match quote {
            Some(open) if c == open => quote = None,
            None if c == '"' || c == '\'' => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            None if c.is_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

/// `main` threw.
pub(super) fn main_caused(message: &str, cause: Throwable) -> Throwable {
    Throwable::new(
        "org.apache.flink.client.program.ProgramInvocationException",
        format!("The main method caused an error: {message}"),
        "org.apache.flink.client.program.PackagedProgram.callMainMethod(PackagedProgram.java:376)",
    )
    .because(cause)
}

/// 500, but for a plan on the oldest releases.
fn no_such_jar(id: &str, version: Version, plan: bool) -> Rejection {
    let message = format!("Jar file {DIRECTORY}/{id} does not exist");
    let frame = "org.apache.flink.runtime.webmonitor.handlers.utils.JarHandlerUtils$JarHandlerContext.toPackagedProgram(JarHandlerUtils.java:197)";
    if plan && version < (1, 14) {
        return Rejection::handler(StatusCode::BAD_REQUEST, message, frame);
    }
    let cause = Throwable::new("org.apache.flink.runtime.rest.handler.RestHandlerException", message, frame);
    Rejection::Internal(Throwable::completion(cause))
}

#[cfg(test)]
mod tests {
    use super::split_like_a_shell;

    #[test]
    fn the_old_argument_string_is_split_like_a_shell_does() {
        assert_eq!(split_like_a_shell(" --name 'one string'  \"\" a'b c'd "), ["--name", "one string", "", "ab cd"]);
    }
}
