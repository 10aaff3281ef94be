//! The source tree as the compiler sees it: files, the names that each takes from others, and functions with their lengths.

use std::collections::{BTreeMap, BTreeSet};

use syn::spanned::Spanned;
use syn::visit::{self, Visit};

use crate::repository::tidy::rust_files;

/// The path of a module below `src`: `["order", "total"]`. The root is empty.
type Module = Vec<String>;

/// A function, and the lines from its signature to its last brace.
pub(super) struct Function {
    pub(super) name: String,
    pub(super) lines: usize,
}

/// Returns the functions of a file, those of tests and inner ones included.
pub(super) fn functions(text: &str) -> Vec<Function> {
    let mut found = Functions(Vec::new());
    found.visit_file(&parse(text));
    found.0
}

fn parse(text: &str) -> syn::File {
    syn::parse_file(text).expect("the compiler reads this file, too")
}

struct Functions(Vec<Function>);

impl Functions {
    fn add(&mut self, signature: &syn::Signature, block: &syn::Block) {
        let lines = block.span().end().line + 1 - signature.span().start().line;
        self.0.push(Function { name: signature.ident.to_string(), lines });
    }
}

impl<'ast> Visit<'ast> for Functions {
    fn visit_item_fn(&mut self, it: &'ast syn::ItemFn) {
        self.add(&it.sig, &it.block);
        visit::visit_item_fn(self, it);
    }

    fn visit_impl_item_fn(&mut self, it: &'ast syn::ImplItemFn) {
        self.add(&it.sig, &it.block);
        visit::visit_impl_item_fn(self, it);
    }

    fn visit_trait_item_fn(&mut self, it: &'ast syn::TraitItemFn) {
        if let Some(block) = &it.default {
            self.add(&it.sig, block);
        }
        visit::visit_trait_item_fn(self, it);
    }
}

/// The imports between the files of `src`. Tests inside of files do not count.
pub(super) struct Imports(BTreeMap<String, BTreeSet<String>>);

impl Imports {
    pub(super) fn read() -> Self {
        let files: BTreeMap<Module, File> = rust_files("src")
            .into_iter()
            .map(|(name, text)| (module_of(&name), File::read(name, &text)))
            .filter(|(_, file)| !file.is_test)
            .collect();
        let tree = Tree(files);
        let mut imports = BTreeMap::new();
        for (module, file) in &tree.0 {
            let named = file.named.iter().filter_map(|path| tree.definer(module, path, 0));
            let others = named.filter(|other| *other != file.name).map(str::to_owned);
            imports.insert(file.name.clone(), others.collect());
        }
        Self(imports)
    }

    /// Leaves out the imports for which `is_left_out` holds.
    pub(super) fn without(mut self, is_left_out: impl Fn(&str, &str) -> bool) -> Self {
        for (from, to) in &mut self.0 {
            to.retain(|to| !is_left_out(from, to));
        }
        self
    }

    /// Returns each import: the importing file, and the file that defines the name.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().flat_map(|(from, to)| to.iter().map(move |to| (&**from, &**to)))
    }

    /// Returns the largest sets of files that import one another in a circle.
    pub(super) fn circles(&self) -> BTreeSet<BTreeSet<&str>> {
        let reach: BTreeMap<&str, BTreeSet<&str>> =
            self.0.keys().map(|file| (&**file, self.reachable(file))).collect();
        let circle = |file: &&str| {
            let others = reach[file].iter().filter(|other| reach[**other].contains(file));
            others.copied().collect::<BTreeSet<&str>>()
        };
        reach.keys().map(circle).filter(|circle| !circle.is_empty()).collect()
    }

    fn reachable(&self, file: &str) -> BTreeSet<&str> {
        let mut found = BTreeSet::new();
        let mut open: Vec<&str> = self.0[file].iter().map(String::as_str).collect();
        while let Some(file) = open.pop() {
            if found.insert(file) {
                open.extend(self.0[file].iter().map(String::as_str));
            }
        }
        found
    }
}

/// Returns the module of `src/a/b.rs` or `src/a/b/mod.rs`.
fn module_of(name: &str) -> Module {
    let path = name.trim_start_matches("src/").trim_end_matches(".rs");
    let path = path.strip_suffix("/mod").unwrap_or(path);
    path.split('/').filter(|part| *part != "lib").map(str::to_owned).collect()
}

/// One source file.
struct File {
    name: String,
    /// Whether it is compiled for tests only.
    is_test: bool,
    /// The paths that it imports or names.
    named: Vec<Vec<String>>,
    /// The names that it imports, each with its path. Others may take them from here if they are public.
    bindings: BTreeMap<String, Vec<String>>,
}

impl File {
    fn read(name: String, text: &str) -> Self {
        let file = parse(text);
        let is_test =
            file.attrs.iter().any(is_cfg_test) || name.ends_with("/tests.rs") || name.contains("/tests/");
        let mut found = Self { name, is_test, named: Vec::new(), bindings: BTreeMap::new() };
        found.visit_file(&file);
        found
    }

    fn import(&mut self, tree: &syn::UseTree, path: &[String]) {
        let with = |part: &syn::Ident| [path, &[part.to_string()]].concat();
        match tree {
            syn::UseTree::Path(it) => self.import(&it.tree, &with(&it.ident)),
            syn::UseTree::Name(it) if it.ident == "self" => self.bind(path.last().cloned(), path.to_vec()),
            syn::UseTree::Name(it) => self.bind(Some(it.ident.to_string()), with(&it.ident)),
            syn::UseTree::Rename(it) => self.bind(Some(it.rename.to_string()), with(&it.ident)),
            syn::UseTree::Glob(_) => self.named.push(path.to_vec()),
            syn::UseTree::Group(it) => it.items.iter().for_each(|tree| self.import(tree, path)),
        }
    }

    fn bind(&mut self, name: Option<String>, path: Vec<String>) {
        self.named.push(path.clone());
        self.bindings.extend(name.map(|name| (name, path)));
    }
}

impl<'ast> Visit<'ast> for File {
    fn visit_item(&mut self, it: &'ast syn::Item) {
        let attributes = match it {
            syn::Item::Mod(it) => &it.attrs,
            syn::Item::Use(it) => &it.attrs,
            syn::Item::Fn(it) => &it.attrs,
            syn::Item::Impl(it) => &it.attrs,
            _ => return visit::visit_item(self, it),
        };
        if !attributes.iter().any(is_cfg_test) {
            visit::visit_item(self, it);
        }
    }

    fn visit_item_use(&mut self, it: &'ast syn::ItemUse) {
        let named = self.named.len();
        self.import(&it.tree, &[]);
        // A name that is only handed on makes the file depend on nothing.
        if !matches!(it.vis, syn::Visibility::Inherited) {
            self.named.truncate(named);
        }
    }

    fn visit_path(&mut self, it: &'ast syn::Path) {
        let path: Vec<String> = it.segments.iter().map(|segment| segment.ident.to_string()).collect();
        // A path of one word is a visibility.
        if path.len() > 1 && matches!(&*path[0], "crate" | "self" | "super") {
            self.named.push(path);
        }
        visit::visit_path(self, it);
    }
}

fn is_cfg_test(attribute: &syn::Attribute) -> bool {
    attribute.path().is_ident("cfg")
        && matches!(&attribute.meta, syn::Meta::List(list) if list.tokens.to_string() == "test")
}

/// The files by their modules.
struct Tree(BTreeMap<Module, File>);

impl Tree {
    /// Returns the file that defines the name at `path`, as it is written in `module`. None if it is of another crate.
    fn definer(&self, module: &[String], path: &[String], depth: usize) -> Option<&str> {
        let mut at = module.to_vec();
        let mut rest = path;
        let mut is_anchored = false;
        while let [first, others @ ..] = rest {
            match &**first {
                "crate" => at.clear(),
                "self" => {}
                "super" => drop(at.pop()),
                _ => break,
            }
            (rest, is_anchored) = (others, true);
        }
        while let [name, others @ ..] = rest {
            let child = [&at[..], std::slice::from_ref(name)].concat();
            if self.0.contains_key(&child) {
                (at, rest, is_anchored) = (child, others, true);
                continue;
            }
            // The name may have been imported there, or be defined there.
            let binding =
                self.0.get(&at)?.bindings.get(name).filter(|_| depth < 8 && (is_anchored || at != module));
            return match binding {
                Some(path) => self.definer(&at, path, depth + 1),
                None if is_anchored => Some(&self.0[&at].name),
                None => None,
            };
        }
        self.0.get(&at).map(|file| &*file.name)
    }
}
