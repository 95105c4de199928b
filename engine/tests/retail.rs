//! Real input: the invoices of a shop, played through `flows/inventory.flow`, come to the same totals per product as
//! the files summed by hand.

#![allow(clippy::panic, reason = "what helps a test panics where it fails")]
#![expect(clippy::disallowed_methods, reason = "a test reads the files that it plays")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anabranch::rows::{ExtraColumns, Row, RowReader};
use anabranch::{Client, Value};
use anabranch_model::SchemaId;
use support::{flow, node};

/// Money in ten-thousandths.
type Units = i128;

#[derive(Debug, Default, PartialEq)]
struct Product {
    lines: i64,
    sold: i64,
    returned: i64,
    lost: i64,
    revenue: Units,
    refunds: Units,
    last_sale: Option<String>,
    description: Option<String>,
}

/// What a file comes to.
#[derive(Debug, Default)]
struct Totals {
    products: BTreeMap<String, Product>,
    good: usize,
    /// Rows that no shop can mean, and lines that are no rows.
    bad: usize,
}

/// `12.5` in ten-thousandths.
fn units(text: &str) -> Option<Units> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    let padded = format!("{decimals:0<4}");
    let (kept, rest) = padded.split_at(4);
    let below_zero = whole.starts_with('-');
    let whole: Units = whole.parse().ok()?;
    let part: Units = kept.parse().ok()?;
    rest.bytes().all(|digit| digit == b'0').then_some(whole * 10_000 + if below_zero { -part } else { part })
}

/// Sums a file with nothing of the engine.
fn sum_by_hand(path: &Path, totals: &mut Totals) {
    let mut reader = csv::Reader::from_path(path).expect("a CSV file");
    let headers = reader.headers().expect("a header").clone();
    for record in reader.records() {
        let record = record.expect("a record");
        let cells: BTreeMap<&str, &str> = headers.iter().zip(&record).collect();
        match sum_line(&cells, &mut totals.products) {
            Some(()) => totals.good += 1,
            None => totals.bad += 1,
        }
    }
}

fn sum_line(cells: &BTreeMap<&str, &str>, products: &mut BTreeMap<String, Product>) -> Option<()> {
    let (code, cancelled) = (cells["StockCode"], cells["InvoiceNo"].starts_with('C'));
    let quantity: i64 = cells["Quantity"].parse().ok()?;
    let price = units(cells["UnitPrice"])?;
    let possible = match quantity {
        0 => false,
        1.. => !cancelled && price >= 0,
        _ => {
            if cancelled {
                price >= 0
            } else {
                price == 0
            }
        }
    };
    if !possible || code.is_empty() {
        return None;
    }
    let product = products.entry(code.to_owned()).or_default();
    let amount = Units::from(quantity) * price;
    product.lines += 1;
    if !cells["Description"].is_empty() {
        product.description = Some(cells["Description"].to_owned());
    }
    if quantity > 0 {
        product.sold += quantity;
        product.revenue += amount;
        // Times of one form sort as texts.
        let time = format!("{}Z", cells["InvoiceDate"].replace(' ', "T"));
        product.last_sale = product.last_sale.take().max(Some(time));
    } else if cancelled {
        product.returned -= quantity;
        product.refunds -= amount;
    } else {
        product.lost -= quantity;
    }
    Some(())
}

/// Plays a file; gives how many of its lines were accepted, and how many not.
fn play(client: &mut Client, path: &Path) -> (usize, usize) {
    let file = std::io::BufReader::new(fs::File::open(path).expect("the file"));
    let shape = client.batch("Lines").expect("an input").shape().clone();
    let mut reader = RowReader::csv(file, shape, ExtraColumns::Refuse).expect("the columns of Lines");
    let (mut accepted, mut bad) = (0, 0);
    while let Some(chunk) = reader.next_chunk(SchemaId::default(), 256).expect("a file that can be read") {
        bad += chunk.problems.len();
        let mut batch = client.batch("Lines").expect("an input");
        chunk.batch.rows().for_each(|row| batch.packed().push(row));
        client.submit(batch).expect("a node that runs");
    }
    while let Some((_, answer)) = client.next().expect("a node that runs") {
        accepted += answer.accepted;
        bad += answer.refused.len();
    }
    (accepted, bad)
}

fn product(row: &Row) -> (String, Product) {
    let text = |column: &str| match row.get(column) {
        Some(Value::Text(text)) => Some(text.into_owned()),
        Some(Value::Null) => None,
        other => panic!("{column} is {other:?}"),
    };
    let int = |column: &str| match row.get(column) {
        Some(Value::Int(number)) => number,
        other => panic!("{column} is {other:?}"),
    };
    let money = |column: &str| match row.get(column) {
        Some(Value::Decimal(number)) => units(&number.to_string()).expect("four decimals"),
        other => panic!("{column} is {other:?}"),
    };
    let json = row.to_json().expect("an object");
    let product = Product {
        lines: int("lines"),
        sold: int("sold"),
        returned: int("returned"),
        lost: int("lost"),
        revenue: money("revenue"),
        refunds: money("refunds"),
        last_sale: json["last_sale"].as_str().map(str::to_owned),
        description: text("Description"),
    };
    (text("StockCode").expect("a key"), product)
}

/// Plays files on a node with so many workers and compares everything with the sums by hand.
fn compare(files: &[PathBuf], workers: u32) -> Totals {
    let mut totals = Totals::default();
    files.iter().for_each(|path| sum_by_hand(path, &mut totals));
    let node = node(workers, flow("inventory.flow"));
    let mut client = node.client();
    let (mut good, mut bad) = (0, 0);
    for path in files {
        let (accepted, refused) = play(&mut client, path);
        (good, bad) = (good + accepted, bad + refused);
    }
    assert_eq!((good, bad), (totals.good, totals.bad), "rows accepted and not");
    let rows: Vec<Row> = client.scan("Products").expect("a table").map(|row| row.expect("a row")).collect();
    let products: Vec<(String, Product)> = rows.iter().map(product).collect();
    // In key order, which is the order of the bytes, as a map of strings has it.
    assert!(
        products.iter().map(|(code, _)| code).eq(totals.products.keys()),
        "the same products in the same order"
    );
    for (code, product) in &products {
        assert_eq!(product, &totals.products[code], "{code}");
    }
    totals
}

#[test]
fn a_small_file_with_everything_odd_sums_as_by_hand() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../flows/data/lines.csv");
    for workers in [1, 4] {
        let totals = compare(std::slice::from_ref(&path), workers);
        assert_eq!((totals.good, totals.bad), (9, 5));
        assert_eq!(totals.products["85123A"].revenue, 6 * 25_500 + 32 * 21_000);
    }
}

#[test]
fn twenty_days_of_invoices_sum_as_by_hand() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/retail");
    let Ok(entries) = fs::read_dir(&directory) else {
        println!("skipped: the invoices are not at {}", directory.display());
        return;
    };
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "csv"));
    files.sort();
    let totals = compare(&files, 2);
    println!("{} files, {} lines, {} products", files.len(), totals.good, totals.products.len());
    assert!(totals.good > 10 * files.len(), "the files have lines");
}

#[test]
fn units_are_exact() {
    let read: Vec<Option<Units>> = ["2.55", "-0.0001", "3", "0.0", "1.00001", "x"].map(units).to_vec();
    assert_eq!(read, [Some(25_500), Some(-1), Some(30_000), Some(0), None, None]);
}
