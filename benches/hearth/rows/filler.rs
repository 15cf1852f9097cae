//! Very many functions, registered without anybody having uploaded them: through the store itself,
//! while no daemon has it.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use model::FunctionName;
use model::url::AuthType;
use store::{NewFunction, NewUrl, Settlement, Store};

/// Changes on their way at the same time: they share commits.
const AT_ONCE: usize = 2_000;

/// Adds `count` functions like `example` to the store of a data directory; the first `urls` of them
/// have a URL each.
pub fn fill(data: &Path, example: &str, count: usize, urls: usize) -> Result<()> {
    let path = data.join("control.db");
    let owner = fs::metadata(&path).context("a daemon has made the store")?;
    let store = Arc::new(Store::open(&path)?);
    let like = store.snapshot().function(example).context("the example is there")?.clone();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        for first in (0..count).step_by(AT_ONCE) {
            let batch = (first..count.min(first + AT_ONCE)).map(|number| {
                let (store, like) = (Arc::clone(&store), Arc::clone(&like));
                tokio::spawn(async move {
                    let name = FunctionName::parse(&format!("filler-{number:06}"))?;
                    let made = store
                        .create_function(NewFunction {
                            name: name.clone(),
                            code: like.latest.code,
                            configuration: like.latest.configuration.clone(),
                            tags: Default::default(),
                            publish: false,
                            at_ms: like.created_ms,
                        })
                        .await?;
                    let generation = made.latest.generation;
                    store.settle(&name, generation, Settlement::Ready).await?;
                    if number < urls {
                        let (alias, cors, invoke_mode) = (None, None, None);
                        let (auth, at_ms) = (AuthType::None, like.created_ms);
                        let url = NewUrl { alias, auth, cors, invoke_mode, at_ms };
                        store.create_url(&name, url).await?;
                    }
                    anyhow::Ok(())
                })
            });
            for one in batch.collect::<Vec<_>>() {
                one.await??;
            }
        }
        anyhow::Ok(())
    })?;
    drop(runtime);
    drop(store);
    // What was made meanwhile is the daemon's, as the rest is.
    for entry in fs::read_dir(data)?.flatten() {
        if entry.file_name().to_string_lossy().starts_with("control.db") {
            chown(entry.path(), Some(owner.uid()), Some(owner.gid()))?;
        }
    }
    Ok(())
}
