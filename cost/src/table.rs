//! A bill for people: its lines as a table, and the few that matter.

use std::fmt::Write as _;

use super::{Cost, CostLine};
use tagfleet_pipeline::format::{precise_dollars, visible};

/// Lines that a summary shows.
const LINES_SHOWN: usize = 3;

impl Cost {
    /// The bill in a few lines that start with labels, as in a summary.
    #[must_use]
    pub fn short(&self) -> String {
        let mut text = format!("cost     {}", precise_dollars(self.total_usd));
        if let Some(million) = self.usd_per_million {
            text.push_str(&format!(", {} per million images", precise_dollars(million)));
        }
        let (region, prices_of) = (visible(&self.region), visible(&self.prices_of));
        text.push_str(&format!(" ({region}, prices of {prices_of})\n"));
        for line in self.dearest() {
            let what = visible(&format!("{} {}", line.service, line.item));
            text.push_str(&format!("         {:>9} {what}\n", precise_dollars(line.usd)));
        }
        if self.spot_saved_usd > 0.0 {
            text.push_str(&format!("saved    {} by spot machines\n", precise_dollars(self.spot_saved_usd)));
        }
        if let Some(plan) = &self.plan {
            text.push_str(&plan.short());
        }
        text
    }

    /// The lines that cost most, the dearest first.
    fn dearest(&self) -> Vec<&CostLine> {
        let mut lines: Vec<&CostLine> = self.lines.iter().collect();
        lines.sort_by(|a, b| b.usd.total_cmp(&a.usd));
        lines.truncate(LINES_SHOWN);
        lines
    }

    /// The whole bill as a table, then what was assumed; no colour.
    #[must_use]
    pub fn table(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = self.write_table(&mut text);
        text
    }

    fn write_table(&self, text: &mut String) -> std::fmt::Result {
        let head = ["stage", "service", "item", "quantity", "unit", "unit price", "USD"];
        let total = format!("{:.6}", self.total_usd);
        text.write_str(&columns(head, self.lines.iter().map(CostLine::cells), total))?;
        writeln!(text)?;
        for note in &self.notes {
            writeln!(text, "note: {}", visible(note))?;
        }
        if let Some(plan) = &self.plan {
            write!(text, "\n{}", plan.table())?;
        }
        Ok(())
    }
}

/// Lines of a bill in columns, figures on the right, between their heads and the total.
#[must_use]
pub fn columns(head: [&str; 7], lines: impl Iterator<Item = [String; 7]>, total_usd: String) -> String {
    let [a, b, c, d, e, f] = ["total", "", "", "", "", ""].map(str::to_owned);
    let mut rows = vec![head.map(str::to_owned)];
    rows.extend(lines);
    rows.push([a, b, c, d, e, f, total_usd]);
    let [a, b, c, d, e, f, g] =
        std::array::from_fn(|at| rows.iter().map(|row| row[at].chars().count()).max().unwrap_or(0));
    let mut text = String::new();
    for [stage, service, item, quantity, unit, price, usd] in &rows {
        let line = format!(
            "{stage:<a$}  {service:<b$}  {item:<c$}  {quantity:>d$}  {unit:<e$}  {price:>f$}  {usd:>g$}"
        );
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

impl CostLine {
    /// The columns of a table: stage, service, item, quantity, unit, unit price, dollars.
    #[must_use]
    pub fn cells(&self) -> [String; 7] {
        [
            visible(&self.stage),
            visible(&self.service),
            visible(&self.item),
            figure(self.quantity),
            visible(&self.unit),
            figure(self.unit_price),
            format!("{:.6}", self.usd),
        ]
    }
}

/// A figure of any size: to six digits behind the point, or six that count of a small one.
fn figure(figure: f64) -> String {
    if figure >= 1e-4 {
        let text = format!("{figure:.6}");
        return text.trim_end_matches('0').trim_end_matches('.').to_owned();
    }
    format!("{figure:.5e}")
}
