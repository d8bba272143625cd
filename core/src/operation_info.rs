//! [`OperationInfo`] and [`Effect`]: name, method, path and effect of each operation. Imports nothing of this crate, so
//! that errors can name operations.

use http::Method;

/// What happens if a request is sent twice. It decides whether a [`Call`](crate::flow::call) may repeat a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// The request only reads. It may be repeated at any time.
    Safe,
    /// The same as sending it once.
    Idempotent,
    /// Sending it twice does the same as sending it once, because the server checks a token. But a rejection after an
    /// unanswered attempt may mean that the first attempt was carried out.
    Fenced,
    /// The server carries it out twice. It is never sent again after an attempt whose outcome is unknown.
    Once,
}

/// The static description of an operation. [`operations`](crate::operations) lists all operations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperationInfo {
    /// The service, as in `flink`.
    pub service: &'static str,
    /// The vendor's name of the operation. If the vendor has none, this crate's, in the vendor's style.
    pub name: &'static str,
    /// The method.
    pub method: Method,
    /// The path template, with `{name}` for each parameter.
    pub path: &'static str,
    /// The effect; if it varies, the effect without the optional parameter that makes a repetition harmless.
    pub effect: Effect,
    /// Whether the effect depends on the values of the operation.
    pub effect_varies: bool,
}

impl OperationInfo {
    /// Describes an operation that this crate does not know; for operations of your own.
    ///
    /// The path is a template below the service's prefix, with `{name}` for each parameter. If the effect is not
    /// [`Effect::Once`], requests are repeated after lost responses.
    pub const fn new(
        service: &'static str,
        name: &'static str,
        method: Method,
        path: &'static str,
        effect: Effect,
    ) -> Self {
        Self { service, name, method, path, effect, effect_varies: false }
    }
}

/// Returns whether a template has exactly these parameters, in this order. Checked at compile time.
#[allow(
    clippy::indexing_slicing,
    reason = "slices have no `get` in constants, and a panic here is an error of the compiler"
)]
pub(crate) const fn template_matches(template: &str, parameters: &[&str]) -> bool {
    let template = template.as_bytes();
    let (mut at, mut parameter) = (0, 0);
    while at < template.len() {
        if template[at] == b'{' {
            if parameter == parameters.len() {
                return false;
            }
            let name = parameters[parameter].as_bytes();
            let mut byte = 0;
            while byte < name.len() {
                if at + 1 + byte >= template.len() || template[at + 1 + byte] != name[byte] {
                    return false;
                }
                byte += 1;
            }
            at += 1 + name.len();
            if at >= template.len() || template[at] != b'}' {
                return false;
            }
            parameter += 1;
        }
        at += 1;
    }
    parameter == parameters.len()
}
