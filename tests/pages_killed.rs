//! A program that reads a listing is killed, page after page: what it has told is the whole listing, and no record twice.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::result_large_err, clippy::print_stdout)]

#[path = "support/alone.rs"]
mod alone;
#[path = "support/api.rs"]
mod api;
#[path = "support/listing.rs"]
mod listing;
mod support;

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use api::{Api, Next};
use listing::{Listing, STYLES};
use serde_json::{Value, json};
use support::{Server, answering};

const LISTING: Listing = Listing { records: 148, size: 5 };

/// Reads on from a place, and tells each piece and the place behind it, until it is killed.
#[test]
#[ignore = "run by the other test"]
fn alone_reader() {
    if !alone::is_alone() {
        return;
    }
    let job: Value = serde_json::from_str(&alone::variable("JOB")).unwrap();
    let api = Api::new(&job["config"].to_string()).unwrap();
    let (style, options) = (job["style"].as_str().unwrap(), job["options"].to_string());
    let stream = match job["by"].as_str().unwrap() {
        "page" => api.pages(style, None, &*options, None),
        _ => api.records(style, None, &*options, None),
    };
    let stream = stream.unwrap();
    loop {
        let told = match stream.next().unwrap() {
            Next::Item(item) => {
                let item: Value = serde_json::from_slice(&item).unwrap();
                json!({"item": item, "checkpoint": stream.checkpoint().unwrap()})
            }
            _ => Value::Null,
        };
        println!("\ntold {told}");
        std::io::stdout().flush().unwrap();
        if told.is_null() {
            return;
        }
    }
}

/// Starts a reader, takes so many pieces of it, and kills it. Gives the place behind the last; None: it has ended.
fn read(job: &Value, pieces: usize, found: &mut Vec<u64>) -> Option<String> {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "alone_reader", "--ignored", "--nocapture", "--test-threads=1"]);
    command.env("APL_TEST_ALONE", "1").env("JOB", job.to_string()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut place = None;
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    for told in lines.filter_map(|line| Some(line.strip_prefix("told ")?.to_owned())).take(pieces) {
        let told: Value = serde_json::from_str(&told).unwrap();
        if told.is_null() {
            assert!(child.wait().unwrap().success());
            return None;
        }
        let ids = match &told["item"] {
            Value::Array(items) => items.iter().map(|item| item["id"].as_u64().unwrap()).collect(),
            item => vec![item["id"].as_u64().unwrap()],
        };
        found.extend(ids);
        place = Some(told["checkpoint"].as_str().unwrap().to_owned());
    }
    child.kill().unwrap();
    child.wait().unwrap();
    place.or_else(|| panic!("the reader has told nothing"))
}

#[test]
fn killed_after_every_page_it_goes_on_without_loss_or_duplicate() {
    let server = Server::start(answering(|request| LISTING.answer(request)));
    let config = json!({"base_url": server.url(), "timeout": 15, "endpoints": LISTING.endpoints(&json!({}))});
    // Records are counted by another number than a page has, so that it is killed within pages too.
    for (by, pieces) in [("page", 1), ("record", 7)] {
        for style in STYLES {
            let (mut found, mut options, mut readers) = (Vec::new(), json!({}), 0);
            while let Some(place) = read(
                &json!({"config": config, "style": style, "by": by, "options": options}),
                pieces,
                &mut found,
            ) {
                options = json!({"checkpoint": place});
                readers += 1;
            }
            assert_eq!(found, (1..=LISTING.records as u64).collect::<Vec<_>>(), "{style} by {by}");
            assert!(readers >= 21, "{readers}");
        }
    }
}
