//! What lies over what, and that nothing leads out.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

/// A directory's entries.
type Folder = BTreeMap<String, Node>;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Node {
    Folder(Folder),
    File(String),
    Link(String),
}

// === the reference: what the documentation says, said once more ===

fn overlay(lower: &mut Folder, upper: &Folder) {
    for (name, node) in upper {
        match (lower.get_mut(name), node) {
            (Some(Node::Folder(below)), Node::Folder(above)) => overlay(below, above),
            _ => drop(lower.insert(name.clone(), node.clone())),
        }
    }
}

fn write(folder: &Folder, at: &Path) {
    for (name, node) in folder {
        let path = at.join(name);
        match node {
            Node::Folder(inner) => {
                fs::create_dir(&path).expect("a directory");
                write(inner, &path);
            }
            Node::File(text) => fs::write(&path, text).expect("a file"),
            Node::Link(target) => symlink(target, &path).expect("a link"),
        }
    }
}

fn read(at: &Path) -> Folder {
    let entries = fs::read_dir(at).expect("a listing").map(|entry| entry.expect("an entry"));
    entries
        .map(|entry| {
            let (path, kind) = (entry.path(), entry.file_type().expect("a kind"));
            let node = if kind.is_dir() {
                Node::Folder(read(&path))
            } else if kind.is_symlink() {
                let target = fs::read_link(&path).expect("a target");
                Node::Link(target.to_str().expect("text").to_owned())
            } else {
                Node::File(fs::read_to_string(&path).expect("contents"))
            };
            (entry.file_name().to_str().expect("text").to_owned(), node)
        })
        .collect()
}

fn merged(layers: &[Folder]) -> (TempDir, Result<Merged, MergeError>) {
    let place = tempfile::tempdir().expect("a directory");
    let trees: Vec<File> = layers
        .iter()
        .enumerate()
        .map(|(number, layer)| {
            let path = place.path().join(number.to_string());
            fs::create_dir(&path).expect("a directory");
            write(layer, &path);
            File::open(&path).expect("the tree")
        })
        .collect();
    let whole = place.path().join("whole");
    fs::create_dir(&whole).expect("a directory");
    let done = merge(&trees, File::open(&whole).expect("the whole"));
    (place, done)
}

fn files(entries: &[(&str, Node)]) -> Folder {
    entries.iter().map(|(name, node)| ((*name).to_owned(), node.clone())).collect()
}

fn file(text: &str) -> Node {
    Node::File(text.to_owned())
}

fn folder() -> impl Strategy<Value = Folder> {
    // Three names only, so that layers collide all the time.
    let name = prop::sample::select(vec!["a", "b", "c"]).prop_map(str::to_owned);
    let leaf = prop_oneof![
        "[x-z]{0,3}".prop_map(Node::File),
        prop::sample::select(vec!["a", "b/c", "../a", ".", "nowhere"])
            .prop_map(|target| Node::Link(target.to_owned())),
    ];
    let names = name.clone();
    let node = leaf.prop_recursive(3, 24, 3, move |inner| {
        prop::collection::btree_map(names.clone(), inner, 0..=3).prop_map(Node::Folder)
    });
    prop::collection::btree_map(name, node, 0..=3)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn later_layers_lie_over_earlier_ones_as_the_reference_says(
        layers in prop::collection::vec(folder(), 0..=5),
    ) {
        let mut expected = Folder::new();
        layers.iter().for_each(|layer| overlay(&mut expected, layer));
        let (place, done) = merged(&layers);
        let done = done.expect("merged");
        prop_assert_eq!(&read(&place.path().join("whole")), &expected);
        prop_assert_eq!(done.copied, 0);
        // The layers are as they were.
        for (number, layer) in layers.iter().enumerate() {
            prop_assert_eq!(&read(&place.path().join(number.to_string())), layer);
        }
    }

    #[test]
    fn layers_have_one_name_per_order(
        layers in prop::collection::vec(prop::array::uniform32(any::<u8>()).prop_map(Digest), 2..=5),
        swap in any::<prop::sample::Index>(),
    ) {
        let named = merged_digest(&layers);
        prop_assert_eq!(named, merged_digest(&layers.clone()));
        prop_assert!(!layers.contains(&named.expect("a name")));
        let mut other = layers.clone();
        other.rotate_left(1 + swap.index(layers.len() - 1));
        prop_assert_eq!(other == layers, merged_digest(&other) == named);
        prop_assert_ne!(merged_digest(&layers[1..]), named);
    }
}

#[test]
fn no_layers_have_no_name_and_one_has_its_own() {
    assert_eq!(merged_digest(&[]), None);
    assert_eq!(merged_digest(&[Digest([7; 32])]), Some(Digest([7; 32])));
    assert_ne!(merged_digest(&[Digest([7; 32]); 2]), Some(Digest([7; 32])));
}

#[test]
fn a_file_hides_a_directory_and_a_directory_a_file_whichever_way() {
    let folder = files(&[("x", Node::Folder(files(&[("inside", file("1"))])))]);
    let plain = files(&[("x", file("2"))]);
    let link = files(&[("x", Node::Link("elsewhere".to_owned()))]);
    for (lower, upper) in [
        (&folder, &plain),
        (&plain, &folder),
        (&folder, &link),
        (&link, &folder),
        (&plain, &link),
        (&link, &plain),
    ] {
        let (place, done) = merged(&[lower.clone(), upper.clone()]);
        done.expect("merged");
        assert_eq!(read(&place.path().join("whole")), *upper);
    }
}

#[test]
fn a_link_of_one_layer_leads_nothing_of_another_out_of_the_whole() {
    let place = tempfile::tempdir().expect("a directory");
    let at = |name: &str| place.path().join(name);
    for name in ["outside", "links", "files/x", "whole"] {
        fs::create_dir_all(at(name)).expect("a directory");
    }
    // No archive gets such a link in; were there one, it is still never walked through.
    symlink(at("outside"), at("links/x")).expect("a link");
    fs::write(at("files/x/stray"), "text").expect("a file");
    let open = |name: &str| File::open(at(name)).expect("a directory");
    // What the links' layer is laid over, and the other way round.
    merge(&[open("files"), open("links")], open("whole")).expect("merged");
    assert!(fs::symlink_metadata(at("whole/x")).expect("there").is_symlink());
    fs::remove_file(at("whole/x")).expect("removed");
    merge(&[open("links"), open("files")], open("whole")).expect("merged");
    assert_eq!(fs::read_to_string(at("whole/x/stray")).expect("there"), "text");
    assert_eq!(fs::read_dir(at("outside")).expect("a listing").count(), 0);
}

#[test]
fn what_no_archive_holds_is_refused() {
    let place = tempfile::tempdir().expect("a directory");
    let at = |name: &str| place.path().join(name);
    fs::create_dir_all(at("layer/in")).expect("a directory");
    fs::create_dir(at("whole")).expect("a directory");
    nix::unistd::mkfifo(&at("layer/in/pipe"), Mode::S_IRUSR).expect("a pipe");
    let open = |name: &str| File::open(at(name)).expect("a directory");
    let refused = merge(&[open("layer")], open("whole")).expect_err("refused");
    assert!(matches!(&refused, MergeError::Kind { name } if name == "in/pipe"), "{refused:?}");
}

#[test]
fn files_are_shared_and_keep_what_they_are() {
    let place = tempfile::tempdir().expect("a directory");
    let at = |name: &str| place.path().join(name);
    fs::create_dir_all(at("layer/bin")).expect("a directory");
    fs::create_dir(at("whole")).expect("a directory");
    fs::write(at("layer/bin/tool"), "#!/bin/sh\n").expect("a file");
    fs::set_permissions(at("layer/bin/tool"), fs::Permissions::from_mode(0o755)).expect("a mode");
    let open = |name: &str| File::open(at(name)).expect("a directory");
    merge(&[open("layer")], open("whole")).expect("merged");
    let look = |name: &str| fs::metadata(at(name)).expect("there");
    assert_eq!(look("whole/bin/tool").ino(), look("layer/bin/tool").ino());
    assert_eq!(look("whole/bin/tool").mode() & 0o7777, 0o755);
    assert_eq!(look("whole/bin").mode() & 0o7777, 0o755);
    assert_eq!(look("whole/bin").mtime(), crate::unpack::MODIFIED);
}

#[test]
fn what_cannot_be_linked_is_copied_whole() {
    let place = tempfile::tempdir().expect("a directory");
    let at = |name: &str| place.path().join(name);
    for name in ["layer", "whole"] {
        fs::create_dir(at(name)).expect("a directory");
    }
    fs::write(at("layer/tool"), vec![7; 100_000]).expect("a file");
    fs::set_permissions(at("layer/tool"), fs::Permissions::from_mode(0o755)).expect("a mode");
    symlink("tool", at("layer/link")).expect("a link");
    let open = |name: &str| File::open(at(name)).expect("a directory");
    let (from, onto) = (open("layer"), open("whole"));
    copy_file(from.as_fd(), onto.as_fd(), &c"tool".to_owned()).expect("copied");
    copy_link(from.as_fd(), onto.as_fd(), &c"link".to_owned()).expect("copied");
    let (copy, original) = (at("whole/tool"), at("layer/tool"));
    assert_eq!(fs::read(&copy).expect("there"), vec![7; 100_000]);
    let look = |path: &Path| fs::metadata(path).expect("there");
    assert_ne!(look(&copy).ino(), look(&original).ino());
    assert_eq!(
        (look(&copy).mode() & 0o7777, look(&copy).mtime()),
        (0o755, crate::unpack::MODIFIED)
    );
    assert_eq!(fs::read_link(at("whole/link")).expect("a link"), Path::new("tool"));
    // Where something is already, nothing is changed.
    let again = copy_file(from.as_fd(), onto.as_fd(), &c"tool".to_owned());
    assert_eq!(again, Err(Errno::EEXIST));
    assert_eq!(copy_link(from.as_fd(), onto.as_fd(), &c"link".to_owned()), Err(Errno::EEXIST));
}
