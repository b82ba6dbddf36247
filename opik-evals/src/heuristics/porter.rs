//! The Porter stemmer for English (Porter 1980, "An algorithm for suffix stripping", Program 14.3)
//! with the extensions of NLTK, which `rouge-score` uses.
//!
//! The extensions: a list of irregular words, `ies` and `ied` of four-letter words, `y` after a
//! consonant, `alli` before the other rules of step 2, `fulli`, `logi`, and a stem of vowel and
//! consonant that ends like consonant, vowel, consonant.

use std::borrow::Cow;

/// The stem of a word in lower case. Letters other than a to z are consonants.
pub(super) fn stem(word: &str) -> String {
    if let Some(stem) = irregular(word) {
        return stem.to_owned();
    }
    if word.chars().count() <= 2 {
        return word.to_owned();
    }
    let word = plural(word);
    let word = past(&word);
    let word = match word.strip_suffix('y') {
        Some(stem) if stem.chars().nth(1).is_some() && ends_consonant(stem) => {
            Cow::Owned(format!("{stem}i"))
        }
        _ => word,
    };
    let word = derived(word);
    let word = rules(word, STEP_3, 0);
    let word = step_4(word);
    let word = match word.strip_suffix('e') {
        Some(stem) if measure(stem) > 1 || (measure(stem) == 1 && !ends_cvc(stem)) => stem,
        _ => &word,
    };
    match word.strip_suffix('l') {
        Some(stem) if stem.ends_with('l') && measure(stem) > 1 => stem.to_owned(),
        _ => word.to_owned(),
    }
}

fn irregular(word: &str) -> Option<&'static str> {
    Some(match word {
        "sky" | "skies" => "sky",
        "dying" => "die",
        "lying" => "lie",
        "tying" => "tie",
        "news" => "news",
        "innings" | "inning" => "inning",
        "outings" | "outing" => "outing",
        "cannings" | "canning" => "canning",
        "howe" => "howe",
        "proceed" => "proceed",
        "exceed" => "exceed",
        "succeed" => "succeed",
        _ => return None,
    })
}

/// For each letter whether it is a consonant: all but a, e, i, o, u, and y after a consonant.
fn consonants(word: &str) -> impl Iterator<Item = bool> {
    word.chars().scan(false, |after_consonant, letter| {
        *after_consonant = match letter {
            'a' | 'e' | 'i' | 'o' | 'u' => false,
            'y' => !*after_consonant,
            _ => true,
        };
        Some(*after_consonant)
    })
}

fn ends_consonant(word: &str) -> bool {
    consonants(word).last().unwrap_or(false)
}

/// How often a vowel is followed by a consonant.
fn measure(stem: &str) -> usize {
    consonants(stem)
        .zip(consonants(stem).skip(1))
        .filter(|(first, second)| !first && *second)
        .count()
}

fn has_vowel(stem: &str) -> bool {
    consonants(stem).any(|consonant| !consonant)
}

fn ends_double_consonant(word: &str) -> bool {
    let mut letters = word.chars().rev();
    letters
        .next()
        .is_some_and(|last| letters.next() == Some(last))
        && ends_consonant(word)
}

fn ends_cvc(word: &str) -> bool {
    // The last three kinds, the last one first, and how many letters there are.
    let mut last = [false; 3];
    let mut count = 0;
    for kind in consonants(word) {
        last = [kind, last[0], last[1]];
        count += 1;
    }
    match (count, last) {
        (2, [true, false, _]) => true,
        (3.., [true, false, true]) => !word.ends_with(['w', 'x', 'y']),
        _ => false,
    }
}

/// Step 1a.
fn plural(word: &str) -> Cow<'_, str> {
    if let Some(stem) = word.strip_suffix("ies") {
        let end = if word.chars().count() == 4 { "ie" } else { "i" };
        return Cow::Owned(format!("{stem}{end}"));
    }
    if word.ends_with("ss") {
        return Cow::Borrowed(word);
    }
    if word.ends_with("sses") {
        return Cow::Borrowed(word.strip_suffix("es").unwrap_or(word));
    }
    Cow::Borrowed(word.strip_suffix('s').unwrap_or(word))
}

/// Step 1b.
fn past(word: &str) -> Cow<'_, str> {
    if let Some(stem) = word.strip_suffix("ied") {
        let end = if word.chars().count() == 4 { "ie" } else { "i" };
        return Cow::Owned(format!("{stem}{end}"));
    }
    if let Some(stem) = word.strip_suffix("eed") {
        return if measure(stem) > 0 {
            Cow::Owned(format!("{stem}ee"))
        } else {
            Cow::Borrowed(word)
        };
    }
    let stem = word
        .strip_suffix("ed")
        .or_else(|| word.strip_suffix("ing"))
        .filter(|stem| has_vowel(stem));
    let Some(stem) = stem else {
        return Cow::Borrowed(word);
    };
    if stem.ends_with("at") || stem.ends_with("bl") || stem.ends_with("iz") {
        return Cow::Owned(format!("{stem}e"));
    }
    if ends_double_consonant(stem) {
        let mut single = stem.chars();
        if !stem.ends_with(['l', 's', 'z']) {
            single.next_back();
        }
        return Cow::Borrowed(single.as_str());
    }
    if measure(stem) == 1 && ends_cvc(stem) {
        return Cow::Owned(format!("{stem}e"));
    }
    Cow::Borrowed(stem)
}

/// Step 2, where `alli` becomes `al` first.
fn derived(mut word: Cow<'_, str>) -> Cow<'_, str> {
    while let Some(stem) = word.strip_suffix("alli").filter(|stem| measure(stem) > 0) {
        word = Cow::Owned(format!("{stem}al"));
    }
    // The l of `logi` belongs to the stem. No rule has an ending of `ogi`.
    match word.strip_suffix("ogi") {
        Some(stem) if stem.ends_with('l') && measure(stem) > 0 => Cow::Owned(format!("{stem}og")),
        Some(_) => word,
        None => rules(word, STEP_2, 0),
    }
}

const STEP_2: &[(&str, &str)] = &[
    ("ational", "ate"),
    ("tional", "tion"),
    ("enci", "ence"),
    ("anci", "ance"),
    ("izer", "ize"),
    ("bli", "ble"),
    ("alli", "al"),
    ("entli", "ent"),
    ("eli", "e"),
    ("ousli", "ous"),
    ("ization", "ize"),
    ("ation", "ate"),
    ("ator", "ate"),
    ("alism", "al"),
    ("iveness", "ive"),
    ("fulness", "ful"),
    ("ousness", "ous"),
    ("aliti", "al"),
    ("iviti", "ive"),
    ("biliti", "ble"),
    ("fulli", "ful"),
];

const STEP_3: &[(&str, &str)] = &[
    ("icate", "ic"),
    ("ative", ""),
    ("alize", "al"),
    ("iciti", "ic"),
    ("ical", "ic"),
    ("ful", ""),
    ("ness", ""),
];

const STEP_4: &[(&str, &str)] = &[
    ("al", ""),
    ("ance", ""),
    ("ence", ""),
    ("er", ""),
    ("ic", ""),
    ("able", ""),
    ("ible", ""),
    ("ant", ""),
    ("ement", ""),
    ("ment", ""),
    ("ent", ""),
    ("ou", ""),
    ("ism", ""),
    ("ate", ""),
    ("iti", ""),
    ("ous", ""),
    ("ive", ""),
    ("ize", ""),
];

/// The first ending that fits decides; it goes when more than `least` vowel-consonant pairs stay.
fn rules<'a>(word: Cow<'a, str>, rules: &[(&str, &str)], least: usize) -> Cow<'a, str> {
    let fitting = rules
        .iter()
        .find_map(|(ending, instead)| Some((word.strip_suffix(ending)?, instead)));
    match fitting {
        Some((stem, instead)) if measure(stem) > least => Cow::Owned(format!("{stem}{instead}")),
        _ => word,
    }
}

fn step_4(word: Cow<'_, str>) -> Cow<'_, str> {
    match word.strip_suffix("ion") {
        Some(stem) if measure(stem) > 1 && stem.ends_with(['s', 't']) => {
            Cow::Owned(stem.to_owned())
        }
        Some(_) => word,
        None => rules(word, STEP_4, 1),
    }
}

#[cfg(test)]
mod tests {
    use super::stem;

    /// Examples of the paper, and of the extensions.
    #[test]
    fn words_have_the_stems_of_the_paper() {
        for (word, expected) in [
            ("caresses", "caress"),
            ("ponies", "poni"),
            ("ties", "tie"),
            ("cats", "cat"),
            ("feed", "feed"),
            ("agreed", "agre"),
            ("plastered", "plaster"),
            ("motoring", "motor"),
            ("sing", "sing"),
            ("conflated", "conflat"),
            ("troubled", "troubl"),
            ("sized", "size"),
            ("hopping", "hop"),
            ("falling", "fall"),
            ("hissing", "hiss"),
            ("failing", "fail"),
            ("filing", "file"),
            ("happy", "happi"),
            ("enjoy", "enjoy"),
            ("relational", "relat"),
            ("conditional", "condit"),
            ("radically", "radic"),
            ("vietnamization", "vietnam"),
            ("hopefulness", "hope"),
            ("hopefully", "hope"),
            ("triplicate", "triplic"),
            ("electrical", "electr"),
            ("allowance", "allow"),
            ("adoption", "adopt"),
            ("replacement", "replac"),
            ("probate", "probat"),
            ("rate", "rate"),
            ("cease", "ceas"),
            ("controlling", "control"),
            ("geology", "geolog"),
            ("archaeology", "archaeolog"),
            ("dying", "die"),
            ("died", "die"),
            ("yyyy", "yyyi"),
        ] {
            assert_eq!(stem(word), expected, "{word}");
        }
    }

    /// Words and mixtures of endings with their stems by NLTK 3.10.4.
    #[test]
    fn words_have_the_stems_of_nltk() {
        let rows = include_str!("../../tests/fixtures/stems.tsv").lines();
        let wrong: Vec<&str> = rows
            .filter(|row| {
                row.split_once('\t')
                    .is_none_or(|(word, expected)| stem(word) != expected)
            })
            .collect();
        assert!(wrong.is_empty(), "{wrong:?}");
    }
}
