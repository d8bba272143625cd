//! Access: API keys, trust in other issuers, tenants and their members.

use super::platform::Role;
use super::{Accepted, FelderaApi, SecretText};
use crate::schema::{json_structs, operations, string_enums};

operations! { FelderaApi;
    /// Lists the tenant's API keys, without the keys themselves.
    ///
    /// [Reference](https://docs.feldera.com/api/list-api-keys).
    Safe GET "/v0/api_keys" ListApiKeys "list_api_keys" -> Vec<ApiKeyInfo> {}

    /// Creates an API key. Only this answer contains the key. If the answer is lost, delete the key and create another.
    ///
    /// Rejected: 409 if the name is in use, 403 if the role is above `write`.
    /// [Reference](https://docs.feldera.com/api/create-api-key).
    Once POST "/v0/api_keys" CreateApiKey "post_api_key" -> NewApiKey {
        json {
            name: String,
        }
        json? {
            /// `Read` or `Write`; `Read` by default.
            role: Role,
        }
    }

    /// Returns an API key as a list with one element. Rejected with 404 if the name does not exist.
    ///
    /// [Reference](https://docs.feldera.com/api/get-api-key).
    Safe GET "/v0/api_keys/{api_key_name}" GetApiKey "get_api_key" -> Vec<ApiKeyInfo> {
        path { api_key_name: String }
    }

    /// Deletes an API key. Rejected with 404 if the name does not exist, also when an earlier attempt deleted it.
    ///
    /// [Reference](https://docs.feldera.com/api/delete-api-key).
    Fenced DELETE "/v0/api_keys/{api_key_name}" DeleteApiKey "delete_api_key" -> Accepted {
        path { api_key_name: String }
    }

    /// Lists the issuers that the tenant trusts. For administrators. Since 0.327, like all operations below.
    ///
    /// [Reference](https://docs.feldera.com/api/list-oidc-trust).
    Safe GET "/v0/oidc_trust" ListTrusts "list_oidc_trust" -> Vec<Trust> {}

    /// Trusts an issuer: a client with a token of this issuer gets the role.
    ///
    /// Rejected with 409 if the name is in use, and with 403 if the role is above the client's own role.
    /// [Reference](https://docs.feldera.com/api/create-oidc-trust).
    Once POST "/v0/oidc_trust" CreateTrust "post_oidc_trust" -> NewTrust {
        json {
            name: String,
            /// The issuer of the tokens.
            issuer: String,
            /// The subject of the tokens.
            subject: String,
        }
        json? {
            audience: String,
            description: String,
            /// The role that such a token has, up to `Admin`.
            role: Role,
        }
    }

    /// Returns a trust. Rejected with 404 if the name does not exist.
    ///
    /// [Reference](https://docs.feldera.com/api/get-oidc-trust).
    Safe GET "/v0/oidc_trust/{name}" GetTrust "get_oidc_trust" -> Trust {
        path { name: String }
    }

    /// Deletes a trust. Rejected with 404 if the name does not exist, also when an earlier attempt deleted it.
    ///
    /// [Reference](https://docs.feldera.com/api/delete-oidc-trust).
    Fenced DELETE "/v0/oidc_trust/{name}" DeleteTrust "delete_oidc_trust" -> Accepted {
        path { name: String }
    }

    /// Lists the tenant's members. For administrators.
    ///
    /// [Reference](https://docs.feldera.com/api/list-tenant-members).
    Safe GET "/v0/tenant/users" ListMembers "list_tenant_users" -> Vec<Member> {}

    /// Makes a user a member of the tenant. The user need not have logged in before.
    ///
    /// [Reference](https://docs.feldera.com/api/provision-tenant-member).
    Idempotent POST "/v0/tenant/users" AddMember "add_tenant_user" -> NewMember {
        json {
            /// The subject of the user's tokens.
            subject: String,
            /// The role of the member, up to `Admin`.
            role: Role,
        }
        json? {
            email: String,
        }
    }

    /// Changes the role of a member. Rejected with 404 if the user is not a member.
    ///
    /// [Reference](https://docs.feldera.com/api/assign-member-role).
    Idempotent PUT "/v0/tenant/users/{user_id}" SetMemberRole "put_tenant_user" -> Accepted {
        path { user_id: String }
        json {
            /// The new role, up to `Admin`.
            role: Role,
        }
    }

    /// Removes a member from the tenant. Rejected with 404 if the membership does not exist, also when an earlier
    /// attempt ended it.
    ///
    /// [Reference](https://docs.feldera.com/api/remove-tenant-member).
    Fenced DELETE "/v0/tenant/users/{user_id}" RemoveMember "delete_tenant_user" -> Accepted {
        path { user_id: String }
    }

    /// Lists all tenants. For owners, like all operations below.
    ///
    /// [Reference](https://docs.feldera.com/api/list-tenants).
    Safe GET "/v0/tenants" ListTenants "list_tenants" -> Vec<Tenant> {}

    /// Creates a tenant, or returns the existing tenant with this name.
    ///
    /// [Reference](https://docs.feldera.com/api/create-tenant).
    Idempotent POST "/v0/tenants" CreateTenant "create_tenant" -> Tenant {
        json {
            name: String,
        }
    }

    /// Returns a tenant. Rejected with 404 if the id does not exist.
    ///
    /// [Reference](https://docs.feldera.com/api/get-tenant).
    Safe GET "/v0/tenants/{tenant_id}" GetTenant "get_tenant" -> Tenant {
        path { tenant_id: String }
    }

    /// Deletes a tenant without resources.
    ///
    /// Rejected: 409 while the tenant has resources, 404 if the tenant does not exist, also when an earlier attempt
    /// deleted it. [Reference](https://docs.feldera.com/api/delete-tenant).
    Fenced DELETE "/v0/tenants/{tenant_id}" DeleteTenant "delete_tenant" -> Accepted {
        path { tenant_id: String }
    }

    /// Renames a tenant. Rejected with 409 if another tenant has the name, unless `displace_existing` is set.
    ///
    /// [Reference](https://docs.feldera.com/api/rename-tenant).
    Fenced PATCH "/v0/tenants/{tenant_id}" RenameTenant "patch_tenant" -> Renamed {
        path { tenant_id: String }
        json {
            /// The new name.
            name: String,
        }
        json? {
            /// Whether another tenant with this name gets another name. Otherwise the request is rejected with 409.
            displace_existing: bool,
        }
    }
}

string_enums! {
    /// The origin of a membership.
    pub enum MembershipOrigin {
        /// A claim of the member's token.
        Claim = "claim",
        /// Other information about the member.
        Derived = "derived",
        Api = "api",
    }
}

json_structs! {
    /// An API key, without the key.
    pub struct ApiKeyInfo {
        pub id: String,
        pub name: String,
        /// The role of the key. Since 0.327.
        pub role: Option<Role>,
        /// The scopes of the key. Before 0.327.
        pub scopes: Vec<String>,
    }

    /// A new API key.
    pub struct NewApiKey {
        pub id: String,
        pub name: String,
        /// The key. The server does not show it again.
        pub api_key: SecretText,
    }

    /// A trusted issuer of tokens.
    pub struct Trust {
        pub id: String,
        pub name: String,
        /// The issuer of the tokens.
        pub issuer: Option<String>,
        /// The subject of the tokens.
        pub subject: Option<String>,
        pub audience: Option<String>,
        pub description: Option<String>,
        /// The role that such a token has.
        pub role: Option<Role>,
    }

    /// A new trust.
    pub struct NewTrust {
        pub id: String,
        pub name: String,
    }

    /// A member of a tenant.
    pub struct Member {
        pub user_id: String,
        /// The issuer of the member's tokens.
        pub provider: Option<String>,
        /// The subject of the member's tokens.
        pub subject: Option<String>,
        pub role: Option<Role>,
        pub display_name: Option<String>,
        pub email: Option<String>,
        /// Whether the address is verified.
        pub email_verified: Option<bool>,
        pub origin: Option<MembershipOrigin>,
    }

    /// A new member.
    pub struct NewMember {
        pub user_id: String,
    }

    /// A tenant.
    pub struct Tenant {
        pub id: String,
        pub name: String,
        /// The issuer of the token of the user for whom the tenant was created.
        pub initial_provider: Option<String>,
    }

    /// The result of renaming a tenant.
    pub struct Renamed {
        /// The tenant that had the name before, with its new name.
        pub displaced: Option<Tenant>,
    }
}
