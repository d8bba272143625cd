//! The profiler of JobManagers and TaskManagers: [async-profiler](https://github.com/async-profiler/async-profiler).
//! Since 1.19, and not in the published description.
//!
//! The operations are rejected with 404 unless `rest.profiling.enabled` is set. A profile has no id: find it in the
//! list by the time of its start. The goal [`Profile`](super::flow::Profile) starts a profile, waits for it and fetches
//! it.

use bytes::Bytes;
use http::Response;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{FlinkRest, Millis, TaskManagerId};
use crate::error::ServiceError;
use crate::operation::{FromResponse, OperationInfo, reject_compressed};
use crate::schema::{json_structs, operations, string_enums};

operations! { FlinkRest;
    /// Lists the profiles of the JobManager, newest first. It keeps `rest.profiling.history-size` (10).
    ///
    /// Rejected with 404 while profiling is switched off.
    Safe GET "/jobmanager/profiler" ListJobManagerProfiles "getJobManagerProfilingList" -> Profiles {}

    /// Starts to profile the JobManager. The response comes at once: poll [`ListJobManagerProfiles`].
    ///
    /// Rejected with 404 while profiling is switched off. Rejected with **500** while another profile is being taken,
    /// and if the duration is too long. If the machine does not offer the mode, the profile fails later.
    Once POST "/jobmanager/profiler" StartJobManagerProfile "triggerJobManagerProfiling" -> ProfileInfo {
        json {
            /// What to sample.
            mode: ProfileMode,
            /// For how long; seconds, from 1 to `rest.profiling.duration-max` (300).
            duration: u32,
        }
    }

    /// Returns a profile of the JobManager, as a page for a browser.
    ///
    /// An unknown file is rejected with 404.
    Safe GET "/jobmanager/profiler/{filename}" GetJobManagerProfile "getJobManagerProfilingFile" -> ProfilePage {
        path {
            /// The name from [`ProfileInfo::output_file`].
            filename: String,
        }
    }

    /// Lists the profiles of a TaskManager, newest first. It keeps `rest.profiling.history-size` (10).
    ///
    /// Rejected with 404 while profiling is switched off, an unknown TaskManager with **500**.
    Safe GET "/taskmanagers/{taskmanagerid}/profiler"
    ListTaskManagerProfiles "getTaskManagerProfilingList" -> Profiles {
        path { taskmanagerid: TaskManagerId }
    }

    /// Starts to profile a TaskManager. The response comes at once: poll [`ListTaskManagerProfiles`].
    ///
    /// Rejected as [`StartJobManagerProfile`] is, and an unknown TaskManager with **500**.
    Once POST "/taskmanagers/{taskmanagerid}/profiler"
    StartTaskManagerProfile "triggerTaskManagerProfiling" -> ProfileInfo {
        path { taskmanagerid: TaskManagerId }
        json {
            /// What to sample.
            mode: ProfileMode,
            /// For how long; seconds, from 1 to `rest.profiling.duration-max` (300).
            duration: u32,
        }
    }

    /// Returns a profile of a TaskManager, as a page for a browser.
    ///
    /// An unknown TaskManager and an unknown file are rejected with **500**.
    Safe GET "/taskmanagers/{taskmanagerid}/profiler/{filename}"
    GetTaskManagerProfile "getTaskManagerProfilingFile" -> ProfilePage {
        path {
            taskmanagerid: TaskManagerId,
            /// The name from [`ProfileInfo::output_file`].
            filename: String,
        }
    }
}

string_enums! {
    /// What a profile samples.
    pub enum ProfileMode {
        /// Threads on a CPU, by hardware counters. Needs permissions that containers often lack.
        Cpu = "CPU",
        /// Allocations.
        Alloc = "ALLOC",
        /// Contended locks.
        Lock = "LOCK",
        /// All threads, whether they run or wait.
        Wall = "WALL",
        /// Threads on a CPU, by a timer. Works on every machine on which async-profiler works.
        Itimer = "ITIMER",
    }

    /// The status of a profile.
    pub enum ProfileStatus {
        Running = "RUNNING",
        Finished = "FINISHED",
        Failed = "FAILED",
    }
}

json_structs! {
    /// The profiles of a process.
    pub struct Profiles {
        /// Newest first.
        pub profiles: Vec<ProfileInfo> = "profilingList",
    }

    /// A profile in the list of profiles.
    pub struct ProfileInfo in camel {
        pub status: ProfileStatus,
        pub mode: ProfileMode,
        /// When it was started. This time identifies the profile.
        pub trigger_time: Millis,
        /// When it was finished.
        pub finished_time: Option<Millis>,
        /// How many seconds it samples.
        pub duration: i64,
        /// The server's message about how it ended.
        pub message: Option<String>,
        /// The file with the profile.
        pub output_file: Option<String>,
        /// The same as `mode`.
        pub profiling_mode: Option<ProfileMode>,
    }
}

/// A profile: an HTML page that contains its data.
#[derive(Clone, PartialEq, Eq)]
pub struct ProfilePage(pub String);

impl std::fmt::Debug for ProfilePage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ProfilePage({} bytes)", self.0.len())
    }
}

impl Serialize for ProfilePage {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for ProfilePage {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self)
    }
}

impl FromResponse for ProfilePage {
    /// The server calls it `text/plain`, though it is HTML; `text/html` comes from a proxy.
    fn from_response(info: &'static OperationInfo, response: &Response<Bytes>) -> Result<Self, ServiceError> {
        let kind = crate::error::content_type(response);
        if let Some(kind) = kind.filter(|kind| kind.eq_ignore_ascii_case("text/html")) {
            return Err(ServiceError::unreadable(info, response, &format!("expected text/plain, got {kind}")));
        }
        reject_compressed(info, response)?;
        let problem = match std::str::from_utf8(response.body()) {
            Ok(page) if page.contains('\0') => "a NUL, which no page has".to_owned(),
            Ok(page) if page.trim_end().ends_with("</html>") => return Ok(Self(page.to_owned())),
            Ok("") => "the body is empty".to_owned(),
            Ok(_) => "the page has no end".to_owned(),
            Err(error) => format!("not UTF-8 at byte {}", error.valid_up_to()),
        };
        // A truncated or garbled page may arrive complete at the next attempt.
        Err(ServiceError::unreadable(info, response, &problem).with_transient(true))
    }
}
