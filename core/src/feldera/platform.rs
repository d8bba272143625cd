//! The platform: how one logs in, what it is, what it can, who one is, and how its services are.

use super::FelderaApi;
use super::value::tagged;
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

    /// Who owns the platform by its configuration. For owners; refused with 403 for all others. Since 0.327.
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

    /// One of those events. Refused with 404 when it is unknown or no longer kept. Since 0.201.
    ///
    /// [Reference](https://docs.feldera.com/api/get-cluster-event).
    Safe GET "/v0/cluster/events/{event_id}" GetClusterEvent "get_cluster_event" -> ClusterEvent {
        path { event_id: String }
        query? {
            /// How much of it; `Status` by default.
            selector: EventSelector = "selector",
        }
    }
}

string_enums! {
    /// How much of an event is wanted.
    pub enum EventSelector {
        /// All of it.
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
        /// There is.
        Exists(License) = "Exists",
        /// There is none, or nobody could tell; why.
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
        pub issuer: Option<String> = "issuer",
        /// Where its keys are. Older releases.
        pub jwk_uri: Option<String> = "jwk_uri",
        /// Where to log in.
        pub login_url: String = "login_url",
        /// Where to log out.
        pub logout_url: String = "logout_url",
    }

    /// A provider of `OpenID` Connect.
    pub struct GenericOidc {
        /// Feldera's id there.
        pub client_id: String = "client_id",
        /// Who issues tokens.
        pub issuer: String = "issuer",
        /// Scopes to ask for besides the usual ones.
        pub extra_oidc_scopes: Vec<String> = "extra_oidc_scopes",
    }

    /// Google.
    pub struct GoogleIdentity {
        /// Feldera's id there.
        pub client_id: String = "client_id",
        /// Where its keys are.
        pub jwk_uri: Option<String> = "jwk_uri",
    }

    /// Which Feldera it is.
    pub struct Configuration {
        /// `Open source` or `Enterprise`; see [`is_enterprise`](Self::is_enterprise).
        pub edition: String = "edition",
        /// As in `0.337.0`.
        pub version: String = "version",
        /// The commit.
        pub revision: String = "revision",
        /// The commit of the runtime.
        pub runtime_revision: Option<String> = "runtime_revision",
        /// `source` or `docker`.
        pub build_source: Option<String> = "build_source",
        /// How it was built.
        pub build_info: Option<BuildInfo> = "build_info",
        /// Where its changes are described.
        pub changelog_url: String = "changelog_url",
        /// Whether there is a licence.
        pub license_validity: Option<LicenseValidity> = "license_validity",
        /// Whether there is a newer one.
        pub update_info: Option<UpdateInfo> = "update_info",
        /// Features that are switched on although they are not done, with commas.
        pub unstable_features: Option<String> = "unstable_features",
        /// Key of an analytics service; empty for none.
        pub posthog: Option<String> = "posthog" | "telemetry",
        /// Key of a service of the web console.
        pub conceptualhq: Option<String> = "conceptualhq",
        /// Key of a service of the web console.
        pub product_fruits: Option<String> = "product_fruits",
    }

    /// How a Feldera was built.
    pub struct BuildInfo {
        /// When.
        pub build_timestamp: String = "build_timestamp",
        /// On which processor.
        pub build_cpu: String = "build_cpu",
        /// On which system.
        pub build_os: String = "build_os",
        /// With which dependencies.
        pub cargo_dependencies: String = "cargo_dependencies",
        /// With which features.
        pub cargo_features: String = "cargo_features",
        /// Whether for debugging.
        pub cargo_debug: String = "cargo_debug",
        /// How optimised.
        pub cargo_opt_level: String = "cargo_opt_level",
        /// For what.
        pub cargo_target_triple: String = "cargo_target_triple",
        /// By which compiler.
        pub rustc_version: String = "rustc_version",
    }

    /// A licence.
    pub struct License {
        /// The server's time.
        pub current: String = "current",
        /// Until when it is good.
        pub valid_until: Option<String> = "valid_until",
        /// Whether it is to try Feldera out.
        pub is_trial: bool = "is_trial",
        /// What it is, as HTML.
        pub description_html: String = "description_html",
        /// Where to get more time.
        pub extension_url: Option<String> = "extension_url",
        /// From when on people are reminded.
        pub remind_starting_at: Option<String> = "remind_starting_at",
        /// How often.
        pub remind_schedule: DisplaySchedule = "remind_schedule",
    }

    /// How often.
    pub struct Interval {
        /// Seconds in between.
        pub seconds: u64 = "seconds",
    }

    /// Whether there is a newer release.
    pub struct UpdateInfo {
        /// There is none.
        pub is_latest_version: bool = "is_latest_version",
        /// The newest.
        pub latest_version: String = "latest_version",
        /// How to update.
        pub instructions_url: String = "instructions_url",
        /// How often to remind people.
        pub remind_schedule: DisplaySchedule = "remind_schedule",
    }

    /// A program to learn from.
    pub struct Demo {
        /// A name for the pipeline.
        pub name: String = "name",
        /// What it is called.
        pub title: String = "title",
        /// What it shows.
        pub description: String = "description",
        /// The SQL.
        pub program_code: String = "program_code",
        /// User-defined functions in Rust.
        pub udf_rust: String = "udf_rust",
        /// What they depend on.
        pub udf_toml: String = "udf_toml",
    }

    /// Owners by the platform's configuration.
    pub struct Owners {
        /// By their tokens' subjects.
        pub owners: Vec<String> = "owners",
        /// By trust in an issuer.
        pub owner_trusts: Vec<OwnerTrust> = "owner_trusts",
    }

    /// Whose tokens make an owner.
    pub struct OwnerTrust {
        /// Who issued them.
        pub issuer: String = "issuer",
        /// For whom.
        pub subject: String = "subject",
        /// For which audience.
        pub audience: Option<String> = "audience",
    }

    /// Who one is.
    pub struct Session {
        /// The tenant one works in.
        pub tenant_id: Option<String> = "tenant_id",
        /// Its name.
        pub tenant_name: Option<String> = "tenant_name",
        /// What one may do there.
        pub role: Option<Role> = "role",
        /// All tenants one is a member of.
        pub memberships: Vec<Membership> = "memberships",
    }

    /// A tenant one is a member of.
    pub struct Membership {
        /// The tenant.
        pub tenant_id: String = "tenant_id",
        /// Its name.
        pub name: String = "name",
        /// What one may do there.
        pub role: Role = "role",
    }

    /// How the platform's services were at a moment.
    pub struct ClusterEvent {
        /// Its id.
        pub id: String = "id",
        /// When; RFC 3339.
        pub recorded_at: String = "recorded_at",
        /// All are well.
        pub all_healthy: bool = "all_healthy",
        /// The API server.
        pub api_status: MonitorStatus = "api_status",
        /// What it says of itself. With `All` only, as are the other five.
        pub api_self_info: Option<String> = "api_self_info",
        /// What is known of its machine.
        pub api_resources_info: Option<String> = "api_resources_info",
        /// The compiler.
        pub compiler_status: MonitorStatus = "compiler_status",
        /// What it says of itself.
        pub compiler_self_info: Option<String> = "compiler_self_info",
        /// What is known of its machine.
        pub compiler_resources_info: Option<String> = "compiler_resources_info",
        /// The runner.
        pub runner_status: MonitorStatus = "runner_status",
        /// What it says of itself.
        pub runner_self_info: Option<String> = "runner_self_info",
        /// What is known of its machine.
        pub runner_resources_info: Option<String> = "runner_resources_info",
    }
}

impl Configuration {
    /// Whether it can checkpoint, suspend and stand by; the open-source edition answers 501.
    pub fn is_enterprise(&self) -> bool {
        self.edition.eq_ignore_ascii_case("enterprise")
    }
}

impl Authentication {
    /// Whether no credential is asked for.
    pub fn is_open(&self) -> bool {
        self.aws_cognito.is_none() && self.generic_oidc.is_none() && self.google_identity.is_none()
    }
}
