//! A strict reader of the text format of Prometheus, and the request that gets it from a node.

#![allow(dead_code, reason = "every test file uses its part of it")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

/// Metrics as they were told.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    /// The type of each family.
    pub(crate) families: BTreeMap<String, String>,
    /// The value of each sample, by its name with its labels as they were written.
    pub(crate) samples: BTreeMap<String, f64>,
}

impl Metrics {
    /// The value of a sample.
    pub(crate) fn value(&self, sample: &str) -> f64 {
        *self.samples.get(sample).unwrap_or_else(|| panic!("there is no {sample}"))
    }

    /// The sum of the samples that begin so.
    pub(crate) fn sum(&self, begin: &str) -> f64 {
        self.samples.iter().filter(|(name, _)| name.starts_with(begin)).map(|(_, value)| value).sum()
    }

    /// Reads the text.
    ///
    /// # Errors
    /// The first line that is not as the format wants it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut metrics = Metrics::default();
        let (mut helped, mut family) = (BTreeSet::new(), String::new());
        if !text.ends_with('\n') {
            return Err("the last line does not end".into());
        }
        for line in text.lines() {
            let wrong = |why: &str| format!("{why}: {line}");
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').ok_or_else(|| wrong("no help"))?;
                let fresh = helped.insert(name.to_owned());
                if !fresh || help.is_empty() || !is_name(name) {
                    return Err(wrong("a second help, or an empty one"));
                }
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').ok_or_else(|| wrong("no type"))?;
                if !helped.contains(name) || !["counter", "gauge", "histogram"].contains(&kind) {
                    return Err(wrong("a type without help, or no type"));
                }
                family = name.to_owned();
                if metrics.families.insert(family.clone(), kind.to_owned()).is_some() {
                    return Err(wrong("a family twice"));
                }
            } else {
                let (sample, value) = sample(line).ok_or_else(|| wrong("no sample"))?;
                let name = sample.split('{').next().unwrap_or_default();
                let kind = metrics.families.get(&family).map(String::as_str);
                let suffix = name.strip_prefix(family.as_str()).ok_or_else(|| wrong("of another family"))?;
                let fits = match kind {
                    Some("histogram") => ["_bucket", "_sum", "_count"].contains(&suffix),
                    _ => suffix.is_empty(),
                };
                if !fits || metrics.samples.insert(sample.to_owned(), value).is_some() {
                    return Err(wrong("a sample twice, or one that its family has not"));
                }
            }
        }
        metrics.check_histograms()?;
        Ok(metrics)
    }

    /// Buckets grow, and the last one has all.
    fn check_histograms(&self) -> Result<(), String> {
        for (sample, all) in self.samples.iter().filter(|(name, _)| name.contains("le=\"+Inf\"")) {
            let (begin, _) = sample.split_once("le=").ok_or("no bound")?;
            let bounds = self.samples.iter().filter_map(|(name, value)| {
                let bound = name.strip_prefix(begin)?.strip_prefix("le=\"")?.strip_suffix("\"}")?;
                Some((if bound == "+Inf" { f64::INFINITY } else { bound.parse().ok()? }, *value))
            });
            let mut bounds: Vec<(f64, f64)> = bounds.collect();
            bounds.sort_by(|a, b| a.0.total_cmp(&b.0));
            let count = begin.replacen("_bucket", "_count", 1);
            let count = count
                .strip_suffix(',')
                .map(|begin| format!("{begin}}}"))
                .unwrap_or_else(|| count.replace('{', ""));
            let grows = bounds.windows(2).all(|pair| pair[0].1 <= pair[1].1);
            if !grows || self.samples.get(&count) != Some(all) {
                return Err(format!("{sample}: its buckets do not grow, or have not all"));
            }
        }
        Ok(())
    }
}

fn is_name(text: &str) -> bool {
    let sign =
        |at: usize, sign: u8| sign == b'_' || sign.is_ascii_alphabetic() || at > 0 && sign.is_ascii_digit();
    !text.is_empty() && text.bytes().enumerate().all(|(at, byte)| sign(at, byte))
}

/// A sample with its labels, and its value.
fn sample(line: &str) -> Option<(&str, f64)> {
    let name_ends = line.find(['{', ' '])?;
    let mut rest = &line[name_ends..];
    if let Some(labels) = rest.strip_prefix('{') {
        rest = labels;
        loop {
            let (name, behind) = rest.split_once("=\"")?;
            rest = after_value(behind)?;
            if !is_name(name) {
                return None;
            }
            match rest.strip_prefix(',') {
                Some(next) => rest = next,
                None => break,
            }
        }
        rest = rest.strip_prefix('}')?;
    }
    let value = rest.strip_prefix(' ')?;
    let sample = &line[..line.len() - rest.len()];
    is_name(&line[..name_ends]).then_some((sample, value.parse().ok()?))
}

/// What stands behind the value of a label and its quote.
fn after_value(text: &str) -> Option<&str> {
    let mut signs = text.char_indices();
    while let Some((at, sign)) = signs.next() {
        match sign {
            '"' => return Some(&text[at + 1..]),
            '\\' if !matches!(signs.next()?.1, '\\' | '"' | 'n') => return None,
            _ => {}
        }
    }
    None
}

/// Sends an HTTP request with further head lines, and gives the head and the body of the answer.
pub(crate) fn http(at: SocketAddr, method: &str, path: &str, head: &str, body: &str) -> (String, String) {
    let mut stream = TcpStream::connect(at).expect("it listens");
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: {at}\r\nconnection: close\r\ncontent-length: {length}\r\n{head}\r\n{body}"
    );
    stream.write_all(request.as_bytes()).expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    let (head, body) = answer.split_once("\r\n\r\n").expect("the head ends");
    (head.to_owned(), body.to_owned())
}

/// The metrics of a node.
pub(crate) fn scrape(at: SocketAddr) -> Metrics {
    let (head, body) = http(at, "GET", "/metrics", "", "");
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert!(head.contains("content-type: text/plain; version=0.0.4"), "{head}");
    Metrics::parse(&body).unwrap_or_else(|why| panic!("{why}"))
}
