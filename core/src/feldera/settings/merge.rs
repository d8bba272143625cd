//! Settings that the library does not know are merged as JSON.

use std::collections::BTreeMap;

use crate::feldera::Json;

/// Merges wanted values into existing values, and keeps the rest.
pub(in crate::feldera) fn merge_unknown(has: &mut BTreeMap<String, Json>, wanted: &BTreeMap<String, Json>) {
    for (name, wanted) in wanted {
        let merged = has.get(name).map_or_else(|| wanted.clone(), |has| merge(has, wanted));
        has.insert(name.clone(), merged);
    }
}

/// Merges objects field by field. Any other value is replaced, unless it is the same.
pub(in crate::feldera) fn merge(has: &Json, wanted: &Json) -> Json {
    let fields = |json: &Json| json.parse::<BTreeMap<String, Json>>().ok();
    let Some((mut merged, wanted_fields)) = fields(has).zip(fields(wanted)) else {
        return if has == wanted { has.clone() } else { wanted.clone() };
    };
    merge_unknown(&mut merged, &wanted_fields);
    Json::of(&merged).unwrap_or_else(|_| wanted.clone())
}
