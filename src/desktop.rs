//! Integration into the system: the hook in PowerShell's startup scripts, and shortcuts.

pub mod block;
pub mod browser;
pub mod hook;
pub mod icon;
pub mod shell_link;
pub mod shortcut;
pub mod startup;
pub mod terminal;

use std::path::PathBuf;

use crate::folders::Folders;

/// Built-in templates of files for other programs. A file of the same name in the folder `templates` of the
/// configuration folder replaces a template.
const OWN: [(&str, &str); 4] = [
    ("icon.svg", include_str!("../templates/icon.svg")),
    ("powershell/hook.ps1", include_str!("../templates/powershell/hook.ps1")),
    ("shortcut.command", include_str!("../templates/shortcut.command")),
    ("shortcut.desktop", include_str!("../templates/shortcut.desktop")),
];

/// The templates of one user.
#[derive(Clone, Debug)]
pub struct Templates {
    folder: PathBuf,
}

impl Templates {
    pub fn of(folders: &Folders) -> Self {
        Self { folder: folders.config.join("templates") }
    }

    /// Renders one of [`OWN`]. The values must be quoted.
    fn render(&self, name: &str, values: minijinja::Value) -> Result<String, minijinja::Error> {
        let mut environment = minijinja::Environment::new();
        environment.set_undefined_behavior(minijinja::UndefinedBehavior::Strict);
        for (name, own) in OWN {
            environment.add_template_owned(name, self.text(name, own)?)?;
        }
        // minijinja removes the last newline of a template.
        Ok(environment.get_template(name)?.render(values)? + "\n")
    }

    fn text(&self, name: &str, own: &str) -> Result<String, minijinja::Error> {
        let theirs = self.folder.join(name);
        match crate::files::text::read(&theirs) {
            Ok(text) => Ok(text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(own.to_owned()),
            Err(error) => {
                let text = format!("cannot read {}: {error}", theirs.display());
                Err(minijinja::Error::new(minijinja::ErrorKind::InvalidOperation, text))
            }
        }
    }
}
