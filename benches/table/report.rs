//! The table, and the file that holds it.

use std::fmt::Write;
use std::path::Path;

use anyhow::Result;
use jiff::Zoned;

/// One line of the table.
pub struct Figure {
    /// What is measured.
    pub what: String,
    /// What is promised.
    pub bar: String,
    /// What was found.
    pub measured: String,
    /// Whether the promise holds; none where nothing is promised.
    pub kept: Option<bool>,
}

impl Figure {
    fn verdict(&self) -> &'static str {
        match self.kept {
            Some(true) => "ok",
            Some(false) => "missed",
            None => "",
        }
    }
}

/// All that was measured in a run.
pub struct Report {
    figures: Vec<Figure>,
    resources: usize,
    idle_seconds: u64,
    machine: String,
}

impl Report {
    /// An empty one, of a run of this size.
    pub fn new(resources: usize, idle_seconds: u64) -> Self {
        Self {
            figures: Vec::new(),
            resources,
            idle_seconds,
            // Now, while this program may still run on every processor.
            machine: machine(),
        }
    }

    /// Takes a figure in, and shows it.
    pub fn add(&mut self, figure: Figure) {
        eprintln!(
            "  {}: {} [{}] {}",
            figure.what,
            figure.measured,
            figure.bar,
            figure.verdict()
        );
        self.figures.push(figure);
    }

    /// Whether every bar holds.
    pub fn kept(&self) -> bool {
        self.figures.iter().all(|figure| figure.kept != Some(false))
    }

    /// The table as Markdown.
    pub fn table(&self) -> String {
        let mut table = "| Figure | Bar | Measured | |\n|---|---|---|---|\n".to_owned();
        for figure in &self.figures {
            let _ = writeln!(
                table,
                "| {} | {} | {} | {} |",
                figure.what,
                figure.bar,
                figure.measured,
                figure.verdict()
            );
        }
        table
    }

    /// Writes the page.
    pub fn write(&self, file: &Path) -> Result<()> {
        let page = format!(
            "# Performance\n\n\
             Written by `make bench`, on {}.\n\n\
             Machine: {}.\n\n\
             {}\n\n\
             {}",
            Zoned::now().strftime("%Y-%m-%d %H:%M %Z"),
            self.machine,
            self.table().trim_end(),
            self.method()
        );
        Ok(std::fs::write(file, page)?)
    }

    fn method(&self) -> String {
        include_str!("method.md")
            .replace("RESOURCES", &self.resources.to_string())
            .replace("IDLE_SECONDS", &self.idle_seconds.to_string())
    }
}

/// The machine, in the kernel's words.
fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let word = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name));
        let value = line.and_then(|line| line.split_once(':'));
        value.map_or_else(|| "unknown".to_owned(), |(_, v)| v.trim().to_owned())
    };
    let processors = std::thread::available_parallelism().map_or(0, usize::from);
    format!(
        "{processors} processors ({}), {} of memory, Linux {}",
        word(&read("/proc/cpuinfo"), "model name"),
        word(&read("/proc/meminfo"), "MemTotal"),
        read("/proc/sys/kernel/osrelease").trim()
    )
}
