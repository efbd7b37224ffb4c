//! What is said about plans.

use super::streams::{host, traffic};
use crate::model::{Revision, ServiceName, TrafficState, Version};
use crate::plan::PlanDocument;
use crate::plan::document::{FORMAT, PlanAction, PlanCurrent, PlanHost};
use crate::report::{Output, paint::Paint, plan};

fn planned(number: u8, action: PlanAction, current: Option<u64>, reason: &str) -> PlanHost {
    let state = if number == 3 {
        TrafficState::Drain
    } else {
        TrafficState::Ready
    };
    PlanHost {
        host: host(number),
        action,
        reason: reason.to_owned(),
        current: current.map(|revision| PlanCurrent {
            revision: Revision(revision),
            version: (revision > 0).then(|| Version::new(&format!("{revision}.0")).unwrap()),
        }),
        files: Vec::new(),
        traffic: traffic(number, state),
    }
}

fn sample() -> PlanDocument {
    PlanDocument {
        v: FORMAT,
        service: ServiceName::new("shop").unwrap(),
        version: Version::new("2.0").unwrap(),
        revision: Revision(2),
        batches: vec![vec![host(3)], vec![host(1), host(4)]],
        least_usable: Some(2),
        refused: Vec::new(),
        warnings: vec![
            "no `ready.version`: a host that is ready on the old release would pass".into(),
        ],
        hosts: vec![
            planned(1, PlanAction::Update, Some(1), "from 1 (1.0)"),
            planned(
                2,
                PlanAction::Skip,
                Some(2),
                "it runs 2.0 (revision 2) already",
            ),
            planned(3, PlanAction::Update, Some(0), "out of traffic: goes first"),
            planned(4, PlanAction::Update, None, ""),
            planned(5, PlanAction::Leave, None, "connection refused"),
        ],
    }
}

#[test]
fn a_plan_as_text() {
    insta::assert_snapshot!("plan_text", plan::text(&sample(), Paint::PLAIN));
}

#[test]
fn a_refused_plan_as_text() {
    let document = PlanDocument {
        batches: Vec::new(),
        refused: vec![
            "host `web-05`: connection refused".into(),
            "version 2.0 was taken back".into(),
        ],
        ..sample()
    };
    insta::assert_snapshot!("plan_refused_text", plan::text(&document, Paint::PLAIN));
}

#[test]
fn a_plan_with_nothing_to_do_as_text() {
    let document = PlanDocument {
        batches: Vec::new(),
        warnings: Vec::new(),
        hosts: vec![planned(
            2,
            PlanAction::Skip,
            Some(2),
            "it runs 2.0 (revision 2) already",
        )],
        ..sample()
    };
    insta::assert_snapshot!("plan_nothing_text", plan::text(&document, Paint::PLAIN));
}

#[test]
fn a_plan_as_json_is_one_line_and_reads_back() {
    let said = crate::report::plan(&sample(), Output::Json, true);
    assert_eq!(said.matches('\n').count(), 1, "{said}");
    assert_eq!(
        serde_json::from_str::<PlanDocument>(&said).unwrap(),
        sample()
    );
    insta::assert_snapshot!("plan_json", said);
}
