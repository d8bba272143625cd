//! [`PartialList`]: a list that tells whether it is complete.

use std::ops::Deref;

use serde::de::{SeqAccess, Visitor};
use serde::ser::SerializeSeq as _;
use serde::{Deserializer, Serializer};

use super::field::AsWire;
use super::{Value, WireField};

/// A list of a response, and how many of its items this version of the library cannot read.
///
/// An item that a later release of the service writes in another way costs only itself. But that an item is not in the
/// list means something only if the list [is complete](Self::is_complete).
///
/// ```
/// use pipewright::flink::jobs::JobsOverview;
/// let overview: JobsOverview = serde_json::from_str(r#"{"jobs":[null]}"#)?;
/// assert!(overview.jobs.is_empty() && !overview.jobs.is_complete());
/// assert_eq!(overview.jobs.unreadable(), 1);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartialList<T> {
    items: Vec<T>,
    unreadable: usize,
}

impl<T> PartialList<T> {
    /// Returns how many items of the list cannot be read, and are not in it.
    pub fn unreadable(&self) -> usize {
        self.unreadable
    }

    /// Returns whether all items of the list were read.
    pub fn is_complete(&self) -> bool {
        self.unreadable == 0
    }

    /// Returns the items that were read.
    pub fn into_vec(self) -> Vec<T> {
        self.items
    }
}

impl<T> Default for PartialList<T> {
    fn default() -> Self {
        Vec::new().into()
    }
}

impl<T> From<Vec<T>> for PartialList<T> {
    fn from(items: Vec<T>) -> Self {
        Self { items, unreadable: 0 }
    }
}

impl<T> Deref for PartialList<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.items
    }
}

impl<T> IntoIterator for PartialList<T> {
    type Item = T;
    type IntoIter = std::vec::IntoIter<T>;

    fn into_iter(self) -> Self::IntoIter {
        self.items.into_iter()
    }
}

impl<'a, T> IntoIterator for &'a PartialList<T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.items.iter()
    }
}

/// An item that cannot be read is `null`: see [`json`](crate::json). A list that is absent or `null` is empty, as other
/// lists are: the service says so itself.
impl<T: WireField> WireField for PartialList<T> {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Items<T>(PartialList<T>);

        impl<'de, T: WireField> Visitor<'de> for Items<T> {
            type Value = PartialList<T>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<PartialList<T>, A::Error> {
                while let Some(item) = items.next_element::<Option<Value<T>>>()? {
                    match item {
                        Some(Value(item)) => self.0.items.push(item),
                        None => self.0.unreadable += 1,
                    }
                }
                Ok(self.0)
            }
        }

        deserializer.deserialize_seq(Items(Self { items: Vec::new(), unreadable: 0 }))
    }

    fn absent() -> Option<Self> {
        Some(Self::default())
    }

    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.items.len() + self.unreadable))?;
        for item in &self.items {
            list.serialize_element(&AsWire(item))?;
        }
        for _ in 0..self.unreadable {
            list.serialize_element(&())?;
        }
        list.end()
    }
}

#[cfg(test)]
mod tests {
    use super::PartialList;
    use crate::json::read_answer;
    use crate::schema::json_structs;

    json_structs! {
        /// A list that tells whether it is complete.
        struct Listed {
            /// An item that cannot be read is counted.
            pub items: PartialList<Item> = "items" (decisive),
        }

        /// An item.
        struct Item {
            /// Must be there.
            pub id: u32,
            /// May be absent.
            pub note: Option<bool>,
            /// May be absent, but is never made so.
            pub state: Option<bool> = "state" (decisive),
        }
    }

    #[test]
    fn items_of_a_partial_list_that_do_not_fit_are_counted() {
        let read = |text: &str| {
            let listed: Listed = read_answer(text.as_bytes()).ok()?;
            let unreadable = listed.items.unreadable();
            Some((listed.items.into_iter().map(|item| item.id).collect::<Vec<_>>(), unreadable))
        };
        for odd in ["{}", "[]", "null", "7", "\"text\"", r#"{"id":{}}"#, r#"{"id":1,"state":"odd"}"#] {
            let text = r#"{"items":[{"id":1},ODD,{"id":2,"note":[]},ODD]}"#.replace("ODD", odd);
            assert_eq!(read(&text), Some((vec![1, 2], 2)), "{odd}");
        }
        for empty in ["{}", r#"{"items":null}"#, r#"{"items":[]}"#] {
            assert_eq!(read(empty), Some((vec![], 0)), "{empty}");
        }
        for no_list in [r#"{"items":7}"#, r#"{"items":{}}"#] {
            assert_eq!(read(no_list), None, "{no_list}");
        }
        let text = r#"{"items":[{"id":1,"note":true,"state":null},null,null]}"#;
        let listed: Listed = read_answer(text.as_bytes()).expect("a list");
        assert_eq!(serde_json::to_string(&listed).expect("JSON"), text);
    }
}
