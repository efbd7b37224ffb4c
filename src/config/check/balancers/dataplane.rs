//! `kind = "dataplane"`.

use super::{Draft, api};
use crate::config::diagnostic::Report;
use crate::model::BalancerKind;

pub(super) fn check(draft: &Draft<'_>, report: &mut Report) -> Option<BalancerKind> {
    let example = "http://127.0.0.1:5555";
    api::check(draft, example, api::dataplane_version, report).map(BalancerKind::Dataplane)
}
