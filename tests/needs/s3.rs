//! A server of S3's protocol.

#![allow(clippy::expect_used, reason = "a test fails where its server does")]

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use crate::{python, tool};

/// moto with some files in a bucket, until it is dropped.
pub struct S3 {
    process: Child,
    output: BufReader<ChildStdout>,
    address: String,
}

impl S3 {
    /// Starts it with the files below `folder`, as `s3://bucket/set/…`.
    ///
    /// # Panics
    ///
    /// If it does not start, or is missing where all tests are required.
    #[track_caller]
    pub fn start(folder: &Path) -> Option<S3> {
        let packages = tool("the folder of S3_SERVER", std::env::var_os("S3_SERVER").map(PathBuf::from))?;
        let python = python("import flask")?;
        let mut command = Command::new(python);
        command.arg(script()).arg(folder).env("PYTHONPATH", packages);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = command.spawn().expect("Python starts");
        let mut port = String::new();
        let mut output = BufReader::new(process.stdout.take().expect("its output is ours"));
        output.read_line(&mut port).expect("it says its port");
        assert!(!port.is_empty(), "the server does not start");
        Some(S3 { process, output, address: format!("http://127.0.0.1:{}", port.trim()) })
    }

    /// Lets a command find the server, and no account of anybody's.
    pub fn environment<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("AWS_")) {
            command.env_remove(name);
        }
        command.env("AWS_ENDPOINT", &self.address).env("AWS_ACCESS_KEY_ID", "key");
        command.env("AWS_SECRET_ACCESS_KEY", "secret").env("AWS_REGION", "us-east-1")
    }

    /// Writes what lies below a prefix of the bucket into a folder.
    ///
    /// # Panics
    ///
    /// If it does not end well.
    pub fn download(&mut self, prefix: &str, folder: &Path) {
        let folder = folder.to_str().expect("a path of text");
        let input = self.process.stdin.as_mut().expect("its input is ours");
        writeln!(input, "{prefix}\t{folder}").expect("it listens");
        let mut done = String::new();
        self.output.read_line(&mut done).expect("it says when it is done");
        assert_eq!(done.trim(), prefix, "what was wanted is there");
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("s3_server.py")
}
