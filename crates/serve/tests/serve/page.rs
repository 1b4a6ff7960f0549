//! The page in a real browser: a photo is given, words are pointed at, the picture shows where the model looked.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use image::RgbaImage;
use pipeline_tests::Workspace;
use pipeline_tests::browser::Browser;

use crate::server::{Server, photo};

/// A picture of the page; kept where SERVE_SCREENSHOTS names a folder.
fn screenshot(browser: &mut Browser, name: &str) -> RgbaImage {
    let bytes = STANDARD.decode(browser.screenshot()).unwrap();
    if let Some(folder) = std::env::var_os("SERVE_SCREENSHOTS") {
        std::fs::write(Path::new(&folder).join(name), &bytes).unwrap();
    }
    image::load_from_memory(&bytes).unwrap().into_rgba8()
}

#[test]
fn one_of_several_models_is_chosen() {
    let folder = Workspace::new("").with_weights("resnet18");
    folder.random_model("models/a.safetensors", 1);
    folder.random_model("models/b.safetensors", 2);
    let server = Server::start_in(folder, "models", &[]);
    let of = |model: &str| {
        let said = server.post(&format!("/caption?model={model}"), "image/png", &photo(1)).ok();
        said["caption"].as_str().unwrap().to_owned()
    };
    let (first, second) = (of("a"), of("b"));
    assert_ne!(first, second);
    let path = server.folder.path("photo.png");
    std::fs::write(&path, photo(1)).unwrap();
    let Some(mut browser) = Browser::open(&server.http, 1200, 900) else { return };
    browser.wait("document.querySelectorAll('#model option').length === 2");
    assert_eq!(browser.value("document.querySelector('#of').classList.contains('hidden')"), false);
    browser.choose_file("#file", path.to_str().unwrap());
    let caption = "document.querySelector('#caption').textContent.trim()";
    browser.wait(&format!("{caption} === {first:?}"));
    browser.value("const model = document.querySelector('#model'); model.value = 'b'; model.onchange()");
    browser.wait(&format!("{caption} === {second:?}"));
}

#[test]
fn a_photo_is_captioned_and_its_words_show_where_they_look() {
    let samples = tempfile::tempdir().unwrap();
    std::fs::write(samples.path().join("one.png"), photo(0)).unwrap();
    let server = Server::start(&["--samples", samples.path().to_str().unwrap()]);
    let wanted = server.caption(&photo(1));
    let path = server.folder.path("photo.png");
    std::fs::write(&path, photo(1)).unwrap();
    let Some(mut browser) = Browser::open(&server.http, 1200, 900) else { return };

    browser.choose_file("#file", path.to_str().unwrap());
    browser.wait("document.querySelectorAll('.word').length > 0 && !!document.querySelector('#photo').alt");
    let caption = "document.querySelector('#caption').textContent.trim()";
    assert_eq!(browser.value(caption), wanted);
    assert_eq!(browser.value("document.querySelector('#photo').alt"), wanted);
    assert_eq!(browser.value("document.querySelector('#said').textContent"), format!("Caption: {wanted}"));
    assert!(
        browser.value("document.querySelector('#timing').textContent").as_str().unwrap().contains(" ms:")
    );
    assert_eq!(browser.value("document.querySelectorAll('.beam').length"), 3);

    // The mouse: the heat map covers the photo, and another word changes it.
    let before = screenshot(&mut browser, "caption.png");
    browser.hover(".word");
    browser.wait("getComputedStyle(document.querySelector('#heat')).opacity === '1'");
    let first = screenshot(&mut browser, "word.png");
    assert_ne!(before, first);
    let look = "document.querySelector('#look').textContent";
    assert!(browser.value(look).as_str().unwrap().contains("likely, looking at the "));
    browser.hover("h1");
    browser.wait("document.querySelector('#look').textContent === ''");

    // The keyboard: one stop for all words, arrows between them.
    browser.value("document.querySelector('.word').focus()");
    browser.press("ArrowRight");
    assert_eq!(browser.value("[...document.querySelectorAll('.word')].indexOf(document.activeElement)"), 1);
    let second = "[...document.querySelectorAll('.word')][1]";
    assert_eq!(browser.value(&format!("{look}.startsWith(`“${{{second}.textContent}}”`)")), true);
    assert_eq!(browser.value(&format!("{second}.getAttribute('aria-current')")), "true");
    browser.press("End");
    assert_eq!(
        browser.value("document.activeElement === [...document.querySelectorAll('.word')].at(-1)"),
        true
    );

    // Another beam, and a sample.
    browser.value("document.querySelectorAll('.beam')[1].click()");
    assert_eq!(browser.value(&format!("{caption} === answer.captions[1].caption")), true);
    browser.wait("document.querySelectorAll('#samples img').length === 1");
    browser.value("document.querySelector('#samples button').click()");
    let sample = server.caption(&photo(0));
    browser.wait(&format!("{caption} === {sample:?}"));

    // What is no photo is said, and the page is as before it.
    std::fs::write(&path, "no photo").unwrap();
    browser.choose_file("#file", path.to_str().unwrap());
    browser.wait("document.querySelector('#error').textContent.includes('cannot be used')");
    let hidden = |id: &str| format!("document.querySelector('{id}').classList.contains('hidden')");
    assert_eq!(
        (browser.value(&hidden("#figure")), browser.value(&hidden("#result"))),
        (true.into(), true.into())
    );
    assert_eq!(browser.value("document.querySelector('#drop .hint').offsetHeight > 0"), true);
    assert_eq!(browser.value("document.querySelector('#drop').offsetWidth > innerWidth / 2"), true);
    // The browser itself logs a refused request; nothing else may go wrong.
    let others: Vec<_> = browser.complaints.iter().filter(|text| !text.contains("status of 415")).collect();
    assert!(others.is_empty(), "{others:?}");
}

#[test]
fn the_page_fits_a_phone() {
    let server = Server::start(&[]);
    let path = server.folder.path("photo.png");
    std::fs::write(&path, photo(2)).unwrap();
    let Some(mut browser) = Browser::open(&server.http, 390, 900) else { return };
    browser.choose_file("#file", path.to_str().unwrap());
    browser.wait("document.querySelectorAll('.word').length > 0");
    screenshot(&mut browser, "phone.png");
    assert_eq!(browser.value("document.documentElement.scrollWidth <= innerWidth"), true);
    // Large enough for a thumb.
    let small = "[...document.querySelectorAll('.key, select')].filter(e => e.offsetHeight && e.offsetHeight < 40).length";
    assert_eq!(browser.value(small), 0);
    // Every control has a name for who does not see it.
    let nameless = "[...document.querySelectorAll('button, input, select')].filter(e => \
                    !(e.textContent.trim() || e.ariaLabel || e.labels?.length)).length";
    assert_eq!(browser.value(nameless), 0);
    assert!(browser.complaints.is_empty(), "{:?}", browser.complaints);
}

#[test]
fn the_description_is_shown() {
    let server = Server::start(&[]);
    let Some(mut browser) = Browser::open(&format!("{}/docs", server.http), 1000, 900) else { return };
    browser.wait("document.querySelectorAll('details').length > 20");
    screenshot(&mut browser, "docs.png");
    assert!(browser.complaints.is_empty(), "{:?}", browser.complaints);
}
