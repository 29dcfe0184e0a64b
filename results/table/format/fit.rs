//! Fits a grid of text into the columns of a terminal, without a break inside a word.

use tabled::builder::Builder;
use tabled::grid::util::string::get_string_width as width;
use tabled::settings::object::{Columns, Rows};
use tabled::settings::{Alignment, Style};

/// The most lines of a cell; a grid that needs more is turned or split.
const LINES: usize = 3;

/// Signs between two cells, and those at both ends of a row.
const BETWEEN: usize = 3;
const ENDS: usize = 4;

/// Headings and cells as text, and the columns that are aligned right.
#[derive(Clone)]
pub(super) struct Grid {
    pub(super) header: Vec<String>,
    pub(super) rows: Vec<Vec<String>>,
    pub(super) right: Vec<bool>,
    /// The first columns, which tell rows apart.
    pub(super) keys: usize,
}

impl Grid {
    /// The grid in at most so many columns, unless a word is longer.
    pub(super) fn fitted(&self, columns: usize) -> String {
        self.wrapped(columns)
            .or_else(|| self.turned().and_then(|turned| turned.wrapped(columns)))
            .map(|grid| grid.drawn())
            .or_else(|| self.split(columns))
            .unwrap_or_else(|| self.listed(columns))
    }

    /// Several grids below each other, each with the keys and as many further columns as fit. None
    /// if one column does not.
    fn split(&self, columns: usize) -> Option<String> {
        let (mut drawn, mut first) = (Vec::new(), self.keys);
        while first < self.header.len() {
            let fitting = (first + 1..=self.header.len()).rev();
            let (end, grid) = { fitting }.find_map(|end| Some((end, self.part(first, end).wrapped(columns)?)))?;
            drawn.push(grid.drawn());
            first = end;
        }
        (!drawn.is_empty()).then(|| drawn.join("\n\n"))
    }

    /// The keys and the columns from `first` to before `end`.
    fn part(&self, first: usize, end: usize) -> Self {
        let of_row = |row: &Vec<String>| [&row[..self.keys], &row[first..end]].concat();
        Self {
            header: of_row(&self.header),
            rows: self.rows.iter().map(of_row).collect(),
            right: [&self.right[..self.keys], &self.right[first..end]].concat(),
            keys: self.keys,
        }
    }

    /// Its columns' cells and headings.
    fn column(&self, column: usize) -> impl Iterator<Item = &String> {
        let cells = self.rows.iter().filter_map(move |row| row.get(column));
        self.header.get(column).into_iter().chain(cells)
    }

    /// With words of wide cells on further lines. None if that does not fit, or makes rows too high.
    fn wrapped(&self, columns: usize) -> Option<Self> {
        let longest_word = |text: &String| {
            let words = text.lines().flat_map(words);
            words.map(|word| width(&word)).max().unwrap_or(0)
        };
        let of_column = |measure: &dyn Fn(&String) -> usize| -> Vec<usize> {
            let columns = 0..self.header.len();
            columns
                .map(|column| self.column(column).map(measure).max().unwrap_or(0))
                .collect()
        };
        let least = of_column(&longest_word);
        let mut widths = of_column(&|text| width(text));
        let room = columns.saturating_sub(ENDS + BETWEEN * self.header.len().saturating_sub(1));
        while widths.iter().sum::<usize>() > room {
            // the widest column that can still be narrower
            let (column, _) = widths
                .iter()
                .enumerate()
                .filter(|(column, width)| **width > least[*column])
                .max_by_key(|(column, width)| (**width, usize::MAX - column))?;
            widths[column] -= 1;
        }
        let broken = |text: &String, width: usize| {
            let lines = text.lines().flat_map(|line| wrapped(line, width));
            lines.collect::<Vec<_>>().join("\n")
        };
        let row = |row: &Vec<String>| -> Vec<String> {
            row.iter()
                .zip(&widths)
                .map(|(text, width)| broken(text, *width))
                .collect()
        };
        let grid = Self {
            header: row(&self.header),
            rows: self.rows.iter().map(row).collect(),
            right: self.right.clone(),
            keys: self.keys,
        };
        let mut cells = grid.rows.iter().flatten();
        cells.all(|cell| cell.lines().count() <= LINES).then_some(grid)
    }

    /// With a row for each column. None without a row.
    fn turned(&self) -> Option<Self> {
        let one_line = |text: &String| text.replace('\n', " ");
        let mut lines = (0..self.header.len()).map(|column| self.column(column).map(one_line).collect::<Vec<_>>());
        let header = lines.next().filter(|header| header.len() > 1)?;
        Some(Self {
            right: vec![false; header.len()],
            keys: 1,
            rows: lines.collect(),
            header,
        })
    }

    fn drawn(&self) -> String {
        let mut builder = Builder::default();
        builder.push_record(self.header.clone());
        self.rows.iter().for_each(|row| builder.push_record(row.clone()));
        let mut grid = builder.build();
        grid.with(Style::psql());
        for column in (0..self.header.len()).filter(|&column| self.right[column]) {
            grid.modify(Columns::one(column), Alignment::right());
        }
        grid.modify(Rows::first(), Alignment::left());
        let grid = grid.to_string();
        grid.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
    }

    /// Each row as a list of its headings and cells.
    fn listed(&self, columns: usize) -> String {
        let of_row = |row: &Vec<String>| {
            let fields = self.header.iter().zip(row).filter(|(_, cell)| *cell != "-");
            let lines = fields.enumerate().flat_map(|(i, (heading, cell))| {
                let text = format!("{}: {cell}", heading.replace('\n', " "));
                let indent = if i == 0 { "" } else { "  " };
                let lines = wrapped(&text, columns.saturating_sub(4));
                let lines = lines.into_iter().enumerate();
                lines.map(move |(line, text)| format!("{indent}{}{text}", if line == 0 { "" } else { "  " }))
            });
            lines.collect::<Vec<_>>().join("\n")
        };
        self.rows.iter().map(of_row).collect::<Vec<_>>().join("\n\n")
    }
}

/// The words of a text on lines of at most this width, unless a word is longer.
pub(super) fn wrapped(text: &str, most: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in words(text) {
        match lines.last_mut() {
            Some(line) if width(line) + 1 + width(&word) <= most => {
                line.push(' ');
                line.push_str(&word);
            }
            _ => lines.push(word),
        }
    }
    lines
}

/// The words of a line; both ends of an interval are one.
fn words(line: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for word in line.split(' ') {
        match words.last_mut() {
            Some(last) if last.starts_with('[') && last.ends_with(',') && word.ends_with(']') => {
                last.push(' ');
                last.push_str(word);
            }
            _ => words.push(word.to_owned()),
        }
    }
    words
}
