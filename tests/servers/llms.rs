//! Answers of language models, word by word, from servers that are none: fakellm, and llmock, which also breaks them.

use serde_json::{Value, json};

use crate::api::{Fault, HTTP_STATUS, Next, TRUNCATED};
use crate::{its, one};

/// The data of each event of a chat completion, and the failure behind them.
fn chat(server: &str) -> Result<(Vec<String>, Option<Fault>), Fault> {
    let endpoint = json!({
        "path": "/chat/completions", "method": "POST",
        "sse": {"sentinel": "[DONE]", "error_path": "error"},
    });
    let api = one(&its(server), endpoint, json!({"auth": {"type": "bearer", "token": "canary-token"}}));
    let question = json!({"data": {
        "model": "gpt-4o", "stream": true, "messages": [{"role": "user", "content": "Say a few words, please."}],
    }});
    let stream = api.sse("x", None, &*question.to_string(), None)?;
    let mut data = Vec::new();
    loop {
        match stream.next() {
            Ok(Next::Item(item)) => data.push(String::from_utf8(item).unwrap()),
            Ok(Next::End) => return Ok((data, None)),
            Ok(Next::Idle) => {}
            Err(fault) => return Ok((data, Some(fault))),
        }
    }
}

fn words(data: &[String]) -> String {
    let word = |data: &String| {
        let event: Value = serde_json::from_str(data).unwrap();
        event["choices"][0]["delta"]["content"].as_str().unwrap_or_default().to_owned()
    };
    data.iter().map(word).collect()
}

#[test]
#[ignore = "needs the servers of `make test-servers`"]
fn a_complete_answer_is_complete() {
    for server in ["fakellm", "llmock"] {
        let (data, fault) = chat(server).unwrap();
        assert!(fault.is_none(), "{server}: {}", fault.unwrap().message);
        assert!(data.len() > 4 && words(&data).contains("gpt-4o"), "{server}: {data:?}");
        assert!(data.last().unwrap().contains("\"stop\""), "{server}: {data:?}");
    }
}

#[test]
#[ignore = "needs the servers of `make test-servers`"]
fn a_cut_answer_is_truncated_with_the_text_so_far() {
    // One ends in good order, only without the sentinel; the other in the middle of its chunks.
    for server in ["cut_llm", "broken_llm"] {
        let (data, fault) = chat(server).unwrap();
        let fault = fault.unwrap_or_else(|| panic!("{server}: {data:?}"));
        assert_eq!(fault.status, TRUNCATED, "{server}: {}", fault.message);
        let partial = fault.partial.as_ref().map(|p| p.text().to_owned()).unwrap_or_default();
        assert_eq!(partial, data.join("\n"), "{server}");
        let whole = chat("llmock").unwrap().0;
        // The cut may be where only the sentinel is missing.
        assert!(data.len() <= whole.len() && words(&whole).starts_with(&words(&data)), "{server}: {data:?}");
    }
}

#[test]
#[ignore = "needs the servers of `make test-servers`"]
fn a_refused_question_is_told_with_what_the_server_says() {
    let fault = chat("busy_llm").unwrap_err();
    assert_eq!((fault.status, fault.http_status), (HTTP_STATUS, 503), "{}", fault.message);
    assert!(!fault.message.contains("canary-token"));
}
