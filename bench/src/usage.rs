//! What this process uses: processor time, memory, bytes written. Linux tells the latter two; elsewhere they are 0.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// The processor time of all threads so far, user and system together. It has a clock of its own, which is finer than
/// `getrusage`.
pub fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// How long this thread has waited so far for a processor that others had. Nothing where the system does not tell.
pub fn waited() -> Duration {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = text.split_whitespace().nth(1).and_then(|nanos| nanos.parse().ok());
    Duration::from_nanos(nanos.unwrap_or(0))
}

/// The processor time of the whole machine so far that was not idle, in the system's ticks, and all of it: idle time
/// too. Both 0 where the system does not tell.
fn machine_ticks() -> (u64, u64) {
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    let ticks = text.lines().next().unwrap_or_default().split_whitespace().skip(1);
    // user, nice, system, idle, waiting for the disk, interrupts of two kinds, taken by the hypervisor
    let ticks: Vec<u64> = ticks.take(8).filter_map(|ticks| ticks.parse().ok()).collect();
    let idle: u64 = ticks.iter().skip(3).take(2).sum();
    let all: u64 = ticks.iter().sum();
    (all - idle, all)
}

/// Tells how much of the machine others used.
pub struct Others {
    cpu: Duration,
    ticks: (u64, u64),
    since: Instant,
}

impl Others {
    /// Begins to look.
    pub fn watch() -> Self {
        Self { cpu: cpu(), ticks: machine_ticks(), since: Instant::now() }
    }

    /// The share of all processors' time that others have taken since: other processes and other machines on the same
    /// hardware. 0 where it was too short to tell.
    pub fn share(&self) -> f64 {
        let (busy, all) = machine_ticks();
        let (busy, all) = ((busy - self.ticks.0) as f64, (all - self.ticks.1) as f64);
        let processors = thread::available_parallelism().map_or(1, usize::from) as f64;
        let ours =
            (cpu() - self.cpu).as_secs_f64() / (self.since.elapsed().as_secs_f64() * processors).max(1e-9);
        // A tick is 10 ms: a few of them say nothing.
        if all < 20.0 { 0.0 } else { (busy / all - ours).clamp(0.0, 1.0) }
    }
}

/// The bytes of the pages that this process has made dirty so far, which the disk has to take.
///
/// That is `write_bytes`, not `wchar`: it also counts what is stored through a mapping (as Esker's host and LMDB do),
/// and of many small appends to one page what the disk sees of them. Pages that are dropped before the disk has them,
/// since their file was removed, are counted: how many of those there are depends on the machine, not on the store.
pub fn written_bytes() -> u64 {
    figure("/proc/self/io", "write_bytes:").unwrap_or(0)
}

/// The memory that is in use now, in bytes.
pub fn memory_bytes() -> u64 {
    figure("/proc/self/status", "VmRSS:").unwrap_or(0) * 1024
}

/// The most memory that was in use since [`forget_peak`], in bytes.
pub fn peak_memory_bytes() -> u64 {
    figure("/proc/self/status", "VmHWM:").unwrap_or(0) * 1024
}

/// Gives back what the allocator keeps of earlier stores, and begins the peak anew.
pub fn forget_peak() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        // SAFETY: a function of the C library for any thread at any time.
        #[expect(unsafe_code, reason = "nothing safe offers it")]
        unsafe {
            libc::malloc_trim(0)
        };
    }
    // Where it cannot be written, the peak is that of the whole run.
    let _ = fs::write("/proc/self/clear_refs", "5");
}

fn figure(file: &str, name: &str) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Waits until no thread of this process does anything, for `limit` at most. Returns how long it took.
pub fn settle(limit: Duration) -> Duration {
    const LOOK: Duration = Duration::from_millis(25);
    // A look that finds less than this has seen a few threads ask whether there is work.
    const IDLE: Duration = Duration::from_micros(500);
    const LOOKS: u32 = 4;
    let started = Instant::now();
    let (mut idle, mut before) = (0, cpu());
    while idle < LOOKS && started.elapsed() < limit {
        thread::sleep(LOOK);
        let now = cpu();
        idle = if now - before < IDLE { idle + 1 } else { 0 };
        before = now;
    }
    started.elapsed().saturating_sub(LOOK * LOOKS)
}
