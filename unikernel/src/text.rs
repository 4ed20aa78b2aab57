//! Text of images on its way to people.

/// The text without control characters, which could steer a terminal.
pub fn printable(text: &str) -> String {
    text.chars()
        .flat_map(|char| {
            if char.is_control() {
                char.escape_default().collect::<Vec<_>>()
            } else {
                vec![char]
            }
        })
        .collect()
}
