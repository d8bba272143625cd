//! The platform: how one logs in, what it is, what it can, who one is, and how its services are.

use super::FelderaApi;
use super::value::tagged;
use crate::operation::ServerVersion;
use crate::schema::{json_structs, operations, string_enums};

operations! { FelderaApi;
    /// How to log in. Needs no credential; an empty answer means that none is asked for.
    ///
    /// [Reference](https://docs.feldera.com/api/get-auth-config).
    Safe GET "/config/authentication" GetAuthentication "get_config_authentication" -> Authentication {}

    /// Which Feldera it is: version, edition, licence.
    ///
    /// [Reference](https://docs.feldera.com/api/get-platform-config).
    Safe GET "/v0/config" GetConfig "get_config" -> Configuration {}

    /// Programs to learn from.
    ///
    /// [Reference](https://docs.feldera.com/api/list-demos).
    Safe GET "/v0/config/demos" ListDemos "get_config_demos" -> Vec<Demo> {}

    /// Returns the owners of the platform from its configuration. For owners; rejected with 403 for all others. Since
    /// 0.327.
    ///
    /// [Reference](https://docs.feldera.com/api/get-configured-owners).
    Safe GET "/v0/config/owners" GetOwners "get_config_owners" -> Owners {}

    /// Who one is: tenant and role.
    ///
    /// [Reference](https://docs.feldera.com/api/get-session).
    Safe GET "/v0/config/session" GetSession "get_config_session" -> Session {}

    /// What happened to the platform's own services, newest first. Since 0.201.
    ///
    /// [Reference](https://docs.feldera.com/api/list-cluster-events).
    Safe GET "/v0/cluster/events" ListClusterEvents "list_cluster_events" -> Vec<ClusterEvent> {}

    /// Returns an event. Rejected with 404 if the event is unknown or no longer kept. Since 0.201.
    ///
    /// [Reference](https://docs.feldera.com/api/get-cluster-event).
    Safe GET "/v0/cluster/events/{event_id}" GetClusterEvent "get_cluster_event" -> ClusterEvent {
        path { event_id: String }
        query? {
            /// How much of it; `Status` by default.
            selector: EventSelector,
        }
    }
}

string_enums! {
    /// How much of an event is wanted.
    pub enum EventSelector {
        All = "all",
        /// What is short.
        Status = "status",
    }

    /// What a principal may do; each may do what those before it may.
    pub enum Role {
        /// Look, but not query or subscribe.
        Read = "read",
        /// Work with pipelines.
        Write = "write",
        /// Manage members of a tenant.
        Admin = "admin",
        /// Manage tenants.
        Owner = "owner",
    }

    /// How a service of the platform is.
    pub enum MonitorStatus {
        /// Not well yet, since it started.
        InitialUnhealthy = "InitialUnhealthy",
        /// Not well.
        Unhealthy = "Unhealthy",
        /// Well.
        Healthy = "Healthy",
    }
}

tagged! {
    /// How often to remind people.
    pub enum DisplaySchedule {
        /// Once.
        Once = "Once",
        /// In each session.
        Session = "Session",
        /// Always.
        Always = "Always";
        /// Again and again.
        Every(Interval) = "Every",
    }

    /// Whether there is a licence.
    pub enum LicenseValidity {
        ;
        /// The license exists.
        Exists(License) = "Exists",
        /// No license exists, or its validity could not be confirmed; with the reason.
        DoesNotExistOrNotConfirmed(String) = "DoesNotExistOrNotConfirmed",
    }
}

json_structs! {
    /// How to log in; all empty when no credential is asked for.
    pub struct Authentication {
        /// By Amazon Cognito.
        pub aws_cognito: Option<AwsCognito> = "AwsCognito",
        /// By any provider of `OpenID` Connect.
        pub generic_oidc: Option<GenericOidc> = "GenericOidc",
        /// By Google. Gone since 0.327.
        pub google_identity: Option<GoogleIdentity> = "GoogleIdentity",
    }

    /// Amazon Cognito.
    pub struct AwsCognito {
        /// Who issues tokens.
        pub issuer: Option<String>,
        /// Where its keys are. Older releases.
        pub jwk_uri: Option<String>,
        /// Where to log in.
        pub login_url: Option<String>,
        /// Where to log out.
        pub logout_url: Option<String>,
    }

    /// A provider of `OpenID` Connect.
    pub struct GenericOidc {
        /// Feldera's id there.
        pub client_id: Option<String>,
        /// Who issues tokens.
        pub issuer: Option<String>,
        /// Scopes to ask for besides the usual scopes.
        pub extra_oidc_scopes: Vec<String>,
    }

    /// Google.
    pub struct GoogleIdentity {
        /// Feldera's id there.
        pub client_id: Option<String>,
        /// Where its keys are.
        pub jwk_uri: Option<String>,
    }

    /// Which Feldera it is.
    pub struct Configuration {
        /// `Open source`, `Enterprise` or `EnterpriseDev`; see [`is_enterprise`](Self::is_enterprise).
        pub edition: Option<String>,
        /// As in `0.337.0`.
        pub version: Option<String>,
        /// The commit.
        pub revision: Option<String>,
        /// The commit of the runtime.
        pub runtime_revision: Option<String>,
        /// `source` or `docker`.
        pub build_source: Option<String>,
        /// How it was built.
        pub build_info: Option<BuildInfo>,
        /// Where its changes are described.
        pub changelog_url: Option<String>,
        /// Whether there is a licence.
        pub license_validity: Option<LicenseValidity>,
        /// Whether there is a newer release.
        pub update_info: Option<UpdateInfo>,
        /// Whether programs may have user-defined functions in Rust. Since 0.375.
        pub allow_rust_udfs: Option<bool>,
        /// Features that are switched on although they are not done, with commas.
        pub unstable_features: Option<String>,
        /// Key of an analytics service; empty for none.
        pub posthog: Option<String> = "posthog" | "telemetry",
        /// Key of a service of the web console.
        pub conceptualhq: Option<String>,
        /// Key of a service of the web console.
        pub product_fruits: Option<String>,
    }

    /// How a Feldera was built.
    pub struct BuildInfo {
        /// When.
        pub build_timestamp: Option<String>,
        /// On which processor.
        pub build_cpu: Option<String>,
        /// On which system.
        pub build_os: Option<String>,
        pub cargo_dependencies: Option<String>,
        pub cargo_features: Option<String>,
        /// Whether for debugging.
        pub cargo_debug: Option<String>,
        /// How optimised.
        pub cargo_opt_level: Option<String>,
        pub cargo_target_triple: Option<String>,
        /// By which compiler.
        pub rustc_version: Option<String>,
    }

    /// A licence.
    pub struct License {
        /// The server's time.
        pub current: Option<String>,
        /// Until when it is good.
        pub valid_until: Option<String>,
        /// Whether it is to try Feldera out.
        pub is_trial: Option<bool>,
        /// Whether the licence permits development only. Since 0.375.
        pub is_dev: Option<bool>,
        pub description_html: Option<String>,
        /// Where to get more time.
        pub extension_url: Option<String>,
        /// From when on people are reminded.
        pub remind_starting_at: Option<String>,
        /// How often.
        pub remind_schedule: Option<DisplaySchedule>,
    }

    /// How often.
    pub struct Interval {
        /// Seconds in between.
        pub seconds: Option<u64>,
    }

    /// Whether there is a newer release.
    pub struct UpdateInfo {
        /// Whether there is no newer release.
        pub is_latest_version: Option<bool>,
        /// The newest.
        pub latest_version: Option<String>,
        /// How to update.
        pub instructions_url: Option<String>,
        /// How often to remind people.
        pub remind_schedule: Option<DisplaySchedule>,
    }

    /// A program to learn from.
    pub struct Demo {
        /// A name for the pipeline.
        pub name: String,
        /// What it is called.
        pub title: Option<String>,
        /// What it shows.
        pub description: Option<String>,
        /// The SQL.
        pub program_code: Option<String>,
        /// User-defined functions in Rust.
        pub udf_rust: Option<String>,
        /// What they depend on.
        pub udf_toml: Option<String>,
    }

    /// Owners by the platform's configuration.
    pub struct Owners {
        /// By their tokens' subjects.
        pub owners: Vec<String>,
        /// By trust in an issuer.
        pub owner_trusts: Vec<OwnerTrust>,
    }

    /// Whose tokens make an owner.
    pub struct OwnerTrust {
        /// Who issued them.
        pub issuer: Option<String>,
        /// For whom.
        pub subject: Option<String>,
        pub audience: Option<String>,
    }

    /// Who one is.
    pub struct Session {
        /// The tenant one works in.
        pub tenant_id: Option<String>,
        pub tenant_name: Option<String>,
        /// What one may do there.
        pub role: Option<Role>,
        /// All tenants one is a member of.
        pub memberships: Vec<Membership>,
        /// When the user became a member of the first tenant; RFC 3339. `None` for API keys and other principals that
        /// are not human, and before 0.375.
        pub user_created_at: Option<String>,
    }

    /// A tenant that the user is a member of.
    pub struct Membership {
        pub tenant_id: String,
        pub name: Option<String>,
        /// What one may do there.
        pub role: Option<Role>,
    }

    /// How the platform's services were at a moment.
    pub struct ClusterEvent {
        pub id: String,
        /// When; RFC 3339.
        pub recorded_at: Option<String>,
        /// All are well.
        pub all_healthy: Option<bool>,
        /// Whether the monitor has stopped recording events, so that this is not the present state. Since 0.375.
        pub stale: Option<bool>,
        /// The API server.
        pub api_status: Option<MonitorStatus>,
        /// What it says of itself. With `All` only, as are the other five.
        pub api_self_info: Option<String>,
        /// What is known of its machine.
        pub api_resources_info: Option<String>,
        pub compiler_status: Option<MonitorStatus>,
        /// What it says of itself.
        pub compiler_self_info: Option<String>,
        /// What is known of its machine.
        pub compiler_resources_info: Option<String>,
        pub runner_status: Option<MonitorStatus>,
        /// What it says of itself.
        pub runner_self_info: Option<String>,
        /// What is known of its machine.
        pub runner_resources_info: Option<String>,
    }
}

impl Configuration {
    /// Returns the version for [`Client::with_server_version`](crate::driver::Client::with_server_version), or `None`
    /// if it cannot be read.
    pub fn server_version(&self) -> Option<ServerVersion> {
        self.version.as_deref()?.parse().ok()
    }

    /// Returns whether it can checkpoint, suspend and stand by; the open-source edition answers 501. `EnterpriseDev`
    /// can all that `Enterprise` can. `None` if the server does not tell its edition.
    pub fn is_enterprise(&self) -> Option<bool> {
        let edition = self.edition.as_deref()?;
        Some(["enterprise", "enterprisedev"].iter().any(|known| known.eq_ignore_ascii_case(edition)))
    }
}

impl Authentication {
    /// Whether no credential is asked for.
    pub fn is_open(&self) -> bool {
        self.aws_cognito.is_none() && self.generic_oidc.is_none() && self.google_identity.is_none()
    }
}
