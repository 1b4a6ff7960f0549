//! Ollama's and OpenAI's APIs, beyond what their own clients send.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::server::{Answer, Server, photo};

const GENERATE: &str = "/api/generate";
const CHAT: &str = "/api/chat";
const COMPLETIONS: &str = "/v1/chat/completions";
const RESPONSES: &str = "/v1/responses";

fn base64(number: u8) -> String {
    STANDARD.encode(photo(number))
}

fn data(number: u8) -> String {
    format!("data:image/png;base64,{}", base64(number))
}

fn part(number: u8) -> Value {
    json!({ "type": "image_url", "image_url": { "url": data(number) } })
}

/// Lines of an answer, as JSON.
fn lines(answer: &Answer) -> Vec<Value> {
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.body.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Why OpenAI's addresses refuse a request.
#[track_caller]
fn refused(answer: &Answer, status: u16) -> String {
    assert_eq!(answer.status, status, "{}", answer.body);
    assert!(answer.body.len() < 2000);
    let error = &answer.json()["error"];
    assert!(error["type"].is_string() && error.get("code").is_some(), "{error}");
    error["message"].as_str().unwrap().to_owned()
}

#[test]
fn programs_find_ollama_and_browsers_the_page() {
    let server = Server::start(&["--ollama", "0"]);
    for address in [&server.http, server.ollama.as_ref().unwrap()] {
        let answer = ureq::get(address).call().unwrap().body_mut().read_to_string().unwrap();
        assert_eq!(answer, "Ollama is running");
    }
    let head = server.call("HEAD", "/", &[], b"");
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    let browser = server.call("GET", "/", &[("accept", "text/html,*/*;q=0.8")], b"");
    assert!(browser.body.starts_with("<!doctype html>"));
    assert!(server.get("/api/version").ok()["version"].as_str().unwrap().split('.').count() == 3);
}

#[test]
fn a_stream_is_the_answer_in_pieces() {
    let server = Server::start(&[]);
    let caption = server.caption(&photo(1));
    let parts = lines(&server.post_json(GENERATE, &json!({ "model": "caption", "images": [base64(1)] })));
    let text: String = parts.iter().map(|part| part["response"].as_str().unwrap()).collect();
    assert_eq!(text, caption);
    assert_eq!(parts.len(), caption.split(' ').count() + 1);
    let (last, others) = parts.split_last().unwrap();
    assert!(others.iter().all(|part| part["done"] == false && part.get("done_reason").is_none()));
    assert_eq!((&last["done"], &last["done_reason"]), (&json!(true), &json!("stop")));
    for count in ["total_duration", "prompt_eval_count", "eval_count", "eval_duration"] {
        assert!(last[count].as_u64().unwrap() > 0, "{count}");
    }

    let ask = json!({ "messages": [{ "role": "user", "content": [part(1)] }], "stream": true });
    let answer = server.post_json(COMPLETIONS, &ask);
    assert_eq!(answer.headers["content-type"], "text/event-stream");
    let events: Vec<&str> = answer.body.split("\n\n").filter(|event| !event.is_empty()).collect();
    let (end, events) = events.split_last().unwrap();
    assert_eq!(*end, "data: [DONE]");
    let text = events.iter().map(|event| -> Value {
        let event: Value = serde_json::from_str(event.strip_prefix("data: ").unwrap()).unwrap();
        event["choices"][0]["delta"]["content"].clone()
    });
    assert_eq!(text.filter_map(|text| Some(text.as_str()?.to_owned())).collect::<String>(), caption);
}

#[test]
fn photos_are_those_since_the_last_answer() {
    let server = Server::start(&[]);
    let captions = [0, 1, 2].map(|number| server.caption(&photo(number)));
    let said = |messages: Value| {
        let ask = json!({ "model": "caption", "messages": messages, "stream": false });
        let ollama = server.post_json(CHAT, &ask).ok()["message"]["content"].clone();
        ollama.as_str().unwrap().to_owned()
    };
    let user = |numbers: &[u8]| {
        let images: Vec<String> = numbers.iter().map(|number| base64(*number)).collect();
        json!({ "role": "user", "content": "?", "images": images })
    };
    let assistant = json!({ "role": "assistant", "content": "…" });
    assert_eq!(said(json!([user(&[1]), user(&[])])), captions[1]);
    assert_eq!(said(json!([user(&[1]), assistant, user(&[])])), captions[1]);
    assert_eq!(said(json!([user(&[1]), assistant, user(&[2])])), captions[2]);
    assert_eq!(said(json!([user(&[1, 2])])), format!("{}\n{}", captions[1], captions[2]));

    // OpenAI: in messages of their own, as a bare address, as an item of the input.
    let complete = |messages: Value| {
        let answer = server.post_json(COMPLETIONS, &json!({ "messages": messages }));
        answer.ok()["choices"][0]["message"]["content"].as_str().unwrap().to_owned()
    };
    let of = |number| json!({ "role": "user", "content": [part(number)] });
    assert_eq!(
        complete(json!([of(0), of(2), { "role": "user", "content": "?" }])),
        format!("{}\n{}", captions[0], captions[2])
    );
    assert_eq!(
        complete(json!([{ "role": "user", "content": [{ "type": "image_url", "image_url": data(2) }] }])),
        captions[2]
    );
    let respond = |input: Value| {
        server.post_json(RESPONSES, &json!({ "input": input })).ok()["output"][0]["content"][0]["text"]
            .clone()
    };
    let item = json!({ "type": "input_image", "image_url": data(1) });
    assert_eq!(respond(json!([{ "role": "user", "content": [item] }])), captions[1]);
    assert_eq!(respond(json!([item])), captions[1]);
}

#[test]
fn what_is_asked_for_is_obeyed_and_the_rest_passed_over() {
    let server = Server::start(&[]);
    let caption = server.caption(&photo(1));
    let generate = |options: Value| {
        let ask = json!({
            "model": "caption", "prompt": "?", "system": "s", "template": "t", "raw": true, "think": "low", "suffix": "",
            "keep_alive": "5m", "images": [base64(1)], "stream": false, "options": options, "logprobs": true,
        });
        server.post_json(GENERATE, &ask).ok()
    };
    assert_eq!(
        generate(json!({ "temperature": 0.1, "top_k": 40, "num_ctx": 8192, "stop": ["\n"] }))["response"],
        caption.as_str()
    );
    let short = generate(json!({ "num_predict": 3 }));
    assert_eq!(short["response"].as_str().unwrap().split(' ').count(), 3);
    assert_eq!((&short["done_reason"], &short["eval_count"]), (&json!("length"), &json!(3)));
    // A seed makes chance of temperature, and the same seed the same chance.
    let drawn = |seed: i64| generate(json!({ "temperature": 2.0, "seed": seed }))["response"].clone();
    assert_eq!(drawn(-7), drawn(-7));
    assert!((0..8).any(|seed| drawn(seed) != drawn(-7)));
    assert_eq!(generate(json!({ "temperature": 0, "seed": 3 }))["response"], caption.as_str());

    // As many beams as answers, best first, with what each word was worth.
    let ask = |n: usize| json!({ "messages": [{ "role": "user", "content": [part(1)] }], "n": n, "logprobs": true });
    let answer = server.post_json(COMPLETIONS, &ask(5)).ok();
    let choices = answer["choices"].as_array().unwrap();
    assert_eq!(choices.len(), 5);
    let sum = |choice: &Value| -> f64 {
        let tokens = choice["logprobs"]["content"].as_array().unwrap();
        tokens.iter().map(|token| token["logprob"].as_f64().unwrap()).sum()
    };
    assert!(choices.iter().all(|choice| sum(choice) < 0.0));
    assert!(refused(&server.post_json(COMPLETIONS, &ask(33)), 400).contains("33 answers: 1 to 32"));
}

#[test]
fn what_cannot_be_answered_is_said_in_the_shape_of_its_api() {
    let server = Server::start(&["--max-body-mb", "1"]);
    let caption = server.caption(&photo(1));
    let with = |url: &str| json!({ "messages": [{ "role": "user", "content": [{ "type": "image_url", "image_url": { "url": url } }] }] });
    // Neither addresses of other hosts nor files are opened.
    for url in ["http://127.0.0.1:9/a.png", "https://example.org/a.png"] {
        assert!(refused(&server.post_json(COMPLETIONS, &with(url)), 400).contains("the server fetches none"));
    }
    for url in ["file:///etc/passwd", "/etc/passwd", "data:text/plain,hello", "data:image/png;base64,?"] {
        refused(&server.post_json(COMPLETIONS, &with(url)), 400);
    }
    refused(&server.post_json(COMPLETIONS, &with("data:image/png;base64,aGVsbG8=")), 415);
    assert!(
        refused(&server.post_json(RESPONSES, &json!({ "input": "hello" })), 400).contains("describes photos")
    );
    assert!(
        refused(&server.post_json(RESPONSES, &json!({ "model": "gpt", "input": "hello" })), 404)
            .contains("no model \"gpt\"")
    );
    refused(&server.post(COMPLETIONS, "application/json", b"{"), 400);
    let large = vec![b' '; (1 << 20) + 1];
    assert!(refused(&server.post(RESPONSES, "application/json", &large), 413).contains("1 MB"));

    let generate = |body: Value| server.post_json(GENERATE, &body);
    assert!(
        generate(json!({ "model": "gemma3:4b", "images": [base64(1)] })).refused(404).contains("\"gemma3\"")
    );
    assert!(generate(json!({ "images": [base64(1)] })).refused(400).contains("missing field `model`"));
    assert!(
        generate(json!({ "model": "caption", "images": ["a.png"] }))
            .refused(400)
            .contains("not of its alphabet")
    );
    assert!(
        generate(json!({ "model": "caption", "images": [base64(1)], "options": { "temperature": "hot" } }))
            .refused(400)
            .contains("found string")
    );
    let open =
        json!({ "type": "object", "properties": { "open": { "type": "boolean" } }, "required": ["open"] });
    let asked = json!({ "model": "caption", "images": [base64(1)], "format": open });
    assert!(generate(asked).refused(400).contains("true or false (open)"));
    assert!(server.post_json("/api/pull", &json!({ "model": "gemma3" })).refused(404).contains("no model"));
    assert!(server.post_json("/api/show", &json!({ "name": "gemma3" })).refused(404).contains("no model"));
    assert_eq!(server.caption(&photo(1)), caption);
}

#[test]
fn what_grows_in_memory_is_refused_where_it_begins() {
    let server = Server::start(&[]);
    let many = "1,".repeat(1_000_000);
    let objects = "{},".repeat(500_000);
    let text = "a".repeat(100_000);
    for (path, body, says) in [
        (
            GENERATE,
            format!("{{\"model\": \"caption\", \"format\": {{\"enum\": [{many}1]}}}}"),
            "more than 4096 values",
        ),
        (GENERATE, format!("{{\"model\": \"caption\", \"format\": \"{text}\"}}"), "more than 64 kB"),
        (GENERATE, format!("{{\"model\": \"caption\", \"images\": [{many}1]}}"), "numbers"),
        (CHAT, format!("{{\"model\": \"caption\", \"messages\": [{objects}{{}}]}}"), "more than 4096 values"),
        (
            "/v2/models/caption/infer",
            format!("{{\"parameters\": {{\"a\": [{many}1]}}, \"inputs\": []}}"),
            "more than 4096 values",
        ),
        (
            "/predict",
            format!("{{\"parameters\": {{\"a\": [{many}1]}}, \"inputs\": \"\"}}"),
            "more than 4096 values",
        ),
    ] {
        let reason = server.post(path, "application/json", body.as_bytes()).refused(400);
        assert!(reason.contains(says), "{path}: {reason}");
    }
    for path in [COMPLETIONS, RESPONSES] {
        let (messages, deep) = (format!("[{objects}{{}}]"), "[".repeat(100_000));
        for value in [messages, deep] {
            let body = format!("{{\"messages\": {value}, \"input\": {value}}}");
            refused(&server.post(path, "application/json", body.as_bytes()), 400);
        }
    }
    server.caption(&photo(1));
}

#[test]
fn the_token_is_asked_for_here_too() {
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "secret").unwrap();
    let server = Server::start(&["--token-file", token.to_str().unwrap(), "--ollama", "0"]);
    let body = json!({ "model": "caption", "images": [base64(0)], "stream": false });
    for path in [GENERATE, CHAT, "/api/show", "/api/pull"] {
        server.post_json(path, &body).refused(401);
    }
    for path in ["/api/tags", "/api/ps", "/api/version", "/v1/models"] {
        server.get(path).refused(401);
    }
    for path in [COMPLETIONS, RESPONSES] {
        let answer = server.post_json(path, &body);
        assert!(refused(&answer, 401).contains("Bearer TOKEN"));
        assert_eq!(answer.headers["www-authenticate"], "Bearer");
    }
    let kind = ("content-type", "application/json");
    let sent =
        server.post_with(GENERATE, &[kind, ("authorization", "Bearer secret")], body.to_string().as_bytes());
    assert!(sent.ok()["response"].is_string());
    assert_eq!(server.get("/").body, "Ollama is running");
}
