//! What readers hold: everything, at one moment.

use std::collections::HashMap;
use std::sync::Arc;

use model::alias::Roll;
use model::url::UrlConfig;
use model::{AttachedLayers, Digest, Qualifier};

use crate::access::AccessKey;
use crate::function::{Function, FunctionVersion};
use crate::layer::Layer;
use crate::ordered::{Keyed, Ordered};
use crate::refusal::Refusal;
use crate::schedules::Schedules;
use crate::settings::AllSettings;

/// Everything, at one moment; a copy shares almost all of it.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// By name.
    functions: Ordered<Function>,
    /// By identifier.
    urls: Ordered<UrlConfig>,
    /// By name; those without a version included.
    layers: Ordered<Layer>,
    /// By digest: those that a function or a layer needs.
    packages: Ordered<Package>,
    /// By identifier. Few.
    keys: Arc<HashMap<String, AccessKey>>,
    /// What runs by the clock.
    schedules: Arc<Schedules>,
    /// What is said about functions beside their configuration.
    settings: Arc<AllSettings>,
    /// Sums over all functions.
    totals: Totals,
}

/// Sums over all functions, kept as they change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// How many functions there are.
    pub functions: u64,
    /// Bytes of all packages of all versions of functions and layers, as uploaded.
    pub code_size: u64,
    /// Concurrency that is set aside for functions: reserved, or provisioned without a reservation.
    pub set_aside: u64,
}

/// A package, and how many versions need it.
#[derive(Debug)]
struct Package {
    digest: Digest,
    users: usize,
}

impl Keyed for Function {
    type Key = str;

    fn key(&self) -> &str {
        self.name.as_str()
    }
}

impl Keyed for UrlConfig {
    type Key = str;

    fn key(&self) -> &str {
        self.id.as_str()
    }
}

impl Keyed for Layer {
    type Key = str;

    fn key(&self) -> &str {
        self.name.as_str()
    }
}

impl Keyed for Package {
    type Key = Digest;

    fn key(&self) -> &Digest {
        &self.digest
    }
}

// === impl Snapshot ===

impl Snapshot {
    /// All of these, no layers and no keys.
    pub(crate) fn of(functions: Vec<Arc<Function>>) -> Self {
        let mut totals = Totals { functions: functions.len() as u64, ..Totals::default() };
        let mut users: HashMap<Digest, usize> = HashMap::new();
        let mut urls = Vec::new();
        for function in &functions {
            totals.add(function);
            urls.extend(function.urls.iter().cloned());
            for package in function.packages() {
                *users.entry(package).or_default() += 1;
            }
        }
        let packages = users.into_iter().map(|(digest, users)| Arc::new(Package { digest, users }));
        let packages = Ordered::of(packages.collect());
        let (functions, urls) = (Ordered::of(functions), Ordered::of(urls));
        let (keys, schedules, settings) = (Arc::default(), Arc::default(), Arc::default());
        let layers = Ordered::default();
        Self { functions, urls, layers, packages, keys, schedules, settings, totals }
    }

    /// A function by its name.
    pub fn function(&self, name: &str) -> Option<&Arc<Function>> {
        self.functions.get(name)
    }

    /// The version that serves a call of a function by these names: what every invocation starts
    /// with.
    pub fn resolve(
        &self,
        name: &str,
        qualifier: Option<&Qualifier>,
        roll: impl FnOnce() -> Roll,
    ) -> Option<&Arc<FunctionVersion>> {
        self.functions.get(name)?.serving(qualifier, roll)
    }

    /// A URL by its identifier.
    pub fn url(&self, id: &str) -> Option<&Arc<UrlConfig>> {
        self.urls.get(id)
    }

    /// Functions in the order of their names, from the one after `after`.
    pub fn functions<'a>(
        &'a self,
        after: Option<&str>,
    ) -> impl Iterator<Item = &'a Arc<Function>> + use<'a> {
        self.functions.after(after)
    }

    /// A layer by its name. It may have no versions any more.
    pub fn layer(&self, name: &str) -> Option<&Arc<Layer>> {
        self.layers.get(name)
    }

    /// Layers in the order of their names, from the one after `after`; some may have no versions.
    pub fn layers<'a>(
        &'a self,
        after: Option<&str>,
    ) -> impl Iterator<Item = &'a Arc<Layer>> + use<'a> {
        self.layers.after(after)
    }

    /// Whether a version of any function or layer may still need a package.
    pub fn needs(&self, package: &Digest) -> bool {
        self.packages.get(package).is_some()
    }

    /// Every package that is needed.
    pub fn packages(&self) -> impl Iterator<Item = Digest> {
        self.packages.after(None).map(|package| package.digest)
    }

    /// Whether there are all of these layers.
    pub(crate) fn has_layers(&self, wanted: Option<&AttachedLayers>) -> Result<(), Refusal> {
        for layer in wanted.iter().flat_map(|layers| layers.list()) {
            let there = self.layer(layer.name.as_str()).and_then(|it| it.attached(layer.version));
            if there.as_ref() != Some(layer) {
                let (name, version) = (layer.name.clone(), layer.version);
                return Err(Refusal::NoLayer { name, version });
            }
        }
        Ok(())
    }

    /// An access key by its identifier.
    pub fn key(&self, id: &str) -> Option<&AccessKey> {
        self.keys.get(id)
    }

    /// Every access key, in no order.
    pub fn keys(&self) -> impl Iterator<Item = &AccessKey> {
        self.keys.values()
    }

    /// What runs by the clock.
    pub fn schedules(&self) -> &Schedules {
        &self.schedules
    }

    /// The same, to be changed.
    pub(crate) fn schedules_mut(&mut self) -> &mut Schedules {
        Arc::make_mut(&mut self.schedules)
    }

    /// What is said about functions beside their configuration.
    pub fn settings(&self) -> &AllSettings {
        &self.settings
    }

    /// The same, to be changed.
    pub(crate) fn settings_mut(&mut self) -> &mut AllSettings {
        Arc::make_mut(&mut self.settings)
    }

    /// Sums over all functions.
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// Puts a function in the place of its name; gives back what was there.
    pub(crate) fn put(&mut self, function: Arc<Function>) -> Option<Arc<Function>> {
        let before = self.functions.insert(Arc::clone(&function));
        self.account_for(before.as_deref(), Some(&function));
        before
    }

    /// Takes a function out.
    pub(crate) fn remove(&mut self, name: &str) -> Option<Arc<Function>> {
        let before = self.functions.remove(name);
        AllSettings::forget(&mut self.settings, name);
        self.account_for(before.as_deref(), None);
        before
    }

    /// Puts a layer in the place of its name; gives back what was there.
    pub(crate) fn put_layer(&mut self, layer: Arc<Layer>) -> Option<Arc<Layer>> {
        let before = self.layers.insert(Arc::clone(&layer));
        for package in layer.packages() {
            self.count(package, |users| users + 1);
        }
        self.totals.code_size += layer.code_size();
        if let Some(before) = &before {
            for package in before.packages() {
                self.count(package, |users| users - 1);
            }
            self.totals.code_size -= before.code_size();
        }
        before
    }

    /// Adds a key.
    pub(crate) fn put_key(&mut self, key: AccessKey) {
        Arc::make_mut(&mut self.keys).insert(key.id.clone(), key);
    }

    /// Keeps URLs, packages and sums in step with a function that changes.
    fn account_for(&mut self, before: Option<&Function>, after: Option<&Function>) {
        let packages = |function: Option<&Function>| -> Vec<Digest> {
            function.into_iter().flat_map(Function::packages).collect()
        };
        let (were, are) = (packages(before), packages(after));
        if were != are {
            for package in are {
                self.count(package, |users| users + 1);
            }
            for package in were {
                self.count(package, |users| users - 1);
            }
        }
        if let Some(before) = before {
            let unchanged = after.is_some_and(|after| Arc::ptr_eq(&after.urls, &before.urls));
            if !unchanged {
                for url in before.urls.iter() {
                    self.urls.remove(url.id.as_str());
                }
            }
            self.totals.subtract(before);
        }
        if let Some(after) = after {
            let unchanged = before.is_some_and(|before| Arc::ptr_eq(&after.urls, &before.urls));
            if !unchanged {
                for url in after.urls.iter() {
                    self.urls.insert(Arc::clone(url));
                }
            }
            self.totals.add(after);
        }
        self.totals.functions = self.functions.len() as u64;
    }

    /// Changes by how many versions a package is needed.
    fn count(&mut self, digest: Digest, change: impl FnOnce(usize) -> usize) {
        let users = change(self.packages.get(&digest).map_or(0, |package| package.users));
        match users {
            0 => drop(self.packages.remove(&digest)),
            users => drop(self.packages.insert(Arc::new(Package { digest, users }))),
        }
    }
}

// === impl Totals ===

impl Totals {
    /// Adds a function's part, but for itself.
    fn add(&mut self, function: &Function) {
        self.code_size += function.code_size();
        self.set_aside += function.set_aside();
    }

    /// Takes it away.
    fn subtract(&mut self, function: &Function) {
        self.code_size -= function.code_size();
        self.set_aside -= function.set_aside();
    }
}
