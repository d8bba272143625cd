//! The platform: how one logs in, what it is, what it can, who one is, and how its services are.

use super::FelderaApi;
use super::value::tagged;
use crate::operation::ServerVersion;
use crate::schema::{json_structs, operations, string_enums};

operations! { FelderaApi;
    /// Returns how users log in. Needs no credential. If the answer is empty, the platform needs no authentication.
    ///
    /// [Reference](https://docs.feldera.com/api/get-auth-config).
    Safe GET "/config/authentication" GetAuthentication "get_config_authentication" -> Authentication {}

    /// Returns the version, the edition and the license of the platform.
    ///
    /// [Reference](https://docs.feldera.com/api/get-platform-config).
    Safe GET "/v0/config" GetConfig "get_config" -> Configuration {}

    /// Lists demo programs.
    ///
    /// [Reference](https://docs.feldera.com/api/list-demos).
    Safe GET "/v0/config/demos" ListDemos "get_config_demos" -> Vec<Demo> {}

    /// Returns the owners of the platform from its configuration. For owners; rejected with 403 for all others. Since
    /// 0.327.
    ///
    /// [Reference](https://docs.feldera.com/api/get-configured-owners).
    Safe GET "/v0/config/owners" GetOwners "get_config_owners" -> Owners {}

    /// Returns the tenant and the role of the credential.
    ///
    /// [Reference](https://docs.feldera.com/api/get-session).
    Safe GET "/v0/config/session" GetSession "get_config_session" -> Session {}

    /// Lists the events of the platform's own services, newest first. Since 0.201.
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
    /// The fields of an event that the server returns.
    pub enum EventSelector {
        All = "all",
        /// Only the status fields.
        Status = "status",
    }

    /// The role of a user or a key. Each role includes the roles before it.
    pub enum Role {
        /// Reads pipelines, but cannot query or subscribe.
        Read = "read",
        /// Controls pipelines.
        Write = "write",
        /// Manages the members of a tenant.
        Admin = "admin",
        /// Manages tenants.
        Owner = "owner",
    }

    /// The health of a service of the platform.
    pub enum MonitorStatus {
        /// The service has not been healthy since it started.
        InitialUnhealthy = "InitialUnhealthy",
        Unhealthy = "Unhealthy",
        Healthy = "Healthy",
    }
}

tagged! {
    /// How often the web console shows a reminder.
    pub enum DisplaySchedule {
        /// Once.
        Once = "Once",
        /// Once in each session.
        Session = "Session",
        /// Always.
        Always = "Always";
        /// At this interval.
        Every(Interval) = "Every",
    }

    /// Whether a license exists.
    pub enum LicenseValidity {
        ;
        /// The license exists.
        Exists(License) = "Exists",
        /// No license exists, or its validity could not be confirmed; with the reason.
        DoesNotExistOrNotConfirmed(String) = "DoesNotExistOrNotConfirmed",
    }
}

json_structs! {
    /// How users log in. Everything is `None` if the platform needs no authentication.
    pub struct Authentication {
        /// Amazon Cognito.
        pub aws_cognito: Option<AwsCognito> = "AwsCognito",
        /// A provider of `OpenID` Connect.
        pub generic_oidc: Option<GenericOidc> = "GenericOidc",
        /// Google. Removed in 0.327.
        pub google_identity: Option<GoogleIdentity> = "GoogleIdentity",
    }

    /// Amazon Cognito.
    pub struct AwsCognito {
        /// The issuer of the tokens.
        pub issuer: Option<String>,
        /// The address of the issuer's keys. Only older releases.
        pub jwk_uri: Option<String>,
        /// The address of the login page.
        pub login_url: Option<String>,
        /// The address of the logout page.
        pub logout_url: Option<String>,
    }

    /// A provider of `OpenID` Connect.
    pub struct GenericOidc {
        /// Feldera's client id at the provider.
        pub client_id: Option<String>,
        /// The issuer of the tokens.
        pub issuer: Option<String>,
        /// Scopes to request in addition to the usual scopes.
        pub extra_oidc_scopes: Vec<String>,
    }

    /// Google.
    pub struct GoogleIdentity {
        /// Feldera's client id at Google.
        pub client_id: Option<String>,
        /// The address of the issuer's keys.
        pub jwk_uri: Option<String>,
    }

    /// The version, the edition and the license of the platform.
    pub struct Configuration {
        /// `Open source`, `Enterprise` or `EnterpriseDev`; see [`is_enterprise`](Self::is_enterprise).
        pub edition: Option<String>,
        /// The version, such as `0.337.0`.
        pub version: Option<String>,
        /// The Git commit.
        pub revision: Option<String>,
        /// The Git commit of the runtime.
        pub runtime_revision: Option<String>,
        /// `source` or `docker`.
        pub build_source: Option<String>,
        pub build_info: Option<BuildInfo>,
        /// The address of the changelog.
        pub changelog_url: Option<String>,
        pub license_validity: Option<LicenseValidity>,
        /// Whether a newer release exists.
        pub update_info: Option<UpdateInfo>,
        /// Whether programs may have user-defined functions in Rust. Since 0.375.
        pub allow_rust_udfs: Option<bool>,
        /// The enabled unstable features, separated by commas.
        pub unstable_features: Option<String>,
        /// The key of an analytics service; empty if none is used.
        pub posthog: Option<String> = "posthog" | "telemetry",
        /// The key of a service of the web console.
        pub conceptualhq: Option<String>,
        /// The key of a service of the web console.
        pub product_fruits: Option<String>,
    }

    /// The build of a Feldera platform.
    pub struct BuildInfo {
        pub build_timestamp: Option<String>,
        pub build_cpu: Option<String>,
        pub build_os: Option<String>,
        pub cargo_dependencies: Option<String>,
        pub cargo_features: Option<String>,
        /// Whether it is a debug build.
        pub cargo_debug: Option<String>,
        /// The optimization level.
        pub cargo_opt_level: Option<String>,
        pub cargo_target_triple: Option<String>,
        pub rustc_version: Option<String>,
    }

    /// A license.
    pub struct License {
        /// The time of the server.
        pub current: Option<String>,
        /// The time at which the license expires.
        pub valid_until: Option<String>,
        /// Whether it is a trial license.
        pub is_trial: Option<bool>,
        /// Whether the license permits development only. Since 0.375.
        pub is_dev: Option<bool>,
        pub description_html: Option<String>,
        /// The address where the license can be extended.
        pub extension_url: Option<String>,
        /// The time from which the web console reminds users of the expiry.
        pub remind_starting_at: Option<String>,
        /// How often it reminds them.
        pub remind_schedule: Option<DisplaySchedule>,
    }

    /// An interval.
    pub struct Interval {
        pub seconds: Option<u64>,
    }

    /// Whether a newer release exists.
    pub struct UpdateInfo {
        /// Whether the platform is the latest release.
        pub is_latest_version: Option<bool>,
        /// The latest release.
        pub latest_version: Option<String>,
        /// The address of the update instructions.
        pub instructions_url: Option<String>,
        /// How often the web console reminds users of the update.
        pub remind_schedule: Option<DisplaySchedule>,
    }

    /// A demo program.
    pub struct Demo {
        /// The proposed name of the pipeline.
        pub name: String,
        pub title: Option<String>,
        pub description: Option<String>,
        /// The SQL.
        pub program_code: Option<String>,
        /// The user-defined functions, in Rust.
        pub udf_rust: Option<String>,
        /// The dependencies of these functions.
        pub udf_toml: Option<String>,
    }

    /// The owners of the platform, from its configuration.
    pub struct Owners {
        /// The subjects of the owners' tokens.
        pub owners: Vec<String>,
        /// The trusts whose tokens make their users owners.
        pub owner_trusts: Vec<OwnerTrust>,
    }

    /// A trust whose tokens make their users owners.
    pub struct OwnerTrust {
        /// The issuer of the tokens.
        pub issuer: Option<String>,
        /// The subject of the tokens.
        pub subject: Option<String>,
        pub audience: Option<String>,
    }

    /// The tenant and the role of a credential.
    pub struct Session {
        /// The current tenant.
        pub tenant_id: Option<String>,
        pub tenant_name: Option<String>,
        /// The role in this tenant.
        pub role: Option<Role>,
        /// All tenants that the user is a member of.
        pub memberships: Vec<Membership>,
        /// When the user became a member of the first tenant; RFC 3339. `None` for API keys and other principals that
        /// are not human, and before 0.375.
        pub user_created_at: Option<String>,
    }

    /// A tenant that the user is a member of.
    pub struct Membership {
        pub tenant_id: String,
        pub name: Option<String>,
        /// The role in this tenant.
        pub role: Option<Role>,
    }

    /// The health of the platform's services at a time.
    pub struct ClusterEvent {
        pub id: String,
        /// The time, in RFC 3339.
        pub recorded_at: Option<String>,
        /// Whether all services are healthy.
        pub all_healthy: Option<bool>,
        /// Whether the monitor has stopped recording events, so that the event does not show the current state. Since
        /// 0.375.
        pub stale: Option<bool>,
        /// The health of the API server.
        pub api_status: Option<MonitorStatus>,
        /// The service's report about itself. Only with the selector `All`, like the other five details.
        pub api_self_info: Option<String>,
        /// The report about the service's machine.
        pub api_resources_info: Option<String>,
        pub compiler_status: Option<MonitorStatus>,
        pub compiler_self_info: Option<String>,
        pub compiler_resources_info: Option<String>,
        pub runner_status: Option<MonitorStatus>,
        pub runner_self_info: Option<String>,
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
