//! What is said to `HAProxy` for one change. Pure.

use crate::drivers::balancer::Change;
use crate::model::Admin;

/// The weight comes before `ready`, so that no request is sent by a wrong one, and after what takes the server out. An agent check, which
/// may override the state, rests before the server goes out and runs again after it is back.
pub(super) fn commands(change: &Change) -> Vec<String> {
    let name = format!("{}/{}", change.pool, change.server);
    let (state, is_back) = match change.admin {
        Admin::Ready => ("ready", true),
        Admin::Drain => ("drain", false),
        Admin::Maint => ("maint", false),
    };
    let state = format!("set server {name} state {state}");
    let weight = change
        .weight
        .map(|weight| format!("set server {name} weight {weight}"));
    let agent = change.agent.map(|runs| {
        let verb = if runs { "enable" } else { "disable" };
        format!("{verb} agent {name}")
    });
    let in_order = if is_back {
        [weight, Some(state), agent]
    } else {
        [agent, Some(state), weight]
    };
    in_order.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{PoolName, ServerName};

    fn change(admin: Admin, agent: Option<bool>) -> Change {
        Change {
            pool: PoolName::new("be").unwrap(),
            server: ServerName::new("s1").unwrap(),
            admin,
            weight: Some(7),
            agent,
        }
    }

    #[test]
    fn weight_is_put_back_before_requests_come_and_after_they_stopped() {
        let (weight, ready, drain) = (
            "set server be/s1 weight 7",
            "set server be/s1 state ready",
            "set server be/s1 state drain",
        );
        assert_eq!(commands(&change(Admin::Ready, None)), [weight, ready]);
        assert_eq!(commands(&change(Admin::Drain, None)), [drain, weight]);
    }

    #[test]
    fn an_agent_rests_while_its_server_is_out() {
        let out = commands(&change(Admin::Drain, Some(false)));
        assert_eq!(out[0], "disable agent be/s1");
        let back = commands(&change(Admin::Ready, Some(true)));
        assert_eq!(back.last().unwrap(), "enable agent be/s1");
    }
}
