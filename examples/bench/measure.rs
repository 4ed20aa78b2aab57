//! Taking turns, and the median of what was seen.

use anyhow::Result;

/// What one side of a comparison took, once for each turn.
#[derive(Clone, Debug, Default)]
pub(crate) struct Samples(Vec<f64>);

impl Samples {
    /// The middle value; of an even number, the mean of the middle two.
    pub(crate) fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    /// Linear between neighbours; NaN of nothing.
    pub(crate) fn quantile(&self, fraction: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let Some(last) = sorted.len().checked_sub(1) else {
            return f64::NAN;
        };
        let place = fraction * last as f64;
        let (low, high) = (place.floor() as usize, place.ceil() as usize);
        sorted[low] + (sorted[high] - sorted[low]) * place.fract()
    }

    /// In the order of the turns.
    pub(crate) fn values(&self) -> &[f64] {
        &self.0
    }

    /// Adds a turn.
    pub(crate) fn push(&mut self, value: f64) {
        self.0.push(value);
    }
}

impl FromIterator<f64> for Samples {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        Self(values.into_iter().collect())
    }
}

/// Something that can be measured again and again; gives one or more figures.
pub(crate) type Side<'a> = &'a mut dyn FnMut() -> Result<Vec<f64>>;

/// Measures all sides `rounds` times in turns, after one turn that does not
/// count. The first side of a turn is another one each time, so that nobody
/// always runs into the same cold cache. Gives samples by side and figure.
pub(crate) fn in_turns(rounds: usize, sides: &mut [Side<'_>]) -> Result<Vec<Vec<Samples>>> {
    let mut samples = vec![Vec::new(); sides.len()];
    for round in 0..=rounds {
        for step in 0..sides.len() {
            let index = (round + step) % sides.len();
            let figures = sides[index]()?;
            samples[index].resize(figures.len(), Samples::default());
            if round > 0 {
                for (sample, figure) in samples[index].iter_mut().zip(figures) {
                    sample.push(figure);
                }
            }
        }
    }
    Ok(samples)
}

/// [`in_turns`] for two sides of one figure each.
pub(crate) fn compare(
    rounds: usize,
    ours: &mut dyn FnMut() -> Result<f64>,
    theirs: &mut dyn FnMut() -> Result<f64>,
) -> Result<(Samples, Samples)> {
    let mut ours = || ours().map(|figure| vec![figure]);
    let mut theirs = || theirs().map(|figure| vec![figure]);
    let mut samples = in_turns(rounds, &mut [&mut ours, &mut theirs])?
        .into_iter()
        .flatten();
    Ok((
        samples.next().unwrap_or_default(),
        samples.next().unwrap_or_default(),
    ))
}
