//! What the operating system says about this process (Linux: from `/proc`; elsewhere nothing).

use std::fs;

/// Ticks of the kernel's clock in a second, as `/proc` counts them (`USER_HZ`): 100 on all platforms that Rust builds for.
const TICKS_PER_SECOND: f64 = 100.0;

/// Figures of this process.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Process {
    /// Seconds of processors used, in user and kernel mode.
    pub(crate) cpu_seconds: f64,
    /// Bytes of memory that are in use.
    pub(crate) resident_bytes: u64,
    /// Bytes of address space.
    pub(crate) virtual_bytes: u64,
    /// Files, sockets and the like that are open.
    pub(crate) open_files: u64,
    /// How many may be.
    pub(crate) open_files_most: u64,
    /// Threads.
    pub(crate) threads: u64,
    /// When it started, in seconds since 1970 UTC.
    pub(crate) start_seconds: f64,
}

/// The figures as they are now; `None` where the operating system does not tell them.
#[expect(clippy::disallowed_methods, reason = "this is the place")]
pub(crate) fn process() -> Option<Process> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let machine = fs::read_to_string("/proc/stat").ok()?;
    let open_files = fs::read_dir("/proc/self/fd").ok()?.count() as u64;
    parse(&stat, &status, &limits, &machine, open_files)
}

fn parse(stat: &str, status: &str, limits: &str, machine: &str, open_files: u64) -> Option<Process> {
    // The name of the program stands in parentheses and may have anything in it.
    let (_, behind) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = behind.split_whitespace().collect();
    // proc(5) counts from 1; the state, number 3, is the first behind the name.
    let field = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
    let kibibytes = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.split_whitespace().next()?.parse::<u64>().ok().map(|count| count << 10)
    };
    let most = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    let most = most.split_whitespace().next()?;
    let boot = machine.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse::<f64>().ok()?;
    Some(Process {
        cpu_seconds: (field(14)? + field(15)?) / TICKS_PER_SECOND,
        resident_bytes: kibibytes("VmRSS")?,
        virtual_bytes: kibibytes("VmSize")?,
        open_files,
        open_files_most: if most == "unlimited" { u64::MAX } else { most.parse().ok()? },
        threads: field(20)? as u64,
        start_seconds: boot + field(22)? / TICKS_PER_SECOND,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_behind_a_name_with_anything_in_it() {
        let stat = "17 (a ) b) S 1 17 17 0 -1 4194560 900 0 0 0 250 50 0 0 20 0 9 0 1000 2000000 500 184";
        let status = "Name:\ta ) b\nVmSize:\t    2048 kB\nVmRSS:\t     1024 kB\n";
        let limits = "Limit  Soft Limit Hard Limit Units\nMax open files            1024   4096   files\n";
        let process = parse(stat, status, limits, "cpu 1\nbtime 1000000\n", 12).expect("all is there");
        let expected = Process {
            cpu_seconds: 3.0,
            resident_bytes: 1 << 20,
            virtual_bytes: 2 << 20,
            open_files: 12,
            open_files_most: 1024,
            threads: 9,
            start_seconds: 1_000_010.0,
        };
        assert_eq!(process, expected);
        assert_eq!(parse("17 (a) S 1", status, limits, "btime 1\n", 12), None);
    }
}
