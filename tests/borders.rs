//! Who may know whom: each room's paths into the others against the table in
//! `docs/architecture.md`, which is thereby kept true.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use syn::visit::{self, Visit};

type Borders = BTreeMap<String, BTreeSet<String>>;

const HEADER: &str = "| Room | What it is | Knows |";

/// The table's rows: a room, and the rooms that it may know.
fn declared() -> Borders {
    let page = fs::read_to_string("docs/architecture.md").unwrap();
    let rows = page.lines().skip_while(|line| *line != HEADER).skip(2);
    let rows = rows.take_while(|line| line.starts_with('|'));
    rows.map(|row| {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [room, _, knows] = cells[..] else {
            panic!("three cells: {row}");
        };
        let words = |cell: &str| -> Vec<String> {
            let parts = cell.split('`').skip(1).step_by(2);
            parts.map(str::to_owned).collect()
        };
        let [room] = &words(room)[..] else {
            panic!("one room: {row}");
        };
        (room.clone(), words(knows).into_iter().collect())
    })
    .collect()
}

/// Paths from a module into the crate's rooms. What is built for tests alone does not count.
struct Paths {
    /// The module that the file is, from the crate's root.
    module: Vec<String>,
    found: BTreeSet<String>,
}

fn for_tests_alone(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let cfg = attribute.path().is_ident("cfg");
        let tokens = match &attribute.meta {
            syn::Meta::List(list) => list.tokens.to_string(),
            _ => String::new(),
        };
        cfg && ["test", "fuzzing"].iter().any(|word| tokens.contains(word))
    })
}

impl Paths {
    fn note(&mut self, idents: &[String]) {
        let absolute: Vec<String> = match idents.first().map(String::as_str) {
            Some("crate") => idents[1..].to_vec(),
            Some("super") => {
                let ups = idents.iter().take_while(|ident| *ident == "super").count();
                let kept = self.module.len().saturating_sub(ups);
                [&self.module[..kept], &idents[ups..]].concat()
            }
            _ => return,
        };
        self.found.extend(absolute.into_iter().next());
    }

    fn tree(&mut self, before: &[String], tree: &syn::UseTree) {
        let with = |ident: &syn::Ident| [before, &[ident.to_string()]].concat();
        match tree {
            syn::UseTree::Path(path) => self.tree(&with(&path.ident), &path.tree),
            syn::UseTree::Name(name) => self.note(&with(&name.ident)),
            syn::UseTree::Rename(rename) => self.note(&with(&rename.ident)),
            syn::UseTree::Glob(_) => self.note(before),
            syn::UseTree::Group(group) => {
                for item in &group.items {
                    self.tree(before, item);
                }
            }
        }
    }
}

impl<'ast> Visit<'ast> for Paths {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        if !for_tests_alone(&item.attrs) {
            self.tree(&[], &item.tree);
        }
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if for_tests_alone(&item.attrs) {
            return;
        }
        self.module.push(item.ident.to_string());
        visit::visit_item_mod(self, item);
        self.module.pop();
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        if !for_tests_alone(&item.attrs) {
            visit::visit_item_fn(self, item);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let idents: Vec<String> = path.segments.iter().map(|s| s.ident.to_string()).collect();
        if idents.len() > 1 {
            self.note(&idents);
        }
        visit::visit_path(self, path);
    }

    // Macros' arguments are tokens, not paths.
    fn visit_macro(&mut self, item: &'ast syn::Macro) {
        let text = item.tokens.to_string();
        for part in text.split("crate ::").skip(1) {
            let ident: String = (part.trim_start().chars())
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect();
            self.found.insert(ident);
        }
        visit::visit_macro(self, item);
    }
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Files that a test module's declaration alone brings in.
fn is_test_file(path: &Path) -> bool {
    let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
    let in_tests = path.iter().any(|part| part == "tests");
    in_tests
        || stem == "tests"
        || stem.ends_with("_tests")
        || path.ends_with("vendors/property_tests.rs")
}

/// What each room says `crate::…` of, but for itself.
fn actual() -> Borders {
    let mut files = Vec::new();
    sources(Path::new("src"), &mut files);
    let mut borders = Borders::new();
    for path in files.into_iter().filter(|path| !is_test_file(path)) {
        let relative = path.strip_prefix("src").unwrap().with_extension("");
        let mut module: Vec<String> = relative
            .iter()
            .map(|part| part.to_string_lossy().into_owned())
            .collect();
        module.pop_if(|last| last == "mod");
        let room = module[0].clone();
        if ["lib", "main"].contains(&room.as_str()) {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let mut paths = Paths {
            module,
            found: BTreeSet::new(),
        };
        paths.visit_file(&syn::parse_file(&text).unwrap());
        let known = borders.entry(room.clone()).or_default();
        known.extend(paths.found.into_iter().filter(|found| *found != room));
    }
    borders
}

#[test]
fn each_room_knows_those_that_the_architecture_names_and_no_others() {
    let (declared, actual) = (declared(), actual());
    let rooms = |borders: &Borders| borders.keys().cloned().collect::<BTreeSet<_>>();
    assert_eq!(rooms(&actual), rooms(&declared), "rooms in the table");
    for (room, known) in &actual {
        let may = &declared[room];
        let unnamed: Vec<_> = known.difference(may).collect();
        assert!(unnamed.is_empty(), "{room} may not know {unnamed:?}");
        let unused: Vec<_> = may.difference(known).collect();
        assert!(
            unused.is_empty(),
            "{room} knows no {unused:?}; mend the table"
        );
    }
}

#[test]
fn no_two_rooms_know_each_other() {
    let declared = declared();
    for (room, knows) in &declared {
        for other in knows {
            let back = declared
                .get(other)
                .is_some_and(|known| known.contains(room));
            assert!(!back, "{room} and {other} know each other");
        }
    }
}
