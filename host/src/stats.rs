//! A store's figures: the component's, and what only its host knows.

use crate::error::{Error, Result};
use crate::latency::Latencies;
use serde_json::{Map, Value, json};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// What the host counts and knows of an open store.
#[derive(Debug)]
pub struct HostStats {
    /// How long calls took.
    pub latencies: Latencies,
    opened: Instant,
    /// The jobs that workers have, by their ids, and where.
    places: Mutex<Vec<(u64, String)>>,
}

impl HostStats {
    /// Of a store that is opened now.
    pub fn new() -> Self {
        Self { latencies: Latencies::default(), opened: Instant::now(), places: Mutex::default() }
    }

    /// A worker has begun a job at this place.
    pub fn job_begun(&self, job: u64, place: &str) {
        self.places().push((job, place.to_owned()));
    }

    /// A worker has this job no longer.
    pub fn job_ended(&self, job: u64) {
        self.places().retain(|(id, _)| *id != job);
    }

    /// The component's figures with those of the host.
    ///
    /// # Errors
    ///
    /// `Component` where the component's are no JSON object.
    pub fn add_to(&self, component: &str, pace: Value, readers: Value) -> Result<String> {
        let mut stats: Map<String, Value> = serde_json::from_str(component).map_err(|error| {
            Error::Component(format!("the component's figures are no JSON object: {error}"))
        })?;
        self.place_jobs(&mut stats);
        stats.insert("pace".into(), pace);
        stats.insert("readers".into(), readers);
        stats.insert("latency".into(), self.latencies.to_json());
        stats.insert("process".into(), std::process::id().into());
        let micros = u64::try_from(self.opened.elapsed().as_micros()).unwrap_or(u64::MAX);
        stats.insert("uptime_micros".into(), json!(micros));
        Ok(Value::Object(stats).to_string())
    }

    fn place_jobs(&self, stats: &mut Map<String, Value>) {
        let jobs = stats.get_mut("jobs").and_then(|jobs| jobs.get_mut("under_way"));
        for job in jobs.and_then(Value::as_array_mut).into_iter().flatten() {
            let id = job.get("id").and_then(Value::as_u64);
            if let Some((_, place)) = self.places().iter().find(|(known, _)| Some(*known) == id) {
                job["place"] = place.as_str().into();
            }
        }
    }

    fn places(&self) -> MutexGuard<'_, Vec<(u64, String)>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_places_of_jobs_are_told() {
        let stats = HostStats::new();
        stats.job_begun(7, "worker 1");
        stats.job_begun(8, "ssh other");
        stats.job_ended(8);
        let component =
            r#"{"epoch":1,"jobs":{"under_way":[{"id":7,"place":"worker"},{"id":8,"place":"worker"}]}}"#;
        let told: Value = serde_json::from_str(&stats.add_to(component, json!({}), json!({})).expect("JSON"))
            .expect("JSON");
        assert_eq!(told["jobs"]["under_way"][0]["place"], "worker 1");
        assert_eq!(told["jobs"]["under_way"][1]["place"], "worker");
        assert_eq!(told["process"], std::process::id());
        assert_eq!(told["latency"]["put"]["count"], 0);
        assert!(stats.add_to("no JSON", json!({}), json!({})).is_err());
    }
}
