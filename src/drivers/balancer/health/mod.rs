//! No balancer API at all: the host itself looks unfit to a balancer that nobody may touch.
//!
//! * [`driver`]: the two acts of a [`super::LoadBalancer`], done on the hosts behind the balancer.
//! * [`notice`]: whether the balancer has had time to notice.
//!
//! Pools and servers are names for people. What the balancer really does is not seen: it is given the time that it needs.

mod driver;
mod notice;

pub(super) use driver::Health;
