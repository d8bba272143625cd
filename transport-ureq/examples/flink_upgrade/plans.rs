//! [`compare`]: which vertices of a running job exist in the plan of its next jar.
//!
//! A savepoint stores state by operator id. A plan shows one id for each vertex: that of the first operator of its
//! chain. So the comparison is a warning and not a proof, in both directions: see [`LIMITS`].

use std::collections::BTreeMap;
use std::fmt;

use pipewright::flink::jars::{Graph, Node};

/// What a plan does not show.
pub(crate) const LIMITS: &str = "\
a plan shows one id for each vertex: that of the first operator of its chain. It does not show the ids of the operators behind \
it, which operators have state, or whether types of state are compatible. So the savepoint may still be rejected; the upgrade \
then rolls back";

/// A vertex of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Vertex {
    pub(crate) id: String,
    /// The operators of its chain, as in `Source: numbers, throttle`.
    pub(crate) operators: String,
}

/// How the plan of the next jar differs from that of the running job.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Comparison {
    /// Vertices of both plans.
    pub(crate) kept: Vec<Vertex>,
    /// Vertices of both plans whose chains have other operators: as they run, and as they will.
    pub(crate) changed: Vec<(Vertex, Vertex)>,
    /// Vertices of the running job alone. A savepoint of the job is rejected if they have state, unless their first
    /// operators are in other chains now.
    pub(crate) vanished: Vec<Vertex>,
    /// Vertices of the next jar alone, which begin without state.
    pub(crate) added: Vec<Vertex>,
}

impl Comparison {
    /// Whether both plans have the same vertices.
    pub(crate) fn is_same(&self) -> bool {
        self.changed.is_empty() && self.vanished.is_empty() && self.added.is_empty()
    }
}

/// Compares two plans; `None` if the first plan has no vertices, as that of a job whose graph does not exist yet.
pub(crate) fn compare(running: &Graph, next: &Graph) -> Option<Comparison> {
    let mut before: BTreeMap<String, Vertex> = vertices(running);
    if before.is_empty() {
        return None;
    }
    let mut comparison = Comparison::default();
    for (id, vertex) in vertices(next) {
        match before.remove(&id) {
            Some(same) if same == vertex => comparison.kept.push(vertex),
            Some(other) => comparison.changed.push((other, vertex)),
            None => comparison.added.push(vertex),
        }
    }
    comparison.vanished = before.into_values().collect();
    Some(comparison)
}

fn vertices(graph: &Graph) -> BTreeMap<String, Vertex> {
    let vertex = |node: &Node| Vertex {
        id: node.id.clone(),
        operators: operators(node.description.as_deref().unwrap_or_default()),
    };
    graph.nodes.iter().map(|node| (node.id.clone(), vertex(node))).collect()
}

/// The text of a description, which is HTML: `count<br/>+- Sink: print<br/>`, or `count -&gt; Sink: print` before 1.14.
fn operators(description: &str) -> String {
    let text = description.replace("<br/>", "\n").replace(" -&gt; ", "\n");
    let parts = text.lines().map(|line| line.trim_start_matches([' ', ':', '+', '-', '|']).trim());
    let parts: Vec<&str> = parts.filter(|part| !part.is_empty()).collect();
    parts.join(", ").replace("&gt;", ">").replace("&lt;", "<").replace("&quot;", "\"").replace("&amp;", "&")
}

impl fmt::Display for Vertex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "vertex {} ({})", self.id, self.operators)
    }
}

/// A line for each vertex.
impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kept, changed, vanished, added } = self;
        write!(f, "{} vertices in both plans with the same operators", kept.len())?;
        for (before, after) in changed {
            write!(f, "\n{before} will have other operators: {}", after.operators)?;
        }
        for vertex in vanished {
            write!(
                f,
                "\n{vertex} vanishes: its state cannot be restored, unless its first operator is in another chain now"
            )?;
        }
        for vertex in added {
            write!(f, "\n{vertex} is new: it begins without state")?;
        }
        Ok(())
    }
}
