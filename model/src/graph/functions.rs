//! How large a graph becomes once its functions replace the nodes that call them, as engines do.
//!
//! Functions that call one another twice double with each: 2 kB can expand to more nodes than any machine
//! holds. This module replaces nothing.

use std::collections::HashMap;

use tract_onnx::pb::{FunctionProto, GraphProto, ModelProto, NodeProto};

use super::wire::MOST_NODES;
use crate::error::ModelError;

/// Calls inside of calls. Exporters make about ten.
const DEEPEST: usize = 100;

/// Refuses a model that becomes too large, or whose functions call themselves.
pub(super) fn check(proto: &ModelProto) -> Result<(), ModelError> {
    if proto.functions.is_empty() {
        return Ok(());
    }
    let Some(graph) = &proto.graph else { return Ok(()) };
    let mut calls = Calls { functions: HashMap::new(), known: HashMap::new() };
    for function in &proto.functions {
        let (domain, name) = (function.domain.as_deref(), function.name.as_deref());
        let key = key(domain.unwrap_or_default(), name.unwrap_or_default());
        calls.functions.entry(key).or_default().push(function);
    }
    let size = calls.graph(graph, 0)?;
    if size.nodes > MOST_NODES {
        return Err(refused(&format!("expand to more than {MOST_NODES} nodes")));
    }
    Ok(())
}

type Key<'a> = (&'a str, &'a str);

fn key<'a>(domain: &'a str, name: &'a str) -> Key<'a> {
    (if domain == "ai.onnx" { "" } else { domain }, name)
}

struct Calls<'a> {
    /// Several of one name differ in what they overload: the largest counts.
    functions: HashMap<Key<'a>, Vec<&'a FunctionProto>>,
    known: HashMap<Key<'a>, Size>,
}

/// What something becomes.
#[derive(Clone, Copy, Default)]
struct Size {
    nodes: u64,
    /// Calls inside of calls.
    depth: usize,
}

impl Size {
    fn add(&mut self, other: Self) {
        self.nodes = self.nodes.saturating_add(other.nodes);
        self.depth = self.depth.max(other.depth);
    }
}

impl<'a> Calls<'a> {
    fn graph(&mut self, graph: &'a GraphProto, depth: usize) -> Result<Size, ModelError> {
        self.nodes(&graph.node, depth)
    }

    fn nodes(&mut self, nodes: &'a [NodeProto], depth: usize) -> Result<Size, ModelError> {
        let mut size = Size::default();
        for node in nodes {
            size.add(Size { nodes: 1, depth: 0 });
            size.add(self.call(key(&node.domain, &node.op_type), depth)?);
            for attribute in &node.attribute {
                for graph in attribute.g.iter().chain(&attribute.graphs) {
                    size.add(self.graph(graph, depth)?);
                }
            }
        }
        Ok(size)
    }

    /// What a call of `key` becomes; nothing if no function has that name.
    fn call(&mut self, key: Key<'a>, depth: usize) -> Result<Size, ModelError> {
        let known = self.known.get(&key).copied();
        if depth + known.map_or(0, |size| size.depth) > DEEPEST {
            return Err(refused(&format!("call each other more than {DEEPEST} deep, or themselves")));
        }
        if let Some(size) = known {
            return Ok(size);
        }
        let Some(functions) = self.functions.get(&key).cloned() else { return Ok(Size::default()) };
        let mut largest = Size::default();
        for function in functions {
            let size = self.nodes(&function.node, depth + 1)?;
            largest.nodes = largest.nodes.max(size.nodes);
            largest.depth = largest.depth.max(size.depth + 1);
        }
        self.known.insert(key, largest);
        Ok(largest)
    }
}

fn refused(why: &str) -> ModelError {
    ModelError::new(format!("its functions {why}: refused; export the model with its functions inlined"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calls(names: &[&str]) -> Vec<NodeProto> {
        let node = |name: &&str| NodeProto {
            op_type: (*name).to_owned(),
            domain: "own".to_owned(),
            ..NodeProto::default()
        };
        names.iter().map(node).collect()
    }

    fn model(functions: &[(String, Vec<String>)]) -> ModelProto {
        let function = |(name, called): &(String, Vec<String>)| FunctionProto {
            name: Some(name.clone()),
            domain: Some("own".to_owned()),
            node: calls(&called.iter().map(String::as_str).collect::<Vec<_>>()),
            ..FunctionProto::default()
        };
        ModelProto {
            graph: Some(GraphProto { node: calls(&["f0"]), ..GraphProto::default() }),
            functions: functions.iter().map(function).collect(),
            ..ModelProto::default()
        }
    }

    /// `count` functions, each of which calls the next `times` times.
    fn chain(count: usize, times: usize) -> ModelProto {
        let function = |index| (format!("f{index}"), vec![format!("f{}", index + 1); times]);
        model(&(0..count).map(function).collect::<Vec<_>>())
    }

    fn error(proto: &ModelProto) -> String {
        check(proto).unwrap_err().to_string()
    }

    #[test]
    fn functions_that_double_are_refused_however_small_their_file_is() {
        assert!(check(&chain(18, 2)).is_ok());
        insta::assert_snapshot!(error(&chain(28, 2)), @"its functions expand to more than 1000000 nodes: refused; export the model with its functions inlined");
        // It would be 2^90 nodes: a sum that overflowed would let it through.
        assert!(error(&chain(90, 2)).contains("expand to more"));
    }

    #[test]
    fn functions_that_call_themselves_or_without_an_end_are_refused() {
        assert!(check(&chain(90, 1)).is_ok());
        insta::assert_snapshot!(error(&chain(100_000, 1)), @"its functions call each other more than 100 deep, or themselves: refused; export the model with its functions inlined");
        let circle =
            model(&[("f0".to_owned(), vec!["f1".to_owned()]), ("f1".to_owned(), vec!["f0".to_owned()])]);
        assert!(error(&circle).contains("or themselves"));
    }

    #[test]
    fn the_largest_of_one_name_counts_and_a_known_one_counts_in_depth_too() {
        let mut both = chain(28, 2);
        both.functions.insert(
            0,
            FunctionProto {
                name: Some("f0".to_owned()),
                domain: Some("own".to_owned()),
                ..FunctionProto::default()
            },
        );
        assert!(error(&both).contains("expand to more"));
        let mut late = chain(60, 1);
        // f30 is known with 30 calls below it before a chain of 80 ends in it.
        let node = |name: &str| calls(&[name]).remove(0);
        late.graph.as_mut().unwrap().node.push(node("g0"));
        for index in 0..80 {
            let next = if index == 79 { "f30".to_owned() } else { format!("g{}", index + 1) };
            late.functions.push(FunctionProto {
                name: Some(format!("g{index}")),
                domain: Some("own".to_owned()),
                node: vec![node(&next)],
                ..FunctionProto::default()
            });
        }
        assert!(error(&late).contains("more than 100 deep"));
    }
}
