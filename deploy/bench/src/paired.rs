//! [`Paired`]: two ways to run the same load, compared.
//!
//! A machine drifts, so both are measured alternately, in the order off, on, on, off, and the
//! median counts.

use std::time::Duration;

/// What to compare.
#[derive(Clone, Copy, Debug)]
pub struct Paired {
    /// Orders per second.
    pub rate: f64,
    /// How long each of them is measured.
    pub seconds: u64,
    /// How often each is measured.
    pub pairs: usize,
}

/// Off and on, each so often: neither always comes first.
pub(crate) fn turns(pairs: usize) -> impl Iterator<Item = bool> {
    (0..pairs).flat_map(|pair| if pair % 2 == 0 { [false, true] } else { [true, false] })
}

/// The middle one; the higher of two.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Asks all `urls` every `interval`, until it is dropped. What fails costs a service less than what
/// does not.
pub(crate) async fn ask_every(interval: Duration, http: reqwest::Client, urls: Vec<String>) {
    loop {
        for url in &urls {
            if let Ok(answer) = http.get(url).send().await {
                let _ = answer.bytes().await;
            }
        }
        tokio::time::sleep(interval).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_measured_as_often_as_the_other_and_neither_always_first() {
        assert_eq!(turns(3).collect::<Vec<_>>(), [false, true, true, false, false, true]);
    }

    #[test]
    fn one_bad_measurement_does_not_count() {
        assert_eq!(median([500.0, 90.0, 480.0]), 480.0);
        assert!(median([]).is_nan());
    }
}
