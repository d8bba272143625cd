//! Operations.

/// Declares operations as rows of a service's table.
///
/// ```text
/// operations! { FlinkRest;
///     /// What the service does, what it answers, which errors to expect; a link to the vendor's page.
///     Once POST "/jobs/{jobid}/stop" StopJob "triggerStopWithSavepoint" -> Trigger {
///         effect |op| if op.trigger_id.is_some() { Idempotent } else { Once };
///         path { jobid: JobId }
///         json? {
///             /// What this option does.
///             drain: bool = "drain",
///         }
///     }
/// }
/// ```
///
/// A row is: effect, method, path template, the struct's name, the vendor's name of the operation, and the type of
/// the answer. Then, each of them optional and in this order:
///
/// * `effect |op| expression;` when the effect depends on the values;
/// * `timeout seconds;` when answers may take longer than usual;
/// * `checks function;` when not all values can be asked for;
/// * `streaming;` when the answer is a stream: the type of the answer is its decoder;
/// * `reads function;` when that function reads the answer, instead of the type's `FromResponse`;
/// * `decodes |op| function;` for a stream whose decoder depends on the values: the function reads the head;
/// * `path { name: Type, … }`: the parameters of the template, in its order, or it does not compile;
/// * `query { name: Type = "key", … }` and `json { … }`: required parameters, arguments of `new`. The key is left out
///   if it is the name;
/// * `query? { … }` and `json? { … }`: options, with a setter each. A body without a field is not sent, unless there is
///   a `json {}` before, for a service that insists on one. `name: Type as function` writes the value that the function
///   makes of it and the [`RequestContext`](crate::operation::RequestContext);
/// * `local? { name: Type, … }`: options that are not sent, such as the limit of a decoder.
///
/// A parameter whose name says everything needs no doc.
macro_rules! operations {
    ($service:ident; $(
        $(#[$meta:meta])*
        $effect:ident $method:ident $path:literal $name:ident $vendor:literal -> $output:ty {
            $( effect |$op:ident| $rule:expr; )?
            $( timeout $seconds:literal; )?
            $( checks $checker:path; )?
            $( streaming $streaming:tt )?
            $( reads $reader:path; )?
            $( decodes |$decoding:ident| $decoder:expr; )?
            $( path { $( $(#[$path_meta:meta])* $segment:ident : $segment_type:ty ),* $(,)? } )?
            $( query { $( $(#[$query_meta:meta])* $query:ident : $query_type:ty $(= $query_key:literal)? ),* $(,)? } )?
            $( query ? {
                $( $(#[$oquery_meta:meta])* $oquery:ident : $oquery_type:ty $(= $oquery_key:literal)? ),* $(,)?
            } )?
            $( json { $( $(#[$json_meta:meta])* $json:ident : $json_type:ty $(= $json_key:literal)? ),* $(,)? } )?
            $( json ? { $(
                $(#[$ojson_meta:meta])*
                $ojson:ident : $ojson_type:ty $(as $ojson_writer:path)? $(= $ojson_key:literal)?
            ),* $(,)? } )?
            $( local ? { $( $(#[$local_meta:meta])* $local:ident : $local_type:ty ),* $(,)? } )?
        }
    )*) => {
        /// The rows of this table.
        pub(crate) const OPERATIONS: &[&$crate::operation::OperationInfo] = &[
            $( <$name as $crate::operation::Operation>::INFO ),*
        ];

        $(
            $(#[$meta])*
            #[derive(Clone, PartialEq)]
            #[non_exhaustive]
            #[allow(missing_docs, reason = "the names of some parameters say everything")]
            pub struct $name {
                $($(
                    $(#[$path_meta])*
                    #[doc = concat!("The `", stringify!($segment), "` of the path.")]
                    pub $segment: $segment_type,
                )*)?
                $($( $(#[$query_meta])* pub $query: $query_type, )*)?
                $($( $(#[$json_meta])* pub $json: $json_type, )*)?
                $($( $(#[$oquery_meta])* pub $oquery: Option<$oquery_type>, )*)?
                $($( $(#[$ojson_meta])* pub $ojson: Option<$ojson_type>, )*)?
                $($( $(#[$local_meta])* pub $local: Option<$local_type>, )*)?
            }

            /// Of what the body carries only what there is: statements, arguments and settings may hold secrets.
            impl ::std::fmt::Debug for $name {
                #[inline]
                fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                    #[allow(unused_mut, reason = "an operation may have no parameters")]
                    let mut shown = f.debug_struct(stringify!($name));
                    $($( shown.field(stringify!($segment), &self.$segment); )*)?
                    $($( shown.field(stringify!($query), &self.$query); )*)?
                    $($( shown.field(stringify!($oquery), &self.$oquery); )*)?
                    $($( shown.field(stringify!($json), &format_args!("…")); )*)?
                    $($( shown.field(stringify!($ojson), &self.$ojson.as_ref().map(|_| format_args!("…"))); )*)?
                    $($( shown.field(stringify!($local), &self.$local); )*)?
                    shown.finish()
                }
            }

            #[allow(clippy::new_without_default, reason = "an operation without parameters is not the default of anything")]
            #[allow(missing_docs, reason = "the names of some parameters say everything")]
            impl $name {
                /// The operation with what it cannot do without.
                #[inline]
                pub fn new(
                    $($( $segment: impl Into<$segment_type>, )*)?
                    $($( $query: impl Into<$query_type>, )*)?
                    $($( $json: impl Into<$json_type>, )*)?
                ) -> Self {
                    Self {
                        $($( $segment: $segment.into(), )*)?
                        $($( $query: $query.into(), )*)?
                        $($( $json: $json.into(), )*)?
                        $($( $oquery: None, )*)?
                        $($( $ojson: None, )*)?
                        $($( $local: None, )*)?
                    }
                }

                $($(
                    $(#[$oquery_meta])*
                    #[inline]
                    pub fn $oquery(mut self, $oquery: impl Into<$oquery_type>) -> Self {
                        self.$oquery = Some($oquery.into());
                        self
                    }
                )*)?
                $($(
                    $(#[$ojson_meta])*
                    #[inline]
                    pub fn $ojson(mut self, $ojson: impl Into<$ojson_type>) -> Self {
                        self.$ojson = Some($ojson.into());
                        self
                    }
                )*)?
                $($(
                    $(#[$local_meta])*
                    pub fn $local(mut self, $local: impl Into<$local_type>) -> Self {
                        self.$local = Some($local.into());
                        self
                    }
                )*)?
            }

            const _: () = assert!(
                $crate::operation::template_matches($path, &[$($( stringify!($segment) ),*)?]),
                "the path template does not have just these parameters in this order"
            );

            impl $crate::operation::Operation for $name {
                type Output = $output;
                type Service = $service;

                const INFO: &'static $crate::operation::OperationInfo = &$crate::operation::OperationInfo {
                    service: <$service as $crate::operation::Service>::NAME,
                    name: $vendor,
                    method: ::http::Method::$method,
                    path: $path,
                    effect: $crate::operation::Effect::$effect,
                    effect_varies: false $(|| { let _ = stringify!($op); true })?,
                };

                const STREAMING: bool = false $(|| { let _ = stringify!($streaming); true })?;

                $(
                    #[inline]
                    fn effect(&self) -> $crate::operation::Effect {
                        #[allow(unused_imports, reason = "a rule need not name all of them")]
                        use $crate::operation::Effect::{Fenced, Idempotent, Once, Safe};
                        let $op = self;
                        $rule
                    }
                )?

                $(
                    fn timeout(&self, usual: ::std::time::Duration) -> ::std::time::Duration {
                        usual.max(::std::time::Duration::from_secs($seconds))
                    }
                )?

                #[inline]
                fn request(
                    &self,
                    cx: $crate::operation::RequestContext<'_>,
                ) -> ::std::result::Result<::http::Request<$crate::body::Body>, $crate::error::BuildError> {
                    $( $checker(self)?; )?
                    #[allow(unused_mut, reason = "an operation may have no parameters")]
                    let mut target = $crate::operation::Target::new::<$service>(Self::INFO, cx);
                    $($( target.segment(stringify!($segment), &self.$segment)?; )*)?
                    $($( target.query($crate::schema::key!($query $(= $query_key)?), &self.$query); )*)?
                    $($( if let Some(value) = &self.$oquery {
                        target.query($crate::schema::key!($oquery $(= $oquery_key)?), value);
                    } )*)?
                    #[allow(unused_mut, reason = "an operation may have no body")]
                    let mut body = $crate::schema::JsonBody::default();
                    $($( body.field(Self::INFO, $crate::schema::key!($json $(= $json_key)?), &self.$json)?; )*)?
                    $($( if let Some(value) = &self.$ojson {
                        let value = $crate::schema::sent!(value, cx $(, $ojson_writer)?);
                        body.field(Self::INFO, $crate::schema::key!($ojson $(= $ojson_key)?), value)?;
                    } )*)?
                    let always = false $(|| { let _: &[&str] = &[$( stringify!($json) ),*]; true })?;
                    target.finish(body.finish(always))
                }

                #[inline]
                fn parse(
                    &self,
                    response: ::http::Response<::bytes::Bytes>,
                ) -> ::std::result::Result<$output, $crate::error::ServiceError> {
                    $( let $decoding = self; )?
                    $crate::operation::parse_by::<$service, $output>(
                        Self::INFO,
                        &response,
                        $crate::schema::reader!($output $(, reads $reader)? $(, decodes $decoder)?),
                    )
                }
            }
        )*
    };
}

/// The function that reads a success.
macro_rules! reader {
    ($output:ty) => {
        <$output as $crate::operation::FromResponse>::from_response
    };
    ($output:ty, reads $reader:path) => {
        $reader
    };
    ($output:ty, decodes $decoder:expr) => {
        $decoder
    };
}

/// The value of a field of a body: as it is, or what a function makes of it.
macro_rules! sent {
    ($value:ident, $cx:ident) => {
        $value
    };
    ($value:ident, $cx:ident, $writer:path) => {
        &$writer($value, $cx)
    };
}

pub(crate) use {operations, reader, sent};
