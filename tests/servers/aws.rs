//! moto, which speaks as AWS does, with its checks of signatures on: it lets in a user of its own IAM, by an access key.
//!
//! What it checks: that the key is one of its users', or of a role somebody has taken on; that the session token is the one
//! that came with that key; that the signature is the one it works out itself, with botocore, over method, path and query as
//! they came, the fields that the signature names, and the body; for S3 that is the hash that the request says, and of a form
//! the one that botocore would write, which is another one where a value has a `*` or a `~`. What it does not check: how old
//! a signature is, whether the fields named are enough, whether region and service are its own, and for S3 whether the body
//! has that hash.

use std::sync::LazyLock;

use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use crate::api::{AUTH, Answer, Api, Fault, HTTP_STATUS};
use crate::support::{Close, Request, Server, canned, response};
use crate::witness::Witness;
use crate::{between, connector, good, its};

/// An access key.
#[derive(Clone, Debug)]
struct Key {
    id: String,
    secret: String,
    session: Option<String>,
}

/// What IAM and STS are asked, as a form; the answer is XML.
fn query(api: &Api, form: Value) -> String {
    good(api.fetch("form", None, &*json!({"form": form}).to_string())).text().to_owned()
}

/// The text of an element.
fn element(xml: &str, name: &str) -> String {
    let (_, rest) = xml.split_once(&format!("<{name}>")).unwrap_or_else(|| panic!("no {name} in {xml}"));
    rest.split("</").next().unwrap().to_owned()
}

fn key_in(xml: &str) -> Key {
    let session = xml.contains("<SessionToken>").then(|| element(xml, "SessionToken"));
    Key { id: element(xml, "AccessKeyId"), secret: element(xml, "SecretAccessKey"), session }
}

const ALLOW_ALL: &str =
    r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}"#;

/// A user, and a role that the user may take on.
struct Account {
    user: Key,
    role_arn: String,
}

/// It is made while moto asks for no signature, for exactly the actions it takes.
static ACCOUNT: LazyLock<Account> = LazyLock::new(|| {
    let text = json!({"path": "/moto-api/reset-auth", "method": "POST", "body": "raw", "content_type": "text/plain"});
    let door = connector(&its("strict_moto"), json!({"endpoints": {"x": text}}));
    let open = |actions: &str| drop(good(door.send_bytes("x", actions.as_bytes(), None)));
    // From the credential moto reads which service is meant.
    let unsigned = "AWS4-HMAC-SHA256 Credential=nobody/20260101/us-east-1/iam/aws4_request, SignedHeaders=host, Signature=none";
    let form = json!({"path": "/", "method": "POST", "decode": "text"});
    let iam = connector(
        &its("strict_moto"),
        json!({"headers": {"Authorization": unsigned}, "endpoints": {"form": form}}),
    );
    let ask = |action: &str, mut form: Value| {
        form["Action"] = action.into();
        form["Version"] = "2010-05-08".into();
        query(&iam, form)
    };
    open("5");
    let (user, role) = (own("user"), own("role"));
    let created = ask("CreateUser", json!({"UserName": user}));
    let may = json!({"Effect": "Allow", "Principal": {"AWS": element(&created, "Arn")}, "Action": "sts:AssumeRole"});
    let trust = json!({"Version": "2012-10-17", "Statement": [may]}).to_string();
    ask("PutUserPolicy", json!({"UserName": user, "PolicyName": "all", "PolicyDocument": ALLOW_ALL}));
    let key = ask("CreateAccessKey", json!({"UserName": user}));
    let created = ask("CreateRole", json!({"RoleName": role, "AssumeRolePolicyDocument": trust}));
    ask("PutRolePolicy", json!({"RoleName": role, "PolicyName": "all", "PolicyDocument": ALLOW_ALL}));
    open("0");
    Account { user: key_in(&key), role_arn: element(&created, "Arn") }
});

fn user() -> &'static Key {
    &ACCOUNT.user
}

/// The role's key, for a while.
fn session() -> Key {
    let take_on = json!({"Action": "AssumeRole", "Version": "2011-06-15", "RoleArn": ACCOUNT.role_arn, "RoleSessionName": "a-session"});
    key_in(&query(&forms(user(), "sts"), take_on))
}

/// Who calls a service with a key; what is there to call, its endpoints say.
fn signed_at(url: &str, key: &Key, service: &str, endpoints: Value) -> Api {
    let mut auth = json!({"type": "sigv4", "access_key_id": key.id, "secret_access_key": key.secret, "region": "us-east-1", "service": service});
    if let Some(session) = &key.session {
        auth["session_token"] = session.as_str().into();
    }
    connector(url, json!({"auth": auth, "endpoints": endpoints}))
}

fn signed(key: &Key, service: &str, endpoints: Value) -> Api {
    signed_at(&its("strict_moto"), key, service, endpoints)
}

fn forms(key: &Key, service: &str) -> Api {
    signed(key, service, json!({"form": {"path": "/", "method": "POST", "decode": "text"}}))
}

/// What must not be said of a key.
fn witness(key: &Key) -> Witness {
    Witness::new([&*key.id, &key.secret].into_iter().chain(key.session.as_deref()))
}

/// The endpoints of a bucket; `path` is how an object stands in it.
fn objects(bucket: &str, path: &str) -> Value {
    let put = |path: &str| json!({"path": path, "method": "PUT", "body": "raw", "content_type": "application/octet-stream"});
    let list = json!({"list-type": 2, "encoding-type": "url"});
    json!({
        "create": put(&format!("/{bucket}")),
        "put": put(&format!("/{bucket}{path}")),
        "get": {"path": format!("/{bucket}{path}"), "decode": "bytes"},
        "list": {"path": format!("/{bucket}"), "params": list, "decode": "text"},
    })
}

/// A slash in a name is one in the path, and everything else is encoded.
const NAMED: &str = "{/name*}";

fn named(name: &str) -> Value {
    json!({"name": name.split('/').collect::<Vec<_>>()})
}

/// The names in a listing.
fn listed(xml: &str) -> Vec<String> {
    let names = xml.split("<Key>").skip(1).map(|rest| rest.split("</Key>").next().unwrap());
    names.map(|name| percent_decode_str(name).decode_utf8().unwrap().into_owned()).collect()
}

/// The tests may run again with the same servers.
fn own(name: &str) -> String {
    format!("{name}-{}", std::process::id())
}

fn dynamodb(key: &Key, url: &str) -> Api {
    let call = |action: &str| {
        let headers = json!({"X-Amz-Target": format!("DynamoDB_20120810.{action}"), "Content-Type": "application/x-amz-json-1.0"});
        json!({"path": "/", "method": "POST", "headers": headers})
    };
    signed_at(
        url,
        key,
        "dynamodb",
        json!({"create": call("CreateTable"), "put": call("PutItem"), "get": call("GetItem"), "list": call("ListTables")}),
    )
}

#[test]
#[ignore = "needs the servers of `make test-servers`"]
fn objects_of_s3_go_and_come_under_every_name() {
    let mut names =
        ["100%", "?q=1&r#f", "a b", "a%20b", "a+b", "a/b c/d", "a~!*'()&$@=;:,", "b\\\"<>^`{|}", "ü/€ 漢"]
            .map(String::from)
            .to_vec();
    let bucket = own("names");
    let witness = witness(user());
    witness.listen(|| {
        let api = signed(user(), "s3", objects(&bucket, NAMED));
        good(witness.outcome(api.send_bytes("create", b"", None)));
        let body = |name: &str| [b"\0\xff", name.as_bytes()].concat();
        for name in &names {
            let options = json!({"params": named(name)}).to_string();
            good(witness.outcome(api.send_bytes("put", &body(name), &*options)));
            let answer = good(witness.outcome(api.fetch("get", &*named(name).to_string(), None)));
            assert_eq!(answer.body, body(name), "{name}");
        }
        // A name that no variable makes is written down.
        let api = signed(user(), "s3", objects(&bucket, "/a//b//%2B%20/"));
        good(witness.outcome(api.send_bytes("put", b"slashes", None)));
        assert_eq!(good(witness.outcome(api.fetch("get", None, None))).body, b"slashes");
        names.push("a//b//+ /".to_owned());
        names.sort();
        let list = |prefix: Value| {
            listed(good(witness.outcome(api.fetch("list", &*prefix.to_string(), None))).text())
        };
        assert_eq!(list(json!({})), names);
        assert_eq!(list(json!({"prefix": "a+"})), ["a+b"]);
        assert_eq!(list(json!({"prefix": "a "})), ["a b"]);
        assert_eq!(list(json!({"prefix": "ü/€ "})), ["ü/€ 漢"]);
        witness.explained(&api, "list");
    });
    witness.is_content();
}

#[test]
#[ignore = "needs the servers of `make test-servers`"]
fn what_is_posted_to_dynamodb_sts_and_sqs_is_signed_with_its_body() {
    let witness = witness(user());
    witness.listen(|| {
        let send = |api: &Api, call: &str, body: Value| {
            good(witness.outcome(api.fetch(call, None, &*json!({"data": body}).to_string()))).json()
        };
        let (api, table) = (dynamodb(user(), &its("strict_moto")), own("table"));
        let key = json!([{"AttributeName": "id", "KeyType": "HASH"}]);
        let types = json!([{"AttributeName": "id", "AttributeType": "S"}]);
        send(&api, "create", json!({"TableName": table, "KeySchema": key, "AttributeDefinitions": types, "BillingMode": "PAY_PER_REQUEST"}));
        let item = json!({"id": {"S": "ü + €"}, "n": {"N": "1.5"}});
        send(&api, "put", json!({"TableName": table, "Item": item}));
        let found = send(&api, "get", json!({"TableName": table, "Key": {"id": {"S": "ü + €"}}}));
        assert_eq!(found["Item"], item);

        let who = query(&forms(user(), "sts"), json!({"Action": "GetCallerIdentity", "Version": "2011-06-15"}));
        assert_eq!(element(&who, "Arn"), format!("arn:aws:iam::123456789012:user/{}", own("user")));

        let call = |action: &str| {
            let headers = json!({"X-Amz-Target": format!("AmazonSQS.{action}"), "Content-Type": "application/x-amz-json-1.0"});
            json!({"path": "/", "method": "POST", "headers": headers})
        };
        let api = signed(user(), "sqs", json!({"create": call("CreateQueue"), "send": call("SendMessage"), "receive": call("ReceiveMessage")}));
        let queue = send(&api, "create", json!({"QueueName": own("queue")}))["QueueUrl"].clone();
        send(&api, "send", json!({"QueueUrl": queue, "MessageBody": "a+b c/ü"}));
        assert_eq!(send(&api, "receive", json!({"QueueUrl": queue}))["Messages"][0]["Body"], "a+b c/ü");
    });
    witness.is_content();
}

#[test]
#[ignore = "needs the servers of `make test-servers`"]
fn a_key_that_is_wrong_is_refused_in_the_words_of_aws() {
    let no_match = "The request signature we calculated does not match the signature you provided";
    let unknown = "The AWS Access Key Id you provided does not exist in our records.";
    let malformed = "The provided token is malformed or otherwise invalid.";
    let invalid = "The security token included in the request is invalid";
    let wrong_secret = Key { secret: "canary/wrong+secret".to_owned(), ..user().clone() };
    let wrong_id = Key { id: "AKIACANARYUNKNOWN".to_owned(), ..user().clone() };
    let wrong_session = Key { session: Some("canary/wrong+token==".to_owned()), ..session() };
    type Call = fn(&Key) -> Result<Answer, Fault>;
    let s3: Call = |key| signed(key, "s3", objects("any", NAMED)).fetch("list", None, None);
    let table: Call = |key| dynamodb(key, &its("strict_moto")).fetch("list", None, r#"{"data": {}}"#);
    let calls = [
        (&wrong_secret, s3, (AUTH, 403), "SignatureDoesNotMatch", no_match),
        (&wrong_secret, table, (AUTH, 403), "SignatureDoesNotMatch", no_match),
        (&wrong_id, s3, (AUTH, 403), "InvalidAccessKeyId", unknown),
        (&wrong_id, table, (AUTH, 403), "InvalidClientTokenId", invalid),
        // As S3 itself does.
        (&wrong_session, s3, (HTTP_STATUS, 400), "InvalidToken", malformed),
        (&wrong_session, table, (AUTH, 403), "InvalidClientTokenId", invalid),
    ];
    for (key, call, statuses, code, words) in calls {
        let witness = witness(key);
        let fault = witness.listen(|| witness.outcome(call(key))).unwrap_err();
        assert_eq!(
            ((fault.status, fault.http_status), fault.retryable),
            (statuses, false),
            "{}",
            fault.message
        );
        assert!(fault.message.contains(words), "{code}: {}", fault.message);
        assert!(String::from_utf8_lossy(&fault.response_body).contains(code), "{}", fault.message);
        witness.is_content();
    }
}

#[test]
#[ignore = "needs the servers of `make test-servers`"]
fn the_key_of_a_role_works_with_its_session_token() {
    let key = session();
    let witness = witness(&key);
    witness.listen(|| {
        let arn = query(&forms(&key, "sts"), json!({"Action": "GetCallerIdentity", "Version": "2011-06-15"}));
        assert!(element(&arn, "Arn").ends_with("/a-session"), "{arn}");
        let api = signed(&key, "s3", objects(&own("session"), NAMED));
        good(witness.outcome(api.send_bytes("create", b"", None)));
        good(witness.outcome(api.send_bytes("put", b"here", &*json!({"params": named("a b")}).to_string())));
        assert_eq!(good(witness.outcome(api.fetch("get", &*named("a b").to_string(), None))).body, b"here");
        witness.explained(&api, "list");
        let cut = "HTTP/1.1 200 OK\r\nETag: \"1\"\r\nContent-Length: 1000\r\n\r\nhalf of it";
        let server = Server::start(canned([cut], Close::Fin));
        witness.left_behind(&signed_at(&server.url(), &key, "s3", objects("any", "/object")), "get");
    });
    witness.is_content();
}

#[test]
#[ignore = "needs the servers of `make test-servers`"]
fn what_is_tried_again_is_signed_anew() {
    // A second later, the date is another one. What the first request said is said back.
    let between = between(&its("strict_moto"), |n, request| {
        let said =
            ["Authorization", "X-Amz-Security-Token"].map(|name| request.header(name).unwrap().to_owned());
        (n == 0).then(|| {
            response("503 Busy", "Retry-After: 1\r\n", json!({"message": said.join(" ")}).to_string())
        })
    });
    let key = session();
    let witness = witness(&key);
    let api = dynamodb(&key, &between.url());
    let answer = witness.listen(|| {
        good(witness.outcome(api.fetch("list", None, r#"{"data": {"Limit": 100}, "retry_count": 2}"#)))
    });
    assert!(answer.json()["TableNames"].is_array(), "{}", answer.text());
    let requests = between.requests();
    let fields = |name: &str| {
        requests.iter().map(|request| request.header(name).unwrap().to_owned()).collect::<Vec<_>>()
    };
    let ([first, second], [early, late]) = (&*fields("Authorization"), &*fields("X-Amz-Date")) else {
        panic!("{requests:?}")
    };
    assert!(first != second && early < late, "{requests:?}");
    // Whoever has it can send the request once more.
    [first, second].into_iter().for_each(|field| witness.keep(field.rsplit('=').next().unwrap()));
    witness.is_content();
}

#[test]
#[ignore = "needs the servers of `make test-servers`"]
fn what_is_changed_on_the_way_is_refused() {
    type Change = fn(&mut Request);
    let changes: [(&str, Change); 4] = [
        ("body", |request| request.body = request.body_text().replace("100", "101").into_bytes()),
        ("query", |request| request.head = request.head.replacen("POST / ", "POST /?a=b ", 1)),
        ("field", |request| request.head = request.head.replace("ListTables", "ListBackups")),
        ("date", |request| request.head = request.head.replacen("x-amz-date: 20", "x-amz-date: 19", 1)),
    ];
    for (name, change) in changes {
        let between = between(&its("strict_moto"), move |_, request| {
            let before = (request.head.clone(), request.body.clone());
            change(request);
            assert_ne!(before, (request.head.clone(), request.body.clone()), "nothing is changed");
            None
        });
        let call = dynamodb(user(), &between.url()).fetch("list", None, r#"{"data": {"Limit": 100}}"#);
        let fault = call.expect_err(name);
        assert_eq!((fault.status, fault.http_status), (AUTH, 403), "{name}: {}", fault.message);
    }
}
