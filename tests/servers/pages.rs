//! Listings of servers that others wrote: json-server, datasette, docker-registry, and moto, which speaks as CloudWatch
//! Logs do.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use serde_json::{Value, json};

use crate::api::{AUTH, Api, Next, PAGINATION, Stream};
use crate::{BASE64, between, good, its, one};

/// What a client of AWS says of itself; moto reads from it which service is meant.
const SIGNED: &str = "AWS4-HMAC-SHA256 Credential=canary-key/20260101/us-east-1/logs/aws4_request, \
                      SignedHeaders=host, Signature=canary-signature";

/// A listing, and what it is to give.
struct Shown {
    server: &'static str,
    endpoint: Value,
    keys: Value,
    /// What stands in each request, as its `Authorization`.
    authorization: String,
    /// What tells one record from the others.
    name: fn(&Value) -> Value,
    records: Vec<Value>,
    size: usize,
    /// Does nothing but an empty page say that it is over?
    ends_empty: bool,
}

impl Shown {
    /// With a password, whether the server looks at it or not.
    fn basic(server: &'static str, endpoint: Value, records: Vec<Value>, size: usize) -> Shown {
        let (user, password) = (its("user"), its("password"));
        Shown {
            server,
            endpoint,
            keys: json!({"auth": {"type": "basic", "username": user, "password": password}}),
            authorization: format!("Basic {}", BASE64.encode(format!("{user}:{password}"))),
            name: Value::clone,
            records,
            size,
            ends_empty: false,
        }
    }

    fn ending_empty(self) -> Shown {
        Shown { ends_empty: true, ..self }
    }

    fn names(&self, array: &[u8]) -> Vec<Value> {
        serde_json::from_slice::<Vec<Value>>(array).unwrap().iter().map(self.name).collect()
    }

    fn rest(&self, stream: &Stream) -> Vec<Value> {
        let mut names = Vec::new();
        loop {
            match stream.next().unwrap_or_else(|fault| panic!("{}: {}", fault.name, fault.message)) {
                Next::Item(record) => names.push((self.name)(&serde_json::from_slice(&record).unwrap())),
                Next::End => return names,
                Next::Idle => {}
            }
        }
    }

    /// Every record once, in order, in every way to read them, with no more requests than pages; and from any place.
    fn is_read(&self) {
        let watch = between(&its(self.server), |_, _| None);
        let connect = || one(&watch.url(), self.endpoint.clone(), self.keys.clone());
        let mut seen = 0;
        let mut asked = || {
            let all = watch.requests();
            for request in &all {
                assert_eq!(
                    request.header("Authorization"),
                    Some(self.authorization.as_str()),
                    "{}",
                    request.head
                );
            }
            let count = all.len() - seen;
            seen = all.len();
            count
        };
        let pages = self.records.len().div_ceil(self.size);
        let requests = |from: usize| pages - from / self.size + usize::from(self.ends_empty);
        assert!(pages > 2 && !self.records.len().is_multiple_of(self.size), "no place in the middle");

        let answer = good(connect().fetch("x", None, None));
        assert_eq!(self.names(&answer.body), self.records);
        assert_eq!(answer.meta["pages"].as_array().unwrap().len(), requests(0), "{}", answer.meta);
        let warnings: Vec<_> = answer.meta["warnings"].as_array().unwrap().iter().collect();
        let secret = self.keys["auth"].is_object();
        assert_eq!(warnings.len(), usize::from(secret), "{}", answer.meta);
        assert!(warnings.iter().all(|w| w.as_str().unwrap().ends_with("over plain http")), "{}", answer.meta);
        assert_eq!(asked(), requests(0));

        let stream = connect().pages("x", None, None, None).unwrap();
        for page in self.records.chunks(self.size) {
            let Next::Item(item) = stream.next().unwrap() else { panic!("it ends too early") };
            assert_eq!(self.names(&item), page);
        }
        assert_eq!((stream.next().unwrap(), asked()), (Next::End, requests(0)));

        // Between two pages, and inside one.
        for place in [2 * self.size, self.size + 1] {
            let stream = connect().records("x", None, None, None).unwrap();
            let mut names = Vec::new();
            for _ in 0..place {
                let Next::Item(record) = stream.next().unwrap() else { panic!("it ends too early") };
                names.push((self.name)(&serde_json::from_slice(&record).unwrap()));
            }
            assert_eq!(asked(), 2);
            let options = json!({"checkpoint": stream.checkpoint().unwrap()}).to_string();
            drop(stream);
            names.extend(self.rest(&connect().records("x", None, &*options, None).unwrap()));
            assert_eq!((names, asked()), (self.records.clone(), requests(place)), "from {place}");
            let rest = good(connect().fetch("x", None, &*options));
            assert_eq!((self.names(&rest.body), asked()), (self.records[place..].to_vec(), requests(place)));
        }
    }
}

/// What `run` has put into the file and the table.
fn rows() -> Vec<Value> {
    (1..=57).map(|n| json!({"id": n, "name": format!("n, {n}]")})).collect()
}

#[test]
#[ignore = "needs the servers of `make test-servers`"]
fn json_server_is_read_by_its_links_by_number_and_by_offset() {
    let show = |params: Value, pagination: Value| {
        let endpoint = json!({"path": "/records", "params": params, "pagination": pagination});
        Shown::basic("json_server", endpoint, rows(), 10)
    };
    show(json!({"_page": 1, "_limit": 10}), json!({"style": "header_link"})).is_read();
    let mut numbers =
        json!({"style": "page_number", "page_param": "_page", "limit_param": "_limit", "page_size": 10});
    show(json!({}), numbers.clone()).ending_empty().is_read();
    numbers["stop_on_short_page"] = true.into();
    show(json!({}), numbers).is_read();
    let offset = json!({"style": "offset", "offset_param": "_start", "limit_param": "_limit", "limit": 10});
    show(json!({}), offset).ending_empty().is_read();
}

#[test]
#[ignore = "needs the servers of `make test-servers`"]
fn datasette_is_read_by_the_link_in_the_body_the_one_in_the_header_and_its_token() {
    let show = |shape: &str, pagination: Value| {
        let params = json!({"_shape": shape, "_size": 10});
        let endpoint = json!({"path": "/listing/records.json", "params": params, "pagination": pagination});
        Shown::basic("datasette", endpoint, rows(), 10).is_read();
    };
    show("objects", json!({"style": "json_link", "data_path": "rows", "next_url_path": "next_url"}));
    show("array", json!({"style": "header_link"}));
    show("objects", json!({"data_path": "rows", "cursor_path": "next", "cursor_param": "_next"}));
}

/// A repository is there once something is in it.
fn push(repository: &str) {
    let keys = json!({"auth": {"type": "basic", "username": its("user"), "password": its("password")}});
    let send = |method: &str, path: &str, body: &[u8]| {
        let endpoint = json!({"path": path, "method": method, "body": "raw", "content_type": "application/octet-stream"});
        good(one(&its("registry"), endpoint, keys.clone()).send_bytes("x", body, None))
    };
    let begun = send("POST", &format!("/v2/{repository}/blobs/uploads/"), b"");
    let sha256 = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
    let place = format!("{}&digest=sha256:{sha256}", begun.header("Location").unwrap());
    assert_eq!(send("PUT", &place, b"{}").status, 201);
}

#[test]
#[ignore = "needs the servers of `make test-servers`"]
fn a_docker_registry_is_read_by_its_relative_links_with_the_password_on_each_page() {
    let repositories: Vec<String> = ('a'..='h').map(|name| format!("team/{name}")).collect();
    repositories.iter().for_each(|name| push(name));
    let pagination = json!({"style": "header_link", "data_path": "repositories"});
    let endpoint = json!({"path": "/v2/_catalog", "params": {"n": 3}, "pagination": pagination});
    let records = repositories.iter().map(|name| json!(name)).collect();
    let shown = Shown::basic("registry", endpoint.clone(), records, 3);
    shown.is_read();
    let wrong = json!({"auth": {"type": "basic", "username": its("user"), "password": "canary-wrong"}});
    let fault = one(&its("registry"), endpoint, wrong).fetch("x", None, None).unwrap_err();
    assert_eq!((fault.status, fault.http_status), (AUTH, 401), "{}", fault.message);
}

/// A call of CloudWatch Logs.
fn logs(action: &str) -> Value {
    let headers = json!({"X-Amz-Target": format!("Logs_20140328.{action}"), "Content-Type": "application/x-amz-json-1.1"});
    json!({"path": "/", "method": "POST", "headers": headers})
}

fn signed() -> Value {
    json!({"headers": {"Authorization": SIGNED}})
}

/// Calls it once for each body.
fn tell(action: &str, bodies: impl IntoIterator<Item = Value>) {
    let api: Api = one(&its("moto"), logs(action), signed());
    for body in bodies {
        good(api.send("x", &body.to_string(), None));
    }
}

fn pages_of_logs(action: &str, what: Value, data_path: &str, token: &str) -> Value {
    let mut endpoint = logs(action);
    endpoint["body_template"] = what;
    endpoint["pagination"] =
        json!({"data_path": data_path, "cursor_path": token, "cursor_body_path": "nextToken"});
    endpoint
}

#[test]
#[ignore = "needs the servers of `make test-servers`"]
fn cloudwatch_logs_are_read_by_the_token_that_goes_back_in_the_body() {
    // The tests may run again with the same servers.
    let prefix = format!("listing-{}-", std::process::id());
    let groups: Vec<Value> = (10..21).map(|n| json!(format!("{prefix}{n}"))).collect();
    tell("CreateLogGroup", groups.iter().map(|name| json!({"logGroupName": name})));
    let shown = |endpoint: Value, name: fn(&Value) -> Value, records: Vec<Value>| Shown {
        server: "moto",
        endpoint,
        keys: signed(),
        authorization: SIGNED.to_owned(),
        name,
        records,
        size: 3,
        ends_empty: false,
    };
    // moto takes a token only along with what was asked for at first.
    let what = json!({"logGroupNamePrefix": prefix, "limit": 3});
    let endpoint = pages_of_logs("DescribeLogGroups", what, "logGroups", "nextToken");
    shown(endpoint, |group| group["logGroupName"].clone(), groups.clone()).is_read();

    let group = &groups[0];
    let streams: Vec<Value> = (10..18).map(|n| json!(format!("stream-{n}"))).collect();
    let stream = |name: &Value| json!({"logGroupName": group, "logStreamName": name});
    tell("CreateLogStream", streams.iter().map(stream));
    let what = json!({"logGroupName": group, "limit": 3});
    let endpoint = pages_of_logs("DescribeLogStreams", what.clone(), "logStreams", "nextToken");
    shown(endpoint, |stream| stream["logStreamName"].clone(), streams.clone()).is_read();

    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
    let events: Vec<Value> =
        (0..10).map(|n| json!({"timestamp": now + n, "message": format!("event {n}")})).collect();
    let mut said = stream(&streams[0]);
    said["logEvents"] = events.clone().into();
    tell("PutLogEvents", [said]);
    let messages: Vec<Value> = events.iter().map(|event| event["message"].clone()).collect();
    let endpoint = pages_of_logs("FilterLogEvents", what, "events", "nextToken");
    shown(endpoint, |event| event["message"].clone(), messages.clone()).is_read();

    // This call ends with a token that was there before: not distinguishable from a circle, and nothing is lost.
    let mut what = stream(&streams[0]);
    what["limit"] = 3.into();
    what["startFromHead"] = true.into();
    let endpoint = pages_of_logs("GetLogEvents", what, "events", "nextForwardToken");
    let fault = one(&its("moto"), endpoint, signed()).fetch("x", None, None).unwrap_err();
    assert_eq!(fault.status, PAGINATION, "{}", fault.message);
    let partial = fault.partial.unwrap().json();
    let found: Vec<Value> =
        partial.as_array().unwrap().iter().map(|event| event["message"].clone()).collect();
    assert_eq!(found, messages);
}
