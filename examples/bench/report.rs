//! Rows, their targets, and how they are shown.

use std::fmt;

use serde_json::{Value, json};

use crate::measure::Samples;

/// What a figure should be.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Target {
    /// Not above this.
    AtMost(f64),
    /// Not below this.
    AtLeast(f64),
    /// Nobody asked for a figure yet.
    None,
}

impl Target {
    fn is_met(self, figure: f64) -> Option<bool> {
        match self {
            Self::AtMost(limit) => Some(figure <= limit),
            Self::AtLeast(limit) => Some(figure >= limit),
            Self::None => None,
        }
    }

    fn to_json(self) -> Value {
        match self {
            Self::AtMost(limit) => json!({ "atMost": limit }),
            Self::AtLeast(limit) => json!({ "atLeast": limit }),
            Self::None => Value::Null,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtMost(limit) => f.pad(&format!("≤ {limit}")),
            Self::AtLeast(limit) => f.pad(&format!("≥ {limit}")),
            Self::None => f.pad(""),
        }
    }
}

/// What a target is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Figure {
    /// Our cost over theirs.
    CostRatio,
    /// Their cost over ours: the share of their speed that we have.
    SpeedRatio,
    /// Our value alone.
    Value,
}

/// One line of the table.
#[derive(Debug)]
pub(crate) struct Row {
    what: String,
    unit: &'static str,
    ours: Samples,
    theirs: Option<(&'static str, Samples)>,
    figure: Figure,
    target: Target,
}

impl Row {
    /// Two sides; the ratio is our cost over theirs.
    pub(crate) fn cost(
        what: impl Into<String>,
        unit: &'static str,
        ours: Samples,
        other: &'static str,
        theirs: Samples,
    ) -> Self {
        Self {
            what: what.into(),
            unit,
            ours,
            theirs: Some((other, theirs)),
            figure: Figure::CostRatio,
            target: Target::None,
        }
    }

    /// Two sides; the ratio is their cost over ours.
    pub(crate) fn speed(
        what: impl Into<String>,
        unit: &'static str,
        ours: Samples,
        other: &'static str,
        theirs: Samples,
    ) -> Self {
        Self {
            figure: Figure::SpeedRatio,
            ..Self::cost(what, unit, ours, other, theirs)
        }
    }

    /// A figure that is compared with nothing.
    pub(crate) fn value(what: impl Into<String>, unit: &'static str, ours: Samples) -> Self {
        Self {
            what: what.into(),
            unit,
            ours,
            theirs: None,
            figure: Figure::Value,
            target: Target::None,
        }
    }

    /// What the figure should be.
    pub(crate) fn target(self, target: Target) -> Self {
        Self { target, ..self }
    }

    fn figure(&self) -> f64 {
        let ours = self.ours.median();
        let theirs = self
            .theirs
            .as_ref()
            .map_or(f64::NAN, |(_, samples)| samples.median());
        match self.figure {
            Figure::CostRatio => ours / theirs,
            Figure::SpeedRatio => theirs / ours,
            Figure::Value => ours,
        }
    }

    fn to_json(&self) -> Value {
        let side = |samples: &Samples| {
            json!({
                "median": samples.median(),
                "quartiles": [samples.quantile(0.25), samples.quantile(0.75)],
                "samples": samples.values(),
            })
        };
        json!({
            "what": self.what,
            "unit": self.unit,
            "unikiln": side(&self.ours),
            "other": self.theirs.as_ref().map(|(name, samples)| json!({ "name": name, "figures": side(samples) })),
            "figure": match self.figure {
                Figure::CostRatio => "unikiln/other",
                Figure::SpeedRatio => "other/unikiln",
                Figure::Value => "value",
            },
            "result": self.figure(),
            "target": self.target.to_json(),
            "met": self.target.is_met(self.figure()),
        })
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, theirs) = match &self.theirs {
            Some((name, samples)) => (*name, quantity(samples.median(), self.unit)),
            None => ("", String::new()),
        };
        let ratio = match self.figure {
            Figure::Value => String::new(),
            Figure::CostRatio | Figure::SpeedRatio => digits(self.figure()),
        };
        let mark = match self.target.is_met(self.figure()) {
            Some(true) => "ok",
            Some(false) => "SHORT",
            None => "",
        };
        let ours = quantity(self.ours.median(), self.unit);
        let line = format!(
            "  {:<43} {ours:>11} {theirs:>11} {name:<9} {ratio:>7} {:>8} {mark}",
            self.what, self.target
        );
        f.write_str(line.trim_end())
    }
}

/// Rows that belong together.
#[derive(Debug)]
pub(crate) struct Section {
    /// What is measured.
    pub(crate) title: String,
    /// Lines.
    pub(crate) rows: Vec<Row>,
}

impl Section {
    /// A titled section.
    pub(crate) fn new(title: impl Into<String>, rows: Vec<Row>) -> Self {
        Self {
            title: title.into(),
            rows,
        }
    }
}

/// Everything that was measured.
#[derive(Debug)]
pub(crate) struct Report {
    machine: Vec<(&'static str, String)>,
    rounds: usize,
    /// In the order in which they were measured.
    pub(crate) sections: Vec<Section>,
}

impl Report {
    /// Nothing measured yet.
    pub(crate) fn new(machine: Vec<(&'static str, String)>, rounds: usize) -> Self {
        Self {
            machine,
            rounds,
            sections: Vec::new(),
        }
    }

    /// With every sample.
    pub(crate) fn to_json(&self) -> Value {
        let sections = self.sections.iter().map(|section| {
            json!({ "title": section.title, "rows": section.rows.iter().map(Row::to_json).collect::<Vec<_>>() })
        });
        let machine = self
            .machine
            .iter()
            .map(|(name, value)| ((*name).to_owned(), json!(value)));
        json!({
            "machine": Value::Object(machine.collect()),
            "rounds": self.rounds,
            "sections": sections.collect::<Vec<_>>(),
        })
    }

    fn results(&self) -> impl Iterator<Item = bool> {
        self.sections
            .iter()
            .flat_map(|section| &section.rows)
            .filter_map(|row| row.target.is_met(row.figure()))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in &self.machine {
            writeln!(f, "{name:<8} {value}")?;
        }
        writeln!(
            f,
            "\nmedians of {}, both sides in turns; the ratio is unikiln's cost over the other's\n",
            self.rounds
        )?;
        writeln!(
            f,
            "  {:<43} {:>11} {:>11} {:<9} {:>7} {:>8}",
            "", "unikiln", "against", "", "ratio", "target"
        )?;
        for section in &self.sections {
            writeln!(f, "{}", section.title)?;
            for row in &section.rows {
                writeln!(f, "{row}")?;
            }
        }
        let met = self.results().filter(|met| *met).count();
        writeln!(f, "\n{met} of {} targets met", self.results().count())
    }
}

fn quantity(value: f64, unit: &str) -> String {
    format!("{} {unit}", digits(value))
}

/// Three digits that mean something.
fn digits(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 0.1 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}
