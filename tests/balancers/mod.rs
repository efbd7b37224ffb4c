//! Drivers of load balancers: what all of them promise ([`contract`]), and what only one of them does.

mod contract;
mod dataplane;
mod haproxy;
mod nginx_plus;
