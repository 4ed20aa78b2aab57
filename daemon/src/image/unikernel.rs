//! From an image to its unikernel, and what keeps both: [`Keep`] for as long as this process
//! lives, a hold for as long as a container's record is there.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Instant;

use serde_json::json;
use unikiln_builder::{
    BuildError, BuildOptions, Digest, Lease, NoProgress, StoreError, build_cached, check_file,
    find_cached, refusal,
};
use unikiln_unikernel::{UnikernelFile, Verdict};

use super::catalog::unikernel_blob;
use super::{ImageError, Images, LocalImage};

/// Refusals that are remembered.
const REFUSALS_MAX: usize = 1000;

/// Keeps an image and what was made of it while it lives.
#[derive(Clone, Debug)]
pub struct Keep {
    _lease: Lease,
}

/// Images that cannot become unikernels, by manifest: it is not tried again and again.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    by_manifest: Mutex<BTreeMap<String, Arc<BuildError>>>,
}

/// As many conversions at once as there are processors.
#[derive(Debug)]
pub(super) struct Benches {
    free: Mutex<usize>,
    freed: Condvar,
}

struct Bench<'a>(&'a Benches);

impl Images {
    /// The image's unikernel: the one that is there, or one that is made now. It stays while
    /// [`Keep`] lives.
    pub fn unikernel(&self, image: &LocalImage) -> Result<(PathBuf, Keep), ImageError> {
        let keep = self.keep(image)?;
        if let Some(path) = unikernel_blob(&self.shared.store, image)? {
            return Ok((path, keep));
        }
        let digest = manifest(image)?;
        let options = BuildOptions::default();
        if let Some(source) = self.shared.refusals.get(&image.manifest) {
            return Err(not_built(image, source));
        }
        let bench = match find_cached(&self.shared.store, &digest, &options)? {
            // What follows only notes that it is used.
            Some(_) => None,
            None => Some(self.shared.benches.take()),
        };
        let begun = Instant::now();
        let is_new = bench.is_some();
        let built = build_cached(&keep._lease, &digest, &options, &mut NoProgress);
        drop(bench);
        if is_new {
            let counters = &self.shared.counters;
            counters.converted(built.is_ok(), begun.elapsed());
            self.shared.forget_usage();
        }
        match built {
            Ok(path) => Ok((path, keep)),
            Err(error) => {
                let error = Arc::new(error);
                if is_of_the_image(&error) {
                    self.shared.refusals.put(&image.manifest, &error);
                }
                Err(not_built(image, error))
            }
        }
    }

    /// Whether the image will run as a unikernel on this machine. It is made if need be.
    pub fn verdict(&self, image: &LocalImage) -> Result<Verdict, ImageError> {
        match self.unikernel(image) {
            Ok((path, _keep)) => check_file(&path).map_err(|source| ImageError::Check {
                image: image.name().to_owned(),
                source: Arc::new(source),
            }),
            Err(ImageError::Build { image, source }) => {
                refusal(&source).ok_or(ImageError::Build { image, source })
            }
            Err(error) => Err(error),
        }
    }

    /// The unikernel and the verdict as JSON, where they are there already.
    pub(super) fn known_unikernel(
        &self,
        image: &LocalImage,
    ) -> Result<serde_json::Value, ImageError> {
        let store = &self.shared.store;
        let path = match unikernel_blob(store, image)? {
            Some(path) => Some(path),
            None => find_cached(store, &manifest(image)?, &BuildOptions::default())?,
        };
        if let Some(path) = path
            // It may be collected just now.
            && let Ok(file) = UnikernelFile::open(&path)
        {
            let verdict = check_file(&path).ok();
            let linking = &file.manifest().linking;
            return Ok(json!({ "path": path, "verdict": verdict, "linking": linking }));
        }
        let refused = self.shared.refusals.get(&image.manifest);
        let verdict = refused.and_then(|error| refusal(&error));
        Ok(json!({ "path": null, "verdict": verdict, "linking": null }))
    }

    /// Keeps the image while this process lives, and the result does.
    pub fn keep(&self, image: &LocalImage) -> Result<Keep, ImageError> {
        let lease = self.shared.store.lease()?;
        let digest = manifest(image)?;
        if !lease.has_blob(&digest)? {
            return Err(ImageError::NotHere {
                image: image.name().to_owned(),
            });
        }
        Ok(Keep { _lease: lease })
    }

    /// Keeps the image until `holder`, a container's id, is released: also while no daemon runs.
    /// Several images may have the same holder.
    pub fn hold(&self, holder: &str, image: &LocalImage) -> Result<(), ImageError> {
        let digest = manifest(image)?;
        let store = &self.shared.store;
        store.hold(holder, &digest)?;
        if store.has_blob(&digest)? {
            return Ok(());
        }
        store.release(holder)?;
        Err(ImageError::NotHere {
            image: image.name().to_owned(),
        })
    }

    /// Ends what [`Images::hold`] began. What was removed meanwhile is gone then.
    pub fn release(&self, holder: &str) -> Result<(), ImageError> {
        let held = self.shared.store.release(holder)?;
        if held.is_empty() {
            return Ok(());
        }
        let images = self.list()?;
        let is_named = |digest: &Digest| {
            let digest = digest.to_string();
            images.iter().any(|image| image.manifest == digest)
        };
        if held.iter().all(is_named) {
            return Ok(());
        }
        self.collect()
    }

    /// Releases all holders that are not there any more, after a start.
    pub fn release_all_but(&self, is_there: impl Fn(&str) -> bool) -> Result<(), ImageError> {
        let store = &self.shared.store;
        for holder in store.holds()? {
            if !is_there(&holder) {
                store.release(&holder)?;
            }
        }
        self.collect()
    }
}

pub(super) fn manifest(image: &LocalImage) -> Result<Digest, ImageError> {
    Digest::parse(&image.manifest).map_err(|error| StoreError::Digest(error).into())
}

fn not_built(image: &LocalImage, source: Arc<BuildError>) -> ImageError {
    ImageError::Build {
        image: image.name().to_owned(),
        source,
    }
}

/// Whether it will be the same next time.
fn is_of_the_image(error: &BuildError) -> bool {
    matches!(error, BuildError::User { .. })
        || matches!(error, BuildError::Image { source, .. }
            if matches!(source, unikiln_builder::ImageError::WrongPlatform { .. }))
}

impl Refusals {
    fn get(&self, manifest: &str) -> Option<Arc<BuildError>> {
        let known = self.by_manifest.lock();
        known
            .unwrap_or_else(PoisonError::into_inner)
            .get(manifest)
            .cloned()
    }

    fn put(&self, manifest: &str, error: &Arc<BuildError>) {
        let known = self.by_manifest.lock();
        let mut known = known.unwrap_or_else(PoisonError::into_inner);
        if known.len() >= REFUSALS_MAX {
            known.clear();
        }
        known.insert(manifest.to_owned(), Arc::clone(error));
    }
}

impl Default for Benches {
    fn default() -> Self {
        let count = std::thread::available_parallelism();
        Self {
            free: Mutex::new(count.map_or(1, usize::from)),
            freed: Condvar::new(),
        }
    }
}

impl Benches {
    fn take(&self) -> Bench<'_> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        while *free == 0 {
            free = self
                .freed
                .wait(free)
                .unwrap_or_else(PoisonError::into_inner);
        }
        *free -= 1;
        Bench(self)
    }
}

impl Drop for Bench<'_> {
    fn drop(&mut self) {
        *self.0.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.0.freed.notify_one();
    }
}
