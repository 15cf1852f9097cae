//! Links: no way of following accepted ones leaves the tree.

use std::collections::HashMap;

use proptest::collection::vec;
use proptest::prelude::*;

use super::check;
use crate::name::parent;

/// Follows `path` as the kernel does; `None` where it leaves the root, `Some` otherwise (also for
/// what loops or does not exist).
fn follow(links: &HashMap<Vec<u8>, Vec<u8>>, path: &[u8], steps: usize) -> Option<Vec<u8>> {
    let mut at: Vec<u8> = Vec::new();
    for component in path.split(|byte| *byte == b'/') {
        match component {
            b"" | b"." => {}
            b".." if at.is_empty() => return None,
            b".." => at = parent(&at).unwrap_or(b"").to_vec(),
            _ => {
                if !at.is_empty() {
                    at.push(b'/');
                }
                at.extend_from_slice(component);
                if let Some(target) = links.get(&at) {
                    if steps == 0 {
                        return Some(at);
                    }
                    let mut whole = parent(&at).unwrap_or(b"").to_vec();
                    whole.push(b'/');
                    whole.extend_from_slice(target);
                    at = follow(links, &whole, steps - 1)?;
                }
            }
        }
    }
    Some(at)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, ..ProptestConfig::default() })]

    #[test]
    fn no_chain_of_accepted_links_leaves_the_tree(
        candidates in vec(("([ab]/){0,3}[xyz]", "(\\.\\./){0,3}(\\./)?([abxyz]/){0,2}(\\.\\.|[abxyz])"), 1..8),
    ) {
        let mut links: HashMap<Vec<u8>, Vec<u8>> = HashMap::new();
        for (path, target) in candidates {
            if check(path.as_bytes(), target.as_bytes()).is_ok() {
                links.insert(path.into_bytes(), target.into_bytes());
            }
        }
        for path in links.keys() {
            prop_assert!(follow(&links, path, 12).is_some(), "{links:?}");
        }
    }
}

#[test]
fn the_property_above_can_fail() {
    // What `check` refuses for climbing late does leave: the rule is not there for nothing.
    let links = HashMap::from([
        (b"a/b/c/x".to_vec(), b"../../../t".to_vec()),
        (b"y".to_vec(), b"a/b/c/x/../..".to_vec()),
    ]);
    assert_eq!(follow(&links, b"y", 12), None);
    assert!(check(b"a/b/c/x", b"../../../t").is_ok());
    assert!(check(b"y", b"a/b/c/x/../..").is_err());
}
