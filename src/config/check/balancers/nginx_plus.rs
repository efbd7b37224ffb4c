//! `kind = "nginx-plus"`.

use super::{Draft, api};
use crate::config::diagnostic::Report;
use crate::model::BalancerKind;

pub(super) fn check(draft: &Draft<'_>, report: &mut Report) -> Option<BalancerKind> {
    let example = "http://127.0.0.1:8080/api";
    api::check(draft, example, api::plus_version, report).map(BalancerKind::NginxPlus)
}
