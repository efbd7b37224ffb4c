//! No templates: every host restarts a unit.

use std::time::Duration;

use rollgate::model::{Hook, HookPoint, HostName, Recipes, ReleaseRef, Restart, Run, Unit};

pub struct FakeRecipes;

impl Recipes for FakeRecipes {
    fn run(&self, _host: &HostName, _release: &ReleaseRef) -> Result<Run, String> {
        Ok(Run {
            restart: Restart::Systemd(Unit::named("app.service")),
            stop_timeout: Duration::from_secs(30),
            logs: None,
        })
    }

    fn hooks(
        &self,
        _at: HookPoint,
        _host: Option<(&HostName, &ReleaseRef)>,
        _facts: &[(&str, String)],
    ) -> Result<Vec<Hook>, String> {
        Ok(vec![])
    }
}
