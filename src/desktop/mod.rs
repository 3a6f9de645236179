//! What is there before lyncsh is called: the block in PowerShell's startup script, and shortcuts.

pub mod block;
pub mod hook;
pub mod icon;
pub mod quote;
pub mod shell_link;
pub mod shortcut;
pub mod startup;
pub mod terminal;

/// The texts for other programs.
const TEMPLATES: [(&str, &str); 4] = [
    ("icon.svg", include_str!("../../templates/icon.svg")),
    ("powershell/hook.ps1", include_str!("../../templates/powershell/hook.ps1")),
    ("shortcut.command", include_str!("../../templates/shortcut.command")),
    ("shortcut.desktop", include_str!("../../templates/shortcut.desktop")),
];

/// Renders one of [`TEMPLATES`]; values are quoted already.
fn render(name: &str, values: minijinja::Value) -> Result<String, minijinja::Error> {
    let mut environment = minijinja::Environment::new();
    environment.set_undefined_behavior(minijinja::UndefinedBehavior::Strict);
    for (name, text) in TEMPLATES {
        environment.add_template(name, text)?;
    }
    // The engine takes the template's last newline away.
    Ok(environment.get_template(name)?.render(values)? + "\n")
}
