//! The text format of Prometheus (version 0.0.4).
//!
//! ```text
//! # HELP anabranch_table_rows Rows of the table.
//! # TYPE anabranch_table_rows gauge
//! anabranch_table_rows{flow="names",table="QueryTable"} 17
//! ```
//!
//! INVARIANT: a family is written once, with all of its samples; every sample has a value for every label that its
//! metric declares.

use std::fmt::Write;

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Only grows, until the node starts anew.
    Counter,
    /// Goes up and down.
    Gauge,
    /// How many samples were at most each bound.
    Histogram,
}

impl Kind {
    /// The word for it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        }
    }
}

/// A metric as it is declared.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Metric {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) labels: &'static [&'static str],
    pub(crate) help: &'static str,
}

/// How many samples there were, by how large they were.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Distribution {
    /// Bounds, growing, with the samples that are at most so large.
    pub(crate) at_most: Vec<(f64, u64)>,
    pub(crate) sum: f64,
    pub(crate) count: u64,
}

/// Metrics as text.
#[derive(Debug, Default)]
pub(crate) struct Exposition {
    text: String,
}

impl Exposition {
    /// Writes a metric with its samples; one without samples is declared all the same.
    pub(crate) fn family(&mut self, metric: &Metric, samples: impl FnOnce(&mut Samples<'_>)) {
        // Writing to a text does not fail.
        let _ = writeln!(self.text, "# HELP {} {}", metric.name, Escaped(metric.help, false));
        let _ = writeln!(self.text, "# TYPE {} {}", metric.name, metric.kind.name());
        samples(&mut Samples { metric, text: &mut self.text });
    }

    /// The text.
    pub(crate) fn into_text(self) -> String {
        self.text
    }
}

/// Takes the samples of a metric.
pub(crate) struct Samples<'a> {
    metric: &'a Metric,
    text: &'a mut String,
}

impl Samples<'_> {
    /// A whole number; label values in the order of the declaration.
    pub(crate) fn count(&mut self, labels: &[&str], value: u64) {
        self.line("", labels, None, &value.to_string());
    }

    /// A number.
    pub(crate) fn number(&mut self, labels: &[&str], value: f64) {
        self.line("", labels, None, &value.to_string());
    }

    /// The samples of a histogram.
    pub(crate) fn distribution(&mut self, labels: &[&str], of: &Distribution) {
        for (bound, count) in &of.at_most {
            self.line("_bucket", labels, Some(&bound.to_string()), &count.to_string());
        }
        self.line("_bucket", labels, Some("+Inf"), &of.count.to_string());
        self.line("_sum", labels, None, &of.sum.to_string());
        self.line("_count", labels, None, &of.count.to_string());
    }

    fn line(&mut self, suffix: &str, values: &[&str], bound: Option<&str>, value: &str) {
        assert_eq!(values.len(), self.metric.labels.len(), "{} has other labels", self.metric.name);
        let labels = self.metric.labels.iter().zip(values).map(|(name, value)| (*name, *value));
        let _ = write!(self.text, "{}{suffix}", self.metric.name);
        for (at, (name, value)) in labels.chain(bound.map(|bound| ("le", bound))).enumerate() {
            let before = if at == 0 { '{' } else { ',' };
            let _ = write!(self.text, "{before}{name}=\"{}\"", Escaped(value, true));
        }
        let close = if values.is_empty() && bound.is_none() { "" } else { "}" };
        let _ = writeln!(self.text, "{close} {value}");
    }
}

/// Text as it stands in a help line, or as the value of a label.
struct Escaped<'a>(&'a str, bool);

impl std::fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for sign in self.0.chars() {
            match sign {
                '\\' => f.write_str("\\\\")?,
                '\n' => f.write_str("\\n")?,
                '"' if self.1 => f.write_str("\\\"")?,
                sign => f.write_char(sign)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_written_with_their_labels_escaped() {
        let metric =
            Metric { name: "rows", kind: Kind::Counter, labels: &["flow"], help: "Rows \\ of\na flow." };
        let mut text = Exposition::default();
        text.family(&metric, |rows| rows.count(&["a\"b\\c\nd"], 3));
        let expected =
            "# HELP rows Rows \\\\ of\\na flow.\n# TYPE rows counter\nrows{flow=\"a\\\"b\\\\c\\nd\"} 3\n";
        assert_eq!(text.into_text(), expected);
    }

    #[test]
    fn a_histogram_has_its_buckets_sum_and_count() {
        let metric = Metric { name: "seconds", kind: Kind::Histogram, labels: &[], help: "Time." };
        let mut text = Exposition::default();
        let of = Distribution { at_most: vec![(0.001, 2), (0.5, 3)], sum: 4.25, count: 4 };
        text.family(&metric, |seconds| seconds.distribution(&[], &of));
        let expected = "# HELP seconds Time.\n# TYPE seconds histogram\nseconds_bucket{le=\"0.001\"} 2\n\
                        seconds_bucket{le=\"0.5\"} 3\nseconds_bucket{le=\"+Inf\"} 4\nseconds_sum 4.25\nseconds_count 4\n";
        assert_eq!(text.into_text(), expected);
    }
}
