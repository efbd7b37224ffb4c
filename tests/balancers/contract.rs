//! What every driver of a load balancer promises, run against each of them: implement [`Bench`] for a balancer, then `keeps!(name, Bench)`.

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rollgate::drivers::balancer::{BalancerError, Change, LoadBalancer};
use rollgate::model::{Admin, PoolName, ServerName, ServerSeen};

use crate::support::haproxy::{pool, server, until};

/// A request in flight. Awaited, it is let go: it must then be answered well, or the test fails.
pub(crate) type Held = Pin<Box<dyn Future<Output = ()>>>;

/// A balancer (or its double) that has one pool with exactly two servers, both ready, usable and idle.
pub(crate) trait Bench: Sized {
    /// Whether requests in flight are counted. Where not, a drained server is `settling` for a while instead.
    const COUNTS: bool = true;
    /// Whether a reload forgets what the balancer was told.
    const FORGETS: bool = true;
    /// The weight that the first server has to begin with, where the driver can set weights.
    const WEIGHT: Option<u32> = None;
    /// Whether a look tells that nothing may be told ([`Bench::reader`]).
    const TELLS_READ_ONLY: bool = false;

    /// Starts it.
    async fn start() -> Self;

    /// A new driver.
    fn driver(&self) -> Arc<dyn LoadBalancer>;

    /// The pool.
    fn pool(&self) -> PoolName {
        pool("app")
    }

    /// Its two servers.
    fn servers(&self) -> [ServerName; 2] {
        [server("s1"), server("s2")]
    }

    /// Sends a request through the balancer to the first server, and returns once it is in flight there.
    async fn hold(&self) -> Held;

    /// Changes a server as an operator would, past the driver.
    async fn operator(&self, server: &ServerName, admin: Admin);

    /// Reloads or restarts the balancer, and returns when that has begun.
    async fn reload(&self);

    /// A driver that may look and not tell, where there is such a thing.
    async fn reader(&self) -> Option<Arc<dyn LoadBalancer>> {
        None
    }

    /// A driver for a place where nobody answers at once, where there is such a thing.
    async fn nobody(&self) -> Option<Arc<dyn LoadBalancer>> {
        None
    }

    /// A driver for something that takes connections and never says a word, where there is such a thing.
    async fn silent(&self) -> Option<Arc<dyn LoadBalancer>> {
        None
    }
}

/// Every case as a test of its own in the module `$name`.
macro_rules! keeps {
    ($name:ident, $bench:ty) => {
        mod $name {
            use super::*;
            use $crate::balancers::contract;

            type Kind = $bench;

            $crate::balancers::contract::cases!(
                looks,
                drains,
                waits_for_requests,
                enables,
                puts_weights_back,
                refuses_unknown_names,
                respects_permission,
                is_done_in_time,
                shows_what_others_changed,
                survives_a_reload,
                tells_servers_apart,
                says_what_a_person_types,
            );
        }
    };
}
pub(crate) use keeps;

macro_rules! cases {
    ($($case:ident,)*) => { $(
        #[tokio::test]
        async fn $case() {
            contract::$case::<Kind>().await;
        }
    )* };
}
pub(crate) use cases;

/// One look at one server.
async fn look<B: Bench>(bench: &B, driver: &dyn LoadBalancer, nth: usize) -> ServerSeen {
    let pools = [bench.pool()];
    let seen = driver.observe(&pools).await.unwrap();
    seen.pools[&pools[0]].servers[&bench.servers()[nth]].clone()
}

fn change<B: Bench>(bench: &B, nth: usize, admin: Admin) -> Change {
    Change {
        pool: bench.pool(),
        server: bench.servers()[nth].clone(),
        admin,
        weight: None,
        agent: None,
    }
}

fn idle(seen: &ServerSeen) -> bool {
    seen.in_flight == 0 && !seen.settling
}

/// Pools and all their servers are there, unknown pools are not, and the process has a name that stays.
pub(crate) async fn looks<B: Bench>() {
    let bench = B::start().await;
    let driver = bench.driver();
    let pools = [bench.pool(), pool("no-such-pool")];
    let seen = driver.observe(&pools).await.unwrap();
    assert_eq!(seen.read_only, None);
    assert_eq!(seen.pools.keys().collect::<Vec<_>>(), [&pools[0]]);
    let servers: Vec<ServerName> = seen.pools[&pools[0]].servers.keys().cloned().collect();
    let mut wanted = bench.servers().to_vec();
    wanted.sort();
    assert_eq!(servers, wanted);
    assert_eq!(seen.pools[&pools[0]].usable(), 2);
    for nth in 0..2 {
        let one = look(&bench, &*driver, nth).await;
        assert_eq!(one.admin, Admin::Ready);
        assert!(idle(&one) && !one.sticky && one.tracks.is_none(), "{one:?}");
    }
    let again = driver.observe(&pools).await.unwrap();
    assert_eq!(seen.process, again.process);
    assert_eq!(driver.observe(&pools[1..]).await.unwrap().pools.len(), 0);
}

/// What is told is what is seen next, told once or twice, and the other server is left alone.
pub(crate) async fn drains<B: Bench>() {
    let bench = B::start().await;
    let driver = bench.driver();
    for _ in 0..2 {
        driver
            .tell(&[change(&bench, 0, Admin::Drain)])
            .await
            .unwrap();
        let seen = look(&bench, &*driver, 0).await;
        assert_eq!((seen.admin, seen.usable), (Admin::Drain, false));
    }
    until("the drained server is idle", async || {
        idle(&look(&bench, &*driver, 0).await)
    })
    .await;
    let other = look(&bench, &*driver, 1).await;
    assert_eq!((other.admin, other.usable), (Admin::Ready, true));
}

/// A request in flight is seen, is not cut by a drain, and is seen to end.
pub(crate) async fn waits_for_requests<B: Bench>() {
    let bench = B::start().await;
    let driver = bench.driver();
    let held = bench.hold().await;
    if B::COUNTS {
        until("the request is in flight", async || {
            look(&bench, &*driver, 0).await.in_flight == 1
        })
        .await;
    }
    driver
        .tell(&[change(&bench, 0, Admin::Drain)])
        .await
        .unwrap();
    for _ in 0..3 {
        let seen = look(&bench, &*driver, 0).await;
        assert_eq!(seen.admin, Admin::Drain);
        assert!(!idle(&seen), "{seen:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    held.await;
    until("the drained server is idle", async || {
        idle(&look(&bench, &*driver, 0).await)
    })
    .await;
}

/// A drained server, and one in maintenance where there is that, gets requests again.
pub(crate) async fn enables<B: Bench>() {
    let bench = B::start().await;
    let driver = bench.driver();
    for admin in [Admin::Drain, Admin::Maint] {
        driver.tell(&[change(&bench, 0, admin)]).await.unwrap();
        let out = look(&bench, &*driver, 0).await;
        assert!(!out.usable && out.admin != Admin::Ready, "{out:?}");
        for _ in 0..2 {
            driver
                .tell(&[change(&bench, 0, Admin::Ready)])
                .await
                .unwrap();
        }
        until("the server is usable again", async || {
            let seen = look(&bench, &*driver, 0).await;
            seen.admin == Admin::Ready && seen.usable
        })
        .await;
    }
}

/// A weight is told with the state, and told back.
pub(crate) async fn puts_weights_back<B: Bench>() {
    let Some(weight) = B::WEIGHT else { return };
    let bench = B::start().await;
    let driver = bench.driver();
    assert_eq!(look(&bench, &*driver, 0).await.weight, Some(weight));
    for (admin, wanted) in [(Admin::Drain, 7), (Admin::Ready, 3), (Admin::Ready, weight)] {
        let told = Change {
            weight: Some(wanted),
            ..change(&bench, 0, admin)
        };
        driver.tell(&[told]).await.unwrap();
        let seen = look(&bench, &*driver, 0).await;
        assert_eq!((seen.admin, seen.weight), (admin, Some(wanted)));
    }
    assert!(look(&bench, &*driver, 0).await.usable);
}

/// Names that the balancer does not have are refused for good, and change nothing else.
pub(crate) async fn refuses_unknown_names<B: Bench>() {
    let bench = B::start().await;
    let driver = bench.driver();
    let mut unknown = [
        change(&bench, 0, Admin::Drain),
        change(&bench, 0, Admin::Drain),
    ];
    unknown[0].pool = pool("no-such-pool");
    unknown[1].server = server("10.255.0.1:9999");
    for change in unknown {
        let error = driver.tell(&[change]).await.unwrap_err();
        assert!(matches!(error, BalancerError::Refused { .. }), "{error}");
        assert!(!error.is_retriable());
    }
    for nth in 0..2 {
        assert!(look(&bench, &*driver, nth).await.usable);
    }
}

/// Without permission nothing is changed, and the refusal is for good.
pub(crate) async fn respects_permission<B: Bench>() {
    let bench = B::start().await;
    let Some(reader) = bench.reader().await else {
        return;
    };
    if B::TELLS_READ_ONLY {
        let seen = reader.observe(&[bench.pool()]).await.unwrap();
        assert!(seen.read_only.is_some_and(|why| !why.is_empty()));
    }
    let error = reader
        .tell(&[change(&bench, 0, Admin::Drain)])
        .await
        .unwrap_err();
    assert!(matches!(error, BalancerError::Refused { .. }), "{error}");
    assert!(!error.is_retriable());
    assert!(look(&bench, &*bench.driver(), 0).await.usable);
}

/// Nobody there is told at once, silence after 10 s, and both may be better in a moment.
pub(crate) async fn is_done_in_time<B: Bench>() {
    let bench = B::start().await;
    for (driver, limit) in [
        (bench.nobody().await, Duration::from_secs(5)),
        (bench.silent().await, Duration::from_secs(12)),
    ] {
        let Some(driver) = driver else { continue };
        let started = Instant::now();
        let (pools, changes) = ([bench.pool()], [change(&bench, 0, Admin::Drain)]);
        let (looked, told) = futures::join!(driver.observe(&pools), driver.tell(&changes));
        for error in [looked.unwrap_err(), told.unwrap_err()] {
            assert!(error.is_retriable(), "{error}");
            assert!(error.to_string().contains(driver.name().as_str()));
        }
        assert!(started.elapsed() < limit, "{:?}", started.elapsed());
    }
}

/// Every look is a fresh one: an operator's change is seen, either way.
pub(crate) async fn shows_what_others_changed<B: Bench>() {
    let bench = B::start().await;
    let driver = bench.driver();
    let one = bench.servers()[0].clone();
    driver
        .tell(&[change(&bench, 0, Admin::Drain)])
        .await
        .unwrap();
    bench.operator(&one, Admin::Ready).await;
    until("the operator's word is seen", async || {
        look(&bench, &*driver, 0).await.admin == Admin::Ready
    })
    .await;
    bench.operator(&one, Admin::Drain).await;
    until("it is seen again", async || {
        look(&bench, &*driver, 0).await.admin != Admin::Ready
    })
    .await;
    driver
        .tell(&[change(&bench, 0, Admin::Ready)])
        .await
        .unwrap();
    until("the driver has the last word", async || {
        look(&bench, &*driver, 0).await.usable
    })
    .await;
}

/// A reload shows as another process; what it forgot can be told again.
pub(crate) async fn survives_a_reload<B: Bench>() {
    let bench = B::start().await;
    let driver = bench.driver();
    let pools = [bench.pool()];
    driver
        .tell(&[change(&bench, 0, Admin::Drain)])
        .await
        .unwrap();
    let before = driver.observe(&pools).await.unwrap().process;
    bench.reload().await;
    until("another process answers", async || {
        match driver.observe(&pools).await {
            Ok(seen) => seen.process != before,
            Err(error) => {
                assert!(error.is_retriable(), "{error}");
                false
            }
        }
    })
    .await;
    let kept = look(&bench, &*driver, 0).await.admin;
    assert_eq!(kept == Admin::Ready, B::FORGETS, "{kept:?}");
    // An old process may still be the one that answers: that is said, and it is told again.
    until("it can be told again", async || {
        match driver.tell(&[change(&bench, 0, Admin::Drain)]).await {
            Ok(()) => true,
            Err(error) => {
                assert!(error.is_retriable(), "{error}");
                false
            }
        }
    })
    .await;
    let seen = look(&bench, &*driver, 0).await;
    assert_eq!((seen.admin, seen.usable), (Admin::Drain, false));
}

/// Several changes in one call are all made, each to its own server.
pub(crate) async fn tells_servers_apart<B: Bench>() {
    let bench = B::start().await;
    let driver = bench.driver();
    let both = [
        change(&bench, 0, Admin::Drain),
        change(&bench, 1, Admin::Drain),
    ];
    driver.tell(&both).await.unwrap();
    for nth in 0..2 {
        assert_eq!(look(&bench, &*driver, nth).await.admin, Admin::Drain);
    }
    driver
        .tell(&[change(&bench, 1, Admin::Ready)])
        .await
        .unwrap();
    assert_eq!(look(&bench, &*driver, 0).await.admin, Admin::Drain);
    assert_eq!(look(&bench, &*driver, 1).await.admin, Admin::Ready);
    driver.tell(&[]).await.unwrap();
}

/// A person gets one line to type that names the server.
pub(crate) async fn says_what_a_person_types<B: Bench>() {
    let bench = B::start().await;
    let line = bench
        .driver()
        .enable_by_hand(&bench.pool(), &bench.servers()[0]);
    assert!(!line.is_empty() && !line.contains('\n'), "{line}");
}
