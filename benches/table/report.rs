//! The tables, one for each part, and the file that holds them.

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

/// What was measured in a run, by part.
pub struct Report {
    sections: Vec<Section>,
    resources: usize,
    idle_seconds: u64,
    machine: String,
}

/// The figures of a part.
struct Section {
    title: &'static str,
    figures: Vec<Figure>,
}

/// What stands before each part's title, and before the method.
const HEADING: &str = "\n## ";
const METHOD: &str = "Method";

impl Report {
    /// An empty one, of a run of this size.
    pub fn new(resources: usize, idle_seconds: u64) -> Self {
        Self {
            sections: Vec::new(),
            resources,
            idle_seconds,
            // Now, while this program may still run on every processor.
            machine: machine(),
        }
    }

    /// Begins a part: figures that are added from now on are its own.
    pub fn begin(&mut self, title: &'static str) {
        self.sections.push(Section {
            title,
            figures: Vec::new(),
        });
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
        if let Some(section) = self.sections.last_mut() {
            section.figures.push(figure);
        }
    }

    /// Whether every bar holds.
    pub fn kept(&self) -> bool {
        let mut figures = self.sections.iter().flat_map(|section| &section.figures);
        figures.all(|figure| figure.kept != Some(false))
    }

    /// The tables as Markdown, each under the title of its part.
    pub fn tables(&self) -> String {
        let sections = self.sections.iter();
        sections
            .map(|section| format!("{HEADING}{}\n\n{}", section.title, section.table()))
            .collect()
    }

    /// Writes the page. What it says of parts that were not measured stays, for those of `order` that
    /// it has.
    ///
    /// # Errors
    ///
    /// A page that is there and cannot be read, or cannot be written.
    pub fn write(&self, file: &Path, order: &[&str]) -> Result<()> {
        let before = match file.try_exists()? {
            true => std::fs::read_to_string(file)?,
            false => String::new(),
        };
        let mut page = "# Performance\n\n\
             Written by `make bench`. Each part says when and where it was measured: a run of some parts \
             (`packaging/cargo bench --bench table -- --only keys,peers`) leaves the others as they are.\n"
            .to_owned();
        for title in order {
            if let Some(section) = self.sections.iter().find(|section| section.title == *title) {
                let _ = write!(
                    page,
                    "{HEADING}{title}\n\n{}, {}.\n\n{}",
                    Zoned::now().strftime("%Y-%m-%d %H:%M %Z"),
                    self.machine,
                    section.table()
                );
            } else if let Some(said) = said_of(&before, title) {
                let _ = write!(page, "{HEADING}{title}\n{said}");
            }
        }
        let (_, endurance) = split_endurance(&before);
        let _ = write!(page, "{HEADING}{METHOD}\n\n{}{endurance}", self.method());
        Ok(std::fs::write(file, page)?)
    }

    /// Writes the part of the page that tells of endurance.
    ///
    /// # Errors
    ///
    /// A page that cannot be written.
    #[allow(dead_code, reason = "the endurance run writes it")]
    pub fn write_endurance(&self, file: &Path, method: &str) -> Result<()> {
        let before = std::fs::read_to_string(file).unwrap_or_default();
        let (rest, _) = split_endurance(&before);
        let tables: String = self.sections.iter().map(Section::table).collect();
        let page = format!(
            "{}\n{ENDURANCE}Written by `make soak`, on {}.\n\n\
             Machine: {}.\n\n\
             {}\n\n\
             {method}",
            rest.trim_end(),
            Zoned::now().strftime("%Y-%m-%d %H:%M %Z"),
            self.machine,
            tables.trim_end(),
        );
        Ok(std::fs::write(file, page)?)
    }

    fn method(&self) -> String {
        include_str!("method.md")
            .replace("RESOURCES", &self.resources.to_string())
            .replace("IDLE_SECONDS", &self.idle_seconds.to_string())
    }
}

impl Section {
    fn table(&self) -> String {
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
}

/// What a page says under this title.
fn said_of<'p>(page: &'p str, title: &str) -> Option<&'p str> {
    let mut sections = page.split(HEADING).skip(1);
    sections.find_map(|section| section.strip_prefix(title)?.strip_prefix('\n'))
}

/// Begins what `make soak` writes, at the end of the page.
const ENDURANCE: &str = "\n## Endurance\n\n";

/// What `make bench` wrote, and what `make soak` did.
fn split_endurance(page: &str) -> (&str, &str) {
    page.split_at(page.find(ENDURANCE).unwrap_or(page.len()))
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
