//! What memory there is for the server: the machine's, or what its control group (a container, a systemd unit) or a limit
//! of its shell (`ulimit -v`) allows.

use std::fs;
use std::path::Path;

/// Bytes that the process may still take, as far as Linux tells under `root` (`/`).
pub(crate) fn free_memory(root: &Path) -> Option<u64> {
    let group = group_limit(root).map(|limit| limit.saturating_sub(own(root, "VmRSS:")));
    let addresses = address_limit(root).map(|limit| limit.saturating_sub(own(root, "VmSize:")));
    [available(root), group, addresses].into_iter().flatten().min()
}

/// Bytes of memory that the process holds now.
pub(crate) fn resident() -> u64 {
    own(Path::new("/"), "VmRSS:")
}

fn available(root: &Path) -> Option<u64> {
    kilobytes(&root.join("proc/meminfo"), "MemAvailable:")
}

/// A size of the process.
fn own(root: &Path, kind: &str) -> u64 {
    kilobytes(&root.join("proc/self/status"), kind).unwrap_or(0)
}

/// The soft limit of addresses.
fn address_limit(root: &Path) -> Option<u64> {
    let limits = fs::read_to_string(root.join("proc/self/limits")).ok()?;
    let limit = limits.lines().find_map(|line| line.strip_prefix("Max address space"))?;
    limit.split_whitespace().next()?.parse().ok()
}

fn kilobytes(file: &Path, name: &str) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? << 10)
}

/// The lowest limit of the group and those around it, in version 2 or 1 of control groups.
fn group_limit(root: &Path) -> Option<u64> {
    let groups = fs::read_to_string(root.join("proc/self/cgroup")).ok()?;
    let limits = groups.lines().flat_map(|line| {
        // number:controllers:path; version 2 has the number 0 and no controllers.
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let (mount, file) = match controllers {
            "" => ("sys/fs/cgroup", "memory.max"),
            controllers if controllers.split(',').any(|name| name == "memory") => {
                ("sys/fs/cgroup/memory", "memory.limit_in_bytes")
            }
            _ => return Vec::new(),
        };
        // Inside a container the path may be that of outside, and only the last of these is there.
        let folders = Path::new(path.trim_start_matches('/')).ancestors();
        let limits =
            folders.filter_map(|folder| fs::read_to_string(root.join(mount).join(folder).join(file)).ok());
        limits.filter_map(|limit| limit.trim().parse::<u64>().ok()).collect()
    });
    limits.min()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine with 4 GB free and a process of 100 MB, whose groups are as described.
    fn free(group: &str, limits: &[(&str, &str)]) -> Option<u64> {
        let root = tempfile::tempdir().unwrap();
        let files = [
            ("proc/meminfo", "MemTotal: 8388608 kB\nMemAvailable:    4194304 kB\n"),
            ("proc/self/status", "Name:\tserve\nVmSize:\t  307200 kB\nVmRSS:\t  102400 kB\n"),
            ("proc/self/cgroup", group),
        ];
        for (name, text) in files.iter().chain(limits) {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        free_memory(root.path()).map(|bytes| bytes >> 20)
    }

    #[test]
    fn the_lowest_limit_counts() {
        assert_eq!(free("0::/\n", &[("sys/fs/cgroup/memory.max", "max\n")]), Some(4096));
        assert_eq!(free("0::/\n", &[("sys/fs/cgroup/memory.max", "1073741824\n")]), Some(924));
        let nested =
            [("sys/fs/cgroup/a/memory.max", "1073741824\n"), ("sys/fs/cgroup/a/b/memory.max", "max\n")];
        assert_eq!(free("0::/a/b\n", &nested), Some(924));
        let first = "7:cpu:/x\n5:memory:/docker/1\n";
        let file = "sys/fs/cgroup/memory/memory.limit_in_bytes";
        assert_eq!(free(first, &[(file, "536870912\n")]), Some(412));
        assert_eq!(free(first, &[(file, "9223372036854771712\n")]), Some(4096));
        let addresses = |limit| free("0::/\n", &[("proc/self/limits", limit)]);
        assert_eq!(
            addresses("Max address space         unlimited            unlimited            bytes\n"),
            Some(4096)
        );
        assert_eq!(
            addresses("Max address space         1073741824           unlimited            bytes\n"),
            Some(724)
        );
        assert_eq!(free_memory(Path::new("/nowhere")), None);
    }
}
