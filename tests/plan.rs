//! The plan: what is refused and why, who goes first, and what never happens whatever the fleet looks like.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::{Just, prop_assert, prop_assert_eq, prop_oneof, proptest};
use rollgate::model::*;
use rollgate::plan::{Facts, HostAction, HostView, Plan, Wishes, make};

/// How one host of a made-up fleet is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    Good,
    Down,
    Drained,
    OnTarget,
    Away,
}

fn sha(digit: char) -> Sha256 {
    Sha256::new(&digit.to_string().repeat(64)).unwrap()
}

fn line(revision: u64, version: &str, sha256: Sha256, outcome: RevisionOutcome) -> RevisionLine {
    RevisionLine {
        v: 1,
        revision: Revision(revision),
        version: Some(Version::new(version).unwrap()),
        sha256: Some(sha256),
        config: Some(sha('c')),
        dir: format!("{revision}-{version}"),
        by: "a@b".into(),
        from: "here".into(),
        at: "2026-01-01T00:00:00Z".parse().unwrap(),
        good: false,
        outcome,
        rollout: Some(RolloutId::new("20260101T000000Z-0001").unwrap()),
    }
}

fn host_facts(found: Found) -> HostFacts {
    let mut revisions = vec![line(1, "1.0", sha('1'), RevisionOutcome::Succeeded)];
    let mut current = "/srv/releases/1-1.0";
    if found == Found::OnTarget {
        revisions.push(line(2, "2.0", sha('2'), RevisionOutcome::Succeeded));
        current = "/srv/releases/2-2.0";
    }
    HostFacts {
        root_writable: true,
        free_kib: Some(1 << 20),
        current: Current::Link(current.into()),
        revisions,
        ..HostFacts::default()
    }
}

fn view(n: usize, found: Found, zone: Option<&str>) -> HostView {
    let name = HostName::new(&format!("h{n}")).unwrap();
    let ssh = SshOptions {
        user: None,
        port: None,
        identity_files: vec![],
        known_hosts: vec![],
        host_key_checking: HostKeyChecking::Strict,
        jump: vec![],
        ssh_config: false,
        connect_timeout: Duration::from_secs(10),
        r#become: Become::None,
    };
    let target = TrafficTarget {
        balancer: BalancerName::new("lb").unwrap(),
        pool: PoolName::new("app").unwrap(),
        server: ServerName::new(name.as_str()).unwrap(),
    };
    let labels = zone
        .map(|zone| ("zone".to_owned(), zone.to_owned()))
        .into_iter()
        .collect();
    let version = if found == Found::OnTarget {
        "2.0"
    } else {
        "1.0"
    };
    HostView {
        spec: HostSpec {
            name,
            address: "h".into(),
            labels,
            ssh,
            root: "/srv".into(),
            traffic: vec![target],
            ready_url: "http://h/".into(),
        },
        selected: true,
        facts: if found == Found::Away {
            Err("cannot connect".into())
        } else {
            Ok(host_facts(found))
        },
        is_away: found == Found::Away,
        proof: Proof {
            ready: !matches!(found, Found::Down | Found::Away),
            status: Some(200),
            version: Some(version.into()),
        },
        config: sha('c'),
    }
}

fn seen(found: Found) -> ServerSeen {
    let admin = if found == Found::Drained {
        Admin::Drain
    } else {
        Admin::Ready
    };
    let up = !matches!(found, Found::Down | Found::Away);
    ServerSeen {
        admin,
        health: if up { Health::Up } else { Health::Down },
        usable: up && admin == Admin::Ready,
        in_flight: 0,
        weight: Some(1),
        sticky: false,
        settling: false,
        agent: false,
        tracks: None,
    }
}

fn facts(fleet: &[Found]) -> Facts {
    let servers = fleet
        .iter()
        .enumerate()
        .map(|(n, found)| (ServerName::new(&format!("h{n}")).unwrap(), seen(*found)))
        .collect();
    let pools = BTreeMap::from([(PoolName::new("app").unwrap(), PoolSeen { servers })]);
    Facts {
        service: ServiceName::new("app").unwrap(),
        version: Version::new("2.0").unwrap(),
        sha256: sha('2'),
        size: 1000,
        hosts: fleet
            .iter()
            .enumerate()
            .map(|(n, found)| view(n, *found, None))
            .collect(),
        balancers: BTreeMap::from([(
            BalancerName::new("lb").unwrap(),
            BalancerSeen {
                process: "1".into(),
                pools,
                read_only: None,
            },
        )]),
        strategy: rollgate::model::Strategy {
            batch: vec![Size::Count(1), Size::Percent(25)],
            max_unavailable: Size::Percent(25),
            zones: None,
            pause: Pause::For(Duration::ZERO),
            soak: Duration::ZERO,
            max_failures: 0,
            on_failure: OnFailure::RevertBatch,
            unreachable: Unreachable::Fail,
            deadline: Duration::from_secs(60),
            allow_downtime: false,
            traffic: rollgate::model::TrafficPolicy::default(),
        },
        tools: vec![],
        version_checked: true,
        wishes: Wishes::default(),
        resumes: None,
        undo: None,
    }
}

fn names(batches: &[Vec<HostName>]) -> Vec<Vec<&str>> {
    batches
        .iter()
        .map(|batch| batch.iter().map(HostName::as_str).collect())
        .collect()
}

fn refused(plan: &Plan, words: &str) {
    assert!(
        plan.refused.iter().any(|reason| reason.contains(words)),
        "{words:?} is not among {:?}",
        plan.refused
    );
}

#[test]
fn the_canary_goes_first_and_the_bound_is_of_the_whole_fleet() {
    let plan = make(&facts(&[Found::Good; 8]));
    assert_eq!(plan.refused, Vec::<String>::new());
    assert_eq!(
        names(&plan.batches)
            .iter()
            .map(Vec::len)
            .collect::<Vec<_>>(),
        [1, 2, 2, 2, 1]
    );
    assert_eq!(
        (plan.revision, plan.max_unavailable, plan.least_usable),
        (Revision(2), 2, Some(6))
    );
}

#[test]
fn hosts_that_run_it_already_are_left_alone() {
    let plan = make(&facts(&[
        Found::OnTarget,
        Found::Good,
        Found::OnTarget,
        Found::Good,
    ]));
    assert_eq!(names(&plan.batches), [["h1"], ["h3"]]);
    assert_eq!(plan.hosts[0].action, HostAction::Skip);
    assert_eq!(plan.revision, Revision(2));
    assert!(make(&facts(&[Found::OnTarget; 3])).is_empty());
}

#[test]
fn force_takes_them_too() {
    let mut facts = facts(&[Found::OnTarget; 4]);
    facts.wishes.force = true;
    assert_eq!(make(&facts).batches.len(), 4);
}

#[test]
fn sick_hosts_and_an_operators_go_first_and_the_sizes_begin_anew() {
    let plan = make(&facts(&[
        Found::Good,
        Found::Down,
        Found::Good,
        Found::Drained,
        Found::Good,
        Found::Good,
        Found::Good,
        Found::Good,
    ]));
    assert_eq!(names(&plan.batches)[..2], [["h1"], ["h3"]]);
    assert_eq!((plan.sick_batches, names(&plan.batches)[2].len()), (2, 1));
}

#[test]
fn an_unreachable_host_refuses_or_is_skipped() {
    let mut facts = facts(&[Found::Good, Found::Away, Found::Good, Found::Good]);
    refused(&make(&facts), "h1");
    facts.strategy.unreachable = Unreachable::Skip;
    facts.hosts[1].is_away = false;
    refused(&make(&facts), "h1");
    facts.hosts[1].is_away = true;
    let plan = make(&facts);
    assert_eq!(
        (plan.refused.len(), plan.hosts[1].action),
        (0, HostAction::Leave)
    );
    assert!(!plan.warnings.is_empty());
}

#[test]
fn the_last_usable_server_is_never_taken() {
    refused(&make(&facts(&[Found::Good])), "no usable server");
    let mut allowed = facts(&[Found::Good]);
    allowed.strategy.allow_downtime = true;
    assert_eq!(make(&allowed).refused, Vec::<String>::new());
    // A pool that has none to begin with is no obstacle.
    assert_eq!(make(&facts(&[Found::Down])).refused, Vec::<String>::new());
    // A sick neighbour is mended first, and then serves.
    assert_eq!(
        make(&facts(&[Found::Good, Found::Down])).refused,
        Vec::<String>::new()
    );
    refused(
        &make(&facts(&[Found::Good, Found::Drained])),
        "no usable server",
    );
}

#[test]
fn unknown_servers_and_pools_are_named_with_the_nearest() {
    let mut facts = facts(&[Found::Good; 4]);
    facts.hosts[0].spec.traffic[0].server = ServerName::new("hh1").unwrap();
    refused(&make(&facts), "did you mean `h1`");
    facts.hosts[0].spec.traffic[0].pool = PoolName::new("nope").unwrap();
    refused(&make(&facts), "no pool `nope`");
}

#[test]
fn a_balancer_that_may_only_be_read_refuses() {
    let mut facts = facts(&[Found::Good; 4]);
    facts
        .balancers
        .values_mut()
        .for_each(|seen| seen.read_only = Some("the socket is at level `user`".into()));
    refused(&make(&facts), "level `user`");
}

#[test]
fn the_same_version_with_another_artifact_refuses() {
    let mut facts = facts(&[Found::Good; 4]);
    facts.version = Version::new("1.0").unwrap();
    refused(&make(&facts), "--replace-artifact");
    facts.wishes.replace_artifact = true;
    let plan = make(&facts);
    assert_eq!((plan.refused.len(), plan.revision), (0, Revision(2)));
}

#[test]
fn a_number_means_the_same_everywhere_or_is_not_used_again() {
    let mut facts = facts(&[Found::Good; 4]);
    let seen = |facts: &mut Facts, n: usize, line: RevisionLine| {
        facts.hosts[n].facts.as_mut().unwrap().revisions.push(line);
    };
    seen(
        &mut facts,
        0,
        line(2, "2.0", sha('2'), RevisionOutcome::Staged),
    );
    assert_eq!(make(&facts).revision, Revision(2));
    seen(
        &mut facts,
        1,
        line(2, "2.0", sha('9'), RevisionOutcome::Staged),
    );
    assert_eq!(make(&facts).revision, Revision(3));
}

#[test]
fn what_was_taken_back_stays_away_until_asked_again() {
    let mut facts = facts(&[Found::Good; 4]);
    facts.hosts[3].facts.as_mut().unwrap().revisions.push(line(
        2,
        "2.0",
        sha('2'),
        RevisionOutcome::Reverted,
    ));
    refused(&make(&facts), "--again");
    facts.wishes.again = true;
    assert_eq!(make(&facts).refused, Vec::<String>::new());
}

#[test]
fn a_folder_that_looks_like_ours_and_is_not_is_what_was_found() {
    let mut facts = facts(&[Found::Good; 4]);
    for host in &mut facts.hosts {
        let seen = host.facts.as_mut().unwrap();
        seen.revisions.clear();
        seen.releases = vec!["2024-01-05".into()];
        seen.current = Current::Link("/srv/releases/2024-01-05".into());
    }
    let plan = make(&facts);
    let current = plan.hosts[0].current.clone().unwrap();
    assert_eq!(
        (current.revision, plan.revision),
        (Revision::FOUND, Revision(1))
    );
}

#[test]
fn a_folder_named_current_is_not_replaced() {
    let mut facts = facts(&[Found::Good; 4]);
    facts.hosts[0].facts.as_mut().unwrap().current = Current::Foreign("a folder".into());
    refused(&make(&facts), "/srv/current` is a folder");
}

#[test]
fn a_full_disk_is_found_before_anything_is_sent() {
    let mut facts = facts(&[Found::Good; 4]);
    facts.size = 50 << 20;
    facts.hosts[2].facts.as_mut().unwrap().free_kib = Some(1000);
    refused(&make(&facts), "1000 KiB free");
}

#[test]
fn zones_are_finished_one_by_one() {
    let mut facts = facts(&[Found::Good; 8]);
    facts.strategy.zones = Some("zone".into());
    for (n, host) in facts.hosts.iter_mut().enumerate() {
        host.spec.labels.insert(
            "zone".into(),
            if n % 2 == 0 { "a".into() } else { "b".into() },
        );
    }
    let plan = make(&facts);
    let flat: Vec<&str> = names(&plan.batches).concat();
    assert_eq!(flat, ["h0", "h2", "h4", "h6", "h1", "h3", "h5", "h7"]);
}

fn any_found() -> impl proptest::strategy::Strategy<Value = Found> {
    prop_oneof![
        6 => Just(Found::Good),
        1 => Just(Found::Down),
        1 => Just(Found::Drained),
        1 => Just(Found::OnTarget),
    ]
}

proptest! {
    /// Each host to be updated is in exactly one batch; healthy batches keep the bound; no pool is emptied; the same facts give the
    /// same plan.
    #[test]
    fn a_plan_keeps_the_bounds(fleet in proptest::collection::vec(any_found(), 1..30), count in 1u32..6, percent in 1u8..=100, bound in 1u8..=100) {
        let mut facts = facts(&fleet);
        facts.strategy.batch = vec![Size::Count(count), Size::Percent(percent)];
        facts.strategy.max_unavailable = Size::Percent(bound);
        let plan = make(&facts);
        let all: Vec<&HostName> = plan.batches.iter().flatten().collect();
        let unique: BTreeSet<&HostName> = all.iter().copied().collect();
        prop_assert_eq!(all.len(), unique.len());
        let wanted: BTreeSet<&HostName> = plan.hosts.iter().filter(|host| host.action == HostAction::Update).map(|host| &host.host).collect();
        prop_assert_eq!(unique, wanted);
        for batch in plan.batches.iter().skip(plan.sick_batches) {
            prop_assert!(batch.len() <= Size::Percent(bound).of(fleet.len()));
        }
        if plan.refused.is_empty() && fleet.iter().any(|found| matches!(found, Found::Good | Found::OnTarget)) && !plan.is_empty() {
            prop_assert!(plan.least_usable.is_some_and(|least| least >= 1), "{:?}", plan);
        }
        prop_assert_eq!(format!("{:?}", make(&facts)), format!("{:?}", plan));
    }
}
