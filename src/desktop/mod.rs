//! What is there before lyncsh is called: the block in PowerShell's startup script, and shortcuts.

pub mod block;
pub mod icon;
pub mod quote;
pub mod shell_link;
pub mod shortcut;
pub mod startup;
pub mod terminal;

/// The texts for other programs.
const TEMPLATES: [(&str, &str); 3] = [
    ("icon.svg", include_str!("../../templates/icon.svg")),
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

/// FNV-1a: the same on every machine and in every version.
fn sum(bytes: impl Iterator<Item = u8>) -> u32 {
    bytes.fold(0x811c_9dc5, |sum, byte| (sum ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}
