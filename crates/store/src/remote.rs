//! Object stores, behind calls that wait.

use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use futures_util::future::{BoxFuture, FutureExt as _};
use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::client::ClientOptions;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::http::HttpBuilder;
use object_store::limit::LimitStore;
use object_store::path::Path;
use object_store::{
    BackoffConfig, GetOptions, GetRange, GetResult, ObjectMeta, ObjectStore, ObjectStoreExt as _, RetryConfig,
};
use tokio::runtime::Runtime;
use url::Url;

use crate::blocks::{BLOCK, Blocks};
use crate::error::said;
use crate::{Entry, StoreError};

/// How much of an object is sent with one request.
const PIECE: usize = 32 << 20;

/// Rests between repeats; each is about twice as long as the one before.
pub(crate) const FIRST_REST: Duration = Duration::from_millis(100);
pub(crate) const LONGEST_REST: Duration = Duration::from_secs(15);

/// How many requests are under way at once, and how often and how long one is tried.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Requests side by side.
    pub requests: usize,
    /// Repeats of a request that failed for a reason that may pass: no connection, too many requests, an error of the server.
    pub retries: usize,
    /// Longest time of one request.
    pub timeout: Duration,
}

impl Default for Limits {
    /// Repeats go on for about a minute.
    fn default() -> Self {
        Limits { requests: 32, retries: 9, timeout: Duration::from_secs(60) }
    }
}

impl Limits {
    pub(crate) fn retry(self) -> RetryConfig {
        let backoff = BackoffConfig { init_backoff: FIRST_REST, max_backoff: LONGEST_REST, base: 2.0 };
        RetryConfig { backoff, max_retries: self.retries, retry_timeout: Duration::from_secs(300) }
    }

    pub(crate) fn client(self) -> ClientOptions {
        // Plain HTTP is for the machine's own servers and for addresses that say so themselves.
        ClientOptions::new().with_allow_http(true).with_timeout(self.timeout)
    }
}

/// A prefix in a store.
#[derive(Clone)]
pub(crate) struct Remote(Arc<Inner>);

struct Inner {
    /// As people write it, without a `/` at the end.
    address: String,
    store: Arc<LimitStore<Arc<dyn ObjectStore>>>,
    prefix: Path,
    blocks: Blocks,
    listing: Listing,
}

/// How it is known what there is.
enum Listing {
    /// The store is asked.
    Asked,
    /// It was known from the beginning.
    Known(Vec<Entry>),
}

/// An object whose ranges are read.
pub(crate) struct Object {
    remote: Remote,
    location: Path,
    /// What says that it is still the same.
    meta: ObjectMeta,
    stamp: String,
    id: u64,
    /// Where the last range ended: what goes on there shares requests with it.
    last_end: AtomicU64,
}

/// Threads that carry the requests, of the whole process.
fn runtime() -> Result<&'static Runtime, std::io::Error> {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    if let Some(runtime) = RUNTIME.get() {
        return Ok(runtime);
    }
    let made = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .thread_name("store")
        .build()?;
    Ok(RUNTIME.get_or_init(|| made))
}

/// Waits for a request.
pub(crate) fn wait<T>(request: impl Future<Output = object_store::Result<T>>) -> object_store::Result<T> {
    let failed = |source| object_store::Error::Generic { store: "threads", source: Box::new(source) };
    runtime().map_err(failed)?.block_on(request)
}

impl Remote {
    pub(crate) fn open(url: &Url, limits: Limits) -> Result<Remote, StoreError> {
        let address = url.as_str().trim_end_matches('/').to_owned();
        let refused = |reason: String| StoreError::Address { at: address.clone(), reason };
        let lacking = |error: object_store::Error| refused(error.to_string());
        let (retry, client) = (limits.retry(), limits.client());
        let store: Arc<dyn ObjectStore> = match url.scheme() {
            "s3" | "s3a" => Arc::new(
                AmazonS3Builder::from_env()
                    .with_url(url.as_str())
                    .with_retry(retry)
                    .with_client_options(client)
                    .build()
                    .map_err(lacking)?,
            ),
            "gs" => Arc::new(
                GoogleCloudStorageBuilder::from_env()
                    .with_url(url.as_str())
                    .with_retry(retry)
                    .with_client_options(client)
                    .build()
                    .map_err(lacking)?,
            ),
            "az" | "azure" | "abfs" | "abfss" => Arc::new(
                MicrosoftAzureBuilder::from_env()
                    .with_url(url.as_str())
                    .with_retry(retry)
                    .with_client_options(client)
                    .build()
                    .map_err(lacking)?,
            ),
            "http" | "https" => Arc::new(
                HttpBuilder::new()
                    .with_url(&url[..url::Position::BeforePath])
                    .with_retry(retry)
                    .with_client_options(client)
                    .build()
                    .map_err(lacking)?,
            ),
            other => {
                let known = "s3, gs, az, http, https, hf";
                return Err(refused(format!("{other}:// is no store that is known; there are {known}")));
            }
        };
        let prefix = Path::from_url_path(url.path()).map_err(|error| refused(error.to_string()))?;
        Ok(Remote::of(address, store, prefix, limits, Listing::Asked))
    }

    /// A store whose files are known.
    pub(crate) fn known(
        address: String,
        store: Arc<dyn ObjectStore>,
        prefix: Path,
        limits: Limits,
        entries: Vec<Entry>,
    ) -> Remote {
        Remote::of(address, store, prefix, limits, Listing::Known(entries))
    }

    fn of(
        address: String,
        store: Arc<dyn ObjectStore>,
        prefix: Path,
        limits: Limits,
        listing: Listing,
    ) -> Remote {
        let store = Arc::new(LimitStore::new(store, limits.requests));
        Remote(Arc::new(Inner { address, store, prefix, blocks: Blocks::new(), listing }))
    }

    pub(crate) fn address(&self) -> &str {
        &self.0.address
    }

    pub(crate) fn place_of(&self, name: &str) -> String {
        format!("{}/{name}", self.0.address)
    }

    fn location(&self, name: &str) -> Result<Path, StoreError> {
        let refused = |error: object_store::path::Error| StoreError::Address {
            at: self.place_of(name),
            reason: error.to_string(),
        };
        let parts = Path::parse(name).map_err(refused)?;
        Ok(self.0.prefix.parts().chain(parts.parts()).collect())
    }

    /// Asks what lies under a name.
    pub(crate) fn object(&self, name: &str) -> Result<Object, StoreError> {
        static OBJECTS: AtomicU64 = AtomicU64::new(0);
        let at = self.place_of(name);
        let location = self.location(name)?;
        let meta = wait(self.0.store.head(&location)).map_err(|error| StoreError::object(&at, &error))?;
        let stamp = stamp(&meta);
        let id = OBJECTS.fetch_add(1, Ordering::Relaxed);
        Ok(Object { remote: self.clone(), location, meta, stamp, id, last_end: AtomicU64::new(0) })
    }

    pub(crate) fn fetch(&self, name: &str, most: u64) -> Result<Bytes, StoreError> {
        let at = self.place_of(name);
        let location = self.location(name)?;
        let fetched = wait(async {
            let result = self.0.store.get(&location).await?;
            let size = result.meta.size;
            Ok(if size > most { Err(size) } else { Ok(result.bytes().await?) })
        });
        match fetched.map_err(|error| StoreError::object(&at, &error))? {
            Ok(bytes) => Ok(bytes),
            Err(size) => Err(StoreError::TooLarge { at, size, most }),
        }
    }

    /// Writes an object, as a whole or not at all.
    pub(crate) fn write(&self, name: &str, bytes: Bytes) -> Result<(), StoreError> {
        let at = self.place_of(name);
        let location = self.location(name)?;
        let written = wait(async {
            if bytes.len() <= PIECE {
                return self.0.store.put(&location, bytes.into()).await.map(drop);
            }
            let mut upload = self.0.store.put_multipart(&location).await?;
            let pieces = (0..bytes.len()).step_by(PIECE);
            let pieces = pieces.map(|start| bytes.slice(start..(start + PIECE).min(bytes.len())));
            let sent: Vec<_> = pieces.map(|piece| upload.put_part(piece.into())).collect();
            match futures_util::future::try_join_all(sent).await {
                Ok(_) => upload.complete().await.map(drop),
                Err(error) => {
                    // What was sent of it costs nobody anything when it is taken back.
                    let _ = upload.abort().await;
                    Err(error)
                }
            }
        });
        written.map_err(|error| StoreError::object(&at, &error))
    }

    /// Removes an object; one that is not there is removed already.
    pub(crate) fn remove(&self, name: &str) -> Result<(), StoreError> {
        let location = self.location(name)?;
        match wait(self.0.store.delete(&location)) {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(StoreError::object(self.place_of(name), &error)),
        }
    }

    pub(crate) fn within(&self, folder: &str) -> Result<Remote, StoreError> {
        let inner = &self.0;
        let (address, prefix) = (self.place_of(folder), self.location(folder)?);
        let (store, blocks, listing) = (inner.store.clone(), Blocks::new(), Listing::Asked);
        Ok(Remote(Arc::new(Inner { address, store, prefix, blocks, listing })))
    }

    pub(crate) fn list(&self) -> Result<Vec<Entry>, StoreError> {
        let inner = &self.0;
        let hidden = |entry: &Entry| entry.name.split('/').any(|part| part.starts_with('.'));
        if let Listing::Known(entries) = &inner.listing {
            return Ok(entries.iter().filter(|entry| !hidden(entry)).cloned().collect());
        }
        let listed: Vec<ObjectMeta> =
            wait(inner.store.list(Some(&inner.prefix)).try_collect()).map_err(|error| {
                match inner.address.starts_with("http") {
                    true => StoreError::NoListing { at: inner.address.clone(), reason: said(&error) },
                    false => StoreError::object(&inner.address, &error),
                }
            })?;
        let skipped = inner.prefix.parts().count();
        let entry = |meta: ObjectMeta| {
            let name: Path = meta.location.parts().skip(skipped).collect();
            Entry { name: name.to_string(), size: meta.size, stamp: stamp(&meta) }
        };
        let entries = listed.into_iter().map(entry);
        Ok(entries.filter(|entry| !entry.name.is_empty() && !hidden(entry)).collect())
    }
}

/// What tells an object from its later forms.
fn stamp(meta: &ObjectMeta) -> String {
    match &meta.e_tag {
        Some(tag) => format!("{} {tag}", meta.size),
        None => format!("{} {}", meta.size, meta.last_modified.to_rfc3339()),
    }
}

impl Object {
    /// In bytes, when it was opened.
    pub(crate) fn size(&self) -> u64 {
        self.meta.size
    }

    pub(crate) fn stamp(&self) -> &str {
        &self.stamp
    }

    pub(crate) fn range(&self, range: Range<u64>) -> Result<Bytes, Arc<object_store::Error>> {
        let runtime = runtime().map_err(|source| {
            Arc::new(object_store::Error::Generic { store: "threads", source: Box::new(source) })
        })?;
        let start = |range: Range<u64>| -> BoxFuture<'static, Result<Bytes, Arc<object_store::Error>>> {
            let (remote, location, meta) = (self.remote.clone(), self.location.clone(), self.meta.clone());
            // On its way from now on, whether somebody waits or not.
            let task = runtime.spawn(get(remote, location, meta, range));
            let joined = async move {
                match task.await {
                    Ok(bytes) => bytes.map_err(Arc::new),
                    Err(source) => Err(Arc::new(object_store::Error::JoinError { source })),
                }
            };
            joined.boxed()
        };
        let last_end = self.last_end.swap(range.end, Ordering::Relaxed);
        if range.start.abs_diff(last_end) > BLOCK {
            // A row somewhere: the bytes around it are nobody's.
            return runtime.block_on(start(range));
        }
        self.remote.0.blocks.range(self.id, range, self.size(), start, |fetch| runtime.block_on(fetch))
    }
}

/// Bytes of an object that must be the one that was opened.
async fn get(
    remote: Remote,
    location: Path,
    meta: ObjectMeta,
    range: Range<u64>,
) -> object_store::Result<Bytes> {
    let options = GetOptions {
        // A weak tag never meets this condition.
        if_match: meta.e_tag.clone().filter(|tag| !tag.starts_with("W/")),
        range: Some(GetRange::Bounded(range.clone())),
        ..GetOptions::default()
    };
    let changed = || object_store::Error::Precondition {
        path: location.to_string(),
        source: "it is another object now".into(),
    };
    let result = remote.0.store.get_opts(&location, options).await;
    // It ends before the range begins.
    let is_short = |error: &object_store::Error| said(error).contains("status code: 416");
    let result: GetResult = result.map_err(|error| if is_short(&error) { changed() } else { error })?;
    // Servers that do not know the condition answer it with what they have.
    if stamp(&result.meta) != stamp(&meta) {
        return Err(changed());
    }
    let bytes = result.bytes().await?;
    if bytes.len() as u64 != range.end - range.start { Err(changed()) } else { Ok(bytes) }
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.location.as_ref())
    }
}
