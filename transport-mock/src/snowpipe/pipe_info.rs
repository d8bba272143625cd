//! What the vendor's SDK reads of a pipe before it opens a channel. No document describes it: the shape is what SDK
//! 1.9.1 reads.

use std::time::Duration;

use serde_json::{Value, json};

use super::views::ChannelPath;

/// After this time, less one minute, the SDK asks again.
const LIFE: Duration = Duration::from_secs(3600);
/// The answer to `{pipe}:pipe-info`. Its stage does not exist: a file cannot be uploaded to it.
pub(super) fn pipe_info(pipe: &ChannelPath, now: Duration) -> Value {
    let stage = stage(pipe, now.saturating_add(LIFE));
    json!({
        "rowset_stage_location": stage,
        "durable_stage_location": stage,
        // A key of 32 bytes, none of them secret.
        "encryption_info": { "pipe_key": format!("{}=", "A".repeat(43)), "pipe_key_id": 1, "diversifier": "simulated" },
        "parameter_overrides": {},
    })
}

fn stage(pipe: &ChannelPath, expires: Duration) -> Value {
    let prefix = format!("{}/{}/{}/", pipe.database, pipe.schema, pipe.pipe);
    json!({
        "location": format!("simulated/{prefix}"),
        "expiry_time_ms": u64::try_from(expires.as_millis()).unwrap_or(u64::MAX),
        "location_type": "S3",
        "use_s3_regional_url": false,
        "region": "us-east-1",
        "storage_account": null,
        "bucket_name": "simulated",
        "path_prefix": prefix,
        "storage_endpoint": null,
        "creds": { "AWS_KEY_ID": "simulated", "AWS_SECRET_KEY": "simulated", "AWS_TOKEN": "simulated" },
        "parameters": {
            "max_client_lag_seconds": 1,
            "rowset_flush_threshold_kb": 1024,
            "max_buffered_kb_for_rowset_mode": 4096,
            "rowset_threshold_lookback_seconds": 60,
            "rowset_threshold_ewma_weight": 50,
            "target_file_size_compressed_mb": 16,
            "cpu_throttle_high_watermark_percent": 95,
            "cpu_throttle_low_watermark_percent": 90,
            "mem_throttle_high_watermark_percent": 95,
            "mem_throttle_low_watermark_percent": 90,
        },
    })
}
