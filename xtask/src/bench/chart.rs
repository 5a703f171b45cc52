//! A bar chart as SVG, which a page on either background can show.

use std::fmt::Write as _;

use super::figures::shown;

pub(super) struct Bar {
    pub(super) name: String,
    pub(super) value: f64,
    pub(super) ours: bool,
}

const WIDTH: f64 = 720.0;
const NAMES: f64 = 150.0;
const NUMBERS: f64 = 80.0;
const LINE: f64 = 24.0;
const HEAD: f64 = 46.0;

/// A bar for each, shorter is better. One that is longer than eight times the median is cut, and says so by
/// its open end: else the others could not be told apart.
pub(super) fn draw(title: &str, unit: &str, bars: &[Bar]) -> String {
    let values: Vec<f64> = bars.iter().map(|bar| bar.value).collect();
    let most = values.iter().copied().fold(0.0, f64::max);
    let limit = super::figures::median(&values).map_or(most, |median| most.min(median * 8.0));
    let height = HEAD + LINE * bars.len() as f64 + 8.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\">\n\
         <title>{}</title>\n\
         <style>text{{font:13px sans-serif;fill:#333}}.t{{font-weight:bold}}.bar{{fill:#8a94a6}}.ours{{fill:#d9531e}}\
         @media(prefers-color-scheme:dark){{text{{fill:#ddd}}}}</style>\n\
         <text class=\"t\" x=\"8\" y=\"18\">{}</text><text x=\"8\" y=\"36\">{}: less is better</text>\n",
        escaped(title),
        escaped(title),
        escaped(unit),
    );
    for (line, bar) in bars.iter().enumerate() {
        let y = HEAD + LINE * line as f64;
        let part = if limit > 0.0 { bar.value.min(limit) / limit } else { 0.0 };
        let width = part * (WIDTH - NAMES - NUMBERS);
        let class = if bar.ours { "ours" } else { "bar" };
        let cut = if bar.value > limit { " ⋯" } else { "" };
        let _ = writeln!(
            svg,
            "<text x=\"{:.0}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\
             <rect class=\"{class}\" x=\"{NAMES}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"16\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\">{}{cut}</text>",
            NAMES - 8.0,
            y + 13.0,
            escaped(&bar.name),
            y,
            NAMES + width + 6.0,
            y + 13.0,
            shown(bar.value),
        );
    }
    svg + "</svg>\n"
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bar(name: &str, value: f64, ours: bool) -> Bar {
        Bar { name: name.to_owned(), value, ours }
    }

    #[test]
    fn the_longest_bar_is_as_wide_as_there_is_room() {
        let svg = draw("A & b", "seconds", &[bar("us", 1.0, true), bar("them", 2.0, false)]);
        assert!(svg.contains("<title>A &amp; b</title>"), "{svg}");
        assert!(svg.contains("class=\"ours\" x=\"150\" y=\"46.0\" width=\"245.0\""), "{svg}");
        assert!(svg.contains("class=\"bar\" x=\"150\" y=\"70.0\" width=\"490.0\""), "{svg}");
        assert!(svg.contains(">2.00</text>") && svg.ends_with("</svg>\n"), "{svg}");
    }

    #[test]
    fn one_that_is_far_longer_than_the_rest_is_cut_and_says_so() {
        let bars = [bar("a", 1.0, true), bar("b", 1.0, false), bar("c", 100.0, false)];
        let svg = draw("t", "u", &bars);
        assert!(svg.contains("width=\"61.2\""), "{svg}");
        assert!(svg.contains(">100 ⋯</text>"), "{svg}");
    }
}
