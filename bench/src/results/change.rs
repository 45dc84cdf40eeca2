//! What changed against the figures of the last commit: one line for each that moved by more than noise does.

use clap::ValueEnum;

use crate::results::{Part, Quantity, Results, Row};

/// Less than this is noise.
const NOTABLE: f64 = 0.05;

/// Compares the medians of `parts`; `before` is what was committed, if anything.
pub(crate) fn report(before: Option<&Results>, now: &Results, parts: &[Part]) -> String {
    let Some(before) = before else {
        return "no figures are committed yet: nothing to compare with".to_owned();
    };
    let mut lines = Vec::new();
    if before.machine != now.machine {
        lines.push(format!(
            "the committed figures are of another machine ({}, {} cores): only ratios can be compared",
            before.machine.processor, before.machine.cores
        ));
    }
    let first = lines.len();
    for part in parts {
        let (Some(before), Some(now)) = (before.parts.get(part), now.parts.get(part)) else { continue };
        for row in &now.rows {
            let earlier = before.rows.iter().find(|earlier| earlier.name == row.name);
            let changes = earlier.map(|earlier| changes(earlier, row)).unwrap_or_default();
            lines.extend(changes.into_iter().map(|change| format!("{}: {change}", name(*part))));
        }
    }
    if lines.len() == first {
        lines.push("no figure changed by more than 5 % against the committed ones".to_owned());
    }
    lines.join("\n")
}

/// As it is given with --only.
fn name(part: Part) -> String {
    part.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

fn changes(before: &Row, now: &Row) -> Vec<String> {
    let mut lines = Vec::new();
    for &quantity in now.figures.keys() {
        let (Some(old), Some(new)) = (before.median(quantity), now.median(quantity)) else { continue };
        let change = (new - old) / old.abs().max(f64::MIN_POSITIVE);
        if change.abs() > NOTABLE {
            lines.push(line(&now.name, quantity, (old, new), change));
        }
    }
    match (&before.problem, &now.problem) {
        (None, Some(problem)) => lines.push(format!("{}: has figures no longer: {problem}", now.name)),
        (Some(_), None) => lines.push(format!("{}: has figures now", now.name)),
        _ => {}
    }
    lines
}

fn line(name: &str, quantity: Quantity, (old, new): (f64, f64), change: f64) -> String {
    let is_rate = matches!(quantity, Quantity::ImagesPerSecond | Quantity::DelayedImagesPerSecond);
    let verdict = if is_rate == (change > 0.0) { "better" } else { "worse" };
    let (title, percent) = (quantity.title(), change * 100.0);
    format!("{name}: {title} {} -> {} ({percent:+.1} %, {verdict})", quantity.shown(old), quantity.shown(new))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::tests::results;

    const PARTS: [Part; 3] = [Part::Stages, Part::RunsMobilenet, Part::PeersMobilenet];

    #[test]
    fn what_moved_is_told_and_what_did_not_is_not() {
        let (before, mut now) = (results(250.0), results(220.0));
        let runs = &mut now.parts.get_mut(&Part::RunsMobilenet).unwrap().rows;
        runs[1].problem = None;
        insta::assert_snapshot!(report(Some(&before), &now, &PARTS), @r"
        runs-mobilenet: MobileNetV2 fp32, ONNX Runtime: images/s 250 -> 220 (-12.0 %, worse)
        runs-mobilenet: MobileNetV2 fp32, ONNX Runtime: CPU ms per image 8.00 -> 9.09 (+13.6 %, worse)
        runs-mobilenet: MobileNetV2 bf16, OpenVINO: has figures now
        peers-mobilenet: tagfleet, MobileNetV2 fp32, ONNX Runtime: images/s 250 -> 220 (-12.0 %, worse)
        peers-mobilenet: tagfleet, MobileNetV2 fp32, ONNX Runtime: CPU ms per image 8.00 -> 9.09 (+13.6 %, worse)
        ");
    }

    #[test]
    fn noise_is_no_change() {
        let text = report(Some(&results(250.0)), &results(245.0), &PARTS);
        assert_eq!(text, "no figure changed by more than 5 % against the committed ones");
    }

    #[test]
    fn another_machine_is_named() {
        let mut now = results(250.0);
        now.machine.processor = "Another CPU".to_owned();
        let text = report(Some(&results(250.0)), &now, &PARTS);
        assert!(
            text.starts_with("the committed figures are of another machine (Some CPU, 2 cores)"),
            "{text}"
        );
        assert!(report(None, &now, &PARTS).starts_with("no figures are committed yet"));
    }
}
