//! What the nginx driver sees and does, on a real nginx.

mod edges;
mod failures;
mod traffic;

use rollgate::drivers::balancer::LoadBalancer;
use rollgate::model::Admin;

use crate::support::haproxy::change;

/// Tells one server of the pool `app`.
async fn tell(balancer: &dyn LoadBalancer, name: &str, admin: Admin) {
    balancer.tell(&[change("app", name, admin)]).await.unwrap();
}
