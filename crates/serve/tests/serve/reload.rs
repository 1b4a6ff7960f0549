//! A newer model takes over without a lost request; a signal ends the server when all are answered.

use std::fs::File;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use pipeline_tests::Workspace;
use serde_json::json;

use crate::server::{Server, photo};

#[test]
fn a_newer_version_takes_over_without_a_lost_request() {
    let folder = Workspace::new("").with_weights("resnet18");
    folder.random_model("models/1/model.safetensors", 1);
    // A folder without a model is no version yet.
    std::fs::create_dir_all(folder.path("models/9")).unwrap();
    let server = Server::start_in(folder, "models", &[]);
    let (before, after) = replaced(&server);
    assert_ne!(before, after, "the two models should differ");
    assert_eq!(server.get("/v1/models/caption").json()["model_version_status"][0]["version"], "2");
    assert_eq!(server.get("/v1/models/caption/versions/1").status, 404);

    // What cannot be loaded changes nothing.
    std::fs::write(server.folder.path("models/9/model.safetensors"), "not a model").unwrap();
    server.wait_for("the old one stays");
    assert_eq!(server.caption(&photo(1)), after);
    assert_eq!(server.metric("serve_model_version"), 2.0);
    assert!(server.metric("serve_model_loads_total{model=\"caption\",result=\"failed\"}") >= 1.0);
    let health = server.get("/healthz");
    assert_eq!((health.status, &health.json()["status"]), (200, &json!("degraded")));
    assert!(health.json()["problems"][0].as_str().unwrap().starts_with("version 9 cannot be loaded"));

    // The thread that looks for models has survived, and the next one is taken up.
    let newest = server.folder.random_model("new/model.safetensors", 3);
    std::fs::rename(newest, server.folder.path("models/9/model.safetensors")).unwrap();
    server.wait_for("newer model loaded");
    assert_eq!(server.get("/healthz").json()["status"], "ok");
    assert_eq!(server.metric("serve_thread_up{thread=\"reload\"}"), 1.0);
}

#[test]
fn the_starter_gives_way_to_the_first_model_of_ones_own() {
    let folder = Workspace::new("").with_weights("resnet18");
    let starter = folder.random_model("models/starter.safetensors", 1);
    let before = SystemTime::now() - Duration::from_secs(3600);
    File::options().write(true).open(starter).unwrap().set_modified(before).unwrap();
    let server = Server::start_at(folder, &[]);
    let started = server.caption(&photo(1));
    server.folder.random_model("mine/train/one/model.safetensors", 2);
    std::fs::write(server.folder.path("mine/train/one/manifest.json"), "").unwrap();
    std::fs::create_dir_all(server.folder.path("data/runs")).unwrap();
    std::fs::rename(server.folder.path("mine"), server.folder.path("data/runs/mine")).unwrap();
    server.wait_for("\"why\":\"the newest of your runs\"");
    assert_ne!(server.caption(&photo(1)), started);
}

#[test]
fn a_model_that_failed_once_is_tried_again() {
    let folder = Workspace::new("").with_weights("resnet18");
    folder.random_model("models/1/model.safetensors", 1);
    let new = folder.random_model("new/model.safetensors", 2);
    let server = Server::start_in(folder, "models", &[]);
    let (weights, away) = (server.folder.path("weights"), server.folder.path("away"));
    std::fs::rename(&weights, &away).unwrap();
    std::fs::create_dir(server.folder.path("models/2")).unwrap();
    std::fs::rename(new, server.folder.path("models/2/model.safetensors")).unwrap();
    server.wait_for("the old one stays");
    // The file of the model is the same when what it needs is there again.
    std::fs::rename(&away, &weights).unwrap();
    server.wait_for("newer model loaded");
    assert_eq!(server.metric("serve_model_version"), 2.0);
}

#[test]
fn sizes_that_no_machine_has_do_not_end_the_watch() {
    let folder = Workspace::new("").with_weights("resnet18");
    let model = folder.random_model("models/1/model.safetensors", 1);
    let bytes = std::fs::read(model).unwrap();
    let server = Server::start_in(folder, "models", &[]);
    let size = "\"hidden_size\\\":16";
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header = std::str::from_utf8(&bytes[8..8 + length]).unwrap();
    assert!(header.contains(&size[1..]), "{header}");
    let mut header = header.replace(&size[1..], "hidden_size\\\":999999999999");
    header += &" ".repeat(header.len().next_multiple_of(8) - header.len());
    let damaged =
        [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &bytes[8 + length..]].concat();
    std::fs::create_dir(server.folder.path("models/2")).unwrap();
    std::fs::write(server.folder.path("models/2/model.safetensors"), damaged).unwrap();
    server.wait_for("the old one stays");
    assert_eq!(server.get("/healthz").json()["status"], "degraded");
    server.folder.random_model("models/3/model.safetensors", 2);
    server.wait_for("newer model loaded");
    assert_eq!(server.get("/healthz").json()["status"], "ok");
}

/// Puts version 2 there while clients never pause; returns a photo's caption before and after.
fn replaced(server: &Server) -> (String, String) {
    let new = server.folder.random_model("new/model.safetensors", 2);
    let before = server.caption(&photo(1));
    let stop = AtomicBool::new(false);
    let client = || {
        let mut seen = vec![server.caption(&photo(1))];
        while !stop.load(Ordering::Relaxed) {
            seen.push(server.caption(&photo(1)));
            seen.dedup();
        }
        seen
    };
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..3).map(|_| scope.spawn(client)).collect();
        std::fs::create_dir(server.folder.path("models/2")).unwrap();
        std::fs::rename(new, server.folder.path("models/2/model.safetensors")).unwrap();
        server.wait_for("newer model loaded");
        let after = server.caption(&photo(1));
        stop.store(true, Ordering::Relaxed);
        for client in clients {
            let seen = client.join().unwrap();
            // Old, then new, and never back.
            assert!([vec![before.clone()], vec![before.clone(), after.clone()]].contains(&seen), "{seen:?}");
        }
        (before, after)
    })
}

#[test]
fn a_signal_lets_requests_end() {
    let mut server = Server::start(&[]);
    let b64 = json!({ "b64": STANDARD.encode(photo(2)) });
    let many = json!({ "instances": vec![b64; 48] });
    std::thread::scope(|scope| {
        let client = scope.spawn(|| server.post_json("/v1/models/caption:predict", &many));
        while server.metric("serve_queued_photos") < 1.0 {
            assert!(!client.is_finished(), "it was faster than the signal");
        }
        let signalled = Command::new("kill").args(["-TERM", &server.child.id().to_string()]).status();
        assert!(signalled.unwrap().success());
        server.wait_for("draining");
        let answer = client.join().unwrap();
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert_eq!(answer.json()["predictions"].as_array().unwrap().len(), 48);
    });
    assert!(server.child.wait().unwrap().success());
    assert!(std::net::TcpStream::connect(server.http.strip_prefix("http://").unwrap()).is_err());
}
