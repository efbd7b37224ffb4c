//! The image of a release that is a container: its digest found, and itself packed where it is sent from here.

use std::fs::File;
use std::sync::Arc;

use super::ask::{Ask, Bits};
use crate::config::Loaded;
use crate::drivers::image;
use crate::far::container::image_tag;
use crate::model::{
    Artifact, ExitStatus, Form, ImageRef, ImageSpec, Login, Pull, RegistrySpec, Sha256,
};

/// An image that is ready to be rolled.
#[derive(Debug)]
pub(super) struct Image {
    /// What the engine calls its artifact.
    pub(super) artifact: Artifact,
    /// What it may be called on hosts besides.
    pub(super) ids: Vec<String>,
    /// Whoever the hosts pull it as.
    pub(super) login: Option<Login>,
    /// The packed image, which goes when this is dropped.
    _file: Option<File>,
}

/// Why there is none.
pub(super) type NoImage = (ExitStatus, String);

/// Finds what `ask` is about where the release is a container; any other ask is given back as it is.
///
/// # Errors
/// The exit status and a text for people.
pub(super) async fn resolve(loaded: &Loaded, mut ask: Ask) -> Result<Ask, NoImage> {
    let Some(spec) = &loaded.image else {
        return Ok(ask);
    };
    let found = match &ask.bits {
        Bits::Read => find(loaded, spec, None).await?,
        Bits::Known { sha256, .. } => find(loaded, spec, Some(sha256)).await?,
        // Nothing is brought to any host.
        Bits::None
        | Bits::Old { .. }
        | Bits::Fetched { .. }
        | Bits::Untouched(_)
        | Bits::Image(_) => return Ok(ask),
    };
    ask.bits = Bits::Image(Arc::new(found));
    Ok(ask)
}

async fn find(loaded: &Loaded, spec: &ImageSpec, known: Option<&Sha256>) -> Result<Image, NoImage> {
    match (spec.pull, &spec.reference) {
        (Pull::Host, Some(reference)) => pulled(spec, reference, known).await,
        (Pull::Host | Pull::Push, _) => pushed(loaded, spec, known).await,
    }
}

/// The hosts pull it by its digest, which is asked for once.
async fn pulled(
    spec: &ImageSpec,
    reference: &ImageRef,
    known: Option<&Sha256>,
) -> Result<Image, NoImage> {
    let login = login(&spec.registry).map_err(|reason| (ExitStatus::Usage, reason))?;
    let pinned = known.or(reference.digest.as_ref());
    let sha256 = match pinned {
        Some(digest) => digest.clone(),
        None => image::digest_of_tag(reference, &spec.registry, login.as_ref())
            .await
            .map_err(|reason| (ExitStatus::Refused, reason))?,
    };
    Ok(Image {
        artifact: artifact(sha256, reference.to_string()),
        ids: Vec::new(),
        login,
        _file: None,
    })
}

/// It is packed here, out of an archive or of the engine here.
async fn pushed(
    loaded: &Loaded,
    spec: &ImageSpec,
    known: Option<&Sha256>,
) -> Result<Image, NoImage> {
    let packed = match (pack(loaded, spec).await, known) {
        (Ok(packed), _) => packed,
        // Hosts may have it all.
        (Err(_gone), Some(known)) => {
            return Ok(Image {
                artifact: artifact(known.clone(), String::new()),
                ids: vec![known.to_string()],
                login: None,
                _file: None,
            });
        }
        (Err(reason), None) => return Err((ExitStatus::Refused, reason)),
    };
    if let Some(known) = known.filter(|known| **known != packed.config) {
        let reason = format!(
            "the image here has the id sha256:{} now, and what was staged has sha256:{known}; put the image of that time back, or move this one away where every host has it already",
            packed.config
        );
        return Err((ExitStatus::Refused, reason));
    }
    let from = match (&spec.source, &spec.reference) {
        (Some(source), _) => source.display().to_string(),
        (None, Some(reference)) => reference.to_string(),
        (None, None) => String::new(),
    };
    Ok(Image {
        artifact: Artifact {
            path: packed.path(),
            size: packed.size,
            ..artifact(packed.config.clone(), from)
        },
        ids: vec![packed.config.to_string(), packed.manifest.to_string()],
        login: None,
        _file: Some(packed.file),
    })
}

async fn pack(loaded: &Loaded, spec: &ImageSpec) -> Result<image::Packed, String> {
    let saved = match (&spec.source, &spec.reference) {
        (Some(_), _) | (None, None) => None,
        (None, Some(reference)) => {
            let file = tempfile::Builder::new()
                .prefix("rollgate-saved-")
                .tempfile()
                .map_err(|error| format!("cannot make a temporary file: {error}"))?
                .into_temp_path();
            image::save(spec.engine, reference, &file).await?;
            Some(file)
        }
    };
    let archive = match (&saved, &spec.source) {
        (Some(file), _) => file.to_path_buf(),
        (None, Some(source)) => source.clone(),
        (None, None) => return Err("there is neither `image` nor `source`".to_owned()),
    };
    let (reference, service) = (spec.reference.clone(), loaded.service.to_string());
    let work = move || {
        image::pack(&archive, reference.as_ref(), |sha256| {
            image_tag(&service, sha256.as_str())
        })
    };
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| format!("the image could not be packed: {error}"))?
}

fn artifact(sha256: Sha256, from: String) -> Artifact {
    Artifact {
        path: std::path::PathBuf::new(),
        name: String::new(),
        sha256,
        size: 0,
        from,
        form: Form::File,
    }
}

/// User name and password out of the environment, where they are asked for.
fn login(spec: &RegistrySpec) -> Result<Option<Login>, String> {
    let Some(names) = &spec.login else {
        return Ok(None);
    };
    let read = |name: &str| {
        let value = std::env::var(name).ok().filter(|value| !value.is_empty());
        value.ok_or_else(|| {
            format!("the environment variable {name}, which `release.registry` names, is not set")
        })
    };
    Ok(Some(Login {
        user: read(&names.username_env)?,
        password: read(&names.password_env)?,
    }))
}
