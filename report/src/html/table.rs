//! Tables and bars, the same everywhere in the page.

use maud::{Markup, Render, html};

/// A column: its heading, and whether its cells are numbers.
pub type Column = (&'static str, bool);

/// A table that scrolls by itself if it is too wide.
#[derive(Debug)]
pub struct Table<'a> {
    /// What it shows.
    pub caption: &'a str,
    /// A column without a heading has bars, which are hidden from screen readers.
    pub columns: &'a [Column],
    /// The first cell of each row is its heading.
    pub rows: Vec<Vec<Markup>>,
    /// The last row, of sums; empty if there is none.
    pub foot: Vec<Markup>,
}

impl Render for Table<'_> {
    fn render(&self) -> Markup {
        html! {
            div class="scroll" role="region" aria-label=(self.caption) tabindex="0" {
                table {
                    caption { (self.caption) }
                    thead {
                        tr {
                            @for (heading, is_number) in self.columns {
                                @if heading.is_empty() { td {} }
                                @else { th scope="col" class=[class(*is_number)] { (heading) } }
                            }
                        }
                    }
                    tbody { @for cells in &self.rows { (self.row(cells)) } }
                    @if !self.foot.is_empty() { tfoot { (self.row(&self.foot)) } }
                }
            }
        }
    }
}

impl Table<'_> {
    fn row(&self, cells: &[Markup]) -> Markup {
        html! {
            tr {
                @for (place, (cell, (_, is_number))) in cells.iter().zip(self.columns).enumerate() {
                    @if place == 0 { th scope="row" class=[class(*is_number)] { (cell) } }
                    @else { td class=[class(*is_number)] { (cell) } }
                }
            }
        }
    }
}

fn class(is_number: bool) -> Option<&'static str> {
    is_number.then_some("number")
}

/// Plain text as a cell.
#[must_use]
pub fn text(text: impl Render) -> Markup {
    html! { (text) }
}

/// A bar of `part` of `all`; it is hidden from screen readers, because the number is next to it.
#[must_use]
pub fn bar(part: f64, all: f64) -> Markup {
    let percent = if all > 0.0 { (part / all * 100.0).clamp(0.0, 100.0) } else { 0.0 };
    html! { span.bar aria-hidden="true" { i style={ "width:" (format_args!("{percent:.2}")) "%" } {} } }
}

/// Names and what they are, two by two.
#[must_use]
pub fn pairs(pairs: &[(&str, Markup)]) -> Markup {
    html! {
        dl.pairs { @for (name, value) in pairs { div { dt { (name) } dd { (value) } } } }
    }
}
