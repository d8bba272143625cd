//! Operations on the connectors of views.

use bytes::Bytes;
use http::{Method, Request, Response};

use super::ConnectorAction;
use crate::body::Body;
use crate::error::{BuildError, ServiceError};
use crate::feldera::{Accepted, FelderaApi, Json};
use crate::operation::{self, Effect, Operation, OperationInfo, RequestContext, Target};
use crate::schema::{JsonBody, operations};

operations! { FelderaApi;
    /// Starts or pauses a connector of a view. Since 0.375, where repeating the request changes nothing.
    ///
    /// **A paused output connector discards its output**: what the view produces in the meantime is never sent to the
    /// sink. After `start`, the connector sends what the pipeline produces from then on.
    /// [`OutputStatus::paused`](crate::feldera::stats::OutputStatus::paused) shows the state.
    ///
    /// Rejected: 404 `UnknownOutputEndpoint`, 503 if the pipeline is not deployed.
    /// [Reference](https://docs.feldera.com/api/control-output-connector).
    Idempotent POST "/v0/pipelines/{pipeline_name}/views/{view_name}/connectors/{connector_name}/{action}"
    ControlOutput "post_pipeline_output_connector_action" -> Accepted {
        path { pipeline_name: String, view_name: String, connector_name: String, action: ConnectorAction }
    }
}

/// The row of [`SendOutputCommand`].
pub(crate) const COMMANDS: &[&OperationInfo] = &[SendOutputCommand::INFO];

/// Sends a command to a connector of a view, and returns the connector's answer.
///
/// Command and answer are JSON objects that only the connector defines. Feldera does not say what a repeated command
/// does, so this operation is [`Effect::Once`]: it is not repeated after an attempt whose outcome is unknown.
///
/// Rejected: 400 if the connector knows no commands or failed to execute this one (0.337 answers 500
/// `CommandError`), 404 `UnknownOutputEndpoint`, 503 if the pipeline is not deployed. In Feldera's description since
/// 0.375; older servers know it, too.
/// [Reference](https://docs.feldera.com/api/send-command-to-an-output-connector).
///
/// ```
/// use pipewright::driver::Canned;
/// use pipewright::feldera::data::SendOutputCommand;
/// use pipewright::feldera::{Feldera, Json};
///
/// let path = "POST /v0/pipelines/orders/views/totals/connectors/sink/command";
/// let feldera = Feldera::new("http://127.0.0.1:8080".parse()?, Canned::new([(path, 200, r#"{"flushed":true}"#)]));
/// let command = Json::new(r#"{"flush":{}}"#)?;
/// let answer = feldera.call(SendOutputCommand::new("orders", "totals", "sink", command))?;
/// assert_eq!(answer.get(), r#"{"flushed":true}"#);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct SendOutputCommand {
    /// The pipeline.
    pub pipeline_name: String,
    /// The view.
    pub view_name: String,
    /// The connector.
    pub connector_name: String,
    /// The command: a JSON object. `Debug` shows only its length.
    pub command: Json,
}

impl SendOutputCommand {
    /// A command for a connector. Anything but a JSON object is an error when the request is built.
    pub fn new(
        pipeline_name: impl Into<String>,
        view_name: impl Into<String>,
        connector_name: impl Into<String>,
        command: Json,
    ) -> Self {
        Self {
            pipeline_name: pipeline_name.into(),
            view_name: view_name.into(),
            connector_name: connector_name.into(),
            command,
        }
    }
}

impl Operation for SendOutputCommand {
    type Output = Json;
    type Service = FelderaApi;

    const INFO: &'static OperationInfo = &OperationInfo {
        service: "feldera",
        name: "post_pipeline_output_connector_command",
        method: Method::POST,
        path: "/v0/pipelines/{pipeline_name}/views/{view_name}/connectors/{connector_name}/command",
        effect: Effect::Once,
        effect_varies: false,
    };

    fn request(&self, cx: RequestContext<'_>) -> Result<Request<Body>, BuildError> {
        require_object(Self::INFO, "command", &self.command)?;
        let mut target = Target::new::<FelderaApi>(Self::INFO, cx);
        target.segment("pipeline_name", &self.pipeline_name)?;
        target.segment("view_name", &self.view_name)?;
        target.segment("connector_name", &self.connector_name)?;
        target.finish(Some(JsonBody::of(Self::INFO, &self.command)?))
    }

    fn parse(&self, response: Response<Bytes>) -> Result<Json, ServiceError> {
        operation::parse::<FelderaApi, _>(Self::INFO, &response)
    }
}

/// Rejects a value that is not a JSON object. The value is not part of the error, because it may hold a secret.
pub(super) fn require_object(info: &OperationInfo, field: &'static str, value: &Json) -> Result<(), BuildError> {
    if value.get().starts_with('{') {
        return Ok(());
    }
    let kind = match value.get().bytes().next() {
        Some(b'[') => "an array",
        Some(b'"') => "a string",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        _ => "a number",
    };
    Err(BuildError::value(info.name, field, kind, "Feldera takes a JSON object here; wrap the value in an object"))
}
