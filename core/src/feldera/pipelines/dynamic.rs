//! The part of a pipeline's configuration that can change while it runs.

use crate::feldera::ByteSize;
use crate::feldera::settings::settings;

settings! {
    /// The part of a pipeline's configuration that can change while it runs. Requests leave out fields that are `None`.
    /// Since 0.375.
    pub struct DynamicConfig {
        /// Processors and memory.
        pub resources: Option<DynamicResources>,
    }

    /// The processors and the memory of a running pipeline. Requests leave out fields that are `None`. Since 0.375.
    pub struct DynamicResources {
        /// The minimum number of processors.
        pub cpu_cores_min: Option<f64>,
        /// The maximum number of processors.
        pub cpu_cores_max: Option<f64>,
        /// The minimum memory.
        pub memory_min: Option<ByteSize>,
        /// The maximum memory.
        pub memory_max: Option<ByteSize>,
    }
}

impl DynamicResources {
    /// Returns whether nothing is set.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Returns whether everything that `wanted` sets has the same value here. Sizes are compared by their bytes.
    pub(crate) fn agrees_with(&self, wanted: &Self) -> bool {
        fn same<T: PartialEq + Copy>(wanted: Option<T>, is: Option<T>) -> bool {
            wanted.is_none() || wanted == is
        }
        same(wanted.cpu_cores_min, self.cpu_cores_min)
            && same(wanted.cpu_cores_max, self.cpu_cores_max)
            && same(wanted.memory_min, self.memory_min)
            && same(wanted.memory_max, self.memory_max)
    }
}
