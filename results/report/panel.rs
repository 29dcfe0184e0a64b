//! Plots as inline SVG: axes, lines, rows and markers in one panel of fixed proportions.

pub(super) use super::axis::{Axis, number};
use crate::table::Series;
use crate::table::html::escaped;

/// Width of a panel in its own units: about a phone's pixels, so that text stays legible.
pub(super) const WIDTH: f64 = 360.0;

/// Colours, markers and dash patterns, each; a method's colour and marker together repeat after the
/// square of it.
const KINDS: usize = 6;

/// Height of a plot of one value over another.
const HEIGHT: f64 = 220.0;

/// Height of a row: its name and numbers above its dots.
const ROW: f64 = 36.0;

/// Height of each further line of a row, where name and numbers do not fit beside each other.
const LINE: f64 = 15.0;

/// Width of a letter, rather too large.
const LETTER: f64 = 7.2;

/// Space around the plotted area.
const LEFT: f64 = 44.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 20.0;
const BOTTOM: f64 = 36.0;

/// The title and description of a plot.
pub(super) struct Caption<'a> {
    /// Anchor, different for every plot of the page.
    pub(super) id: String,
    pub(super) title: &'a str,
    /// The content in words, for screen readers.
    pub(super) description: String,
}

/// How a series looks: colour and marker of its method, dash pattern of what it is of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Look {
    pub(super) method: usize,
    /// The setting, or the level of its codes.
    pub(super) part: usize,
}

impl Look {
    pub(super) fn of(series: &Series) -> Self {
        Self {
            method: series.method,
            part: series.setting,
        }
    }

    /// The class for colour and dash pattern; after the last pattern they start again.
    fn class(self) -> String {
        format!("c{} d{}", self.method % KINDS, self.part % KINDS)
    }
}

/// A plot under construction.
pub(super) struct Panel {
    width: f64,
    height: f64,
    left: f64,
    /// Height of a row.
    row: f64,
    x: Axis,
    y: Axis,
    body: String,
}

impl Panel {
    /// A plot of `y` over `x`.
    pub(super) fn new(x: Axis, y: Axis) -> Self {
        let mut panel = Self::bare(WIDTH, HEIGHT, room(&y, LEFT), x, y);
        panel.draw_x();
        panel.draw_y();
        panel
    }

    /// A small plot, two of which stand side by side on a phone.
    pub(super) fn small(x: Axis, y: Axis) -> Self {
        let mut panel = Self::bare(WIDTH / 2.0, 0.6 * HEIGHT, room(&y, LEFT - 6.0), x, y);
        panel.draw_x();
        panel.draw_y();
        panel
    }

    /// Rows along an axis, to be filled with [`Panel::row`]: their names and what stands beside them.
    pub(super) fn of_rows<'a>(x: Axis, names: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        let y = Axis::over("", std::iter::empty());
        let room = WIDTH - 2.0 * RIGHT;
        let letters = |text: &str| LETTER * (text.chars().count() + 1) as f64;
        let (mut rows, mut row) = (0, ROW);
        for (name, text) in names {
            rows += 1;
            if letters(name) + letters(text) > room {
                row = ROW + LINE;
            }
        }
        let mut panel = Self::bare(WIDTH, TOP + BOTTOM + f64::from(rows) * row, RIGHT, x, y);
        panel.row = row;
        panel.draw_x();
        panel
    }

    fn bare(width: f64, height: f64, left: f64, x: Axis, y: Axis) -> Self {
        let body = String::new();
        Self {
            width,
            height,
            left,
            row: ROW,
            x,
            y,
            body,
        }
    }

    fn x(&self, value: f64) -> f64 {
        self.x.place(value, self.left, self.width - RIGHT)
    }

    fn y(&self, value: f64) -> f64 {
        self.y.place(value, self.height - BOTTOM, TOP)
    }

    fn draw_x(&mut self) {
        let bottom = self.height - BOTTOM;
        for &tick in &self.x.ticks {
            let (x, text) = (self.x(tick), self.x.tick(tick));
            // the last mark stays within the panel
            let middle = x.min(self.width - LETTER * text.chars().count() as f64 / 2.0);
            self.body.push_str(&format!(
                "<path class=\"grid\" d=\"M{x:.1} {TOP:.1}V{bottom:.1}\"/>\
                 <text class=\"tick middle\" x=\"{middle:.1}\" y=\"{:.1}\">{text}</text>\n",
                bottom + 14.0
            ));
        }
        let (x, y) = (self.width - RIGHT, self.height - 5.0);
        let label = escaped(&self.x.label);
        self.body.push_str(&format!(
            "<text class=\"label end\" x=\"{x:.1}\" y=\"{y:.1}\">{label}</text>\n"
        ));
    }

    fn draw_y(&mut self) {
        let right = self.width - RIGHT;
        for &tick in &self.y.ticks {
            let (y, text) = (self.y(tick), self.y.tick(tick));
            self.body.push_str(&format!(
                "<path class=\"grid\" d=\"M{:.1} {y:.1}H{right:.1}\"/>\
                 <text class=\"tick end\" x=\"{:.1}\" y=\"{:.1}\">{text}</text>\n",
                self.left,
                self.left - 5.0,
                y + 4.0
            ));
        }
        let label = escaped(&self.y.label);
        self.body
            .push_str(&format!("<text class=\"label\" x=\"2\" y=\"11\">{label}</text>\n"));
    }

    /// A line through these points with a marker at its end. Points that are not numbers are left
    /// out.
    pub(super) fn line(&mut self, look: Look, points: &[(f64, f64)]) {
        let finite = points.iter().filter(|(x, y)| x.is_finite() && y.is_finite());
        let places: Vec<(f64, f64)> = finite.map(|&(x, y)| (self.x(x), self.y(y))).collect();
        let Some(&(x, y)) = places.last() else { return };
        let path: Vec<String> = places.iter().map(|(x, y)| format!("{x:.1} {y:.1}")).collect();
        self.body.push_str(&format!(
            "<g class=\"{}\"><path class=\"line\" d=\"M{}\"/>{}</g>\n",
            look.class(),
            path.join("L"),
            marker(look, x, y, 4.0)
        ));
    }

    /// Bars from the left, as one area, each `1 / values.len()` of the axis wide.
    pub(super) fn bars(&mut self, look: Look, values: &[f64]) {
        let (bottom, width) = (self.height - BOTTOM, self.width - RIGHT - self.left);
        let mut path = format!("M{:.1} {bottom:.1}", self.left);
        for (i, value) in values.iter().enumerate() {
            let right = self.left + (i + 1) as f64 / values.len() as f64 * width;
            path.push_str(&format!("V{:.1}H{right:.1}", self.y(*value)));
        }
        let class = look.class();
        self.body
            .push_str(&format!("<path class=\"bars {class}\" d=\"{path}V{bottom:.1}Z\"/>\n"));
    }

    /// A dashed line across the plot at this height.
    pub(super) fn level(&mut self, value: f64) {
        let (y, right) = (self.y(value), self.width - RIGHT);
        self.body.push_str(&format!(
            "<path class=\"even\" d=\"M{:.1} {y:.1}H{right:.1}\"/>\n",
            self.left
        ));
    }

    /// A dashed line through all rows at this value.
    pub(super) fn upright(&mut self, value: f64) {
        let (x, bottom) = (self.x(value), self.height - BOTTOM);
        self.body
            .push_str(&format!("<path class=\"even\" d=\"M{x:.1} {TOP:.1}V{bottom:.1}\"/>\n"));
    }

    /// A row with its name, the values of single runs, and a middle with its ends.
    pub(super) fn row(&mut self, row: usize, look: Look, name: &str, dots: &Dots) {
        let y = TOP + (row + 1) as f64 * self.row - 11.0;
        let mut drawn = String::new();
        if let Some((low, high)) = dots.ends {
            let (low, high) = (self.x(low), self.x(high));
            drawn.push_str(&format!(
                "<path class=\"whisker\" d=\"M{low:.1} {y:.1}H{high:.1}M{low:.1} {:.1}v8M{high:.1} {:.1}v8\"/>",
                y - 4.0,
                y - 4.0
            ));
        }
        for value in &dots.runs {
            drawn.push_str(&format!(
                "<circle class=\"run\" cx=\"{:.1}\" cy=\"{y:.1}\" r=\"3\"/>",
                self.x(*value)
            ));
        }
        drawn.push_str(&marker(look, self.x(dots.middle), y, 5.0));
        self.head(row, name, &dots.text);
        self.body
            .push_str(&format!("<g class=\"{}\">{drawn}</g>\n", look.class()));
    }

    /// A row with its name and a bar from the left end of the axis.
    pub(super) fn bar(&mut self, row: usize, look: Look, name: &str, value: f64, text: &str) {
        let y = TOP + (row + 1) as f64 * self.row - 18.0;
        self.body.push_str(&format!(
            "<path class=\"bars {}\" d=\"M{:.1} {y:.1}H{:.1}v10H{:.1}Z\"/>\n",
            look.class(),
            self.left,
            self.x(value),
            self.left
        ));
        self.head(row, name, text);
    }

    /// The name and the numbers of a row, beside each other or on a line each.
    fn head(&mut self, row: usize, name: &str, text: &str) {
        let name_y = TOP + row as f64 * self.row + 13.0;
        let text_y = name_y + self.row - ROW;
        self.body.push_str(&format!(
            "<text class=\"name\" x=\"{:.1}\" y=\"{name_y:.1}\">{}</text>\
             <text class=\"name end\" x=\"{:.1}\" y=\"{text_y:.1}\">{}</text>\n",
            self.left,
            escaped(&shortened(name)),
            self.width - RIGHT,
            escaped(text)
        ));
    }

    /// What is drawn, and its height.
    pub(super) fn part(self) -> (String, f64) {
        (self.body, self.height)
    }

    pub(super) fn figure(self, caption: &Caption) -> String {
        let Caption { id, title, description } = caption;
        let (title, description) = (escaped(title), escaped(description));
        format!(
            "<figure>\n<figcaption>{title}</figcaption>\n\
             <svg viewBox=\"0 0 {:.0} {:.0}\" role=\"img\" aria-labelledby=\"{id}-title {id}-text\">\n\
             <title id=\"{id}-title\">{title}</title>\n<desc id=\"{id}-text\">{description}</desc>\n{}</svg>\n</figure>\n",
            self.width, self.height, self.body
        )
    }
}

/// Space for the marks of this axis, at least so much.
fn room(y: &Axis, least: f64) -> f64 {
    let letters = y.ticks.iter().map(|tick| y.tick(*tick).chars().count());
    least.max(LETTER * letters.max().unwrap_or(0) as f64 + 6.0)
}

/// What a row of dots shows.
pub(super) struct Dots {
    /// The value that the marker stands on.
    pub(super) middle: f64,
    /// The ends of its whisker.
    pub(super) ends: Option<(f64, f64)>,
    /// Single runs, where there are several.
    pub(super) runs: Vec<f64>,
    /// The same as text.
    pub(super) text: String,
}

/// Names and signs of the lines, to stand above plots.
pub(super) fn legend<S: AsRef<str>>(names: impl Iterator<Item = (Look, S)>) -> String {
    let entry = |(look, name): (Look, S)| {
        format!(
            "<li><svg viewBox=\"0 0 34 12\" aria-hidden=\"true\"><g class=\"{}\"><path class=\"line\" d=\"M1 6H33\"/>{}</g>\
             </svg>{}</li>\n",
            look.class(),
            marker(look, 17.0, 6.0, 4.0),
            escaped(name.as_ref())
        )
    };
    format!("<ul class=\"legend\">\n{}</ul>\n", names.map(entry).collect::<String>())
}

/// Dash patterns and what they stand for, where colours stand for methods.
pub(super) fn dashes(names: impl Iterator<Item = (usize, String)>) -> String {
    let entry = |(part, name): (usize, String)| {
        format!(
            "<li><svg viewBox=\"0 0 34 12\" aria-hidden=\"true\"><g class=\"plain d{}\"><path class=\"line\" d=\"M1 6H33\"/></g>\
             </svg>{}</li>\n",
            part % KINDS,
            escaped(&name)
        )
    };
    format!("<ul class=\"legend\">\n{}</ul>\n", names.map(entry).collect::<String>())
}

/// The marker of a method: after the last colour they start again with other markers.
fn marker(look: Look, x: f64, y: f64, r: f64) -> String {
    let path = match (look.method + look.method / KINDS) % KINDS {
        0 => return format!("<circle class=\"mark\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{r}\"/>"),
        1 => format!("M{:.1} {:.1}h{s}v{s}h-{s}Z", x - r, y - r, s = 2.0 * r),
        2 => format!("M{x:.1} {:.1}l{r} {s}h-{s}Z", y - r, s = 2.0 * r),
        3 => format!("M{x:.1} {:.1}l{r} {r}l-{r} {r}l-{r} -{r}Z", y - r),
        4 => format!("M{x:.1} {:.1}l{r} -{s}h-{s}Z", y + r, s = 2.0 * r),
        _ => format!("M{:.1} {:.1}h{r}v{s}h-{r}Z", x - r / 2.0, y - r, s = 2.0 * r),
    };
    format!("<path class=\"mark\" d=\"{path}\"/>")
}

/// A name that fits a line of a row.
fn shortened(name: &str) -> String {
    const LONGEST: usize = 44;
    if name.chars().count() <= LONGEST {
        return name.to_string();
    }
    let start: String = name.chars().take(LONGEST - 1).collect();
    format!("{start}…")
}

#[cfg(test)]
mod tests;
