//! The gateway itself: the versions of its API, and its release.

use super::FlinkSqlGateway;
use crate::schema::{json_structs, operations, string_enums};

operations! { FlinkSqlGateway;
    /// Returns the versions of the API that the gateway supports. Since v1.
    ///
    /// Never rejects.
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/sql/interfaces/sql-gateway/rest/).
    Safe GET "/api_versions" GetApiVersion "getApiVersion" -> ApiVersions {}

    /// Returns the product and its release. Since v1.
    ///
    /// Never rejects.
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/sql/interfaces/sql-gateway/rest/).
    Safe GET "/info" GetInfo "getInfo" -> Info {}
}

json_structs! {
    /// The versions of the API that a gateway supports.
    pub struct ApiVersions {
        /// Oldest first.
        pub versions: Vec<ApiVersion>,
    }

    /// Product and release.
    pub struct Info {
        /// `Apache Flink`.
        pub product_name: Option<String> = "productName",
        /// Flink's version, as in `2.3.0`.
        pub version: Option<String>,
    }
}

string_enums! {
    /// A version of the gateway's API.
    pub enum ApiVersion {
        /// Sessions, statements, operations. Flink 1.16.
        V1 = "V1",
        /// [`ConfigureSession`](super::sessions::ConfigureSession),
        /// [`CompleteStatement`](super::sessions::CompleteStatement) and the
        /// [`row_format`](super::statements::FetchResults::row_format) of results. Flink 1.17.
        V2 = "V2",
        /// [`RefreshMaterializedTable`](super::statements::RefreshMaterializedTable). Flink 1.20.
        V3 = "V3",
        /// [`DeployScript`](super::statements::DeployScript). Flink 2.0.
        V4 = "V4",
    }
}

impl ApiVersions {
    /// Returns the newest version that this library knows; `None` if it knows no version of the list.
    pub fn newest(&self) -> Option<&ApiVersion> {
        self.versions.iter().filter(|version| !matches!(version, ApiVersion::Unknown(_))).max()
    }
}
