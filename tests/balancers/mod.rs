//! Drivers of load balancers: what all of them promise ([`contract`]), and what only one of them does.

mod commands;
mod contract;
mod dataplane;
mod haproxy;
mod health;
mod nginx;
mod nginx_plus;
