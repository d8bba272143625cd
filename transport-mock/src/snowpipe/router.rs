//! From a path and a method to a handler.

use std::time::Duration;

use http::StatusCode;
use serde_json::json;

use super::append::{Append, elastic_rows};
use super::config::PipeState;
use super::control::{DropRequest, Open, channel_names};
use super::credentials::check_credential;
use super::errors::{Answer, Rejection, Reply};
use super::hosts::is_account;
use super::pipe_info::pipe_info;
use super::pipes::default_pipe;
use super::request::Call;
use super::views::{ChannelPath, ELASTIC, Effect, is_elastic};
use super::{Account, ROUTES};
use crate::random::between;
use crate::routes;

/// The effect of a request, beside its answer.
#[derive(Debug, Default)]
pub(super) struct Trail {
    pub(super) channel: Option<ChannelPath>,
    pub(super) effect: Effect,
    pub(super) rows: usize,
}

/// A path may end with a slash.
fn without_handler(call: &Call) -> Rejection {
    let segments: Vec<&str> = call.segments.iter().map(String::as_str).collect();
    let segments = segments.strip_suffix(&[""]).unwrap_or(&segments);
    match routes::find_missing(ROUTES, &[], &call.method, segments) {
        Some(_) => Rejection::NotSimulated(routes::not_simulated("snowpipe", &call.method, &call.path)),
        None => Rejection::no_route(),
    }
}

impl Account {
    pub(super) fn answer(&mut self, call: &Call, trail: &mut Trail) -> Answer {
        // Tracing aside, nothing works without it.
        if !call.accepts {
            let text = "Unsupported Accept header null is specified.";
            return Err(Rejection::new(StatusCode::BAD_REQUEST, "391902", text));
        }
        let segments: Vec<&str> = call.segments.iter().map(String::as_str).collect();
        match (call.method.as_str(), segments.as_slice()) {
            ("GET", ["v2", "streaming", "hostname"]) if is_account(call, &self.config) => self.hostname(call),
            ("POST", ["oauth", "token"]) if is_account(call, &self.config) => self.exchange_token(call),
            ("POST", ["telemetry", "send", "sessionless"]) if is_account(call, &self.config) => self.telemetry(call),
            (method, ["v2", "streaming", rest @ ..]) => self.data_plane(call, method, rest, trail),
            _ => Err(without_handler(call)),
        }
    }

    fn data_plane(&mut self, call: &Call, method: &str, segments: &[&str], trail: &mut Trail) -> Answer {
        let path =
            |database: &str, schema: &str, pipe: &str, channel: &str| ChannelPath::new(database, schema, pipe, channel);
        match (method, segments) {
            ("PUT", ["databases", db, "schemas", schema, "pipes", pipe, "channels", channel]) => {
                self.enter(call)?;
                self.open(call, path(db, schema, pipe, channel), trail)
            }
            ("DELETE", ["databases", db, "schemas", schema, "pipes", pipe, "channels", channel]) => {
                self.enter(call)?;
                self.drop_channel(call, &path(db, schema, pipe, channel), trail)
            }
            ("POST", ["databases", db, "schemas", schema, "pipes", last]) => match last.rsplit_once(':') {
                Some((pipe, "bulk-channel-status")) => {
                    self.enter_for_status(call)?;
                    self.bulk_status(call, &path(db, schema, pipe, ""))
                }
                Some((pipe, "pipe-info")) => {
                    self.enter(call)?;
                    self.pipe_info(&path(db, schema, pipe, ""))
                }
                _ => Err(without_handler(call)),
            },
            ("POST", ["data", "databases", db, "schemas", schema, "pipes", pipe, "channels", channel, "rows"]) => {
                self.enter(call)?;
                if is_elastic(channel) {
                    return self.append_elastic(call, &path(db, schema, pipe, ELASTIC), trail);
                }
                self.append(call, &path(db, schema, pipe, channel), trail)
            }
            ("POST", ["data", "databases", db, "schemas", schema, "tables", table, "rows"]) => {
                self.enter(call)?;
                self.append_elastic(call, &path(db, schema, &default_pipe(table), ELASTIC), trail)
            }
            _ => Err(without_handler(call)),
        }
    }

    /// What every request to the ingest host has to pass: the host, the token, and a node that is there.
    fn enter(&self, call: &Call) -> Result<(), Rejection> {
        self.hosts.check(call, self.now, &self.config)?;
        self.tokens.check(call, self.now, &self.hosts, &self.config)?;
        self.hosts.check_node(self.now)
    }

    /// The same, but that the account host answers too, to whom it knows.
    fn enter_for_status(&self, call: &Call) -> Result<(), Rejection> {
        if is_account(call, &self.config) && check_credential(call, self.now, &self.config).is_ok() {
            return self.hosts.check_node(self.now);
        }
        self.enter(call)
    }

    fn hostname(&self, call: &Call) -> Answer {
        check_credential(call, self.now, &self.config)?;
        let host = self.hosts.ingest_host(call, &self.config);
        if self.config.json_answers {
            return Ok(Reply::json(json!({ "hostname": host })));
        }
        Ok(Reply::text(host))
    }

    fn exchange_token(&mut self, call: &Call) -> Answer {
        check_credential(call, self.now, &self.config)?;
        self.tokens.exchange(call, self.now, &self.hosts, &self.config)
    }

    /// What the vendor's SDK reports about itself. It is not kept.
    fn telemetry(&self, call: &Call) -> Answer {
        check_credential(call, self.now, &self.config)?;
        Ok(Reply::json(json!({ "success": true, "code": null, "message": null, "data": "Log Received" })))
    }

    fn pipe_info(&self, pipe: &ChannelPath) -> Answer {
        self.pipes.check(pipe)?;
        Ok(Reply::json(pipe_info(pipe, self.now)))
    }

    fn open(&mut self, call: &Call, path: ChannelPath, trail: &mut Trail) -> Answer {
        trail.channel = Some(path.clone());
        let open = Open::read(call, &path)?;
        self.pipes.check_valid(&path)?;
        let reply = self.channels.open(path, open, self.now, &self.config)?;
        trail.effect = Effect::Applied;
        Ok(reply)
    }

    fn drop_channel(&mut self, call: &Call, path: &ChannelPath, trail: &mut Trail) -> Answer {
        trail.channel = Some(path.clone());
        let drop = DropRequest::read(call)?;
        self.pipes.check(path)?;
        let reply = self.channels.drop(path, &drop, self.now, &self.config)?;
        trail.effect = Effect::Applied;
        Ok(reply)
    }

    fn bulk_status(&mut self, call: &Call, pipe: &ChannelPath) -> Answer {
        let names = channel_names(call)?;
        let state = self.pipes.check(pipe)?;
        if let Some((answer, _)) = self.blank_statuses.as_ref().filter(|(_, until)| self.now < *until) {
            return Ok(Reply::json(answer.clone()));
        }
        let age = match self.config.status_age.end() {
            &Duration::ZERO => Duration::ZERO,
            _ => between(&mut self.seed, &self.config.status_age),
        };
        if names.iter().any(|name| is_elastic(name)) {
            self.channels.ensure_elastic(pipe, self.now, &self.config);
        }
        Ok(self.channels.statuses(pipe, names, self.now.saturating_sub(age), state == PipeState::Discards))
    }

    fn append(&mut self, call: &Call, path: &ChannelPath, trail: &mut Trail) -> Answer {
        trail.channel = Some(path.clone());
        let append = Append::read(call)?;
        let state = self.pipes.check(path)?;
        if state == PipeState::FileMode {
            let message = "Switch to file mode.";
            return Err(Rejection::new(StatusCode::BAD_REQUEST, "SWITCH_TO_FILE_MODE", message));
        }
        let delay = between(&mut self.seed, &self.config.commit_delay);
        let (rows, discards) = (append.rows.len(), state == PipeState::Discards);
        let (effect, reply) = self.channels.append(path, append, delay, discards, self.now, &self.config)?;
        trail.rows = if effect == Effect::Replayed { 0 } else { rows };
        trail.effect = effect;
        Ok(reply)
    }

    fn append_elastic(&mut self, call: &Call, path: &ChannelPath, trail: &mut Trail) -> Answer {
        trail.channel = Some(path.clone());
        let rows = elastic_rows(call)?;
        let discards = self.pipes.check_valid(path)? == PipeState::Discards;
        let delay = between(&mut self.seed, &self.config.commit_delay);
        trail.rows = rows.len();
        trail.effect = self.channels.append_elastic(path, rows, delay, discards, self.now, &self.config);
        // The documents have the message alone. The vendor's SDK 1.9.1 reads an answer only if it has a token, too.
        Ok(Reply::json(json!({ "message": "OK", "next_continuation_token": "" })))
    }
}
