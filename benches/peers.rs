//! Our engine beside wrk, oha and k6: one run, one core for the client, another for the server,
//! medians of alternating rounds. `make bench` prepares the peers and runs it.
//!
//! `peers builds BASE OURS` compares two builds of spikeproof instead: see [`builds`].
//!
//! Prints one line per comparison, `name ours=... peer=... ratio=...`, and writes the same as a
//! table into docs/benchmarks.md. Nothing here passes or fails by time: it is read by people.

use std::error::Error;
use std::fmt::Write as _;
use std::io::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use spikeproof::engine::{Work, begin, step_behind_the_workers};
use spikeproof::limits::AddressPolicy;
use spikeproof::measure::{Results, Saturation, Select};
use spikeproof::plan::Share;
use spikeproof::scenario::{self, Substitutions};
use tokio_util::sync::CancellationToken;

mod builds;

type Outcome<T> = Result<T, Box<dyn Error>>;

const ROUNDS: usize = 5;
const SECONDS: u64 = 5;
const SERVER_CORE: &str = "0";
const CLIENT_CORE: &str = "1";
const BODY: &str = "{\"items\": [{\"id\": 1, \"name\": \"a thing\"}], \"open\": true}";

fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    match arguments.next().as_deref() {
        Some("engine") => {
            let text = std::fs::read_to_string(arguments.next().ok_or("engine SCENARIO")?)?;
            engine(&text)
        }
        Some("builds") => {
            let mut path = || arguments.next().map(PathBuf::from);
            let (base, ours) = path().zip(path()).ok_or("builds BASE OURS")?;
            builds::compare(&base, &ours)
        }
        _ => compare(),
    }
}

/// Runs in a child: carries out a scenario with the whole engine in this process, and prints its
/// cost.
fn engine(text: &str) -> Outcome<()> {
    let read = scenario::read(text, &Substitutions::default(), &scenario::no_files)
        .map_err(|problems| scenario::render("bench", text, &problems, false))?;
    let length = spikeproof::plan::Schedule::new(&read.scenario).end();
    let work = Work {
        scenario: Arc::new(read.scenario),
        share: Share::WHOLE,
        seed: 1,
        address_policy: AddressPolicy {
            loopback: true,
            private: false,
        },
        workers: 1,
        start: Instant::now() + Duration::from_millis(500),
        stop: CancellationToken::new(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let mut results = Results::default();
    runtime.block_on(async {
        let mut running = begin(&work)?;
        step_behind_the_workers();
        while let Some(interval) = running.next().await {
            results.add(0, &interval);
        }
        running.finish()
    })?;
    let merged = results.merged(Select::default());
    let mut saturation = Saturation::default();
    let mut most_open = 0;
    // Second, how many, and how late the event loop was: where to look for the reason.
    let mut late_in = Vec::new();
    for (_, second) in results.saturation() {
        saturation.merge(second);
        most_open = most_open.max(second.connections);
        if second.late > 0 {
            late_in.push((second.second, second.late, second.lag_micros));
        }
    }
    let micros = |q| merged.latency.percentile(q).unwrap_or_default().as_micros();
    let said = serde_json::json!({
        "requests": merged.tally.requests(), "errors": merged.tally.errors(), "seconds": length.as_secs_f64(),
        "p50": micros(50.0), "p95": micros(95.0), "p999": micros(99.9),
        "late": saturation.late, "late_in": late_in, "latest": saturation.late_micros, "most_open": most_open,
    });
    writeln!(std::io::stdout(), "{said}")?;
    Ok(())
}

/// The figures of one client in one round.
#[derive(Debug, Clone, Copy, Default)]
struct Figures {
    per_second: f64,
    cpu_micros: f64,
    memory_mb: f64,
    p95_micros: f64,
    late: f64,
    latest_micros: f64,
    most_open: f64,
    errors: f64,
}

struct Bench {
    folder: PathBuf,
    server: Child,
    ports: [u16; 3],
    oha: PathBuf,
    k6: PathBuf,
    lines: Vec<(String, f64, f64, &'static str)>,
}

impl Drop for Bench {
    fn drop(&mut self) {
        drop(
            Command::new("nginx")
                .args(["-s", "stop", "-p"])
                .arg(&self.folder)
                .args(["-c", "nginx.conf"])
                .status(),
        );
        drop(self.server.wait());
    }
}

fn compare() -> Outcome<()> {
    let tools = PathBuf::from(
        std::env::var("SPIKEPROOF_BENCH_TOOLS").map_err(|_| "run it by `make bench`")?,
    );
    let folder = tempfile::tempdir()?;
    let ports = free_ports()?;
    let server = serve(folder.path(), ports)?;
    let (oha, k6) = (tools.join("bin/oha"), tools.join("bin/k6"));
    let mut bench = Bench {
        folder: folder.path().to_owned(),
        server,
        ports,
        oha,
        k6,
        lines: Vec::new(),
    };
    bench.closed_loop()?;
    bench.many_sessions()?;
    bench.many_connections()?;
    bench.three_processes()?;
    bench.write_table()
}

/// Returns three ports that nobody listens on, on both addresses of `localhost`.
fn free_ports() -> Outcome<[u16; 3]> {
    // All ports are held until the last is found, so that they differ.
    let mut held = Vec::new();
    while held.len() < 3 {
        let one = TcpListener::bind("127.0.0.1:0")?;
        let port = one.local_addr()?.port();
        if let Ok(other) = TcpListener::bind(("::1", port)) {
            held.push((port, one, other));
        }
    }
    Ok([held[0].0, held[1].0, held[2].0])
}

/// Starts nginx on its own core, with room for 50,000 connections over three ports.
fn serve(folder: &Path, ports: [u16; 3]) -> Outcome<Child> {
    let mut config = String::from(
        "worker_processes 4;\nworker_rlimit_nofile 20000;\ndaemon off;\npid nginx.pid;\nerror_log error.log crit;\n\
         events { worker_connections 18000; }\nhttp {\n  access_log off;\n  keepalive_requests 100000000;\n\
         keepalive_timeout 600;\n  client_body_temp_path b; proxy_temp_path p; fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s;\n",
    );
    for port in ports {
        let listen = format!(
            "listen 127.0.0.1:{port} reuseport backlog=16384; listen [::1]:{port} reuseport backlog=16384;"
        );
        writeln!(
            config,
            "  server {{ {listen} location / {{ default_type application/json; return 200 '{BODY}'; }} }}"
        )?;
    }
    config.push_str("}\n");
    std::fs::write(folder.join("nginx.conf"), config)?;
    let errors = folder.join("nginx.err");
    let mut server = Command::new("taskset")
        .args(["-c", SERVER_CORE, "nginx", "-p"])
        .arg(folder)
        .args(["-c", "nginx.conf"])
        .stderr(std::fs::File::create(&errors)?)
        .spawn()
        .map_err(|error| format!("taskset: {error} (Debian: apt-get install util-linux)"))?;
    let patience = Instant::now() + Duration::from_secs(10);
    while std::net::TcpStream::connect(("127.0.0.1", ports[0])).is_err() {
        let ended = server.try_wait()?;
        if ended.is_some() || Instant::now() > patience {
            drop(server.kill());
            let words = std::fs::read_to_string(&errors)?;
            let how = ended.map_or("does not answer".to_owned(), |status| {
                format!("ended: {status}")
            });
            return Err(format!("nginx {how}\n{words}").into());
        }
        std::thread::yield_now();
    }
    Ok(server)
}

/// Returns a command pinned to the client's core.
fn pinned(program: &Path) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", CLIENT_CORE]).arg(program);
    command
}

/// Runs a command to its end; returns its output, its processor seconds and its peak memory.
fn run(command: &mut Command) -> Outcome<(String, f64, f64)> {
    let before = children_seconds()?;
    let output = tempfile::NamedTempFile::new()?;
    let mut child = command
        .stdout(output.reopen()?)
        .stderr(Stdio::null())
        .spawn()?;
    let mut memory: f64 = 0.0;
    let status = loop {
        memory = memory.max(peak_memory(child.id()));
        if let Some(status) = child.try_wait()? {
            break status;
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    if !status.success() {
        return Err(format!("{command:?}: {status}").into());
    }
    Ok((
        std::fs::read_to_string(output.path())?,
        children_seconds()? - before,
        memory,
    ))
}

fn peak_memory(process: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok())
        .unwrap_or_default()
        / 1_024.0
}

/// Returns the CPU seconds of all children that have ended and were waited for. (proc(5), stat:
/// fields 16 and 17, in hundredths of a second.)
fn children_seconds() -> Outcome<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let after = stat.rsplit_once(')').ok_or("stat")?.1;
    let fields: Vec<f64> = after
        .split_whitespace()
        .skip(13)
        .take(2)
        .filter_map(|field| field.parse().ok())
        .collect();
    Ok(fields.iter().sum::<f64>() / 100.0)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

fn figures(rounds: &[Figures], of: impl Fn(&Figures) -> f64) -> f64 {
    median(rounds.iter().map(of).collect())
}

impl Bench {
    fn without_peers(folder: &Path, server: Child, ports: [u16; 3]) -> Self {
        Self {
            folder: folder.to_owned(),
            server,
            ports,
            oha: PathBuf::new(),
            k6: PathBuf::new(),
            lines: Vec::new(),
        }
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}/", self.ports[0])
    }

    fn ours(&self, scenario: &str) -> Outcome<Figures> {
        let file = self.folder.join("scenario.yaml");
        std::fs::write(&file, scenario)?;
        let (said, cpu, memory) = run(pinned(&std::env::current_exe()?).arg("engine").arg(&file))?;
        figures_of(&said, cpu, memory)
    }

    fn wrk(&self) -> Outcome<Figures> {
        let seconds = format!("-d{SECONDS}s");
        let (said, cpu, memory) =
            run(pinned(Path::new("wrk")).args(["-t1", "-c64", &seconds, &self.url()]))?;
        let number = |before: &str| {
            let word = said
                .split_once(before)
                .and_then(|(_, rest)| rest.split_whitespace().next());
            word.and_then(|word| word.parse::<f64>().ok())
        };
        let per_second = number("Requests/sec:").ok_or("wrk said nothing")?;
        Ok(Figures {
            per_second,
            cpu_micros: cpu * 1e6 / (per_second * SECONDS as f64),
            memory_mb: memory,
            ..Figures::default()
        })
    }

    fn oha(&self, more: &[&str]) -> Outcome<Figures> {
        let seconds = format!("{SECONDS}s");
        let fixed = [
            "--no-tui",
            "--output-format",
            "json",
            "-c",
            "64",
            "-z",
            &seconds,
        ];
        let (said, cpu, memory) = run(pinned(&self.oha).args(fixed).args(more).arg(self.url()))?;
        let said: serde_json::Value = serde_json::from_str(&said)?;
        let per_second = said["summary"]["requestsPerSec"]
            .as_f64()
            .ok_or("oha said nothing")?;
        let p95 = said["latencyPercentiles"]["p95"]
            .as_f64()
            .unwrap_or_default()
            * 1e6;
        let cpu_micros = cpu * 1e6 / (per_second * SECONDS as f64);
        Ok(Figures {
            per_second,
            cpu_micros,
            memory_mb: memory,
            p95_micros: p95,
            ..Figures::default()
        })
    }

    fn k6(&self, options: &str, body: &str, seconds: f64) -> Outcome<Figures> {
        let (script, summary) = (
            self.folder.join("script.js"),
            self.folder.join("summary.json"),
        );
        std::fs::write(
            &script,
            format!(
                "import http from 'k6/http';\nimport {{ check, sleep }} from 'k6';\nexport const options = {options};\nexport default function () {{ {body} }}\n"
            ),
        )?;
        let fixed = ["run", "--quiet", "--no-usage-report", "--summary-export"];
        let (_, cpu, memory) = run(pinned(&self.k6).args(fixed).arg(&summary).arg(&script))?;
        let said: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(summary)?)?;
        let requests = said["metrics"]["http_reqs"]["count"]
            .as_f64()
            .ok_or("k6 said nothing")?;
        let p95 = said["metrics"]["http_req_duration"]["p(95)"]
            .as_f64()
            .unwrap_or_default()
            * 1e3;
        Ok(Figures {
            per_second: requests / seconds,
            cpu_micros: cpu * 1e6 / requests,
            memory_mb: memory,
            p95_micros: p95,
            ..Figures::default()
        })
    }

    fn say(&mut self, name: &str, ours: f64, peer: f64, unit: &'static str) -> Outcome<()> {
        let ratio = if peer == 0.0 { 0.0 } else { ours / peer };
        writeln!(
            std::io::stdout(),
            "{name} ours={ours:.1} peer={peer:.1} ratio={ratio:.2}"
        )?;
        self.lines.push((name.to_owned(), ours, peer, unit));
        Ok(())
    }

    /// Measures 64 connections as fast as they go: a flow of one step with a check of the status.
    fn closed_loop(&mut self) -> Outcome<()> {
        let scenario = format!(
            "name: b\ntarget: {{ url: \"{}\" }}\nphases: [{{ users: 64, hold: {SECONDS}s, burst: true }}]\nsteps: [{{ get: /, check: {{ status: 200 }} }}]\n",
            self.url()
        );
        let (mut ours, mut wrk, mut oha, mut k6) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            ours.push(self.ours(&scenario)?);
            wrk.push(self.wrk()?);
            oha.push(self.oha(&[])?);
            let options = format!("{{ vus: 64, duration: '{SECONDS}s' }}");
            let body = format!(
                "check(http.get('{}'), {{ ok: (r) => r.status === 200 }});",
                self.url()
            );
            k6.push(self.k6(&options, &body, SECONDS as f64)?);
        }
        if ours.iter().any(|round| round.errors > 0.0) {
            return Err("our own requests failed".into());
        }
        for (peer, rounds) in [("wrk", wrk), ("oha", oha), ("k6", k6)] {
            let rate = |round: &Figures| round.per_second;
            self.say(
                &format!("closed-64-requests-per-second-vs-{peer}"),
                figures(&ours, rate),
                figures(&rounds, rate),
                "requests/s",
            )?;
            let cpu = |round: &Figures| round.cpu_micros;
            self.say(
                &format!("closed-64-cpu-per-request-vs-{peer}"),
                figures(&ours, cpu),
                figures(&rounds, cpu),
                "us",
            )?;
            let memory = |round: &Figures| round.memory_mb;
            self.say(
                &format!("closed-64-memory-vs-{peer}"),
                figures(&ours, memory),
                figures(&rounds, memory),
                "MB",
            )?;
        }
        Ok(())
    }

    /// Measures 10,000 thinking sessions in three weighted flows. Then oha measures the same server
    /// from the intended instant, at the same rate over few connections.
    fn many_sessions(&mut self) -> Outcome<()> {
        let flow = |name: &str, weight: u32| {
            format!(
                "  - {{ name: {name}, weight: {weight}, think: 1s..3s, steps: [{{ get: /{name}, check: {{ status: 200 }} }}] }}\n"
            )
        };
        let flows = flow("browse", 70) + &flow("cart", 20) + &flow("checkout", 10);
        let scenario = format!(
            "name: b\ntarget: {{ url: \"{}\" }}\nphases: [{{ users: 10000, ramp: 5s, hold: 15s, grace: 5s }}]\nflows:\n{flows}",
            self.url()
        );
        let ours = (0..3)
            .map(|_| self.ours(&scenario))
            .collect::<Outcome<Vec<_>>>()?;
        let oha = (0..3)
            .map(|_| self.oha(&["-q", "5000", "--latency-correction"]))
            .collect::<Outcome<Vec<_>>>()?;
        let k6 = self.k6(
            "{ stages: [{ duration: '5s', target: 10000 }, { duration: '15s', target: 10000 }], gracefulStop: '5s' }",
            &format!("check(http.get('{}'), {{ ok: (r) => r.status === 200 }}); sleep(1 + Math.random() * 2);", self.url()),
            20.0,
        )?;
        let of = |of: fn(&Figures) -> f64| figures(&ours, of);
        self.say(
            "sessions-10000-memory-vs-k6",
            of(|round| round.memory_mb),
            k6.memory_mb,
            "MB",
        )?;
        self.say(
            "sessions-10000-p95-vs-k6",
            of(|round| round.p95_micros),
            k6.p95_micros,
            "us",
        )?;
        self.say(
            "sessions-10000-p95-vs-oha-at-the-same-rate",
            of(|round| round.p95_micros),
            figures(&oha, |round| round.p95_micros),
            "us",
        )?;
        self.say(
            "sessions-10000-late-starts",
            of(|round| round.late),
            0.0,
            "requests",
        )?;
        self.say(
            "sessions-10000-latest-start",
            of(|round| round.latest_micros),
            0.0,
            "us",
        )?;
        self.say(
            "sessions-10000-errors",
            of(|round| round.errors),
            0.0,
            "requests",
        )
    }

    /// Measures sessions with a connection of their own each, all in one process.
    fn many_connections(&mut self) -> Outcome<()> {
        let ours = self.ours(&crowd(15_000, self.ports[0]))?;
        self.say(
            "sessions-15000-connections-open",
            ours.most_open,
            15_000.0,
            "connections",
        )?;
        self.say("sessions-15000-memory", ours.memory_mb, 0.0, "MB")?;
        self.say("sessions-15000-errors", ours.errors, 0.0, "requests")
    }

    /// Measures 50,000 sessions over three processes: each has a file limit of its own, as tasks
    /// have.
    fn three_processes(&mut self) -> Outcome<()> {
        let mut children = Vec::new();
        for (index, port) in self.ports.iter().enumerate() {
            let file = self.folder.join(format!("crowd-{index}.yaml"));
            std::fs::write(
                &file,
                crowd(if index == 0 { 16_668 } else { 16_666 }, *port),
            )?;
            let output = tempfile::NamedTempFile::new()?;
            let child = pinned(&std::env::current_exe()?)
                .arg("engine")
                .arg(&file)
                .stdout(output.reopen()?)
                .spawn()?;
            children.push((child, output));
        }
        let (mut open, mut errors) = (0.0, 0.0);
        for (mut child, output) in children {
            if !child.wait()?.success() {
                return Err("one of three processes failed".into());
            }
            let seen = figures_of(&std::fs::read_to_string(output.path())?, 0.0, 0.0)?;
            open += seen.most_open;
            errors += seen.errors;
        }
        self.say(
            "sessions-50000-in-3-processes-connections-open",
            open,
            50_000.0,
            "connections",
        )?;
        self.say(
            "sessions-50000-in-3-processes-errors",
            errors,
            0.0,
            "requests",
        )
    }

    fn write_table(&self) -> Outcome<()> {
        const BEGIN: &str = "<!-- table: written by make bench -->\n";
        const END: &str = "<!-- end of table -->";
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/benchmarks.md");
        let text = std::fs::read_to_string(&page)?;
        let (before, rest) = text
            .split_once(BEGIN)
            .ok_or("docs/benchmarks.md has lost its table")?;
        let (_, after) = rest
            .split_once(END)
            .ok_or("docs/benchmarks.md has lost its table")?;
        let mut table =
            String::from("\n| comparison | ours | peer | ratio | unit |\n|---|---|---|---|---|\n");
        for (name, ours, peer, unit) in &self.lines {
            let (peer, ratio) = if *peer == 0.0 {
                ("-".to_owned(), "-".to_owned())
            } else {
                (format!("{peer:.1}"), format!("{:.2}", ours / peer))
            };
            writeln!(table, "| {name} | {ours:.1} | {peer} | {ratio} | {unit} |")?;
        }
        std::fs::write(&page, format!("{before}{BEGIN}{table}\n{END}{after}"))?;
        Ok(())
    }
}

/// Returns a scenario of sessions that come over ten seconds and think for five. `localhost` has
/// two addresses. Towards one alone Linux looks through thousands of source ports for each new
/// connection, once half of them are taken.
fn crowd(users: u32, port: u16) -> String {
    format!(
        "name: b\ntarget: {{ url: \"http://localhost:{port}/\" }}\nconnection: {{ max_age: 10m }}\nphases: [{{ users: {users}, ramp: 10s, hold: 10s, grace: 5s }}]\nflows: [{{ name: f, think: 4s..6s, steps: [{{ get: / }}] }}]\n"
    )
}

fn figures_of(said: &str, cpu: f64, memory: f64) -> Outcome<Figures> {
    let said: serde_json::Value = serde_json::from_str(said)?;
    let number = |name: &str| said[name].as_f64().unwrap_or_default();
    let requests = number("requests");
    Ok(Figures {
        per_second: requests / number("seconds"),
        cpu_micros: cpu * 1e6 / requests,
        memory_mb: memory,
        p95_micros: number("p95"),
        late: number("late"),
        latest_micros: number("latest"),
        most_open: number("most_open"),
        errors: number("errors"),
    })
}
