//! Plots as inline SVG: scales, axes, lines and markers in one panel of fixed proportions.

use crate::metric::Metric;
use crate::table::html::escaped;
use crate::table::{Series, scale};

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

/// An axis: its label, its range and the values that are marked.
pub(super) struct Axis {
    label: String,
    low: f64,
    high: f64,
    ticks: Vec<f64>,
    /// Decimals of a tick; each its own on an axis of powers.
    decimals: Option<usize>,
}

impl Axis {
    /// The axis over these values, with round numbers at its ends. NaN is ignored.
    pub(super) fn over(label: &str, values: impl Iterator<Item = f64>) -> Self {
        let (mut low, mut high) = values
            .filter(|value| value.is_finite())
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
                (low.min(value), high.max(value))
            });
        if low > high {
            (low, high) = (0.0, 1.0);
        }
        if high - low <= f64::EPSILON * high.abs().max(low.abs()) {
            let half = (low.abs() * 0.05).max(0.5);
            (low, high) = (low - half, high + half);
        }
        let step = round_step((high - low) / 4.0);
        let (first, last) = ((low / step).floor(), (high / step).ceil());
        let decimals = (-step.log10().floor()).clamp(0.0, 9.0) as usize;
        Self {
            label: label.to_string(),
            low: first * step,
            high: last * step,
            ticks: (0..=(last - first) as usize)
                .map(|i| (first + i as f64) * step)
                .collect(),
            decimals: Some(decimals),
        }
    }

    /// The axis over values of a metric, whose ends are none that the metric cannot have.
    pub(super) fn of_metric(label: &str, metric: &str, values: impl Iterator<Item = f64>) -> Self {
        let (least, most) = possible(metric);
        Self::over(label, values).within(least, most)
    }

    /// The axis over differences of a metric, with 0.
    pub(super) fn of_differences(label: &str, metric: &str, values: impl Iterator<Item = f64>) -> Self {
        let (least, most) = possible(metric);
        Self::over(label, values.chain([0.0])).within(least - most, most - least)
    }

    fn within(mut self, least: f64, most: f64) -> Self {
        (self.low, self.high) = (self.low.max(least), self.high.min(most));
        self.ticks.retain(|tick| (least..=most).contains(tick));
        self
    }

    /// The axis of places in a list of `count`: its ends are the list's.
    pub(super) fn whole(label: &str, count: f64) -> Self {
        let high = count.max(1.0);
        Self {
            label: label.to_string(),
            low: 0.0,
            high,
            ticks: vec![0.0, high],
            decimals: Some(0),
        }
    }

    /// The axis of powers of ten around these values. Values that are not positive are ignored.
    pub(super) fn of_powers(label: &str, values: impl Iterator<Item = f64>) -> Self {
        let powers = values.filter(|value| *value > 0.0).map(f64::log10);
        let (low, high) = powers.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), power| {
            (low.min(power.floor()), high.max(power.ceil()))
        });
        let (low, high) = if low < high { (low, high) } else { (-1.0, 2.0) };
        Self {
            label: label.to_string(),
            low: 10f64.powf(low),
            high: 10f64.powf(high),
            ticks: (low as i32..=high as i32).map(|power| 10f64.powi(power)).collect(),
            decimals: None,
        }
    }

    /// The position of a value between two positions of the panel; a logarithmic axis shows what it
    /// cannot represent at its low end.
    fn place(&self, value: f64, from: f64, to: f64) -> f64 {
        let share = match self.decimals {
            Some(_) => (value - self.low) / (self.high - self.low),
            None => (value.max(self.low) / self.low).ln() / (self.high / self.low).ln(),
        };
        from + share * (to - from)
    }

    fn tick(&self, value: f64) -> String {
        let of_power = (-value.log10().round()).clamp(0.0, 9.0);
        number(value, self.decimals.unwrap_or(of_power as usize))
    }
}

/// The least and the largest value that a metric can have, as it is displayed.
fn possible(metric: &str) -> (f64, f64) {
    let (least, most) = Metric::named(metric).map_or((f64::NEG_INFINITY, f64::INFINITY), Metric::range);
    (least * scale(metric), most * scale(metric))
}

/// The next of 1, 2, 5, 10, 20, 50, ... at or above `least`.
fn round_step(least: f64) -> f64 {
    let power = 10f64.powf(least.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|digit| digit * power);
    step.into_iter().find(|step| *step >= least * 0.999).unwrap_or(least)
}

/// A number with these decimals, its thousands set apart; without the sign of a negative zero.
pub(super) fn number(value: f64, decimals: usize) -> String {
    let text = format!("{:.decimals$}", value.abs());
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    let mut out = String::new();
    for (i, digit) in whole.chars().enumerate() {
        if i > 0 && (whole.len() - i) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    let is_zero = text.chars().all(|c| matches!(c, '0' | '.'));
    let sign = if value < 0.0 && !is_zero { "−" } else { "" };
    format!("{sign}{out}{rest}")
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
        let mut panel = Self::bare(WIDTH, HEIGHT, LEFT, x, y);
        panel.draw_x();
        panel.draw_y();
        panel
    }

    /// A small plot, two of which stand side by side on a phone.
    pub(super) fn small(x: Axis, y: Axis) -> Self {
        let mut panel = Self::bare(WIDTH / 2.0, 0.6 * HEIGHT, LEFT - 6.0, x, y);
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
            self.body.push_str(&format!(
                "<path class=\"grid\" d=\"M{x:.1} {TOP:.1}V{bottom:.1}\"/>\
                 <text class=\"tick middle\" x=\"{x:.1}\" y=\"{:.1}\">{text}</text>\n",
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
