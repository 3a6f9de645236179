//! Names that many objects have in common.

use std::collections::HashSet;
use std::sync::Arc;

use foldhash::fast::RandomState;

/// A name of a type or of a property; clones share its text.
pub type Name = Arc<str>;

/// Type names, most derived first; clones share them.
pub type TypeNames = Arc<[Name]>;

/// Names and lists of type names, each held once: thousands of objects of a pipeline have the same ones.
#[derive(Debug, Default)]
pub struct Names {
    // Each received property is looked up here, hence a fast hash. An endpoint that produces collisions can add at most
    // `MAX` of them.
    names: HashSet<Name, RandomState>,
    lists: HashSet<TypeNames, RandomState>,
}

impl Names {
    /// Maximum number of names, and of lists, that are held; further ones are not shared.
    const MAX: usize = 4096;
    /// Maximum length of a name in bytes, and of a list in names, that is held.
    const MAX_LENGTH: usize = 256;

    pub(super) fn name(&mut self, text: &str) -> Name {
        if let Some(name) = self.names.get(text) {
            return Arc::clone(name);
        }
        let name = Name::from(text);
        if self.names.len() < Self::MAX && text.len() <= Self::MAX_LENGTH {
            self.names.insert(Arc::clone(&name));
        }
        name
    }

    pub(super) fn list(&mut self, names: &[Name]) -> TypeNames {
        if let Some(list) = self.lists.get(names) {
            return Arc::clone(list);
        }
        let list = TypeNames::from(names);
        let is_short = |name: &Name| name.len() <= Self::MAX_LENGTH;
        if self.lists.len() < Self::MAX && names.len() <= Self::MAX_LENGTH && names.iter().all(is_short) {
            self.lists.insert(Arc::clone(&list));
        }
        list
    }
}

/// Returns a list of type names, most derived first.
pub fn type_names<T: Into<Name>>(names: impl IntoIterator<Item = T>) -> TypeNames {
    names.into_iter().map(Into::into).collect()
}
