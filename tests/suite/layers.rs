//! Checks of the layers of ARCHITECTURE.md: no import points to a higher layer, and imports of files form no
//! cycle.
//!
//! An import is a `use`, or a path from `crate`, `super` or a child module anywhere in the code, macro arguments
//! included. It points to the file that defines the item, wherever it is re-exported. In the search for cycles, a
//! `pub use` is an import only if its file uses the name itself. Test modules do not count.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::Visit;
use syn::{Item, UseTree, Visibility};

/// A path from the root of the crate.
type Names = Vec<String>;

/// A source file.
#[derive(Default)]
struct File {
    /// Items defined in the file.
    defines: BTreeSet<String>,
    /// Targets of `pub use` by name.
    exports: BTreeMap<String, Names>,
    imports: BTreeSet<Names>,
    /// Targets of `pub use` with `*`.
    globs: BTreeSet<Names>,
    /// First names of all paths in the code.
    uses: BTreeSet<String>,
}

struct Program {
    /// By module.
    files: BTreeMap<Names, File>,
}

impl Program {
    fn read(root: &Path) -> Self {
        let mut paths = Vec::new();
        collect(root, &mut paths);
        let sources: Vec<(Names, syn::File)> = paths
            .iter()
            .filter(|path| {
                !path.ends_with("main.rs")
                    && !path.ends_with("tests.rs")
                    && !path.iter().any(|part| part == "tests")
            })
            .map(|path| {
                let text = std::fs::read_to_string(path).unwrap();
                let file =
                    syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
                (module(root, path), file)
            })
            .collect();
        let modules: BTreeSet<Names> = sources.iter().map(|(module, _)| module.clone()).collect();
        let read = |(module, source): (Names, syn::File)| {
            let mut reader = Reader { modules: &modules, module: module.clone(), file: File::default() };
            reader.visit_file(&source);
            (module, reader.file)
        };
        Self { files: sources.into_iter().map(read).collect() }
    }

    /// Returns the file that a path refers to.
    fn target(&self, path: &[String], depth: usize) -> Option<Names> {
        let length = (1..=path.len()).rev().find(|length| self.files.contains_key(&path[..*length]))?;
        let module = path[..length].to_vec();
        let file = &self.files[&module];
        let Some(name) = path.get(length).filter(|name| !file.defines.contains(*name)) else {
            return Some(module);
        };
        let of_glob = || {
            let defines =
                |path: &&Names| self.files.get(*path).is_some_and(|file| file.defines.contains(name));
            file.globs.iter().find(defines).cloned()
        };
        match file.exports.get(name).filter(|_| depth < 8) {
            Some(other) => self.target(&[other.as_slice(), &path[length + 1..]].concat(), depth + 1),
            None => of_glob().or(Some(module)),
        }
    }

    /// Returns the paths that a file re-exports and uses itself.
    fn used_exports<'a>(&'a self, file: &'a File) -> impl Iterator<Item = &'a Names> {
        let named = file.exports.iter().filter(|(name, _)| file.uses.contains(*name)).map(|(_, path)| path);
        let of_globs = file.globs.iter().filter(|path| {
            let defined = self.files.get(*path).map(|target| &target.defines);
            defined.is_some_and(|names| {
                names.iter().any(|name| file.uses.contains(name) && !file.defines.contains(name))
            })
        });
        named.chain(of_globs)
    }

    /// Returns the files that each file imports from.
    fn edges(&self) -> BTreeMap<Names, BTreeSet<Names>> {
        let targets = |module: &Names, file: &File| {
            let paths = file.imports.iter().chain(self.used_exports(file));
            let all = paths.filter_map(|path| self.target(path, 0));
            all.filter(|target| target != module && !target.is_empty()).collect()
        };
        self.files.iter().map(|(module, file)| (module.clone(), targets(module, file))).collect()
    }
}

/// Finds the Rust files in a folder.
pub fn collect(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, into);
        } else if path.extension().is_some_and(|end| end == "rs") {
            into.push(path);
        }
    }
}

fn module(root: &Path, path: &Path) -> Names {
    let relative = path.strip_prefix(root).unwrap().with_extension("");
    let mut names: Names = relative.iter().map(|part| part.to_str().unwrap().to_owned()).collect();
    if names.last().is_some_and(|last| last == "mod" || last == "lib") {
        names.pop();
    }
    names
}

struct Reader<'a> {
    modules: &'a BTreeSet<Names>,
    module: Names,
    file: File,
}

impl Reader<'_> {
    /// Returns a path from the root; `None` for other crates and local names.
    fn whole(&self, path: &[String]) -> Option<Names> {
        let (first, rest) = path.split_first()?;
        match first.as_str() {
            "crate" => Some(rest.to_vec()),
            "self" => Some([self.module.as_slice(), rest].concat()),
            "super" => {
                let ups = path.iter().take_while(|name| *name == "super").count();
                let base = self.module.len().checked_sub(ups)?;
                Some([&self.module[..base], &path[ups..]].concat())
            }
            _ => {
                let child = [self.module.as_slice(), &path[..1]].concat();
                self.modules.contains(&child).then(|| [self.module.as_slice(), path].concat())
            }
        }
    }

    fn import(&mut self, path: &[String]) {
        let whole = self.whole(path);
        self.file.imports.extend(whole);
    }

    fn tokens(&mut self, tokens: TokenStream) {
        let mut path: Names = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(name) => {
                    if colons != 2 {
                        self.flush(&mut path);
                    }
                    if path.is_empty() {
                        self.file.uses.insert(name.to_string());
                    }
                    path.push(name.to_string());
                    colons = 0;
                }
                TokenTree::Punct(mark) if mark.as_char() == ':' => colons += 1,
                TokenTree::Group(group) => {
                    self.flush(&mut path);
                    colons = 0;
                    self.tokens(group.stream());
                }
                _ => {
                    self.flush(&mut path);
                    colons = 0;
                }
            }
        }
        self.flush(&mut path);
    }

    fn flush(&mut self, path: &mut Names) {
        if path.len() > 1 {
            self.import(&path.clone());
        }
        path.clear();
    }
}

/// Returns whether an item is compiled only for tests or for the documentation.
pub fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let text = match &attribute.meta {
            syn::Meta::List(list) => list.tokens.to_string(),
            _ => String::new(),
        };
        attribute.path().is_ident("cfg")
            && (text == "test" || text == "doc" || text.starts_with("all (test ,"))
            || attribute.path().is_ident("test")
    })
}

/// Collects the paths of a `use` with their local names.
fn paths(tree: &UseTree, before: &Names, into: &mut Vec<(String, Names)>) {
    let with = |name: &syn::Ident| [before.as_slice(), &[name.to_string()]].concat();
    match tree {
        UseTree::Path(path) => paths(&path.tree, &with(&path.ident), into),
        UseTree::Name(name) if name.ident == "self" => {
            into.push((before.last().cloned().unwrap_or_default(), before.clone()));
        }
        UseTree::Name(name) => into.push((name.ident.to_string(), with(&name.ident))),
        UseTree::Rename(name) => into.push((name.rename.to_string(), with(&name.ident))),
        UseTree::Glob(_) => into.push(("*".to_owned(), before.clone())),
        UseTree::Group(group) => group.items.iter().for_each(|tree| paths(tree, before, into)),
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        let (attributes, name) = match item {
            Item::Const(one) => (&one.attrs, Some(one.ident.to_string())),
            Item::Enum(one) => (&one.attrs, Some(one.ident.to_string())),
            Item::Fn(one) => (&one.attrs, Some(one.sig.ident.to_string())),
            Item::Static(one) => (&one.attrs, Some(one.ident.to_string())),
            Item::Struct(one) => (&one.attrs, Some(one.ident.to_string())),
            Item::Trait(one) => (&one.attrs, Some(one.ident.to_string())),
            Item::Type(one) => (&one.attrs, Some(one.ident.to_string())),
            Item::Macro(one) => (&one.attrs, one.ident.as_ref().map(ToString::to_string)),
            Item::Mod(one) => (&one.attrs, None),
            Item::Impl(one) => (&one.attrs, None),
            Item::Use(one) => (&one.attrs, None),
            _ => return syn::visit::visit_item(self, item),
        };
        if is_test(attributes) {
            return;
        }
        self.file.defines.extend(name);
        syn::visit::visit_item(self, item);
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        let mut all = Vec::new();
        paths(&item.tree, &Vec::new(), &mut all);
        for (name, path) in all {
            match (&item.vis, self.whole(&path)) {
                (_, None) => {}
                (Visibility::Inherited, Some(whole)) => drop(self.file.imports.insert(whole)),
                (_, Some(whole)) if name == "*" => drop(self.file.globs.insert(whole)),
                (_, Some(whole)) => drop(self.file.exports.insert(name, whole)),
            }
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.file.uses.extend(path.segments.first().map(|segment| segment.ident.to_string()));
        if path.segments.len() > 1 {
            let names: Names = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
            self.import(&names);
        }
        syn::visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, made: &'ast syn::Macro) {
        self.tokens(made.tokens.clone());
        syn::visit::visit_macro(self, made);
    }

    // `pub(in path)` and attributes import nothing.
    fn visit_visibility(&mut self, _: &'ast Visibility) {}

    fn visit_attribute(&mut self, _: &'ast syn::Attribute) {}
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// Returns the layers of ARCHITECTURE.md from the bottom up: the modules in the rows of its table.
fn layers() -> Vec<BTreeSet<String>> {
    let text = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let (_, table) = text.split_once("<!-- layers -->").expect("the table of layers");
    let rows =
        table.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    rows.skip(2)
        .map(|row| row.split('|').nth(1).unwrap().split('`').skip(1).step_by(2).map(str::to_owned).collect())
        .collect()
}

#[test]
fn no_import_points_to_a_higher_layer() {
    let layers = layers();
    let layer = |module: &Names| {
        let top = &module[0];
        layers.iter().position(|names| names.contains(top)).unwrap_or_else(|| panic!("{top} is in no layer"))
    };
    let program = Program::read(&root().join("src"));
    let tops: BTreeSet<&String> = program.files.keys().filter_map(|module| module.first()).collect();
    let known: BTreeSet<&String> = layers.iter().flatten().collect();
    assert_eq!(tops, known, "the modules of the table");
    let mut wrong = Vec::new();
    let edges = program.edges();
    for (module, file) in program.files.iter().filter(|(module, _)| !module.is_empty()) {
        let exported = file.exports.values().chain(&file.globs).filter_map(|path| program.target(path, 0));
        let exported: BTreeSet<Names> = exported.filter(|target| !target.is_empty()).collect();
        for target in edges[module].union(&exported).filter(|target| target[0] != module[0]) {
            if layer(target) >= layer(module) {
                wrong.push(format!("{} imports {}", module.join("::"), target.join("::")));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_imports_form_a_cycle() {
    let edges = Program::read(&root().join("src")).edges();
    // A file is part of a cycle if its imports lead back to it.
    let leads_back = |module: &&Names| {
        let mut seen = BTreeSet::new();
        let mut next: Vec<&Names> = edges[*module].iter().collect();
        while let Some(one) = next.pop() {
            if seen.insert(one) {
                next.extend(&edges[one]);
            }
        }
        seen.contains(*module)
    };
    let left: BTreeSet<&Names> = edges.keys().filter(leads_back).collect();
    let shown: Vec<_> = left
        .iter()
        .map(|module| {
            let into: Vec<_> = edges[*module]
                .iter()
                .filter(|target| left.contains(target))
                .map(|one| one.join("::"))
                .collect();
            format!("{} -> {}", module.join("::"), into.join(", "))
        })
        .collect();
    assert!(shown.is_empty(), "{}", shown.join("\n"));
}

#[test]
fn every_form_of_import_is_found() {
    let program = Program::read(&root().join("src"));
    let edges = program.edges();
    let names = |text: &str| text.split("::").map(str::to_owned).collect::<Names>();
    // Imports by `use`, through a re-export, by a path in a macro's arguments, and by a used `pub use`.
    assert!(edges[&names("transport::session")].contains(&names("transport::connection")));
    assert!(edges[&names("discovery")].contains(&names("profile::types")));
    assert!(edges[&names("commands::refresh")].contains(&names("commands::attach")));
    assert!(edges[&names("security")].contains(&names("security::tickets")));
    assert!(edges[&names("platform")].contains(&names("platform::unix")));
    assert!(program.files.len() > 200);
}
