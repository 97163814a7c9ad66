//! A server of one listing in every style, and the endpoints that read it.
#![allow(dead_code)]

use serde_json::{Value, json};

use crate::support::{Request, response};

/// The names of the endpoints, one for each style.
pub const STYLES: [&str; 11] = [
    "numbers",
    "total",
    "more",
    "offset",
    "cursor",
    "body",
    "header",
    "last",
    "json_link",
    "header_link",
    "reference",
];

/// Records `{"id": n}` from 1, so many on a page.
#[derive(Clone, Copy, Debug)]
pub struct Listing {
    pub records: usize,
    pub size: usize,
}

impl Listing {
    pub fn pages(self) -> usize {
        self.records.div_ceil(self.size)
    }

    fn from(self, start: usize) -> Vec<Value> {
        (start..self.records.min(start + self.size))
            .map(|n| json!({"id": n + 1, "name": format!("n, {n}]")}))
            .collect()
    }

    /// The answer to a request of one of the endpoints.
    pub fn answer(self, request: &Request) -> Vec<u8> {
        let url = url::Url::parse(&format!("http://a{}", request.target())).unwrap();
        let query = |name: &str| url.query_pairs().find(|(n, _)| n == name).map(|(_, v)| v.into_owned());
        let number = |name: &str| query(name).and_then(|v| v.parse::<usize>().ok());
        let style = url.path().trim_start_matches('/');
        let token = |start: usize| (start < self.records).then(|| format!("t/{start}&é"));
        let place = |token: Option<String>| {
            token.map_or(0, |t| t.trim_start_matches("t/").trim_end_matches("&é").parse::<usize>().unwrap())
        };
        let host = request.header("Host").unwrap();
        let start = match style {
            "numbers" | "total" | "more" => (number("page").unwrap_or(1) - 1) * self.size,
            "offset" => number("offset").unwrap_or(0),
            "cursor" => place(query("cursor")),
            "body" => {
                let body: Value = serde_json::from_slice(&request.body).unwrap();
                assert_eq!(body["filter"], "all");
                place(body["paging"]["cursor"].as_str().map(str::to_owned))
            }
            "header" => place(request.header("X-Cursor").map(str::to_owned)),
            "last" => number("starting_after").unwrap_or(0),
            "reference" => number("page").map_or(0, |n| n - 1) * self.size,
            _ => number("at").unwrap_or(0),
        };
        let (items, behind) = (self.from(start), start + self.size);
        let more = behind < self.records;
        let address = |at: usize| {
            if at.is_multiple_of(2) { format!("http://{host}/{style}?at={at}") } else { format!("?at={at}") }
        };
        let mut fields = "Content-Type: application/json\r\n".to_owned();
        let body = match style {
            "total" => json!({"data": items, "pages": self.pages()}),
            "more" => json!({"data": items, "more": more}),
            "cursor" => json!({"data": items, "next": token(behind)}),
            "body" => json!({"data": items, "paging": {"next": token(behind)}}),
            "reference" => json!({"data": items, "next": more.then_some(behind / self.size + 1)}),
            "json_link" => json!({"data": items, "links": {"next": more.then(|| address(behind))}}),
            _ => json!({"data": items}),
        };
        if style == "header_link" && more {
            fields += &format!("Link: <{}>; rel=\"next\", <{}>; rel=first\r\n", address(behind), address(0));
        }
        if style == "header"
            && let Some(token) = token(behind)
        {
            fields += &format!("X-Next: {token}\r\n");
        }
        response("200 OK", &fields, body.to_string())
    }

    /// An endpoint of each style, with further keys for their `pagination`.
    pub fn endpoints(self, further: &Value) -> Value {
        let pagination = |style: &str| match style {
            "numbers" => json!({"style": "page_number", "page_size": self.size}),
            "total" => json!({"style": "page_number", "total_path": "pages"}),
            "more" => json!({"style": "page_number", "has_more_path": "more"}),
            "offset" => json!({"style": "offset", "limit": self.size}),
            "cursor" => json!({"style": "cursor", "cursor_path": "next"}),
            "body" => {
                json!({"style": "cursor", "cursor_path": "paging.next", "cursor_body_path": "paging.cursor"})
            }
            "header" => {
                json!({"style": "cursor", "cursor_header": "X-Next", "cursor_header_name": "X-Cursor"})
            }
            "last" => json!({"style": "cursor", "cursor_param": "starting_after"}),
            "json_link" => json!({"style": "json_link", "next_url_path": "links.next"}),
            "header_link" => json!({"style": "header_link"}),
            _ => json!({"next_page_path": "next"}),
        };
        let endpoint = |style: &str| {
            let mut pagination = pagination(style);
            pagination["data_path"] = "data".into();
            for (key, value) in further.as_object().unwrap() {
                pagination[key] = value.clone();
            }
            let mut endpoint = json!({"path": format!("/{style}"), "pagination": pagination});
            if style == "body" {
                endpoint["method"] = "POST".into();
                endpoint["body_template"] = json!({"filter": "all", "paging": {"size": self.size}});
            }
            endpoint
        };
        STYLES.iter().map(|style| ((*style).to_owned(), endpoint(style))).collect()
    }

    /// The requests that a whole reading takes.
    pub fn requests(self, style: &str) -> usize {
        // Nothing says where these end but an empty page.
        self.pages() + usize::from(matches!(style, "numbers" | "offset" | "last"))
    }
}
