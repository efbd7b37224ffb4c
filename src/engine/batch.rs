//! One batch: its hosts side by side, and the gate at their end.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::context::{Context, Stopwatch, rounded};
use super::worker::{self, HostReport, News};
use super::{StopWish, hooks};
use crate::cycle::{Ending, HostCycle, Order, Traits};
use crate::event::EventKind;
use crate::model::{Failure, HookPoint, HostName, OnFailure, RecordStep};
use crate::plan::{Standing, Start};

/// Why a batch ended as it did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum BatchVerdict {
    /// Every host passed, or failed within what the strategy allows.
    Passed,
    /// It failed: the reason.
    Failed(String),
    /// Others use up what may be out of traffic: what was not begun went back, what was begun went to its end.
    Stopped(String),
    /// A person or the system wanted the run to end; hosts are at a safe end.
    Interrupted,
    /// The same at once: hosts are where they are.
    Abandoned,
    /// The deadline passed, and the batch was taken back.
    Deadline,
    /// A lock was taken away: nothing was touched any more.
    LostLock,
}

/// A batch's end.
#[derive(Debug)]
pub(super) struct BatchEnd {
    pub(super) reports: Vec<HostReport>,
    pub(super) verdict: BatchVerdict,
}

/// What a batch may spend and must listen to.
pub(super) struct Limits<'a> {
    pub(super) stop: &'a mut watch::Receiver<StopWish>,
    pub(super) deadline: Instant,
    /// Failures that the whole run may still have.
    pub(super) failures_left: u32,
}

/// Takes `hosts` through their cycles.
pub(super) async fn run(
    context: &Arc<Context>,
    number: usize,
    batches: usize,
    hosts: &[HostName],
    limits: Limits<'_>,
) -> BatchEnd {
    let watch = Stopwatch::start();
    context
        .say(EventKind::BatchStarted {
            batch: number,
            batches,
            hosts: hosts.to_vec(),
        })
        .await;
    context.traffic.expect(hosts.iter());
    let mut batch = Batch::start(context, number, hosts);
    let verdict = batch.drive(limits).await;
    let reports = if verdict == BatchVerdict::Abandoned {
        batch.abandon()
    } else {
        batch.reports
    };
    // The wish to stop came when its hosts could only be carried to their end, and they were.
    let carried = reports.iter().all(|report| report.ending == Ending::Passed);
    let said = if carried && verdict == BatchVerdict::Interrupted {
        &BatchVerdict::Passed
    } else {
        &verdict
    };
    context.say(last_word(context, number, said, watch)).await;
    BatchEnd { reports, verdict }
}

fn last_word(
    context: &Context,
    batch: usize,
    verdict: &BatchVerdict,
    watch: Stopwatch,
) -> EventKind {
    let reason = match verdict {
        BatchVerdict::Passed => {
            let seconds = rounded(watch.elapsed());
            return EventKind::BatchFinished { batch, seconds };
        }
        BatchVerdict::Failed(reason) | BatchVerdict::Stopped(reason) => reason.clone(),
        BatchVerdict::Interrupted | BatchVerdict::Abandoned => "interrupted".to_owned(),
        BatchVerdict::Deadline => "the deadline passed".to_owned(),
        BatchVerdict::LostLock => {
            let lost = context.leases.lost_reason();
            lost.unwrap_or_else(|| "a lock was taken away".to_owned())
        }
    };
    EventKind::BatchFailed { batch, reason }
}

struct Batch<'a> {
    context: &'a Arc<Context>,
    number: usize,
    tasks: JoinSet<HostReport>,
    orders: watch::Sender<Order>,
    news: mpsc::UnboundedReceiver<News>,
    members: BTreeSet<HostName>,
    at_gate: BTreeSet<HostName>,
    reports: Vec<HostReport>,
    failures: u32,
    verdict: BatchVerdict,
}

impl<'a> Batch<'a> {
    fn start(context: &'a Arc<Context>, number: usize, hosts: &[HostName]) -> Self {
        let orders = watch::Sender::new(Order::Go);
        let (say, news) = mpsc::unbounded_channel();
        let mut tasks = JoinSet::new();
        for name in hosts {
            let Some(cycle) = cycle(context, name) else {
                continue;
            };
            tasks.spawn(worker::run(
                Arc::clone(context),
                name.clone(),
                number,
                cycle,
                orders.subscribe(),
                say.clone(),
            ));
        }
        Self {
            context,
            number,
            tasks,
            orders,
            news,
            members: hosts.iter().cloned().collect(),
            at_gate: BTreeSet::new(),
            reports: Vec::new(),
            failures: 0,
            verdict: BatchVerdict::Passed,
        }
    }

    async fn drive(&mut self, limits: Limits<'_>) -> BatchVerdict {
        let Limits {
            stop,
            deadline,
            failures_left,
        } = limits;
        let (mut deadline_passed, mut lock_lost) = (false, false);
        let context = Arc::clone(self.context);
        loop {
            if self.reports.len() + self.at_gate.len() >= self.members.len()
                && !self.at_gate.is_empty()
            {
                self.open_gate(deadline).await;
            }
            // A gate that is open cannot be closed again.
            let is_open = *self.orders.borrow() == Order::Pass;
            tokio::select! {
                biased;
                Some(news) = self.news.recv() => self.hear(news, failures_left),
                ended = self.tasks.join_next() => if let Some(ended) = ended {
                    self.collect(ended);
                } else {
                    self.reports.extend(self.missing("its task ended badly"));
                    return self.verdict.clone();
                },
                Ok(()) = stop.changed() => match *stop.borrow_and_update() {
                    StopWish::None => {}
                    StopWish::Gently => self.rule(BatchVerdict::Interrupted, Order::ReturnUnswapped),
                    StopWish::Now => return BatchVerdict::Abandoned,
                },
                () = context.leases.lost(), if !lock_lost => {
                    lock_lost = true;
                    self.rule(BatchVerdict::LostLock, Order::ReturnUnswapped);
                }
                () = tokio::time::sleep_until(deadline), if !deadline_passed && !is_open => {
                    deadline_passed = true;
                    self.rule(BatchVerdict::Deadline, Order::Revert);
                }
            }
        }
    }

    fn hear(&mut self, news: News, failures_left: u32) {
        match news {
            News::AtGate(host) => {
                self.at_gate.insert(host);
            }
            News::NoRoom(reason) => {
                self.rule(BatchVerdict::Stopped(reason), Order::ReturnUnswapped);
            }
            News::Fenced => self.rule(BatchVerdict::LostLock, Order::ReturnUnswapped),
            News::Failed(host) => {
                // A host that was out of traffic before is named, and is no failure of the run (F6).
                if self
                    .context
                    .host(&host)
                    .is_some_and(|host| host.planned.standing == Standing::InTraffic)
                {
                    self.failures += 1;
                }
                if self.failures > failures_left {
                    let order = match self.context.job.strategy.on_failure {
                        OnFailure::RevertBatch | OnFailure::RevertAll => Order::Revert,
                        OnFailure::Halt => Order::ReturnUnswapped,
                    };
                    self.rule(BatchVerdict::Failed(format!("host `{host}` failed")), order);
                }
            }
        }
    }

    /// The first verdict stays; orders only get stricter.
    fn rule(&mut self, verdict: BatchVerdict, order: Order) {
        if self.verdict == BatchVerdict::Passed {
            self.verdict = verdict;
        }
        if order == Order::Revert {
            // Before the first record that follows from it.
            self.context.going_back.store(true, Ordering::Relaxed);
            self.context.traffic.expect(self.members.iter());
        }
        self.orders.send_if_modified(|now| {
            let stricter = order > *now;
            if stricter {
                *now = order;
            }
            stricter
        });
    }

    fn collect(&mut self, ended: Result<HostReport, tokio::task::JoinError>) {
        match ended {
            Ok(report) => {
                self.at_gate.remove(&report.host);
                self.reports.push(report);
            }
            Err(error) => {
                // A worker that panicked: nobody knows how far its host is.
                tracing::error!("a host's task ended badly: {error}");
                self.rule(
                    BatchVerdict::Failed("a host's task ended badly".to_owned()),
                    Order::Revert,
                );
            }
        }
    }

    /// Reports for hosts whose task is gone without one: nobody knows how far they are, so they are named.
    fn missing(&self, why: &str) -> Vec<HostReport> {
        let reported: BTreeSet<&HostName> =
            self.reports.iter().map(|report| &report.host).collect();
        let lost = self.members.iter().filter(|host| !reported.contains(host));
        lost.map(|host| stranded(host, why)).collect()
    }

    /// Everybody is here: the batch's hooks have the last word.
    async fn open_gate(&mut self, deadline: Instant) {
        // Both are final: a host at its gate that is to go back must never see it open.
        if matches!(*self.orders.borrow(), Order::Pass | Order::Revert) {
            return;
        }
        // An interrupted batch that could only be carried to its end passes the same gate.
        let may_pass = matches!(
            self.verdict,
            BatchVerdict::Passed | BatchVerdict::Interrupted | BatchVerdict::Stopped(_)
        );
        if may_pass {
            let (batch, members) = (self.number, &self.members);
            let point = HookPoint::AfterBatch;
            if let Err(failure) = hooks::at_batch(self.context, point, batch, members).await {
                return self.rule(BatchVerdict::Failed(failure.line()), Order::Revert);
            }
            if Instant::now() >= deadline {
                return self.rule(BatchVerdict::Deadline, Order::Revert);
            }
        }
        self.rule(BatchVerdict::Passed, Order::Pass);
    }

    /// Ends every task where it is. The hosts' own records tell how far they are.
    fn abandon(&mut self) -> Vec<HostReport> {
        self.tasks.abort_all();
        let missing = self.missing("the run was stopped at once; its record tells how far it is");
        self.reports.extend(missing);
        std::mem::take(&mut self.reports)
    }
}

fn stranded(host: &HostName, why: &str) -> HostReport {
    HostReport {
        host: host.clone(),
        ending: Ending::Stranded,
        failure: Some(Failure::new(why)),
        mend: vec![
            "`rollgate resume` goes on with the rollout, `rollgate abort` takes it back".to_owned(),
        ],
        was_swapped: false,
        was_touched: true,
    }
}

/// What decides the course of one host.
pub(super) fn traits(context: &Context, name: &HostName) -> Option<Traits> {
    let host = context.host(name)?;
    Some(Traits {
        was_in_traffic: host.planned.standing == Standing::InTraffic,
        has_before: host.planned.current.is_some(),
        on_failure: context.job.strategy.on_failure,
    })
}

fn cycle(context: &Context, name: &HostName) -> Option<HostCycle> {
    let traits = traits(context, name)?;
    let hooks = hooks::host_points(context, name);
    let host = context.host(name)?;
    let earlier = context.job.earlier_record(&host.facts);
    let begun = earlier.filter(|record| record.step != RecordStep::Planned);
    Some(match (&host.planned.start, begun) {
        (Start::First, Some(record)) => HostCycle::begun_before(traits, &hooks, record.swapped),
        (Start::Proof, _) => HostCycle::from_proof(traits, &hooks),
        (
            Start::First | Start::Back { .. } | Start::Passed | Start::Rest | Start::Stranded(_),
            _,
        ) => HostCycle::new(traits, &hooks),
    })
}
