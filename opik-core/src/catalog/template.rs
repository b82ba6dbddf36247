//! What a template asks for.

use std::collections::BTreeSet;

/// The names between double braces of a Mustache template, sorted, each once: `{{name}}`,
/// `{{ user.name }}`, also of sections (`{{#items}}`) and unescaped (`{{{html}}}`, `{{&html}}`).
/// Comments, partials, ends of sections and delimiters are none.
///
/// ```
/// use opik_core::catalog::variables;
///
/// assert_eq!(variables("Hello {{ name }}, {{#of}}{{name}}{{/of}}{{! not this }}"), ["name", "of"]);
/// ```
#[must_use]
pub fn variables(template: &str) -> Vec<String> {
    let mut names = BTreeSet::new();
    let mut rest = template;
    while let Some((_, after)) = rest.split_once("{{") {
        let Some((inside, next)) = after.split_once("}}") else {
            break;
        };
        rest = next;
        let inside = inside.trim_start_matches('{').trim();
        if inside.starts_with(['!', '/', '>', '=']) {
            continue;
        }
        let name = inside.trim_start_matches(['#', '^', '&']).trim();
        let is_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '-');
        if !name.is_empty() && name.chars().all(is_name) {
            names.insert(name.to_owned());
        }
    }
    names.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::variables;

    #[test]
    fn only_what_is_a_name_between_braces_counts() {
        assert_eq!(variables("{{b}} {{ a.c }} {{b}}"), ["a.c", "b"]);
        assert_eq!(
            variables("{{{raw}}} {{&amp}} {{^none}}x{{/none}}"),
            ["amp", "none", "raw"]
        );
        for none in [
            "",
            "{a}",
            "{{",
            "{{}}",
            "{{a b}}",
            "}}{{",
            "{{{{",
            "{{\"x\": 1}}",
        ] {
            assert!(variables(none).is_empty(), "{none}");
        }
    }
}
