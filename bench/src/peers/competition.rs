//! The competitors: tagfleet and its peers, with the settings that were found to be each peer's fastest.

use crate::context::Bench;
use crate::engines::EngineConfig;
use crate::models::Network;
use crate::pictures::Pair;
use crate::results::Part;
use crate::rows::{FP32, OPENVINO_DEFAULT, name_of_pool, name_of_ray, name_of_spark, name_of_tagfleet};

/// All competitors of a part, and the pictures that they tag.
pub(super) struct Competition<'a> {
    pub(super) network: Network,
    pub(super) pictures: &'a Pair,
    pub(super) competitors: Vec<Competitor>,
}

/// A program that takes part.
#[derive(Clone, Debug)]
pub(super) struct Competitor {
    /// For file names.
    pub(super) id: String,
    /// For people.
    pub(super) name: String,
    pub(super) kind: Kind,
}

#[derive(Clone, Debug)]
pub(super) enum Kind {
    Tagfleet { config: EngineConfig, is_exact: bool },
    Peer { script: &'static str, arguments: Vec<&'static str>, modules: Vec<&'static str> },
}

impl Competitor {
    fn tagfleet(config: EngineConfig, is_exact: bool) -> Self {
        let name = name_of_tagfleet(config, is_exact);
        let words =
            name.split(|character: char| !character.is_alphanumeric()).filter(|word| !word.is_empty());
        let id = words.map(str::to_lowercase).collect::<Vec<_>>().join("-");
        Self { id, name, kind: Kind::Tagfleet { config, is_exact } }
    }

    fn peer(
        id: &str,
        name: String,
        script: &'static str,
        arguments: &[&'static str],
        modules: &[&'static str],
    ) -> Self {
        let kind = Kind::Peer { script, arguments: arguments.to_vec(), modules: modules.to_vec() };
        Self { id: id.to_owned(), name, kind }
    }

    /// The arguments of `tagfleet run` besides those of the harness.
    pub(super) fn tagfleet_flags(&self) -> Vec<&'static str> {
        let Kind::Tagfleet { config, is_exact } = &self.kind else { return vec![] };
        let mut flags = config.flags();
        if *is_exact {
            flags.push("--exact");
        }
        flags
    }

    /// DALI brings its own decoder.
    pub(super) fn takes_decoder(&self) -> bool {
        !matches!(self.kind, Kind::Peer { script: "peer_dali.py", .. })
    }
}

const POOL: [&str; 5] = ["simplejpeg", "PIL", "numpy", "pyarrow", "onnxruntime"];

/// The pool, in the engines that peers know.
fn pools(batch: &[&'static str]) -> Vec<Competitor> {
    let with = |more: &[&'static str]| [batch, more].concat();
    let openvino = [POOL.as_slice(), &["openvino"]].concat();
    vec![
        Competitor::peer("pool", name_of_pool(FP32), "peer_pool.py", &with(&[]), &POOL),
        Competitor::peer(
            "pool-openvino",
            name_of_pool(OPENVINO_DEFAULT),
            "peer_pool.py",
            &with(&["--engine", "openvino"]),
            &openvino,
        ),
    ]
}

fn spark(batch: &[&'static str]) -> Competitor {
    let modules = [POOL.as_slice(), &["pyspark"]].concat();
    Competitor::peer("spark", name_of_spark(), "peer_spark.py", batch, &modules)
}

/// The frameworks, with ONNX Runtime.
fn frameworks() -> Vec<Competitor> {
    let peer = |id: &str, name: &str, script: &'static str, module: &'static str| {
        let modules = [POOL.as_slice(), &[module]].concat();
        Competitor::peer(id, format!("{name}, {FP32}"), script, &[], &modules)
    };
    vec![
        spark(&[]),
        Competitor::peer(
            "ray",
            name_of_ray(),
            "peer_ray.py",
            &[],
            &[POOL.as_slice(), &["ray.data"]].concat(),
        ),
        peer("daft", "Daft", "peer_daft.py", "daft"),
        peer("dataloader", "torch DataLoader", "peer_dataloader.py", "torch"),
        peer("dali", "DALI on the CPU", "peer_dali.py", "nvidia.dali"),
    ]
}

impl<'a> Competition<'a> {
    /// The competitors of `part`, tagfleet first.
    pub(super) fn new(bench: &'a Bench, part: Part) -> Self {
        let network = if part == Part::PeersResnet { Network::ResNet50 } else { Network::MobileNetV2 };
        let large = part == Part::PeersLarge;
        let pictures = if large { &bench.pictures.large } else { &bench.pictures.ordinary };
        Self { network, pictures, competitors: competitors(part, network) }
    }
}

fn competitors(part: Part, network: Network) -> Vec<Competitor> {
    let configs = [EngineConfig::usual(network), EngineConfig::bf16(network), EngineConfig::int8(network)];
    let mut competitors: Vec<Competitor> = configs.map(|config| Competitor::tagfleet(config, false)).into();
    match part {
        Part::PeersLarge => {
            competitors = vec![
                Competitor::tagfleet(EngineConfig::usual(network), false),
                Competitor::tagfleet(EngineConfig::usual(network), true),
            ];
            competitors.extend(pools(&[]));
        }
        Part::PeersResnet => {
            const BATCH: [&str; 2] = ["--batch", "8"];
            competitors.extend(pools(&BATCH));
            competitors.push(spark(&BATCH));
        }
        _ => {
            competitors.extend(pools(&[]));
            competitors.extend(frameworks());
        }
    }
    competitors
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_ids_are_told_apart_and_safe_in_a_file_name() {
        for part in [Part::PeersMobilenet, Part::PeersResnet, Part::PeersLarge] {
            let all = competitors(part, Network::MobileNetV2);
            let mut ids: Vec<_> = all.iter().map(|competitor| competitor.id.as_str()).collect();
            assert!(ids.iter().all(|id| !id.contains(['=', ',', '/', ' '])), "{ids:?}");
            ids.sort_unstable();
            ids.dedup();
            assert_eq!(ids.len(), all.len());
        }
    }
}
