//! Guides: how to use Pipewright for one purpose, across the modules. This module has no items, and users compile
//! nothing of it.
//!
//! | guide | after it you can |
//! |---|---|
//! | [`embedding`] | run flows from a blocking program, from your own event loop, or by the thousand on one thread |
//! | [`asynchronous`] | run flows on any executor, cancel them, and choose timeouts |
//! | [`unknown_outcomes`] | tell what is repeated, what each error says, and what to call next |
//! | [`exactly_once`] | write each row once, and know when rows are durable |
//! | [`resuming`] | kill your program at any moment and let it finish what it began |
//! | [testing](https://docs.rs/pipewright-mock/latest/pipewright_mock/docs/) | test with simulators, faults and virtual time; the module `docs` of `pipewright-mock` |
//! | [`security`] | rotate credentials, and know what a log shows |
//! | [`extending`] | call an endpoint that this library does not know, and write a flow |
//!
//! # Frequent questions
//!
//! | question | answer |
//! |---|---|
//! | A stop timed out: what do I call next? | [A stop timed out](unknown_outcomes#a-stop-timed-out) |
//! | How do I know that rows are durable? | [When rows are durable](exactly_once#when-rows-are-durable) |
//! | My proxy returns 404, or a web page: what happens? | [Proxies and web pages](unknown_outcomes#proxies-and-web-pages) |
//! | What does `Applied::Unknown` mean for a PATCH? | [What `Applied` says](unknown_outcomes#what-applied-says) |
//! | My process was killed during an upgrade: what now? | [Killed during an upgrade](resuming#killed-during-an-upgrade) |
//! | How do I run 1,000 flows on a thread? | [1,000 flows on one thread](embedding#1000-flows-on-one-thread) |
//! | How do I rotate a credential? | [Rotate a credential](security#rotate-a-credential) |
//! | How do I test that my program copes with lost responses? | [Lost responses](https://docs.rs/pipewright-mock/latest/pipewright_mock/docs/#lost-responses) in `pipewright_mock::docs` |
//! | What is printed in logs? | [What is printed](security#what-is-printed) |
//! | What happens if the server is a newer release? | [Responses of releases that this version does not know](crate#responses-of-releases-that-this-version-does-not-know) |

// The Markdown files are also read without rustdoc, so the links that only rustdoc resolves are here.

/// How to run flows from a blocking program, from your own event loop, or by the thousand on one thread.
///
#[doc = include_str!("../docs/embedding.md")]
///
/// [`Authorize`]: crate::flow::Step::Authorize
/// [`Call`]: crate::flow::Call
/// [`Client`]: crate::driver::Client
/// [`Client::call`]: crate::driver::Client::call
/// [`Client::open`]: crate::driver::Client::open
/// [`Client::run`]: crate::driver::Client::run
/// [`Client::run_with`]: crate::driver::Client::run_with
/// [`Client::start`]: crate::driver::Client::start
/// [`Done`]: crate::flow::Step::Done
/// [`DrivenFlow::next`]: crate::driver::DrivenFlow::next
/// [`DrivenFlow::next_before`]: crate::driver::DrivenFlow::next_before
/// [`Flow::poll`]: crate::flow::Flow::poll
/// [`InFlight`]: crate::flow::Step::InFlight
/// [`Many`]: crate::flow::Many
/// [`Notice`]: crate::flow::Step::Notice
/// [`Notice::Persist`]: crate::flow::Notice::Persist
/// [`Operation::parse`]: crate::operation::Operation::parse
/// [`Operation::request`]: crate::operation::Operation::request
/// [`Seed`]: crate::Seed
/// [`Send`]: crate::flow::Step::Send
/// [`ServiceError::applied`]: crate::error::ServiceError::applied
/// [`Step`]: crate::flow::Step
/// [`Stray`]: crate::flow::Step::Stray
/// [`Transport`]: crate::driver::Transport
/// [`WaitUntil`]: crate::flow::Step::WaitUntil
/// [`WatchJobs`]: crate::flink::WatchJobs
/// [a whole loop]: crate#a-flow-by-hand
/// [`event_loop`]: https://github.com/pipewright/pipewright/tree/main/transport-mock/examples/event_loop
pub mod embedding {}

/// How to run flows on any async executor, cancel them, and choose timeouts.
///
#[doc = include_str!("../docs/asynchronous.md")]
///
/// [`Ambiguous`]: crate::error::FlowError::Ambiguous
/// [`AsyncDriver`]: crate::driver::AsyncDriver
/// [`AsyncStream::next_item`]: crate::driver::AsyncStream::next_item
/// [`Call::with_deadline`]: crate::flow::Call::with_deadline
/// [`Deadline`]: crate::error::FlowError::Deadline
/// [`Effect::Once`]: crate::Effect::Once
/// [`Exchange::body_limit`]: crate::flow::Exchange::body_limit
/// [`Exchange::timeout`]: crate::flow::Exchange::timeout
/// [`Exchange::wants_fresh_connection`]: crate::flow::Exchange::wants_fresh_connection
/// [`Many`]: crate::flow::Many
/// [`NotSent`]: crate::error::Delivery::NotSent
/// [`Retry::attempt_timeout`]: crate::flow::Retry::attempt_timeout
/// [`TransportError::connect`]: crate::error::TransportError::connect
/// [`Transport`]: crate::driver::Transport
/// [`Unknown`]: crate::error::Delivery::Unknown
/// [`docs::embedding`]: self::embedding
/// [`docs::resuming`]: self::resuming
/// [`execute`]: crate::driver::execute
/// [`quick_hyper`]: https://github.com/pipewright/pipewright/blob/main/examples/quick_hyper.rs
/// [`quick_reqwest`]: https://github.com/pipewright/pipewright/blob/main/examples/quick_reqwest.rs
/// [`run_until`]: crate::driver::AsyncDriver::run_until
/// [`with_async_credentials`]: crate::driver::AsyncDriver::with_async_credentials
/// [`with_credentials`]: crate::driver::AsyncDriver::with_credentials
pub mod asynchronous {}

/// What is repeated, what each error says about a request, and what to call next.
///
#[doc = include_str!("../docs/unknown_outcomes.md")]
///
/// [`Ambiguity::found`]: crate::error::Ambiguity::found
/// [`Ambiguous`]: crate::error::FlowError::Ambiguous
/// [`Applied::Unknown`]: crate::error::Applied::Unknown
/// [`AwaitJob::ended`]: crate::flink::AwaitJob::ended
/// [`Credential`]: crate::error::FlowError::Credential
/// [`Effect`]: crate::Effect
/// [`Fenced`]: crate::Effect::Fenced
/// [`Foreign`]: crate::error::ErrorKind::Foreign
/// [`GetSavepointStatus`]: crate::flink::savepoints::GetSavepointStatus
/// [`Idempotent`]: crate::Effect::Idempotent
/// [`JobDiagnosis`]: crate::flink::JobDiagnosis
/// [`JobDiagnosis::trigger`]: crate::flink::JobDiagnosis::trigger
/// [`No`]: crate::error::Applied::No
/// [`Once`]: crate::Effect::Once
/// [`Retry`]: crate::flow::Retry
/// [`Safe`]: crate::Effect::Safe
/// [`Service`]: crate::error::FlowError::Service
/// [`ServiceError::applied`]: crate::error::ServiceError::applied
/// [`ServiceError::code`]: crate::error::ServiceError::code
/// [`Stop`]: crate::feldera::Stop
/// [`Stop::forced`]: crate::feldera::Stop::forced
/// [`StopWithSavepoint`]: crate::flink::StopWithSavepoint
/// [`StopWithSavepoint::resume`]: crate::flink::StopWithSavepoint::resume
/// [`Transport`]: crate::error::FlowError::Transport
/// [`Unreadable`]: crate::error::ErrorKind::Unreadable
/// [`Yes`]: crate::error::Applied::Yes
/// [`call`]: crate::flow::call
/// [`Ambiguity::unanswered`]: crate::error::Ambiguity::unanswered
/// [`docs::exactly_once`]: self::exactly_once
/// [`docs::resuming`]: self::resuming
/// [`docs::security`]: self::security
/// [`error`]: crate::error
/// [`evidence`]: crate::error::FlowError::evidence
/// [`operations`]: crate::operations
pub mod unknown_outcomes {}

/// How to write each row once, and when rows are durable.
///
#[doc = include_str!("../docs/exactly_once.md")]
///
/// [`Ambiguous`]: crate::error::FlowError::Ambiguous
/// [`AwaitCommitted`]: crate::snowpipe::AwaitCommitted
/// [`AwaitCompletion`]: crate::feldera::AwaitCompletion
/// [`ChannelLost`]: crate::snowpipe::ChannelLost
/// [`Checkpoint`]: crate::feldera::Checkpoint
/// [`IngestClient::load`]: crate::snowpipe::IngestClient::load
/// [`IngestError::unsettled`]: crate::feldera::IngestError::unsettled
/// [`IngestEvent::Accepted`]: crate::feldera::IngestEvent::Accepted
/// [`IngestEvent::Processed`]: crate::feldera::IngestEvent::Processed
/// [`Interruption::Restarted`]: crate::feldera::Interruption::Restarted
/// [`OnUnconfirmed::Fail`]: crate::feldera::OnUnconfirmed::Fail
/// [`OnUnconfirmed::Resend`]: crate::feldera::OnUnconfirmed::Resend
/// [`OpenWriter`]: crate::snowpipe::OpenWriter
/// [`RunJar`]: crate::flink::RunJar
/// [`RuntimeConfig::fault_tolerance`]: crate::feldera::pipelines::RuntimeConfig::fault_tolerance
/// [`StopWithSavepoint`]: crate::flink::StopWithSavepoint
/// [`Subscription`]: crate::feldera::Subscription
/// [`TakeSavepoint`]: crate::flink::TakeSavepoint
/// [`UnsettledRows`]: crate::snowpipe::UnsettledRows
/// [`UpgradeJob`]: crate::flink::UpgradeJob
/// [`Writer`]: crate::snowpipe::Writer
/// [`Writer::unsettled`]: crate::snowpipe::Writer::unsettled
/// [`WriterEvent::Committed`]: crate::snowpipe::WriterEvent::Committed
/// [`WriterEvent::Opened`]: crate::snowpipe::WriterEvent::Opened
/// [`WriterEvent::Rejected`]: crate::snowpipe::WriterEvent::Rejected
/// [`token_prefix`]: crate::snowpipe::OpenWriter::token_prefix
pub mod exactly_once {}

/// How to let a program that was killed finish what it began.
///
#[doc = include_str!("../docs/resuming.md")]
///
/// [`Ambiguous`]: crate::error::FlowError::Ambiguous
/// [`AppendElastic`]: crate::snowpipe::AppendElastic
/// [`AwaitJob`]: crate::flink::AwaitJob
/// [`Cancel`]: crate::flink::Cancel
/// [`Checkpoint`]: crate::feldera::Checkpoint
/// [`Client::run`]: crate::driver::Client::run
/// [`Client::run_with`]: crate::driver::Client::run_with
/// [`Compile`]: crate::feldera::Compile
/// [`Deadline`]: crate::error::FlowError::Deadline
/// [`Deploy`]: crate::feldera::Deploy
/// [`EnsureRunning`]: crate::feldera::EnsureRunning
/// [`Feldera::ingest`]: crate::feldera::Feldera::ingest
/// [`Ingest`]: crate::feldera::Ingest
/// [`IngestClient::load`]: crate::snowpipe::IngestClient::load
/// [`Misuse::WrongState`]: crate::error::Misuse::WrongState
/// [`Notice::Persist`]: crate::flow::Notice::Persist
/// [`OpenWriter`]: crate::snowpipe::OpenWriter
/// [`Rescale`]: crate::flink::Rescale
/// [`RunJar`]: crate::flink::RunJar
/// [`RunJar::with_jar`]: crate::flink::RunJar::with_jar
/// [`RunStatement`]: crate::flink::sql_gateway::RunStatement
/// [`SavedState`]: crate::flow::SavedState
/// [`SavedState::flow`]: crate::flow::SavedState::flow
/// [`Stop`]: crate::feldera::Stop
/// [`StopWithSavepoint`]: crate::flink::StopWithSavepoint
/// [`Stopped`]: crate::error::FlowError::Stopped
/// [`SyncCheckpoint`]: crate::feldera::SyncCheckpoint
/// [`TakeSavepoint`]: crate::flink::TakeSavepoint
/// [`Transaction`]: crate::feldera::Transaction
/// [`TriggerCheckpoint`]: crate::flink::TriggerCheckpoint
/// [`UpgradeJob`]: crate::flink::UpgradeJob
/// [`UpgradeJob::from_savepoint`]: crate::flink::UpgradeJob::from_savepoint
/// [`UpgradeJob::roll_back`]: crate::flink::UpgradeJob::roll_back
/// [`UpgradeJob::with_jars`]: crate::flink::UpgradeJob::with_jars
/// [`WatchJobs`]: crate::flink::WatchJobs
/// [`docs::exactly_once`]: self::exactly_once
/// [`flink_upgrade`]: https://github.com/pipewright/pipewright/tree/main/transport-ureq/examples/flink_upgrade
pub mod resuming {}

/// Where credentials may appear, how to rotate them, what a log shows, and which limits exist.
///
#[doc = include_str!("../docs/security.md")]
///
/// [`Base`]: crate::Base
/// [`Basic`]: crate::driver::Basic
/// [`BuildError::Plaintext`]: crate::error::BuildError::Plaintext
/// [`Client::drive`]: crate::driver::Client::drive
/// [`Client::with_credentials`]: crate::driver::Client::with_credentials
/// [`Config::allow_plaintext_credentials`]: crate::flow::Config::allow_plaintext_credentials
/// [`Config::with_body_limit`]: crate::flow::Config::with_body_limit
/// [`Config::with_headers`]: crate::flow::Config::with_headers
/// [`Credential`]: crate::error::FlowError::Credential
/// [`CredentialRequest::rejected`]: crate::flow::CredentialRequest::rejected
/// [`Exchange`]: crate::flow::Exchange
/// [`KeyPairJwt`]: crate::snowpipe::jwt::KeyPairJwt
/// [`LineLimit`]: crate::decode::LineLimit
/// [`Notice`]: crate::flow::Notice
/// [`Refreshing`]: crate::driver::Refreshing
/// [`Retry::with_attempts`]: crate::flow::Retry::with_attempts
/// [`Retry::with_longest_retry_after`]: crate::flow::Retry::with_longest_retry_after
/// [`SavedState`]: crate::flow::SavedState
/// [`Secret`]: crate::Secret
/// [`credentials_fn`]: crate::driver::credentials_fn
/// [`docs::resuming`]: self::resuming
/// [`oauth::credentials`]: crate::oauth::credentials
/// [`session`]: crate::snowpipe::session
/// [tracing]: https://docs.rs/tracing
pub mod security {}

/// How to call an endpoint that this library does not know, and how to write a flow.
///
#[doc = include_str!("../docs/extending.md")]
///
/// [`Ambiguous`]: crate::error::FlowError::Ambiguous
/// [`ARCHITECTURE.md`]: https://github.com/pipewright/pipewright/blob/main/ARCHITECTURE.md
/// [`CONTRIBUTING.md`]: https://github.com/pipewright/pipewright/blob/main/CONTRIBUTING.md
/// [`Call`]: crate::flow::Call
/// [`Decoder`]: crate::decode::Decoder
/// [`Fenced`]: crate::Effect::Fenced
/// [`Goal`]: crate::flow::Goal
/// [`Idempotent`]: crate::Effect::Idempotent
/// [`Notice::observed`]: crate::flow::Notice::observed
/// [`Notice::phase`]: crate::flow::Notice::phase
/// [`Once`]: crate::Effect::Once
/// [`Operation`]: crate::operation::Operation
/// [`OperationInfo::new`]: crate::operation::OperationInfo::new
/// [`Safe`]: crate::Effect::Safe
/// [`Seed::split`]: crate::Seed::split
/// [`Service`]: crate::operation::Service
/// [`ServiceError`]: crate::error::ServiceError
/// [`ServiceError::foreign`]: crate::error::ServiceError::foreign
/// [`Target`]: crate::operation::Target
/// [`parse_error`]: crate::operation::Service::parse_error
/// [`JsonOperation`]: crate::operation::JsonOperation
/// [`parse_json`]: crate::operation::parse_json
/// [`quick_own_operation`]: https://github.com/pipewright/pipewright/blob/main/examples/quick_own_operation.rs
/// [`ready!`]: crate::flow::ready
pub mod extending {}
