//! Did you mean: the word of a list that is nearest to a mistyped one.

/// Longer words are not compared: nobody mistypes them into each other.
const LONGEST: usize = 64;

/// The candidate nearest to `word`, when it is near enough that a slip of the fingers explains the difference:
/// upper and lower case, or one wrong, missing, additional or swapped letter for every three.
///
/// ```
/// use anabranch_lang::suggest::closest;
/// assert_eq!(closest("revison", ["flow", "revision"]), Some("revision"));
/// assert_eq!(closest("banana", ["flow", "revision"]), None);
/// ```
pub fn closest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let letters = fold(word);
    if letters.is_empty() || letters.len() > LONGEST {
        return None;
    }
    let most = (letters.len() / 3).max(1);
    candidates
        .into_iter()
        .filter(|candidate| *candidate != word)
        .filter_map(|candidate| {
            let other = fold(candidate);
            // One letter away from a word of one or two letters is any such word.
            let far = other.len() > LONGEST || other.len().abs_diff(letters.len()) > most;
            let distance = if far { usize::MAX } else { distance(&letters, &other) };
            let close = distance == 0 || (distance <= most && letters.len() > 2);
            close.then_some((distance, candidate))
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

fn fold(word: &str) -> Vec<char> {
    word.chars().take(LONGEST + 1).flat_map(char::to_lowercase).collect()
}

/// Optimal string alignment: insertions, deletions, replacements and swaps of neighbours.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let replaced = above[j] + usize::from(x != y);
            let mut least = replaced.min(above[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *x == b[j - 1] && a[i - 1] == *y {
                least = least.min(before[j - 1] + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_slip_is_found() {
        for slip in ["upsret", "upser", "upsertt", "upzert", "UPSERT"] {
            assert_eq!(closest(slip, ["insert", "update", "upsert"]), Some("upsert"), "{slip}");
        }
    }

    #[test]
    fn other_words_are_not_suggested() {
        for word in ["", "a", "value", "x"] {
            assert_eq!(closest(word, ["key", "b", "replicate"]), None, "{word}");
        }
    }

    #[test]
    fn the_nearest_of_several_wins() {
        assert_eq!(closest("names", ["frames", "name", "game"]), Some("name"));
    }

    #[test]
    fn the_word_itself_is_no_suggestion() {
        assert_eq!(closest("key", ["key"]), None);
    }
}
