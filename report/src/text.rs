//! Foreign text as pages show it.
//!
//! Whatever a key or a label holds, it comes out as text: maud escapes markup, and characters that have no
//! shape of their own, or turn what follows, are spelled out. It never cuts anything off.

use maud::{Markup, html};
use tagfleet_pipeline::format::visible;

/// A key or a label, which may be written in any direction.
#[must_use]
pub fn name(text: &str) -> Markup {
    html! { bdi { (visible(text)) } }
}

/// Text whose lines stay lines.
#[must_use]
pub fn visible_lines(text: &str) -> String {
    text.lines().map(visible).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_holds_no_markup_and_nothing_invisible() {
        let shown = |text| name(text).into_string();
        assert_eq!(shown("a\u{202e}gpj.<b>\0\n"), "<bdi>a\\u{202e}gpj.&lt;b&gt;\\u{0}\\u{a}</bdi>");
        assert_eq!(shown("ü/שלום 🦓 &amp;\""), "<bdi>ü/שלום 🦓 &amp;amp;&quot;</bdi>");
    }
}
