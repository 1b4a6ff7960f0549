//! Whole stages, driven through files as a user drives them.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "what goes wrong here fails a test")]

mod adopted; // features of another program
mod bad_input; // damaged files and wrong configs end in a clear message or a counted skip
mod boundaries; // which crate may know which
mod caption_program; // the program `caption`, as people and scripts use it
mod captions; // a captioner sees what extraction saw, and writes what evaluation wrote
mod checks; // what no stage could use is refused before anything is read
mod damage; // one flipped byte, a cut tail
mod engines; // libtorch and ONNX Runtime give the same grids, scores and captions
mod evaluation; // what an evaluation writes, and captions of any system
mod export; // an exported ensemble captions anywhere what evaluate captioned
mod faults; // errors and kills at any system call that writes
mod features; // what of the feature cache is made again, and what is kept
mod figures; // the figures of the documents are those of this code
mod foreign; // any ONNX network is a backbone
mod inspect; // what is said of a set of features
mod interop; // the feature cache in other tools, as the documentation shows it
mod layouts; // public layouts of images and captions
mod licences; // whose code may come in
mod own; // a few photos of one's own go on from a model of others
mod parts; // features part by part, as engines hand them out
mod pipeline; // from scenes to scores; what reruns and what does not
mod processes; // training by several processes, and after a kill or Ctrl-C
mod scale; // engines of others make the features part by part
mod shards; // photos of files, archives, tables and stores have the same features
mod shared; // a run whose features lie in an object store
mod sidecars; // captions in the sidecars of photo libraries, run after run
mod starter; // the model in the box, and its card
mod tune; // tuned weights from the images to an export, and out of it again
mod web_page; // the page of an exported folder captions in a browser
