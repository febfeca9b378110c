//! A line plot with logarithmic axes, as SVG.

use std::fmt::Write as _;

/// Several lines over the same axes.
pub(crate) struct Plot {
    pub(crate) title: String,
    pub(crate) x: String,
    pub(crate) y: String,
    pub(crate) lines: Vec<Line>,
}

pub(crate) struct Line {
    pub(crate) title: &'static str,
    /// All coordinates are above zero.
    pub(crate) points: Vec<(f64, f64)>,
}

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 440.0;
/// Around the axes; the right one holds the lines' titles.
const LEFT: f64 = 70.0;
const RIGHT: f64 = 230.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 50.0;
/// Titles of lines are at least so far apart.
const TITLE_HEIGHT: f64 = 16.0;
const COLOURS: [&str; 6] = [
    "#c0392b", "#2471a3", "#239b56", "#9a7d0a", "#7d3c98", "#616a6b",
];

impl Plot {
    pub(crate) fn svg(&self) -> String {
        let points = || self.lines.iter().flat_map(|line| &line.points);
        let (left, right) = range(points().map(|point| point.0));
        let (low, high) = range(points().map(|point| point.1));
        let (low, high) = (low.log10().floor(), high.log10().ceil());
        let x = |value: f64| {
            let share = (value / left).log10() / (right / left).log10().max(f64::MIN_POSITIVE);
            LEFT + share * (WIDTH - LEFT - RIGHT)
        };
        let y = |value: f64| {
            let share = (value.log10() - low) / (high - low);
            HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)
        };
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
             font-family=\"sans-serif\" font-size=\"12\">\n\
             <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
             <text x=\"{LEFT}\" y=\"22\" font-size=\"15\">{}</text>\n",
            self.title
        );
        for decade in low as i32..=high as i32 {
            let (at, value) = (y(10_f64.powi(decade)), 10_f64.powi(decade));
            let end = WIDTH - RIGHT;
            let _ = writeln!(
                svg,
                "<path d=\"M{LEFT} {at:.1}H{end}\" stroke=\"#ddd\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                LEFT - 8.0,
                at + 4.0,
                short(value, 1000.0, ["", " k", " M", " G"]),
            );
        }
        if let Some(line) = self.lines.first() {
            for &(value, _) in &line.points {
                let label = short(value, 1024.0, ["", " Ki", " Mi", " Gi"]);
                let (at, base) = (x(value), HEIGHT - BOTTOM);
                let _ = writeln!(
                    svg,
                    "<path d=\"M{at:.1} {base}v5\" stroke=\"#888\"/>\
                     <text x=\"{at:.1}\" y=\"{}\" text-anchor=\"middle\">{label}</text>",
                    base + 19.0,
                );
            }
        }
        let _ = writeln!(
            svg,
            "<text x=\"{LEFT}\" y=\"{}\" fill=\"#555\">{}</text>\
             <text x=\"{}\" y=\"22\" text-anchor=\"end\" fill=\"#555\">{}</text>",
            HEIGHT - 10.0,
            self.x,
            WIDTH - RIGHT,
            self.y,
        );
        for (line, colour) in self.lines.iter().zip(COLOURS) {
            let path: Vec<_> = line
                .points
                .iter()
                .map(|&(a, b)| format!("{:.1} {:.1}", x(a), y(b)))
                .collect();
            let _ = writeln!(
                svg,
                "<path d=\"M{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
                path.join("L")
            );
        }
        self.titles(&mut svg, y);
        svg + "</svg>\n"
    }

    /// The lines' titles beside their ends, moved apart where they would overlap.
    fn titles(&self, svg: &mut String, y: impl Fn(f64) -> f64) {
        let ends = self.lines.iter().zip(COLOURS).filter_map(|(line, colour)| {
            let end = line.points.last()?;
            Some((y(end.1), line.title, colour))
        });
        let mut ends: Vec<_> = ends.collect();
        ends.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut lowest = f64::NEG_INFINITY;
        for (wanted, title, colour) in ends {
            lowest = wanted.max(lowest + TITLE_HEIGHT);
            let (at, base) = (WIDTH - RIGHT + 10.0, lowest + 4.0);
            let _ = writeln!(
                svg,
                "<text x=\"{at}\" y=\"{base:.1}\" fill=\"{colour}\">{title}</text>"
            );
        }
    }
}

fn range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values.fold((f64::INFINITY, 0.0), |(low, high), value| {
        (low.min(value), high.max(value))
    })
}

/// A round number with the largest prefix that leaves it whole.
fn short(mut value: f64, step: f64, prefixes: [&str; 4]) -> String {
    let mut prefix = 0;
    while value >= step && prefix + 1 < prefixes.len() {
        value /= step;
        prefix += 1;
    }
    format!("{value}{}", prefixes[prefix])
}
