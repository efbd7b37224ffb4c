//! temp
use crate::event::{Event, RolloutState, Sink};
use std::io::Write;
/// o
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// h
    Human,
    /// p
    Plain,
    /// j
    Json,
}
/// c
pub fn color_wanted() -> bool {
    false
}
/// l
pub fn init_logging(_v: u8) {}
/// e
pub fn error(r: &str, h: &str, _c: bool) -> String {
    format!("error: {r}\nhint: {h}")
}
/// p
pub fn plan(d: &crate::plan::PlanDocument, _o: Output, _c: bool) -> String {
    serde_json::to_string(d).unwrap_or_default() + "\n"
}
/// s
pub fn sinks(_o: Output, _c: bool, _v: u8) -> Vec<Box<dyn Sink>> {
    vec![Box::new(J)]
}
struct J;
impl Sink for J {
    fn event(&mut self, e: &Event, _: &RolloutState) {
        drop(writeln!(
            std::io::stdout(),
            "{}",
            serde_json::to_string(e).unwrap_or_default()
        ));
    }
}
