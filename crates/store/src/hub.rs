//! Datasets of the Hugging Face hub, through its plain addresses: `hf://datasets/ORG/NAME[@REVISION][/FOLDER]`.
//!
//! What a dataset holds, the hub's listing says (`/api/datasets/…/tree/…`), a thousand files to a page. `HF_ENDPOINT` names another hub,
//! `HF_TOKEN` opens what is not public, as in the hub's own tools.

use std::sync::Arc;

use bytes::Bytes;
use object_store::ObjectStore;
use object_store::http::HttpBuilder;
use object_store::path::Path;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue, LINK};
use reqwest::{Client, StatusCode};
use serde::Deserialize;
use url::Url;

use crate::remote::{FIRST_REST, LONGEST_REST, Limits, Remote, wait};
use crate::{Entry, StoreError};

const PUBLIC: &str = "https://huggingface.co";
/// Where the hub keeps a Parquet form of datasets that are programs.
const CONVERTED: &str = "refs/convert/parquet";

/// One entry of the hub's listing.
#[derive(Deserialize)]
struct Listed {
    #[serde(rename = "type")]
    kind: String,
    path: String,
    size: u64,
    oid: String,
}

/// A dataset as an address names it.
struct Dataset {
    id: String,
    revision: Option<String>,
    folder: String,
}

pub(crate) fn open(url: &Url, limits: Limits) -> Result<Remote, StoreError> {
    let address = url.as_str().trim_end_matches('/').to_owned();
    let Some(dataset) = Dataset::parse(url) else {
        let reason =
            "write hf://datasets/ORG/NAME, with @REVISION or a folder behind it if wanted".to_owned();
        return Err(StoreError::Address { at: address, reason });
    };
    let hub = std::env::var("HF_ENDPOINT").unwrap_or_else(|_| PUBLIC.to_owned());
    let hub = hub.trim_end_matches('/');
    let headers = headers();
    let list = |revision: &str| list(hub, &dataset, revision, &headers, limits, &address);
    let main = dataset.revision.as_deref().unwrap_or("main");
    let (mut revision, mut entries) = (main, list(main)?);
    let holds_data =
        entries.iter().any(|entry| [".parquet", ".tar"].iter().any(|end| entry.name.ends_with(end)));
    if !holds_data && dataset.revision.is_none() {
        // A dataset that is a program, which the hub has turned into files.
        if let Ok(converted) = list(CONVERTED) {
            (revision, entries) = (CONVERTED, converted);
        }
    }
    let quoted = revision.replace('/', "%2F");
    let base = format!("{hub}/datasets/{}/resolve/{quoted}", dataset.id);
    let store = HttpBuilder::new()
        .with_url(&base)
        .with_retry(limits.retry())
        .with_client_options(limits.client().with_default_headers(headers))
        .build();
    let refused = |reason: String| StoreError::Address { at: address.clone(), reason };
    let store: Arc<dyn ObjectStore> = Arc::new(store.map_err(|error| refused(error.to_string()))?);
    let prefix = Path::parse(&dataset.folder).map_err(|error| refused(error.to_string()))?;
    Ok(Remote::known(address.clone(), store, prefix, limits, entries))
}

impl Dataset {
    fn parse(url: &Url) -> Option<Dataset> {
        let mut parts = url.path_segments()?.filter(|part| !part.is_empty());
        if url.host_str() != Some("datasets") {
            return None;
        }
        let (organisation, name) = (parts.next()?, parts.next()?);
        let (name, revision) = match name.split_once('@') {
            Some((name, revision)) => (name, Some(revision.replace("%2F", "/"))),
            None => (name, None),
        };
        let folder = parts.collect::<Vec<_>>().join("/");
        Some(Dataset { id: format!("{organisation}/{name}"), revision, folder })
    }
}

fn headers() -> HeaderMap {
    let token = std::env::var("HF_TOKEN").ok();
    let value = token.and_then(|token| HeaderValue::from_str(&format!("Bearer {token}")).ok());
    value.into_iter().map(|value| (AUTHORIZATION, value)).collect()
}

/// The files of a revision, by their names below the dataset's folder.
fn list(
    hub: &str,
    dataset: &Dataset,
    revision: &str,
    headers: &HeaderMap,
    limits: Limits,
    address: &str,
) -> Result<Vec<Entry>, StoreError> {
    let failed = |error: reqwest::Error| StoreError::Failed {
        at: address.to_owned(),
        reason: error.without_url().to_string(),
    };
    let client = Client::builder().default_headers(headers.clone()).timeout(limits.timeout);
    let client = client.build().map_err(failed)?;
    let quoted = revision.replace('/', "%2F");
    let folder = if dataset.folder.is_empty() { String::new() } else { format!("/{}", dataset.folder) };
    let mut next = Some(format!("{hub}/api/datasets/{}/tree/{quoted}{folder}?recursive=true", dataset.id));
    let mut entries = Vec::new();
    while let Some(page) = next {
        let answer = wait(async { Ok(fetch(&client, &page, limits.retries).await) });
        let Page { status, link, bytes } =
            answer.map_err(|error| StoreError::object(address, &error))?.map_err(failed)?;
        match status.as_u16() {
            200 => {}
            401 | 403 => {
                let reason = "set HF_TOKEN, and accept the dataset's terms on its page".to_owned();
                return Err(StoreError::Denied { at: address.to_owned(), reason });
            }
            404 => return Err(StoreError::NotFound { at: format!("{address} ({revision})") }),
            _ => {
                let reason = format!("its listing answers {status}");
                return Err(StoreError::Failed { at: address.to_owned(), reason });
            }
        }
        next = link.as_deref().and_then(next_page);
        let listed: Vec<Listed> = serde_json::from_slice(&bytes).map_err(|error| StoreError::Failed {
            at: address.to_owned(),
            reason: format!("its listing is not understood: {error}"),
        })?;
        let files = listed.into_iter().filter(|listed| listed.kind == "file");
        entries.extend(files.filter_map(|file| {
            let name = file.path.strip_prefix(&dataset.folder)?.trim_start_matches('/').to_owned();
            Some(Entry { name, size: file.size, stamp: format!("{} {}", file.size, file.oid) })
        }));
    }
    Ok(entries)
}

/// An answer of the listing.
struct Page {
    status: StatusCode,
    link: Option<String>,
    bytes: Bytes,
}

/// A page of the listing, asked for again where the failure may pass.
async fn fetch(client: &Client, page: &str, retries: usize) -> reqwest::Result<Page> {
    let once = || async {
        let answer = client.get(page).send().await?;
        let link = answer.headers().get(LINK).and_then(|link| link.to_str().ok()).map(str::to_owned);
        Ok::<_, reqwest::Error>(Page { status: answer.status(), link, bytes: answer.bytes().await? })
    };
    let mut rest = FIRST_REST;
    for _ in 0..retries {
        match once().await {
            Ok(Page { status, .. })
                if status.is_server_error()
                    || [StatusCode::TOO_MANY_REQUESTS, StatusCode::REQUEST_TIMEOUT].contains(&status) => {}
            Err(error) if !error.is_builder() && !error.is_redirect() => {}
            answer => return answer,
        }
        tokio::time::sleep(rest).await;
        rest = (2 * rest).min(LONGEST_REST);
    }
    once().await
}

/// The address of the next page: `<https://…>; rel="next"`.
fn next_page(link: &str) -> Option<String> {
    let next = link.split(',').find(|part| part.contains("rel=\"next\""))?;
    Some(next.split_once('<')?.1.split_once('>')?.0.to_owned())
}
