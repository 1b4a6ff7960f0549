//! Where a page finds its photos.

use std::path::{Component, Path, PathBuf};

use percent_encoding::{AsciiSet, CONTROLS, percent_encode};

/// All that may mean something else in an address, in HTML or in Markdown.
const ENCODED: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'&')
    .add(b'\'')
    .add(b'(')
    .add(b')')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'`');

/// A path as an address from a page's folder; one from the root stays so.
pub(crate) fn address(path: &Path, folder: &Path) -> String {
    let path = if path.is_absolute() { path.to_owned() } else { relative(path, folder) };
    let encoded = percent_encode(path.as_os_str().as_encoded_bytes(), ENCODED).to_string();
    // A name like `a:b.jpg` would be taken for a protocol.
    if path.is_absolute() || path.starts_with("..") { encoded } else { format!("./{encoded}") }
}

/// A path from the working directory as one from a folder there, step by step as browsers go: links are not followed.
fn relative(path: &Path, folder: &Path) -> PathBuf {
    let (Ok(from), Ok(to)) = (std::path::absolute(Path::new(".").join(folder)), std::path::absolute(path))
    else {
        return path.to_owned();
    };
    let (from, to) = (steps(&from), steps(&to));
    let common = from.iter().zip(&to).take_while(|(from, to)| from == to).count();
    let up = from[common..].iter().map(|_| Component::ParentDir);
    up.chain(to[common..].iter().copied()).collect()
}

/// The steps of an absolute path without `..`.
fn steps(path: &Path) -> Vec<Component<'_>> {
    let mut steps = Vec::new();
    for step in path.components() {
        match step {
            Component::ParentDir => drop(steps.pop()),
            Component::CurDir => {}
            other => steps.push(other),
        }
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn photos_are_found_from_the_folder_of_the_page() {
        for (path, folder, wanted) in [
            ("album/a.jpg", "", "./album/a.jpg"),
            ("album/a.jpg", "site", "../album/a.jpg"),
            ("album/a.jpg", "album", "./a.jpg"),
            ("./album/a.jpg", "album/pages", "../a.jpg"),
            ("album/../a.jpg", "site", "../a.jpg"),
            ("/photos/a b.jpg", "site", "/photos/a%20b.jpg"),
            ("ü/a:b.jpg", "", "./%C3%BC/a:b.jpg"),
            ("a (1) [b].jpg", "", "./a%20%281%29%20%5Bb%5D.jpg"),
        ] {
            assert_eq!(address(Path::new(path), Path::new(folder)), wanted, "{path} from {folder}");
        }
    }
}
