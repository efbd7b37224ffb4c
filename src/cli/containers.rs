//! Drivers of hosts whose releases are containers.

use std::sync::Arc;

use super::ask::{Ask, Bits};
use crate::config::Loaded;
use crate::drivers::host::{self, Containers, HostDriver, Pulling};
use crate::drivers::image::{auth_file, is_loopback};
use crate::drivers::transport::Transport;
use crate::engine::Job;
use crate::far::container::Berth;
use crate::model::{HostSpec, ImageRef, Pull, Restart, Revision};
use crate::plan::release;

/// What is the same for every host.
pub(super) struct Template {
    pull: Option<Pulling>,
    ids: Vec<String>,
    adopt: bool,
    repository: String,
}

/// What every host's containers have in common; `None` where the release is none.
pub(super) fn template(loaded: &Loaded, ask: &Ask) -> Option<Template> {
    let spec = loaded.image.as_ref()?;
    let image = match &ask.bits {
        Bits::Image(image) => Some(image),
        Bits::None
        | Bits::Read
        | Bits::Known { .. }
        | Bits::Old { .. }
        | Bits::Fetched { .. }
        | Bits::Untouched(_) => None,
    };
    let reference = spec.reference.as_ref().filter(|_| spec.pull == Pull::Host);
    let pull = reference.map(|reference| Pulling {
        auth: image
            .and_then(|image| image.login.as_ref())
            .map_or_else(String::new, |login| auth_file(&reference.registry, login)),
        insecure: spec.registry.insecure || is_loopback(&reference.registry),
    });
    Some(Template {
        pull,
        ids: image.map_or_else(Vec::new, |image| image.ids.clone()),
        adopt: ask.adopt,
        repository: reference.map_or_else(String::new, ImageRef::repository),
    })
}

/// The driver of one host.
///
/// # Errors
/// A text for people: the container's name could not be told.
pub(super) fn open(
    loaded: &Loaded,
    spec: &HostSpec,
    transport: &Arc<dyn Transport>,
    (job, template): (&Job, &Template),
) -> Result<Arc<dyn HostDriver>, String> {
    // The name is the same for every release.
    let release = release::release_ref(&spec.root, Revision(1), &loaded.version);
    let run = loaded.recipes.run(&spec.name, &release)?;
    let Restart::Container(container) = run.restart else {
        return Err(format!("host `{}` has no container", spec.name));
    };
    let containers = Containers {
        berth: Berth {
            engine: container.engine,
            name: container.name,
            service: loaded.service.to_string(),
            repository: template.repository.clone(),
        },
        pull: template.pull.clone(),
        ids: template.ids.clone(),
        adopt: template.adopt,
        host: spec.name.clone(),
        recipes: Arc::clone(&loaded.recipes),
    };
    let process = (job.rollout.clone(), job.token.clone());
    Ok(host::open_containers(
        Arc::clone(transport),
        &spec.root,
        process,
        containers,
    ))
}
