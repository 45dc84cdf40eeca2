//! No two modules of a crate that share a parent depend on each other, not even through others: a reader can
//! take in a folder from the bottom up.
//!
//! It reads paths that start with `crate`, `self` or `super`, and no test modules. A module and its own
//! parent may use each other.

use std::collections::{BTreeMap, BTreeSet};

use tagfleet_tests::project;

use super::{CRATES, read, sources};

/// Cycles that remain: `crate::parent: members`. The test also fails if one of them no longer exists.
const KNOWN: [&str; 4] = [
    "aws: client, signed",
    "cli::fit: candidates, geometry",
    "cli::fleet: publish, submit",
    "cli::fleet: run_status, status, watch",
];

/// The path of a module in its crate; empty for the root.
type Module = Vec<String>;

/// The modules that each module uses. All of them share one parent.
type Siblings = BTreeMap<String, BTreeSet<String>>;

/// A crate's modules with their code, test modules left out.
fn modules(folder: &str) -> BTreeMap<Module, String> {
    let source = project(folder).join("src");
    let mut modules = BTreeMap::new();
    for file in sources(&format!("{folder}/src")) {
        let path = file.strip_prefix(&source).unwrap().with_extension("").display().to_string();
        if !path.contains("test") {
            modules.insert(module(&path), code(&read(&file)));
        }
    }
    modules
}

/// `folder/description` is the module `folder::description`.
fn module(path: &str) -> Module {
    let mut names: Module = path.split('/').map(str::to_owned).collect();
    if ["lib", "main", "mod"].contains(&names[names.len() - 1].as_str()) {
        names.pop();
    }
    names
}

/// A file without its comments and the items that only tests have.
fn code(source: &str) -> String {
    let mut code = String::new();
    let mut lines = source.lines();
    while let Some(line) = lines.next() {
        if line == "#[cfg(test)]" {
            let opens_block = lines.next().is_some_and(|item| item.ends_with('{'));
            while opens_block && lines.next().is_some_and(|line| !line.starts_with('}')) {}
        } else {
            code.push_str(line.split("//").next().unwrap_or_default());
            code.push('\n');
        }
    }
    code
}

/// All paths of the code that start with `crate`, `self` or `super`, those of nested braces too.
fn paths(code: &str) -> Vec<Vec<&str>> {
    let starts = ["crate", "self", "super"];
    let mut paths = Vec::new();
    for (at, _) in code.match_indices("::") {
        let first = last_name(&code[..at]);
        let before = code[..at - first.len()].trim_end();
        if starts.contains(&first) && !before.ends_with("::") {
            let mut rest = &code[at - first.len()..];
            read_tree(&mut rest, &[], &mut paths);
        }
    }
    paths
}

fn last_name(text: &str) -> &str {
    &text[text.trim_end_matches(is_of_name).len()..]
}

fn is_of_name(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// Reads one path or one tree of a `use`, and leaves what follows it in `rest`.
fn read_tree<'a>(rest: &mut &'a str, prefix: &[&'a str], paths: &mut Vec<Vec<&'a str>>) {
    let mut path = prefix.to_vec();
    loop {
        *rest = rest.trim_start();
        if let Some(group) = rest.strip_prefix('{') {
            *rest = group;
            return read_group(rest, &path, paths);
        }
        let end = rest.find(|character| !is_of_name(character)).unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        path.push(name);
        *rest = after;
        let Some(next) = rest.strip_prefix("::") else { break };
        *rest = next;
    }
    paths.push(path);
}

/// Reads the trees of a group whose opening brace is read, up to its closing one.
fn read_group<'a>(rest: &mut &'a str, prefix: &[&'a str], paths: &mut Vec<Vec<&'a str>>) {
    while !rest.is_empty() {
        *rest = rest.trim_start_matches(|character: char| character == ',' || character.is_whitespace());
        if let Some(after) = rest.strip_prefix('}') {
            *rest = after;
            return;
        }
        read_tree(rest, prefix, paths);
        // `as name` does not matter.
        *rest = &rest[rest.find([',', '}']).unwrap_or(rest.len())..];
    }
}

/// The module that a path in module `from` leads to: the longest part of the path that is a module.
fn target(from: &Module, path: &[&str], modules: &BTreeMap<Module, String>) -> Module {
    let mut target = if path[0] == "crate" { Module::new() } else { from.clone() };
    for name in path {
        match *name {
            "crate" | "self" => {}
            "super" => {
                target.pop();
            }
            name => target.push(name.to_owned()),
        }
    }
    while !target.is_empty() && !modules.contains_key(&target) {
        target.pop();
    }
    target
}

/// What siblings use of each other, by their parent.
fn siblings(modules: &BTreeMap<Module, String>) -> BTreeMap<Module, Siblings> {
    let mut graphs: BTreeMap<Module, Siblings> = BTreeMap::new();
    for (from, code) in modules {
        for path in paths(code) {
            let to = target(from, &path, modules);
            let common = from.iter().zip(&to).take_while(|(from, to)| from == to).count();
            if let (Some(user), Some(used)) = (from.get(common), to.get(common)) {
                let graph = graphs.entry(from[..common].to_vec()).or_default();
                graph.entry(user.clone()).or_default().insert(used.clone());
            }
        }
    }
    graphs
}

/// Every module that `start` uses, directly or through others.
fn reachable<'a>(graph: &'a Siblings, start: &str) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut waiting = vec![start];
    while let Some(module) = waiting.pop() {
        for used in graph.get(module).into_iter().flatten() {
            if reached.insert(used.as_str()) {
                waiting.push(used);
            }
        }
    }
    reached
}

/// The groups of siblings that reach each other: `crate::parent: members`.
fn cycles(name: &str, modules: &BTreeMap<Module, String>) -> BTreeSet<String> {
    let mut cycles = BTreeSet::new();
    for (parent, graph) in siblings(modules) {
        for module in graph.keys() {
            let mut members = reachable(&graph, module);
            members.retain(|member| reachable(&graph, member).contains(module.as_str()));
            if !members.is_empty() {
                let parent = [&[name.to_owned()], parent.as_slice()].concat().join("::");
                let members: Vec<_> = members.into_iter().collect();
                cycles.insert(format!("{parent}: {}", members.join(", ")));
            }
        }
    }
    cycles
}

#[test]
fn the_module_graph_of_no_crate_has_a_cycle() {
    let found: Vec<_> = CRATES.iter().flat_map(|folder| cycles(folder, &modules(folder))).collect();
    assert_eq!(found, KNOWN);
}

fn example(files: &[(&str, &str)]) -> BTreeMap<Module, String> {
    files.iter().map(|(path, source)| (module(path), code(source))).collect()
}

#[test]
fn a_cycle_through_groups_supers_and_children_is_found() {
    let modules = example(&[
        ("lib", "pub mod a;"),
        ("a", "use crate::{\n    b::{self, Bread as Loaf},\n    d,\n};"),
        ("a/child", "fn f() { super::super::d::g(); }"),
        ("b", "pub(super) use super::c::{Cake};"),
        ("c", "use std::fmt;"),
        ("c/inner", "fn f(x: crate::a::child::Apple) {}"),
        ("d", "use self::e::E;"),
        ("d/e", "use super::F;"),
    ]);
    assert_eq!(cycles("bakery", &modules), BTreeSet::from(["bakery: a, b, c".to_owned()]));
}

#[test]
fn a_cycle_below_a_module_is_found() {
    let modules = example(&[
        ("lib", ""),
        ("a", ""),
        ("a/x", "use super::y::Y;"),
        ("a/y", "use crate::a::x::X;"),
        ("b", "use crate::a::x;"),
    ]);
    assert_eq!(cycles("bakery", &modules), BTreeSet::from(["bakery::a: x, y".to_owned()]));
}

#[test]
fn comments_parents_and_tests_are_not_edges_of_the_graph() {
    let modules = example(&[
        ("lib", "use a::A;"),
        ("a", "use crate::b::B;"),
        ("b", "// use crate::a::A;\nuse super::Root;\n#[cfg(test)]\nmod tests {\n    use crate::a::A;\n}\n"),
    ]);
    assert_eq!(cycles("bakery", &modules), BTreeSet::new());
}
