//! `kind = "nginx-plus"`.

use super::Draft;
use crate::config::diagnostic::Report;
use crate::model::BalancerKind;

pub(super) fn check(draft: &Draft<'_>, report: &mut Report) -> Option<BalancerKind> {
    report.add(
        draft.at.clone(),
        "balancers of kind `nginx-plus` are not supported yet",
        "this version drives kind = \"haproxy\"",
    );
    None
}
