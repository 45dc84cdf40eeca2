//! Which output gives the scores, and which is kept as a vector.
//!
//! A row of numbers is taken for scores on evidence alone: a softmax, sigmoid or layer with a bias before it,
//! its name, its labels, or as many values as ImageNet has classes. Any other row is a vector, and its images
//! get no tags.

use super::labels::LabelSources;
use super::{ModelOptions, Overrides};
use crate::error::ModelError;
use crate::graph::{Graph, ImageInput, OutputPort, Port};

/// Parts of names that exporters give to vectors.
const VECTORS: [&str; 7] =
    ["embed", "pooler", "pooled", "hidden_state", "feature", "descriptor", "representation"];
/// Parts of names that exporters give to scores.
const SCORES: [&str; 10] =
    ["logit", "score", "prob", "class", "pred", "softmax", "sigmoid", "label", "loss", "activation"];
/// Classes of ImageNet-1k and -21k, without and with TensorFlow's background, or as timm and Google count
/// them.
const IMAGENET: [usize; 4] = [1000, 1001, 21841, 21843];
/// The outputs that transformers' towers give, the best first.
const BEST_VECTORS: [&str; 4] = ["image_embeds", "pooler_output", "embedding", "embeddings"];

/// The outputs of a model that are read.
pub(super) struct Outputs<'a> {
    pub(super) scores: Option<&'a Port>,
    pub(super) vector: Option<OutputPort>,
}

/// Chooses among the outputs of `sources.graph`.
///
/// # Errors
/// If none can be read, or several could be the scores.
pub(super) fn choose<'a>(
    sources: LabelSources<'a>,
    input: &ImageInput,
    options: &ModelOptions<'_>,
    notes: &mut Vec<String>,
) -> Result<Outputs<'a>, ModelError> {
    let (graph, overrides) = (sources.graph, sources.overrides);
    let scores = scores(sources, input, overrides)?;
    let vector = match (options.vector, scores) {
        (Some(name), _) => Some(graph.output(name)?),
        (None, Some(_)) => None,
        (None, None) => Some(best_vector(graph)?),
    };
    if let (Some(vector), None) = (vector, scores) {
        notes.push(format!(
            "no output is a row of scores: rows have no tags, only the vector {0}; if {0} holds scores, set output = \"{0}\" in tagfleet.toml",
            vector.name
        ));
    }
    Ok(Outputs { scores, vector: vector.map(Port::kept).transpose()? })
}

fn scores<'a>(
    sources: LabelSources<'a>,
    input: &ImageInput,
    overrides: &Overrides,
) -> Result<Option<&'a Port>, ModelError> {
    let graph = sources.graph;
    if let Some(name) = &overrides.output {
        return graph.scores_output(name).map(Some);
    }
    let mut candidates = Vec::new();
    for port in graph.score_rows(input.batch) {
        if is_scores(port, sources)? {
            candidates.push(port);
        }
    }
    if let Some(port) = candidates.iter().find(|port| port.name == "logits") {
        return Ok(Some(port));
    }
    if candidates.len() > 1 {
        let labelled = sources.config.labels()?.map(|(names, _)| names.len());
        let fitting = |port: &&&Port| port.classes().is_some() && port.classes() == labelled;
        if let [port] = candidates.iter().filter(fitting).collect::<Vec<_>>().as_slice() {
            return Ok(Some(port));
        }
    }
    match candidates.as_slice() {
        [] => Ok(None),
        [port] => Ok(Some(port)),
        several => Err(ModelError::new(format!(
            "several outputs could be the scores ({}): name one in tagfleet.toml, as output = \"{}\"",
            several.iter().map(|port| port.describe()).collect::<Vec<_>>().join(", "),
            several[0].name
        ))),
    }
}

fn is_scores(port: &Port, sources: LabelSources<'_>) -> Result<bool, ModelError> {
    let name = port.name.to_lowercase();
    let has = |parts: &[&str]| parts.iter().any(|part| name.contains(part));
    if port.map.is_some() || port.probabilities.is_some() {
        return Ok(true);
    }
    if has(&VECTORS) {
        return Ok(false);
    }
    let classes = port.classes();
    let is_known = port.dense || has(&SCORES) || classes.is_some_and(|classes| IMAGENET.contains(&classes));
    Ok(is_known || sources.are_given(port, classes)?)
}

/// The default vector, if the user named none.
fn best_vector(graph: &Graph) -> Result<&Port, ModelError> {
    let rows: Vec<&Port> = graph.score_rows(None);
    let best = BEST_VECTORS.iter().find_map(|name| graph.outputs.iter().find(|port| port.name == *name));
    match (best, rows.as_slice()) {
        (Some(port), _) => Ok(port),
        (None, [port]) => Ok(port),
        _ => Err(graph.no_scores()),
    }
}
