//! The sets that there are. Of each number stands where it comes from; what no one has published is not there.

use super::Digest::{Md5, Sha256};
use super::Size::{About, Exact};
use super::{Remote, Set, Unpack};

/// All sets, from the fewest photos to the most.
pub const ALL: [&Set; 4] = [&FLICKR8K, &FLICKR30K, &COCO, &CC3M];

/// The copies that tutorials use, since the university's own server is gone. Their bytes: the answers of GitHub's server, as
/// github.com/jbrownlee/Datasets shows them. Their MD5: `flickr8k_caption_dataset` of R's torchvision
/// (github.com/mlverse/torchvision), which fetches the same files.
const FLICKR8K: Set = Set {
    name: "flickr8k",
    about: "8,000 photos of people and dogs, 5 captions each, with the split that papers report on",
    terms: "The files name no licence. The University of Illinois, which made the set, gives it out on request \
            (forms.illinois.edu/sec/1713398); the photos belong to those who put them on Flickr.",
    files: &[
        Remote {
            url: "https://github.com/jbrownlee/Datasets/releases/download/Flickr8k/Flickr8k_text.zip",
            size: Exact(2_340_801),
            digest: Some(Md5("bf6c1abcb8e4a833b7f922104de18627")),
            // Text packs to a fifth or so.
            unpack: Some(Unpack { member: "", to: "Flickr8k_text", files: 4, bytes: 12_000_000 }),
        },
        Remote {
            url: "https://github.com/jbrownlee/Datasets/releases/download/Flickr8k/Flickr8k_Dataset.zip",
            size: Exact(1_115_419_746),
            digest: Some(Md5("f18a1e2920de5bd84dae7cf08ec78978")),
            // The 8,000 of the splits, and some ninety more; JPEGs do not pack.
            unpack: Some(Unpack {
                member: "Flicker8k_Dataset",
                to: "Flicker8k_Dataset",
                files: 8000,
                bytes: 1_150_000_000,
            }),
        },
    ],
    next: &["just pipeline configs/flickr8k.toml --set dataset.root={root}"],
};

/// Karpathy's splits of three sets, of which each takes its own. Bytes and SHA-256, also of what is in it, as several who checked
/// it publish them; its MD5 in R's torchvision, 4fa8c08369d22fe16e41dc124bd1adc2, is of the same file.
const fn karpathy(member: &'static str, bytes: u64) -> Remote {
    Remote {
        url: "https://cs.stanford.edu/people/karpathy/deepimagesent/caption_datasets.zip",
        size: Exact(36_745_453),
        digest: Some(Sha256("4cfd70132527b80933105e5829dc9034eaab9573482e2e680abbab6130244817")),
        unpack: Some(Unpack { member, to: member, files: 1, bytes }),
    }
}

/// Its photos from the copy on Hugging Face (nlphuji/flickr30k), which asks for no account; bytes and SHA-256 are of a file whose
/// 31,783 images were decoded and compared with the university's list. The terms are those of shannon.cs.illinois.edu/DenotationGraph.
const FLICKR30K: Set = Set {
    name: "flickr30k",
    about: "31,014 photos of everyday scenes, 5 captions each, under Karpathy's splits",
    terms: "The University of Illinois does not own the photos, and gives them to researchers and educators for \
            non-commercial research and education; use must abide by Flickr's terms \
            (shannon.cs.illinois.edu/DenotationGraph).",
    files: &[
        karpathy("dataset_flickr30k.json", 38_318_553),
        Remote {
            url: "https://huggingface.co/datasets/nlphuji/flickr30k/resolve/main/flickr30k-images.zip",
            size: Exact(4_390_240_817),
            digest: Some(Sha256("2ce2420c0d17f0531deaa89ac657b4d5067ec519da16ff1ea12acbf5619c7391")),
            unpack: Some(Unpack {
                member: "flickr30k-images",
                to: "flickr30k-images",
                files: 31_783,
                bytes: 4_500_000_000,
            }),
        },
    ],
    next: &["just pipeline configs/flickr30k.toml --set dataset.root={root}/dataset_flickr30k.json"],
};

/// The 2017 release, whose images are those of 2014 in other folders. SHA-256 of the images: `torchvision`'s prototype datasets
/// (torchvision/prototype/datasets/_builtin/coco.py), of the annotations: the same; bytes as several who checked them publish them.
/// COCO's server has no certificate of its own name, so the addresses are plain http.
const COCO: Set = Set {
    name: "coco",
    about: "123,287 photos of things in their places, 5 captions each: the release of 2017, and Karpathy's splits",
    terms: "The captions are COCO's, under CC BY 4.0. It does not own the photos, whose use must abide by Flickr's terms; \
            whoever uses them answers for it (cocodataset.org/#termsofuse).",
    files: &[
        karpathy("dataset_coco.json", 144_186_139),
        Remote {
            url: "http://images.cocodataset.org/annotations/annotations_trainval2017.zip",
            size: Exact(252_907_541),
            digest: Some(Sha256("113a836d90195ee1f884e704da6304dfaaecff1f023f49b6ca93c4aaae470268")),
            // Captions of two splits; boxes and keypoints beside them. JSON packs to a quarter or so.
            unpack: Some(Unpack { member: "annotations", to: "annotations", files: 2, bytes: 1_000_000_000 }),
        },
        Remote {
            url: "http://images.cocodataset.org/zips/val2017.zip",
            size: Exact(815_585_330),
            digest: Some(Sha256("4f7e2ccb2866ec5041993c9cf2a952bbed69647b115d0f74da7ce8f4bef82f05")),
            unpack: Some(Unpack { member: "val2017", to: "val2017", files: 5000, bytes: 830_000_000 }),
        },
        Remote {
            url: "http://images.cocodataset.org/zips/train2017.zip",
            size: Exact(19_336_861_798),
            digest: Some(Sha256("69a8bb58ea5f8f99d24875f21416de2e9ded3178e903f1f7603e283b9e06d929")),
            unpack: Some(Unpack {
                member: "train2017",
                to: "train2017",
                files: 118_287,
                bytes: 19_700_000_000,
            }),
        },
    ],
    next: &[
        "just pipeline configs/coco.toml --set dataset.root={root}/dataset_coco.json",
        "or, under COCO's own splits instead of Karpathy's:",
        "just pipeline configs/coco.toml --set dataset.layout=coco --set dataset.root={root}",
    ],
};

/// The lists of ai.google.com/research/ConceptualCaptions, without their photos. Nobody publishes their length or hash: 500 MB is
/// img2dataset's word (dataset_examples/cc3m.md), and the other list has 15,840 rows where this one has 3,318,333. The terms are
/// those of github.com/google-research-datasets/conceptual-captions.
const CC3M: Set = Set {
    name: "cc3m",
    about: "3.3 million addresses of photos with a caption each, harvested from alt texts: the lists alone",
    terms: "The lists may be used for any purpose, and Google would like to be named as their source. The photos are not \
            in them: each belongs to somebody, on whose site it lies, and many are gone.",
    files: &[
        Remote {
            url: "https://storage.googleapis.com/gcc-data/Validation/GCC-1.1.0-Validation.tsv",
            size: About(2_400_000),
            digest: None,
            unpack: None,
        },
        Remote {
            url: "https://storage.googleapis.com/gcc-data/Train/GCC-training.tsv",
            size: About(500_000_000),
            digest: None,
            unpack: None,
        },
    ],
    // Names of columns are not in the lists. Its own way of resizing, `border`, paints white bars, which a model would learn to see.
    next: &[
        "The photos, which img2dataset fetches from their sites into tar files (pip install img2dataset):",
        "(printf 'caption\\turl\\n'; cat {root}/GCC-training.tsv) > {root}/train.tsv",
        "(printf 'caption\\turl\\n'; cat {root}/GCC-1.1.0-Validation.tsv) > {root}/val.tsv",
        "for split in train val; do img2dataset --url_list {root}/$split.tsv --input_format tsv --url_col url \
         --caption_col caption --output_format webdataset --output_folder {root}/shards/$split --image_size 256 \
         --resize_mode keep_ratio --resize_only_if_bigger True; done",
        "Then:",
        "just pipeline configs/flickr8k-fast.toml --set run.name=cc3m --set dataset.layout=webdataset \
         --set dataset.root={root}/shards",
    ],
};

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    #[test]
    fn every_file_has_a_name_of_its_own_and_a_hash_that_is_one() {
        for set in ALL {
            let names: BTreeSet<_> = set.files.iter().map(Remote::name).collect();
            let folders: BTreeSet<_> =
                set.files.iter().map(|file| file.unpack.map(|unpack| unpack.to)).collect();
            assert_eq!(names.len(), set.files.len(), "{names:?}");
            assert!(set.name == "cc3m" || folders.len() == set.files.len(), "{folders:?}");
            for file in set.files {
                assert!(file.digest.is_some() || matches!(file.size, About(_)), "{}", file.url);
                let (digits, length) = match file.digest {
                    Some(Sha256(digits)) => (digits, 64),
                    Some(Md5(digits)) => (digits, 32),
                    None => continue,
                };
                assert!(
                    digits.len() == length
                        && digits.bytes().all(|digit| b"0123456789abcdef".contains(&digit))
                );
            }
        }
    }

    #[test]
    fn the_configs_that_come_next_are_there() {
        let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        for set in ALL {
            let words = set.next.iter().flat_map(|line| line.split([' ', ':']));
            for config in words.filter(|word| word.ends_with(".toml")) {
                assert!(repository.join(config).is_file(), "{config}");
            }
        }
    }
}
